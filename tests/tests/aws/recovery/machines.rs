//! The state machine of recovery runs with the real programs: the file of the deployment, run by the interpreter.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_tests::lambda::{ACCOUNT, Answer, Refused};
use holdfast_tests::steps::{Execution, Status, Surroundings, TaskError};
use holdfast_tests::workspace_root;
use serde_json::{Value, json};

use crate::deployment::scene::{HOME, SOURCE, Scene, rest};
use crate::ground::text;
use crate::lambda::topic;
use crate::tools::prose;

const CONFIGURATION: &str = r#"
region = "eu-central-1"

[[vault]]
name = "primary"
region = "eu-central-1"

[[vault]]
name = "recovery"
region = "eu-west-1"

[[resource]]
name = "photos"
kind = "s3"
path = "s3://photo-bucket/2026"
tags = { app = "shop" }

[[policy]]
name = "nightly"
vault = "primary"
rpo = "2d"
rto = "4h"
[policy.select]
tags = { app = "shop" }
[policy.keep]
last = 1
[[policy.rule]]
name = "nightly"
cron = "0 2 * * *"
kind = "incremental"
[[policy.copy]]
vault = "recovery"
within = "6h"

[[plan]]
name = "evacuate"
rpo = "2d"
rto = "4h"
[[plan.step]]
name = "restore"
restore = { resource = "photos", vault = "recovery" }
[[plan.step]]
name = "compare"
after = ["restore"]
verify = { restored-by = "restore" }

[[plan]]
name = "hopeless"
rpo = "2d"
rto = "4h"
[[plan.step]]
name = "fresh"
check = { that = "point-age", resource = "photos", at-most = "1s" }
"#;

/// What the definition speaks to: the functions, SNS and S3.
impl Surroundings for &Scene {
    fn call(&mut self, resource: &str, parameters: &Value) -> Result<Value, TaskError> {
        match resource {
            "arn:aws:states:::lambda:invoke" => self.invoked(parameters),
            "arn:aws:states:::sns:publish" => {
                let fields = ["TopicArn", "Subject", "Message"].map(|name| (name, text(&parameters[name])));
                let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let published = self.wire.sns("Publish", &fields);
                published
                    .map(Value::from)
                    .map_err(|why| TaskError::new("SNS.SnsException", why))
            }
            "arn:aws:states:::aws-sdk:s3:putObject" => {
                assert_eq!(
                    parameters["ChecksumAlgorithm"], "SHA256",
                    "a locked bucket asks for a checksum"
                );
                let body = parameters["Body"].to_string();
                self.put(&text(&parameters["Bucket"]), &text(&parameters["Key"]), body.as_bytes());
                Ok(json!({}))
            }
            other => panic!("{other} is not known here"),
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.advance(i64::try_from(seconds).unwrap());
        // What was woken works for a real moment.
        rest(Duration::from_millis(700));
    }
}

/// An execution of the file, as the state machine of this kind of run has it.
pub(super) fn execution(kind: &str, name: &str, plan: &str) -> Execution {
    let file = workspace_root().join("infra/statemachines/recovery-run.asl.json");
    let substitutions = [
        (
            "DrFailoverArn",
            format!("arn:aws:lambda:{HOME}:{ACCOUNT}:function:holdfast-dr-failover"),
        ),
        ("AlertTopicArn", topic("alerts")),
        ("EvidenceBucket", format!("evidence-{HOME}")),
        ("RunKind", kind.to_owned()),
    ];
    let substitutions: BTreeMap<String, String> = substitutions
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let input = json!({ "plan": plan, "requested_by": "ada" });
    Execution::new(&std::fs::read_to_string(file).unwrap(), &substitutions, name, input).unwrap()
}

impl Scene {
    fn invoked(&self, parameters: &Value) -> Result<Value, TaskError> {
        let function = text(&parameters["FunctionName"]);
        let invoked = self.service.invoke(&function, &parameters["Payload"].to_string());
        let invoked = invoked.map_err(|refused| match refused {
            Refused::Throttled => TaskError::new("Lambda.TooManyRequestsException", "Rate exceeded"),
            Refused::NotFound => TaskError::new("Lambda.ResourceNotFoundException", function),
        })?;
        match invoked.answer {
            Answer::Done(answer) => {
                let payload: Value = serde_json::from_str(&answer).unwrap();
                Ok(json!({ "StatusCode": 200, "Payload": payload }))
            }
            Answer::Failed(error) => {
                let told: Value = serde_json::from_str(&error).unwrap();
                Err(TaskError::new(text(&told["errorType"]), error))
            }
        }
    }

