//! A state machine as its file says it. A field or type of state that is not here is an error that names it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A definition.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Definition {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    pub start_at: String,
    /// How long an execution may take.
    pub timeout_seconds: u64,
    pub states: BTreeMap<String, State>,
}

/// A state.
#[derive(Debug, Deserialize)]
#[serde(tag = "Type")]
pub(super) enum State {
    Task(Task),
    Wait(Wait),
    Choice(Choice),
    Pass(Pass),
    Succeed(Succeed),
    Fail(Fail),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Task {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    pub resource: String,
    pub parameters: Value,
    pub result_selector: Option<Value>,
    #[serde(default = "whole", deserialize_with = "present")]
    pub result_path: Option<String>,
    /// Nothing here takes time but waiting; it is read so that it is a number.
    #[serde(rename = "TimeoutSeconds")]
    _timeout_seconds: Option<u64>,
    #[serde(default)]
    pub retry: Vec<Retrier>,
    #[serde(default)]
    pub catch: Vec<Catcher>,
    pub next: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Retrier {
    pub error_equals: Vec<String>,
    pub interval_seconds: u64,
    pub max_attempts: usize,
    pub backoff_rate: f64,
    pub max_delay_seconds: Option<u64>,
    /// Waits are as long as they may become, whatever this says.
    #[serde(rename = "JitterStrategy")]
    _jitter_strategy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Catcher {
    pub error_equals: Vec<String>,
    pub result_path: Option<String>,
    pub next: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Wait {
    pub seconds: u64,
    pub next: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Choice {
    pub choices: Vec<Rule>,
    pub default: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Rule {
    pub variable: String,
    pub string_equals: Option<String>,
    pub is_present: Option<bool>,
    pub boolean_equals: Option<bool>,
    pub next: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Pass {
    pub parameters: Value,
    pub result_path: Option<String>,
    pub next: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Succeed {}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Fail {
    pub error: String,
    pub cause: String,
}

/// A result goes in the place of the input where nothing else is said; `null` throws it away.
#[expect(clippy::unnecessary_wraps, reason = "what is left out is not what is null")]
fn whole() -> Option<String> {
    Some("$".to_owned())
}

fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(from)
}

impl State {
    /// The word for its type.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Task(_) => "Task",
            Self::Wait(_) => "Wait",
            Self::Choice(_) => "Choice",
            Self::Pass(_) => "Pass",
            Self::Succeed(_) => "Succeed",
            Self::Fail(_) => "Fail",
        }
    }

    fn nexts(&self) -> Vec<&String> {
        match self {
            Self::Task(task) => task.catch.iter().map(|catch| &catch.next).chain([&task.next]).collect(),
            Self::Wait(wait) => vec![&wait.next],
            Self::Choice(choice) => choice
                .choices
                .iter()
                .map(|rule| &rule.next)
                .chain([&choice.default])
                .collect(),
            Self::Pass(pass) => vec![&pass.next],
            Self::Succeed(_) | Self::Fail(_) => Vec::new(),
        }
    }
}

impl Definition {
    /// Reads a definition after these `${names}` were replaced, as CloudFormation does.
    pub(super) fn read(text: &str, substitutions: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut text = text.to_owned();
        for (name, value) in substitutions {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        if let Some((_, rest)) = text.split_once("${") {
            let name: String = rest.chars().take_while(|c| *c != '}').collect();
            return Err(format!("nothing stands for ${{{name}}}"));
        }
        let definition: Self = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let starts = std::iter::once(&definition.start_at);
        for next in definition.states.values().flat_map(State::nexts).chain(starts) {
            if !definition.states.contains_key(next) {
                return Err(format!("there is no state \"{next}\""));
            }
        }
        Ok(definition)
    }
}
