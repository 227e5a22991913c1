//! The templates as CloudFormation sees them, after the SAM transform.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::OnceLock;

use holdfast_core::domain::FunctionName;
use serde_json::Value;

use crate::tools::{program, run};

/// Both templates: of the home Region and of the recovery Region.
pub const TEMPLATES: [&str; 2] = ["template.yaml", "template-recovery.yaml"];

fn transformed(file: &str) -> Value {
    let home = tempfile::tempdir().unwrap();
    let mut python = Command::new(program("sam", "python"));
    let said = run(python.args(["tests/emulators/sam/transform.py", file]), home.path()).good();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// `template.yaml`, transformed.
pub fn template() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| transformed(TEMPLATES[0]))
}

/// `template-recovery.yaml`, transformed.
pub fn recovery_template() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| transformed(TEMPLATES[1]))
}

/// Resources of one type in `template.yaml`, by name, with their properties.
pub fn of_type(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    of_type_in(template(), kind)
}

/// Resources of one type, by name, with their properties.
pub fn of_type_in<'a>(template: &'a Value, kind: &str) -> BTreeMap<&'a str, &'a Value> {
    let resources = template["Resources"].as_object().unwrap();
    let found = resources.iter().filter(|(_, resource)| resource["Type"] == kind);
    found
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

/// The resource that a `Ref` or an `Fn::GetAtt` names.
pub fn target(value: &Value) -> &str {
    let named = value["Ref"].as_str().or_else(|| value["Fn::GetAtt"][0].as_str());
    named.unwrap_or_else(|| panic!("{value} names no resource"))
}

/// The name of a function's resources: `SnapshotTrigger` and what begins with it.
pub fn stem(function: FunctionName) -> String {
    let words = function.as_str().split('-');
    words
        .map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]))
        .collect()
}

/// The function that a queue belongs to.
pub fn function_of_queue(queue: &str) -> FunctionName {
    let found = FunctionName::ALL
        .into_iter()
        .find(|function| format!("{}Queue", stem(*function)) == queue);
    found.unwrap_or_else(|| panic!("{queue} is no function's queue"))
}
