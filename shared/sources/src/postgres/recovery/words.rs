//! [`RecoveryWords`]: a recovery target as people write it.

use holdfast_core::domain::{ZONED_TIME, zoned_time};
use jiff::Timestamp;

use super::super::lsn::Lsn;
use super::{Recovery, Target, TargetTimeline};

/// Longest name of a restore point that servers take.
const LONGEST_NAME: usize = 63;
/// The first transaction that is not one of the server's own.
const FIRST_TRANSACTION: u64 = 3;

/// What was asked for, not yet looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryWords<'a> {
    /// `latest` or `immediate`.
    pub to: Option<&'a str>,
    /// A time with its zone.
    pub time: Option<&'a str>,
    /// A position of the log.
    pub lsn: Option<&'a str>,
    /// A transaction id.
    pub transaction: Option<&'a str>,
    /// A named restore point.
    pub name: Option<&'a str>,
    /// `latest`, `current` or a number.
    pub timeline: Option<&'a str>,
    /// Whether to end before the target.
    pub exclusive: bool,
}

/// Words that mean no recovery target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Two targets.
    #[error("a recovery ends in one place: choose either {0} or {1}")]
    Several(&'static str, &'static str),
    /// A word that is not valid.
    #[error("{word:?} is no {what}: {hint}")]
    Word {
        /// What it should be.
        what: &'static str,
        /// What was written.
        word: String,
        /// What would be right.
        hint: &'static str,
    },
    /// There is no "before" for this target.
    #[error("a recovery can end before a time, a position or a transaction, but not before {0}")]
    Exclusive(&'static str),
}

fn wrong(what: &'static str, word: &str, hint: &'static str) -> WordsError {
    let word = word.to_owned();
    WordsError::Word { what, word, hint }
}

impl Recovery {
    /// Reads words. Without any target it is the end of the log.
    pub fn parse(words: &RecoveryWords<'_>) -> Result<Recovery, WordsError> {
        let given = [
            ("a word", words.to),
            ("a time", words.time),
            ("a position", words.lsn),
            ("a transaction", words.transaction),
            ("a name", words.name),
        ];
        let mut given = given.into_iter().filter_map(|(what, word)| Some((what, word?)));
        let target = match (given.next(), given.next()) {
            (Some((first, _)), Some((second, _))) => return Err(WordsError::Several(first, second)),
            (Some((what, word)), None) => target(what, word)?,
            (None, _) => Target::Latest,
        };
        if words.exclusive {
            match &target {
                Target::Latest => return Err(WordsError::Exclusive("the end of the log")),
                Target::Immediate => return Err(WordsError::Exclusive("the first consistent state")),
                Target::Name(_) => return Err(WordsError::Exclusive("a named point")),
                Target::Time(_) | Target::Lsn(_) | Target::Transaction(_) => {}
            }
        }
        Ok(Recovery {
            target,
            is_inclusive: !words.exclusive,
            timeline: words.timeline.map_or(Ok(TargetTimeline::Latest), timeline)?,
        })
    }
}

fn target(what: &str, word: &str) -> Result<Target, WordsError> {
    match what {
        "a time" => time(word).map(Target::Time),
        "a position" => {
            let hint = "write two hexadecimal numbers with a slash, as in 16/B374D848";
            let lsn: Lsn = word.parse().map_err(|_| wrong("position of the log", word, hint))?;
            Ok(Target::Lsn(lsn))
        }
        "a transaction" => {
            let id = digits(word).filter(|id| *id >= FIRST_TRANSACTION);
            let id = id.ok_or_else(|| wrong("transaction id", word, "write a decimal number from 3 on"))?;
            Ok(Target::Transaction(id))
        }
        "a name" if word.is_empty() || word.len() > LONGEST_NAME || word.contains(char::is_control) => {
            Err(wrong("name of a restore point", word, "it has 1 to 63 bytes"))
        }
        "a name" => Ok(Target::Name(word.to_owned())),
        _ => match word {
            "latest" => Ok(Target::Latest),
            "immediate" => Ok(Target::Immediate),
            _ => Err(wrong("recovery target", word, "write latest or immediate")),
        },
    }
}

