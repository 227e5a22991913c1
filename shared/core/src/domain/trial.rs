//! Trials: a server's backup is restored in private, started, recovered to the end of its log and looked through.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Level, Span};

/// How often a server's backup is tried, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialRule {
    /// No longer than this passes between two trials.
    pub every: Span,
    /// How.
    pub trial: Trial,
}

/// How a backup of a server is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The absolute path of a folder with room for the cluster, in which a private one is made.
    pub folder: String,
    /// The superuser of the cluster.
    pub superuser: String,
    /// Where PostgreSQL's programs are; none for where Debian installs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programs: Option<String>,
    /// A trial that takes longer is given up.
    pub timeout: Span,
    /// What the operator wants to hold.
    pub checks: Checks,
}

impl Trial {
    /// What it strives for: that the engine accepts the restored cluster, or that the operator's own checks hold as well.
    pub fn level(&self) -> Level {
        if self.checks.is_empty() { Level::L4 } else { Level::L5 }
    }
}

/// What is to hold in a restored copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Statements with the answer that they must give.
    #[serde(default, rename = "assert", skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    /// The column that tells how old the copy is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
}

impl Checks {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.assertions.is_empty() && self.heartbeat.is_none()
    }
}

/// A statement with the answer that it must give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The database to ask.
    pub database: String,
    /// The statement. It runs as the cluster's superuser, and may only read.
    pub sql: String,
    /// The only value of its answer, as text; `t`, which is true, where nothing else is said.
    #[serde(default = "Assertion::truth")]
    pub expects: String,
}

impl Assertion {
    /// The answer that a statement must give where nothing else is said.
    pub fn truth() -> String {
        "t".to_owned()
    }
}

/// A column of times into which somebody writes the time now, over and over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The database.
    pub database: String,
    /// Schema, table and column.
    pub column: Column,
}

/// A column as `schema.table.column`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Column {
    parts: [String; 3],
}

/// Text that is no column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no column: write schema.table.column, each as PostgreSQL stores its name")]
pub struct InvalidColumn(String);

impl std::str::FromStr for Column {
    type Err = InvalidColumn;

    fn from_str(text: &str) -> Result<Self, InvalidColumn> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        match <[String; 3]>::try_from(parts) {
            Ok(parts) if parts.iter().all(|part| !part.is_empty() && !part.contains('\0')) => Ok(Self { parts }),
            _ => Err(InvalidColumn(text.chars().take(200).collect())),
        }
    }
}

impl TryFrom<String> for Column {
    type Error = InvalidColumn;

    fn try_from(text: String) -> Result<Self, InvalidColumn> {
        text.parse()
    }
}

impl From<Column> for String {
    fn from(column: Column) -> Self {
        column.to_string()
    }
}

impl Column {
    /// Schema, table and column.
    pub fn parts(&self) -> &[String; 3] {
        &self.parts
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

/// What a trial found out about what is in a backup. That the base backup cannot be read as it was stored is no matter of this:
/// those are damages of the copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    /// How much was tried; where something does not hold, the lowest level of which that is so.
    pub level: Level,
    /// Why the database is not sound although the base backup is as the server gave it: no server comes up over it, its log cannot
    /// be read, or what is in it does not hang together.
    pub corrupt: Vec<String>,
    /// What of the operator's own does not hold.
    pub refuted: Vec<String>,
    /// From the beginning until the server served, in milliseconds; none where it did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_millis: Option<u64>,
    /// The age of the newest heartbeat in it when the trial began, in milliseconds; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_loss_millis: Option<u64>,
    /// Everything else that it found, for the signed statement.
    pub findings: BTreeMap<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_three_parts() {
        let column: Column = "public.beats.at".parse().unwrap();
        assert_eq!(column.parts().each_ref().map(String::as_str), ["public", "beats", "at"]);
        for wrong in ["", "at", "beats.at", "a.b.c.d", "public..at"] {
            assert!(wrong.parse::<Column>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_words_are_refused_and_an_answer_is_true_unless_it_is_said() {
        let read = |text| serde_json::from_str::<Checks>(text);
        let checks = read(r#"{ "assert": [{ "database": "shop", "sql": "SELECT true" }] }"#).unwrap();
        assert_eq!(checks.assertions[0].expects, "t");
        let written = serde_json::to_string(&checks).unwrap();
        assert_eq!(serde_json::from_str::<Checks>(&written).unwrap(), checks);
        for wrong in [
            r#"{ "asserts": [] }"#,
            r#"{ "assert": [{ "sql": "SELECT true" }] }"#,
            r#"{ "heartbeat": { "database": "shop", "column": "at" } }"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
