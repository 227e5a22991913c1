//! Configurations that arrive as payloads: checked whole, then applied.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::workflow::{World, inventory};
use holdfast_scheduler::answer;
use holdfast_testkit::fakes::{FakeClock, fake_world};
use serde_json::{Value, json};

fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../events/scheduler/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

fn world() -> World {
    let clock = Arc::new(FakeClock::at("2026-11-20T02:00:00Z".parse().unwrap()));
    fake_world(clock, &[("home", "eu-central-1"), ("offsite", "eu-west-1")])
}

fn ask(world: &World, payload: &Value) -> Result<Value, Failure> {
    now(answer(world, payload))
}

#[test]
fn a_configuration_is_applied_and_the_answer_says_what_changed() {
    let (world, payload) = (world(), sample("console-configuration"));
    let answered = ask(&world, &payload).unwrap();
    assert_eq!(answered["applied"], true);
    assert_eq!(answered["changed"], json!([{ "policy": "main", "version": 1 }]));
    assert_eq!(now(inventory::resources(&world)).unwrap().len(), 1);
    assert_eq!(ask(&world, &payload).unwrap()["changed"], json!([]));
}

#[test]
fn a_dry_run_checks_and_changes_nothing() {
    let (world, mut payload) = (world(), sample("console-configuration"));
    payload["dry_run"] = true.into();
    let answered = ask(&world, &payload).unwrap();
    assert_eq!(answered["applied"], false);
    assert_eq!(answered["read"]["policies"], 1);
    assert!(now(inventory::resources(&world)).unwrap().is_empty());
}

#[test]
fn warnings_name_their_lines() {
    let text = sample("console-configuration")["configuration"]
        .as_str()
        .unwrap()
        .to_owned();
    let lonely = "\n[[resource]]\nname = \"orders\"\nkind = \"rds\"\npath = \"orders-db\"\n";
    let answered = ask(&world(), &json!({ "configuration": text + lonely })).unwrap();
    let warning = answered["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|warning| warning["code"] == "unprotected");
    let warning = warning.unwrap_or_else(|| panic!("{answered}"));
    assert_eq!(warning["about"], "orders");
    assert!(warning["line"].as_u64().unwrap() > 20, "{warning}");
}

#[test]
fn what_is_wrong_is_told_all_at_once_and_nothing_is_applied() {
    let text = sample("console-configuration")["configuration"]
        .as_str()
        .unwrap()
        .to_owned();
    let wrong = [
        (
            text.replace("cron = \"0 3", "cron = \"99 3")
                .replace("kind = \"s3\"", "kind = \"s4\""),
            vec!["2 problems", "line 9", "line 24"],
        ),
        (
            text.replace("eu-central-1", "eu-north-1"),
            vec![
                "2 problems",
                "this deployment lives in eu-central-1",
                "vault \"home\" is in eu-north-1",
            ],
        ),
        (
            text.replace("\"home\"", "\"attic\""),
            vec!["vault \"attic\" is not deployed; deployed are: home in eu-central-1"],
        ),
        (
            text.replace(
                "kind = \"s3\"\npath = \"s3://photos-original/library\"",
                "kind = \"files\"\npath = \"/srv/photos\"",
            ),
            vec!["of kind files, which a function cannot read"],
        ),
        (
            text.replace(
                "kind = \"s3\"\npath = \"s3://photos-original/library\"",
                "kind = \"postgres\"\npath = \"host=db user=u\"\ntrial = { every = \"7d\", folder = \"/trials\" }",
            ),
            vec!["has [resource.trial]", "a function has none", "postgres prove"],
        ),
        (
            text.replace(
                "kind = \"s3\"\npath = \"s3://photos-original/library\"",
                "kind = \"postgres\"\npath = \"host=db user=u\"\nlog = \"continuous\"",
            )
            .replace("kinds = [\"s3\"]", "kinds = [\"postgres\"]")
                + "\n[[policy.rule]]\nname = \"log\"\ncron = \"*/5 * * * *\"\nkind = \"log\"\n",
            vec!["\"continuous\", and no function runs all the time"],
        ),
    ];
    for (text, culprits) in wrong {
        let world = world();
        let failure = ask(&world, &json!({ "configuration": text })).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid);
        for culprit in culprits {
            assert!(failure.message.contains(culprit), "{failure} does not say {culprit}");
        }
        assert!(now(inventory::policies(&world)).unwrap().is_empty());
    }
}

#[test]
fn another_payload_is_refused() {
    let failure = ask(&world(), &json!({ "config": "x" })).unwrap_err();
    assert!(failure.message.contains("`configuration` is missing"), "{failure}");
    assert!(failure.message.contains("`config` is not known"), "{failure}");
}