    pub(super) fn was_told(&self, what: &str) -> bool {
        self.subjects()
            .iter()
            .any(|subject| subject == &format!("Holdfast: a recovery run {what}"))
    }

    pub(super) fn runs_to_the_end(&self, execution: &mut Execution) -> Status {
        let mut surroundings = self;
        let status = execution.run(&mut surroundings, None).clone();
        if status != Status::Succeeded {
            eprintln!("it ended in {}", execution.state());
            self.tell();
        }
        status
    }

    /// The histories that were kept, as pages of events.
    fn histories(&self) -> Vec<Value> {
        let bucket = format!("evidence-{HOME}");
        let kept = self.list(&bucket, "histories/");
        let page = |(key, _): &(String, i64)| serde_json::from_slice(&self.get(&bucket, key).unwrap()).unwrap();
        kept.iter().map(page).collect()
    }
}

fn protected() -> Scene {
    let scene = Scene::new();
    for number in 0..5 {
        scene.put(SOURCE, &format!("2026/{number}.txt"), &prose(number, 20_000));
    }
    scene.go(CONFIGURATION);
    scene.advance_to(2, 0);
    scene.until_protected("photos", 1, 2);
    scene
}

#[test]
fn drills_run_to_their_end_fail_are_lost_from_sight_and_redriven() {
    let scene = protected();
    a_drill_succeeds_and_its_history_is_kept(&scene);
    a_failing_step_is_told(&scene);
    what_could_not_start_is_redriven(&scene);
    what_was_lost_from_sight_is_redriven(&scene);
}

fn a_drill_succeeds_and_its_history_is_kept(scene: &Scene) {
    let mut drill = execution("drill", "drill-1", "evacuate");
    assert_eq!(scene.runs_to_the_end(&mut drill), Status::Succeeded);
    assert!(scene.was_told("succeeded"), "{:?}", scene.subjects());
    let histories = scene.histories();
    assert_eq!(histories.len(), 1);
    assert_eq!(histories[0][0]["type"], "ExecutionStarted");
    assert!(drill.events() > histories[0].as_array().unwrap().len());
    // The evidence that the run itself left stands beside it.
    let mut again = execution("drill", "drill-1", "evacuate");
    assert_eq!(scene.runs_to_the_end(&mut again), Status::Succeeded);
    assert_eq!(scene.histories().len(), 1, "the same request is the same run");
}

fn a_failing_step_is_told(scene: &Scene) {
    let mut drill = execution("drill", "drill-2", "hopeless");
    assert!(matches!(scene.runs_to_the_end(&mut drill), Status::Failed(error) if error.error == "RunFailed"));
    assert!(scene.was_told("failed"), "{:?}", scene.subjects());
    assert_eq!(scene.histories().len(), 2);
}

fn what_could_not_start_is_redriven(scene: &Scene) {
    let mut drill = execution("drill", "drill-3", "evacuate-2");
    assert!(matches!(scene.runs_to_the_end(&mut drill), Status::Failed(_)));
    assert_eq!(drill.state(), "Start again");
    assert!(scene.was_told("did not start"), "{:?}", scene.subjects());
    let plan = CONFIGURATION
        .replace("name = \"hopeless\"", "name = \"evacuate-2\"")
        .replace("\"1s\"", "\"2d\"");
    let applied = scene.invoke("scheduler", &json!({ "configuration": plan })).unwrap();
    assert_eq!(applied["applied"], true, "{applied}");
    drill.redrive().unwrap();
    assert_eq!(scene.runs_to_the_end(&mut drill), Status::Succeeded);
}

/// What is answered for a while is an error that passes: the run goes on behind it, whatever it was doing.
fn what_was_lost_from_sight_is_redriven(scene: &Scene) {
    let mut drill = execution("drill", "drill-4", "evacuate");
    let mut surroundings = scene;
    drill.run(&mut surroundings, Some("Look"));
    scene
        .dynamodb
        .trouble("POST", 0, usize::MAX, holdfast_tests::front::What::Answered(500));
    assert!(matches!(scene.runs_to_the_end(&mut drill), Status::Failed(_)));
    assert_eq!(drill.state(), "Look again");
    assert!(scene.was_told("is not driven any more"), "{:?}", scene.subjects());
    scene.dynamodb.no_more_trouble();
    drill.redrive().unwrap();
    assert_eq!(scene.runs_to_the_end(&mut drill), Status::Succeeded);
}
