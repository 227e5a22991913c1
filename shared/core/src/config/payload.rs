//! Small JSON payloads that a person or a state machine writes: read strictly, all problems told at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::domain::{Failure, FailureKind};

/// A payload that is being read: every key must be asked for, and every problem is kept.
#[derive(Debug)]
pub struct Payload<'v> {
    fields: &'v Map<String, Value>,
    asked: Vec<&'static str>,
    problems: Vec<String>,
}

impl<'v> Payload<'v> {
    /// Begins to read; anything but an object is refused.
    pub fn of(value: &'v Value) -> Result<Self, Failure> {
        let fields = value.as_object().ok_or_else(|| {
            Failure::new(
                FailureKind::Invalid,
                "the payload is not usable: it must be a JSON object",
            )
        })?;
        Ok(Self {
            fields,
            asked: Vec::new(),
            problems: Vec::new(),
        })
    }

    /// Whether the key is there, without asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|value| !value.is_null())
    }

    fn ask(&mut self, key: &'static str) -> Option<&'v Value> {
        self.asked.push(key);
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// The text of a key that is there and not empty.
    pub fn text(&mut self, key: &'static str) -> Option<&'v str> {
        let value = self.ask(key)?;
        let text = value.as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.problem(format!("`{key}` must be a text that is not empty"));
        }
        text
    }

    /// The text of a key that must be there; `example` is what could stand in it.
    pub fn required_text(&mut self, key: &'static str, example: &str) -> Option<&'v str> {
        if !self.has(key) {
            self.problem(format!(
                "`{key}` is missing; write for example \"{key}\": \"{example}\""
            ));
        }
        self.text(key)
    }

    /// A word of a key that is there.
    pub fn word<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        let word = self.text(key)?.parse();
        self.read(key, word)
    }

    /// A word that was read from a key, or else a problem.
    pub fn read<T, E: Display>(&mut self, key: &str, word: Result<T, E>) -> Option<T> {
        word.map_err(|error| self.problem(format!("`{key}`: {error}"))).ok()
    }

    /// A yes or no.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.ask(key) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.problem(format!("`{key}` must be true or false, without quotes"));
            default
        })
    }

    /// A whole number of a key that is there.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u8>) -> Option<u8> {
        let number = self.ask(key)?.as_u64().and_then(|number| u8::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.problem(format!("`{key}` must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A list of texts; none when it is not there.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.problem(format!("`{key}` must be a list of texts, such as [\"2026/**\"]"));
            Vec::new()
        })
    }

    /// Keeps a problem.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Ends the reading: a key that nobody asked for is a problem too, and any problem refuses the payload.
    pub fn finish(mut self) -> Result<(), Failure> {
        for key in self.fields.keys() {
            if !self.asked.contains(&key.as_str()) {
                let known = self.asked.join(", ");
                let name: String = key.chars().take(80).collect();
                self.problems
                    .push(format!("`{name}` is not known here; known: {known}"));
            }
        }
        if self.problems.is_empty() {
            return Ok(());
        }
        let message = format!("the payload is not usable: {}", self.problems.join("; "));
        Err(Failure::new(FailureKind::Invalid, message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::ResourceId;

    #[test]
    fn every_problem_is_told_at_once() {
        let value = json!({ "resource": "Photos", "dry_run": "no", "include": "x", "by": 1, "vault": null });
        let mut payload = Payload::of(&value).unwrap();
        assert_eq!(payload.word::<ResourceId>("resource"), None);
        assert!(payload.flag("dry_run", true));
        assert!(payload.texts("include").is_empty());
        assert_eq!(payload.text("vault"), None);
        assert_eq!(payload.required_text("target", "s3://a/b"), None);
        let failure = payload.finish().unwrap_err();
        for named in [
            "\"Photos\"",
            "`dry_run` must be",
            "`include` must be",
            "`target` is missing",
            "`by` is not known",
        ] {
            assert!(failure.message.contains(named), "{named}: {failure}");
        }
        assert!(!failure.message.contains("vault` "), "{failure}");
    }

    #[test]
    fn only_an_object_is_read() {
        assert!(Payload::of(&json!(["a"])).is_err());
    }
}