fn time(word: &str) -> Result<Timestamp, WordsError> {
    zoned_time(word).ok_or_else(|| wrong("time", word, ZONED_TIME))
}

fn timeline(word: &str) -> Result<TargetTimeline, WordsError> {
    let number = digits(word).and_then(|number| u32::try_from(number).ok());
    match (word, number) {
        ("latest", _) => Ok(TargetTimeline::Latest),
        ("current", _) => Ok(TargetTimeline::Current),
        (_, Some(number)) if number > 0 => Ok(TargetTimeline::Number(number)),
        _ => Err(wrong("timeline", word, "write latest, current or a number from 1 on")),
    }
}

fn digits(word: &str) -> Option<u64> {
    let strict = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    strict.then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_targets() {
        let none = RecoveryWords::default();
        let parse = |words: RecoveryWords<'_>| Recovery::parse(&words).unwrap();
        assert_eq!(parse(none).target, Target::Latest);
        assert_eq!(parse(none).timeline, TargetTimeline::Latest);
        let to = Some("immediate");
        assert_eq!(parse(RecoveryWords { to, ..none }).target, Target::Immediate);
        for time in [
            "2026-03-01T10:30:00Z",
            "2026-03-01 12:30:00+02:00",
            "2026-03-01T11:30:00[Europe/Vienna]",
        ] {
            let target = parse(RecoveryWords {
                time: Some(time),
                ..none
            })
            .target;
            assert_eq!(target, Target::Time("2026-03-01T10:30:00Z".parse().unwrap()));
        }
        let before = parse(RecoveryWords {
            lsn: Some("16/B374D848"),
            exclusive: true,
            timeline: Some("7"),
            ..none
        });
        assert_eq!(before.target, Target::Lsn(Lsn(0x16_B374_D848)));
        assert!(!before.is_inclusive && before.timeline == TargetTimeline::Number(7));
        let transaction = parse(RecoveryWords {
            transaction: Some("748"),
            ..none
        });
        assert_eq!(transaction.target, Target::Transaction(748));
        let name = parse(RecoveryWords {
            name: Some("before 'it'"),
            ..none
        });
        assert_eq!(name.target, Target::Name("before 'it'".into()));
    }

    #[test]
    fn what_is_not_clear_is_refused_by_name() {
        let none = RecoveryWords::default();
        let long = "n".repeat(64);
        let lsn = Some("0/1");
        for (words, part) in [
            (
                RecoveryWords {
                    to: Some("newest"),
                    ..none
                },
                "newest",
            ),
            (
                RecoveryWords {
                    time: Some("2026-03-01 12:30:00"),
                    ..none
                },
                "zone",
            ),
            (
                RecoveryWords {
                    time: Some("yesterday"),
                    ..none
                },
                "yesterday",
            ),
            (
                RecoveryWords {
                    lsn: Some("0x1"),
                    ..none
                },
                "0x1",
            ),
            (
                RecoveryWords {
                    transaction: Some("-1"),
                    ..none
                },
                "-1",
            ),
            (
                RecoveryWords {
                    transaction: Some("2"),
                    ..none
                },
                "from 3",
            ),
            (RecoveryWords { name: Some(""), ..none }, "restore point"),
            (
                RecoveryWords {
                    name: Some(&long),
                    ..none
                },
                "63",
            ),
            (
                RecoveryWords {
                    timeline: Some("0"),
                    ..none
                },
                "timeline",
            ),
            (
                RecoveryWords {
                    timeline: Some("+1"),
                    ..none
                },
                "timeline",
            ),
            (
                RecoveryWords {
                    to: Some("latest"),
                    lsn,
                    ..none
                },
                "a word or a position",
            ),
            (
                RecoveryWords {
                    exclusive: true,
                    ..none
                },
                "the end of the log",
            ),
            (
                RecoveryWords {
                    exclusive: true,
                    name: Some("n"),
                    ..none
                },
                "a named point",
            ),
            (
                RecoveryWords {
                    exclusive: true,
                    to: Some("immediate"),
                    ..none
                },
                "consistent",
            ),
        ] {
            let error = Recovery::parse(&words).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
