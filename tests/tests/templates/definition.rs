//! The definition of recovery runs: every way through it ends, and tells people first.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use holdfast_core::domain::RunKind;
use holdfast_tests::steps::{Execution, Status, Surroundings, TaskError};
use serde_json::{Value, json};

use crate::template::of_type;
use crate::tools::{Ran, program, run, text};

fn definition() -> Value {
    serde_json::from_str(&text("infra/statemachines/recovery-run.asl.json")).unwrap()
}

/// Where a state may go.
fn nexts(state: &Value) -> Vec<&str> {
    let mut nexts: Vec<&str> = ["Next", "Default"]
        .iter()
        .filter_map(|key| state[key].as_str())
        .collect();
    for list in ["Choices", "Catch"] {
        let branches = state[list].as_array().into_iter().flatten();
        nexts.extend(branches.filter_map(|branch| branch["Next"].as_str()));
    }
    nexts
}

fn ends(state: &Value) -> bool {
    matches!(state["Type"].as_str(), Some("Succeed" | "Fail"))
}

/// Everything that is wrong with how the states hang together.
fn problems(definition: &Value) -> Vec<String> {
    let states: BTreeMap<&str, &Value> = definition["States"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, state)| (name.as_str(), state))
        .collect();
    let mut problems = Vec::new();
    let mut reached = BTreeSet::new();
    let mut open = vec![definition["StartAt"].as_str().unwrap()];
    while let Some(name) = open.pop() {
        let Some(state) = states.get(name) else {
            problems.push(format!("there is no state \"{name}\""));
            continue;
        };
        if reached.insert(name) {
            open.extend(nexts(state));
        }
    }
    for (name, state) in &states {
        if !reached.contains(name) {
            problems.push(format!("\"{name}\" is never reached"));
        }
        if !ends(state) && nexts(state).is_empty() {
            problems.push(format!("\"{name}\" leads nowhere"));
        }
        // Where an execution is redriven, after people were told: caught, it could not be.
        let is_told_before = ["Start again", "Look again"].contains(name);
        if state["Type"] == "Task" && !is_told_before {
            let caught = state["Catch"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["ErrorEquals"] == json!(["States.ALL"])));
            if !caught || state["Retry"].is_null() {
                problems.push(format!("\"{name}\" may fail and nobody notices"));
            }
        }
        for next in nexts(state) {
            let tells = state["Resource"] == "arn:aws:states:::sns:publish";
            if states.get(next).is_some_and(|next| ends(next)) && !tells {
                problems.push(format!("\"{name}\" ends without telling anybody"));
            }
        }
    }
    problems
}

#[test]
fn every_way_through_a_run_ends_and_tells_people() {
    assert_eq!(problems(&definition()), Vec::<String>::new());
}

#[test]
fn a_broken_definition_is_noticed() {
    let broken = |change: fn(&mut Value)| {
        let mut definition = definition();
        change(&mut definition);
        problems(&definition).join("; ")
    };
    assert!(
        broken(|all| all["States"]["Wait"]["Next"] = json!("Look elsewhere")).contains("no state \"Look elsewhere\"")
    );
    assert!(broken(|all| all["StartAt"] = json!("Wait")).contains("\"Start\" is never reached"));
    assert!(broken(|all| all["States"]["Look"]["Catch"] = json!([])).contains("\"Look\" may fail"));
    assert!(
        broken(|all| all["States"]["Decide"]["Default"] = json!("Failed")).contains("\"Decide\" ends without telling")
    );
}

#[test]
fn a_day_of_looking_fits_into_the_history_of_an_execution() {
    let definition = definition();
    let seconds = definition["States"]["Wait"]["Seconds"].as_u64().unwrap();
    let looks = definition["TimeoutSeconds"].as_u64().unwrap() / seconds;
    // A round of wait, task and choice leaves nine events; Step Functions keeps 25,000 and then fails the execution.
    assert!(looks * 9 < 20_000, "{looks} looks");
}

/// What cfn-lint's schema of the language says about a definition.
fn lint(definition: &Value) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.json");
    let template = json!({"Resources": {"Drill": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {
        "RoleArn": "arn:aws:iam::111122223333:role/holdfast-recovery-steps",
        "DefinitionString": definition.to_string(),
        "DefinitionSubstitutions": {
            "DrFailoverArn": "arn:aws:lambda:eu-central-1:111122223333:function:holdfast-dr-failover",
            "AlertTopicArn": "arn:aws:sns:eu-central-1:111122223333:holdfast-alerts",
            "EvidenceBucket": "holdfast-evidence-111122223333-eu-central-1",
            "RunKind": "drill",
        },
    }}}});
    std::fs::write(&file, template.to_string()).unwrap();
    let mut lint = Command::new(program("sam", "cfn-lint"));
    run(
        lint.arg("--template").arg(&file).args(["--regions", "eu-central-1"]),
        folder.path(),
    )
}

