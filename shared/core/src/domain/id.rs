//! Identifiers. Names are written by people and checked on entry; ids are derived from the work they name, so that
//! the same work always gets the same id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A name that is empty, too long, or holds a character that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} \"{word}\" is not a valid name: use 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
)]
pub struct InvalidName {
    what: &'static str,
    word: String,
}

fn check_name(what: &'static str, word: &str) -> Result<(), InvalidName> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let starts_well = word
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if starts_well && word.len() <= 63 && word.chars().all(allowed) {
        return Ok(());
    }
    Err(InvalidName {
        what,
        word: word.chars().take(80).collect(),
    })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `word` and makes a name of it.
            pub fn new(word: impl Into<String>) -> Result<Self, InvalidName> {
                let word = word.into();
                check_name($what, &word)?;
                Ok(Self(word))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(word: &str) -> Result<Self, InvalidName> {
                Self::new(word)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(word: String) -> Result<Self, InvalidName> {
                Self::new(word)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name!(/// Names a backup policy.
    PolicyId, "policy");
name!(/// Names a rule inside a policy.
    RuleName, "rule");
name!(/// Names a protected resource.
    ResourceId, "resource");
name!(/// Names a vault.
    VaultName, "vault");
name!(/// Names a Region.
    Region, "region");
name!(/// Names a recovery plan.
    PlanId, "plan");
name!(/// Names a step of a recovery plan.
    StepName, "step");
name!(/// Names something that a recovery plan can change.
    ActuatorName, "actuator");
name!(/// Names somebody who is told of a run.
    ContactName, "contact");
name!(/// Names a workload: what moves to another Region together, under one authority.
    WorkloadName, "workload");

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Derives the id from what it stands for. Parts are length-prefixed, so `["ab", "c"]` and `["a", "bc"]` differ.
            pub fn derive(parts: &[&str]) -> Self {
                let mut hash = Sha256::new();
                hash.update($what.as_bytes());
                for part in parts {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part.as_bytes());
                }
                Self(hex::encode(&hash.finalize()[..16]))
            }

            /// The id as 32 lower-case hexadecimal digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first eight digits, for messages.
            pub fn short(&self) -> &str {
                &self.0[..8]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(word: String) -> Result<Self, InvalidName> {
                let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                if word.len() == 32 && word.chars().all(hexadecimal) {
                    return Ok(Self(word));
                }
                Err(InvalidName { what: $what, word: word.chars().take(80).collect() })
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

derived_id!(/// One job: the same work always has the same id.
    JobId, "job");
derived_id!(/// One recovery point.
    PointId, "point");
derived_id!(/// One run of a recovery plan.
    RunId, "run");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_separators_or_upper_case_are_refused() {
        for bad in ["", "A", "a/b", "a#b", "-a", "a b", "ä", &"a".repeat(64)] {
            assert!(PolicyId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(PolicyId::new("photos-1.daily").unwrap().as_str(), "photos-1.daily");
    }

    #[test]
    fn the_same_work_has_the_same_id_and_other_work_another() {
        assert_eq!(JobId::derive(&["ab", "c"]), JobId::derive(&["ab", "c"]));
        assert_ne!(JobId::derive(&["ab", "c"]), JobId::derive(&["a", "bc"]));
        assert_ne!(JobId::derive(&["x"]).as_str(), PointId::derive(&["x"]).as_str());
    }

    #[test]
    fn a_stored_name_that_breaks_the_rules_does_not_load() {
        assert!(serde_json::from_str::<ResourceId>("\"../etc\"").is_err());
        assert!(serde_json::from_str::<JobId>("\"zz\"").is_err());
    }
}
