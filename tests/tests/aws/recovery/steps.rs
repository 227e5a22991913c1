//! The interpreter of state machines itself.

use std::collections::BTreeMap;

use holdfast_tests::steps::{Execution, Status, Surroundings, TaskError};
use serde_json::{Value, json};

/// Fails so many times, and then echoes what it is given.
#[derive(Default)]
struct Echo {
    failures: usize,
    calls: Vec<Value>,
    passed: Vec<u64>,
}

impl Surroundings for Echo {
    fn call(&mut self, resource: &str, parameters: &Value) -> Result<Value, TaskError> {
        assert_eq!(resource, "echo");
        self.calls.push(parameters.clone());
        if self.failures > 0 {
            self.failures -= 1;
            return Err(TaskError::new("Busy", "later"));
        }
        Ok(parameters.clone())
    }

    fn pass(&mut self, seconds: u64) {
        self.passed.push(seconds);
    }
}

fn machine(states: &Value, timeout: u64) -> String {
    json!({ "StartAt": "First", "TimeoutSeconds": timeout, "States": states }).to_string()
}

fn execution(states: &Value, input: Value) -> Execution {
    Execution::new(&machine(states, 1000), &BTreeMap::new(), "one", input).unwrap()
}

fn ends() -> Value {
    json!({ "Type": "Succeed" })
}

#[test]
fn a_task_gets_what_its_template_says_and_hands_on_what_its_paths_say() {
    let states = json!({
        "First": {
            "Type": "Task", "Resource": "echo", "Next": "Second",
            "Parameters": {
                "fixed": 1, "nested": { "name.$": "$$.Execution.Name" },
                "text.$": "States.Format('{}, {}: it''s', $.who, States.MathAdd($.number, 1))",
            },
            "ResultSelector": { "said.$": "$.text" },
            "ResultPath": "$.first",
        },
        "Second": { "Type": "Task", "Resource": "echo", "Parameters": { "all.$": "$" }, "Next": "End" },
        "End": ends(),
    });
    let mut execution = execution(&states, json!({ "who": "mia, or ben", "number": 2 }));
    let mut echo = Echo::default();
    assert_eq!(execution.run(&mut echo, None), &Status::Succeeded);
    assert_eq!(echo.calls[0]["nested"]["name"], "one");
    assert_eq!(
        echo.calls[1]["all"]["first"],
        json!({ "said": "mia, or ben, 3: it''s" })
    );
}

#[test]
fn retries_wait_longer_each_time_and_then_the_catcher_has_it() {
    let states = json!({
        "First": {
            "Type": "Task", "Resource": "echo", "Parameters": {}, "Next": "End",
            "Retry": [{ "ErrorEquals": ["Busy"], "IntervalSeconds": 10, "MaxAttempts": 4, "BackoffRate": 2, "MaxDelaySeconds": 50 }],
            "Catch": [{ "ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught" }],
        },
        "Caught": { "Type": "Task", "Resource": "echo", "Parameters": { "why.$": "$.error.Cause" }, "Next": "End" },
        "End": ends(),
    });
    let mut echo = Echo {
        failures: 5,
        ..Echo::default()
    };
    assert_eq!(execution(&states, json!({})).run(&mut echo, None), &Status::Succeeded);
    assert_eq!(echo.passed, [10, 20, 40, 50]);
    assert_eq!(echo.calls.last(), Some(&json!({ "why": "later" })));
}

#[test]
fn an_execution_is_redriven_where_it_failed() {
    let states = json!({
        "First": { "Type": "Task", "Resource": "echo", "Parameters": { "n": 1 }, "ResultPath": null, "Next": "Second" },
        "Second": { "Type": "Task", "Resource": "echo", "Parameters": { "n": 2, "kept.$": "$.kept" }, "Next": "End" },
        "End": ends(),
    });
    let mut execution = execution(&states, json!({ "kept": true }));
    let mut echo = Echo::default();
    execution.run(&mut echo, Some("Second"));
    echo.failures = 1;
    assert!(matches!(execution.run(&mut echo, None), Status::Failed(error) if error.error == "Busy"));
    execution.redrive().unwrap();
    assert_eq!(execution.run(&mut echo, None), &Status::Succeeded);
    let numbers: Vec<&Value> = echo.calls.iter().map(|call| &call["n"]).collect();
    assert_eq!(numbers, [1, 2, 2]);
    execution.redrive().unwrap_err();
}

#[test]
fn an_execution_that_waits_too_long_times_out() {
    let states = json!({
        "First": { "Type": "Wait", "Seconds": 600, "Next": "Again?" },
        "Again?": { "Type": "Choice", "Choices": [{ "Variable": "$.never", "IsPresent": true, "Next": "End" }], "Default": "First" },
        "End": ends(),
    });
    let mut execution = execution(&states, json!({}));
    assert_eq!(execution.run(&mut Echo::default(), None), &Status::TimedOut);
}

#[test]
fn what_is_not_known_is_named_before_anything_runs() {
    let refused = |states: Value| {
        let made = Execution::new(&machine(&states, 1), &BTreeMap::new(), "one", json!({}));
        made.unwrap_err()
    };
    let wait = |more: &str| json!({ "First": { "Type": "Wait", "Seconds": 1, "Next": "End", more: 1 }, "End": ends() });
    assert!(refused(wait("SecondsPath")).contains("SecondsPath"));
    assert!(refused(json!({ "First": { "Type": "Map" } })).contains("Map"));
    assert!(refused(json!({ "First": { "Type": "Wait", "Seconds": 1, "Next": "Nowhere" } })).contains("Nowhere"));
    assert!(refused(json!({ "First": { "Type": "Fail", "Error": "${Name}", "Cause": "" } })).contains("${Name}"));
}