#[test]
fn the_definition_is_in_the_language_of_step_functions() {
    lint(&definition()).good();
    let mut misspelt = definition();
    misspelt["States"]["Wait"] = json!({"Type": "Wait", "Second": 60, "Next": "Look"});
    lint(&misspelt).complaint("E3601");
}

#[test]
fn each_state_machine_runs_one_kind_and_all_run_the_same_definition() {
    let machines = of_type("AWS::StepFunctions::StateMachine");
    let kinds: BTreeMap<&str, &str> = machines
        .values()
        .map(|machine| {
            let kind = machine["DefinitionSubstitutions"]["RunKind"].as_str().unwrap();
            (machine["StateMachineName"].as_str().unwrap(), kind)
        })
        .collect();
    let expected = [
        ("holdfast-drill", RunKind::Drill),
        ("holdfast-failover", RunKind::Disaster),
        ("holdfast-switchover", RunKind::Planned),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name, kind.as_str())).into());
    // The kind is the machine's own: none is taken from the input of an execution.
    assert!(!text("infra/statemachines/recovery-run.asl.json").contains("$.kind"));
}

/// Answers as `dr-failover` does, and keeps what the definition says and stores.
struct Surrounded {
    /// How many more looks find the run not over, and what it is called meanwhile.
    looks_left: usize,
    state: &'static str,
    kept: BTreeMap<String, Value>,
    told: Vec<String>,
}

impl Surroundings for Surrounded {
    fn call(&mut self, resource: &str, parameters: &Value) -> Result<Value, TaskError> {
        let text = |name: &str| parameters[name].as_str().unwrap().to_owned();
        match resource {
            "arn:aws:states:::sns:publish" => self.told.push(text("Subject")),
            "arn:aws:states:::aws-sdk:s3:putObject" => {
                self.kept.insert(text("Key"), parameters["Body"].clone());
            }
            _ => {
                let is_over = self.looks_left == 0;
                self.looks_left = self.looks_left.saturating_sub(1);
                let state = if is_over { "succeeded" } else { self.state };
                return Ok(json!({ "Payload": { "run": "r", "state": state, "is_over": is_over } }));
            }
        }
        Ok(json!({}))
    }

    fn pass(&mut self, _: u64) {}
}

fn surrounded(looks: usize, state: &'static str) -> (Execution, Surrounded) {
    let names = ["DrFailoverArn", "AlertTopicArn", "EvidenceBucket", "RunKind"];
    let substitutions = names.map(|name| (name.to_owned(), name.to_lowercase())).into();
    let input = json!({ "plan": "orders", "requested_by": "ada" });
    let execution = Execution::new(&definition().to_string(), &substitutions, "one", input).unwrap();
    let surrounded = Surrounded {
        looks_left: looks,
        state,
        kept: BTreeMap::new(),
        told: Vec::new(),
    };
    (execution, surrounded)
}

#[test]
fn a_run_that_waits_for_people_is_waited_for_and_its_history_is_kept_page_by_page() {
    let (mut execution, mut around) = surrounded(100, "paused");
    assert_eq!(execution.run(&mut around, None), &Status::Succeeded);
    assert_eq!(around.told, ["Holdfast: a recovery run succeeded"]);
    let keys: Vec<&String> = around.kept.keys().collect();
    let expected: Vec<String> = (1..=around.kept.len())
        .map(|page| format!("histories/r/{page}.json"))
        .collect();
    assert_eq!(keys, expected.iter().collect::<Vec<_>>());
    let pages = around.kept.values().flat_map(|page| page.as_array().unwrap());
    let ids: Vec<u64> = pages.map(|event| event["id"].as_u64().unwrap()).collect();
    assert!(
        ids.len() > 900 && ids.windows(2).all(|two| two[0] < two[1]),
        "{} events",
        ids.len()
    );
}

#[test]
fn an_execution_that_waited_for_a_day_is_redriven_and_follows_its_run_further() {
    let (mut execution, mut around) = surrounded(usize::MAX, "stuck");
    assert_eq!(execution.run(&mut around, None), &Status::TimedOut);
    assert!(execution.events() < 20_000, "{} events", execution.events());
    around.looks_left = 3;
    execution.redrive().unwrap();
    assert_eq!(execution.run(&mut around, None), &Status::Succeeded);
}
