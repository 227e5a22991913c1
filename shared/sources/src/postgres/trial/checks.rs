//! [`Checks`]: what an operator wants to hold in every restored copy, as it is written in configuration.

use serde::Deserialize;

use super::super::query::quoted_name;

/// What is to hold in a restored copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// Statements with the answer that they must give.
    #[serde(default, rename = "assert")]
    pub assertions: Vec<Assertion>,
    /// The column that tells how old the copy is.
    pub heartbeat: Option<Heartbeat>,
}

/// A statement with the answer that it must give.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The database to ask.
    pub database: String,
    /// The statement. It runs as the cluster's superuser, and may only read.
    pub sql: String,
    /// The only value of its answer, as text; `t`, which is true, where nothing else is said.
    #[serde(default = "truth")]
    pub expects: String,
}

fn truth() -> String {
    "t".to_owned()
}

/// A column of times into which somebody writes the time now, over and over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The database.
    pub database: String,
    /// Schema, table and column.
    pub column: Column,
}

/// A column as `schema.table.column`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Column {
    parts: [String; 3],
}

/// Text that is no column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no column: write schema.table.column, each as PostgreSQL stores its name")]
pub struct HeartbeatError(String);

impl TryFrom<String> for Column {
    type Error = HeartbeatError;

    fn try_from(text: String) -> Result<Column, HeartbeatError> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        match <[String; 3]>::try_from(parts) {
            Ok(parts) if parts.iter().all(|part| !part.is_empty() && !part.contains('\0')) => Ok(Column { parts }),
            _ => Err(HeartbeatError(text)),
        }
    }
}

impl Column {
    /// The statement that gives the newest time in it, in microseconds since 1970.
    pub(super) fn newest(&self) -> String {
        let [schema, table, column] = &self.parts;
        format!(
            "SELECT (extract(epoch FROM max({})) * 1000000)::bigint FROM {}.{}",
            quoted_name(column),
            quoted_name(schema),
            quoted_name(table)
        )
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_three_parts_and_are_quoted() {
        let column = Column::try_from("public.beat\"s.at".to_owned()).unwrap();
        assert_eq!(
            column.newest(),
            r#"SELECT (extract(epoch FROM max("at")) * 1000000)::bigint FROM "public"."beat""s""#
        );
        for wrong in ["", "at", "beats.at", "a.b.c.d", "public..at"] {
            assert!(Column::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_words_are_refused_and_an_answer_is_true_unless_it_is_said() {
        let read = |text| serde_json::from_str::<Checks>(text);
        let checks = read(r#"{ "assert": [{ "database": "shop", "sql": "SELECT true" }] }"#).unwrap();
        assert_eq!(checks.assertions[0].expects, "t");
        for wrong in [
            r#"{ "asserts": [] }"#,
            r#"{ "assert": [{ "sql": "SELECT true" }] }"#,
            r#"{ "heartbeat": { "database": "shop", "column": "at" } }"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
