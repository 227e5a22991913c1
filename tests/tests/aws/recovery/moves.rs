//! Switchover and failover with the real programs: what moves a workload there and, when a Region's database is lost, back.

use axum::http::StatusCode;
use axum::response::IntoResponse;
use holdfast_core::domain::{AuthorityRecord, Level, Statement};
use holdfast_core::ports::Signature;
use holdfast_core::workflow::{chain, records};
use holdfast_tests::front::{Front, What};
use holdfast_tests::standin::{Fault, Trouble};
use holdfast_tests::steps::{Execution, Status};
use serde_json::{Value, json};

use super::machines::execution;
use crate::deployment::scene::{HOME, RECOVERY, Scene};
use crate::ground::text;

const MARKERS: &str = "markers";
const MARKER: &str = "traffic/west";

const CONFIGURATION: &str = include_str!("moves.toml");

/// What stands in both Regions.
const SIDE: &str = r#"
[[actuator]]
name = "db-SIDE"
kind = "aurora-global"
region = "REGION"
workload = "orders"
production = { global-cluster = "orders", cluster-arn = "arn:aws:rds:REGION:123456789012:cluster:orders" }

[[actuator]]
name = "tasks-SIDE"
kind = "ecs-service"
region = "REGION"
workload = "orders"
production = { cluster = "shop", service = "orders", count = "3" }
drill = { cluster = "drills", service = "orders", count = "1" }

[[actuator]]
name = "workers-SIDE"
kind = "auto-scaling-group"
region = "REGION"
workload = "orders"
production = { group = "workers", capacity = "2" }

[[actuator]]
name = "imports-SIDE"
kind = "lambda-function"
region = "REGION"
workload = "orders"
production = { function = "imports" }
"#;

fn configuration(application: &Front) -> String {
    CONFIGURATION.replace("APPLICATION", &application.endpoint()) + &sides()
}

/// The actuators of both Regions.
pub(super) fn sides() -> String {
    let side = |(side, region)| SIDE.replace("SIDE", side).replace("REGION", region);
    [("central", HOME), ("west", RECOVERY)].map(side).concat()
}

/// What of a workload works in a Region: tasks, workers, and the concurrency of its function.
pub(super) type Working = (Option<i32>, Option<i32>, Option<i32>);

pub(super) const ALL: Working = (Some(3), Some(2), None);
pub(super) const NOTHING: Working = (Some(0), Some(0), Some(0));

impl Scene {
    /// The workload, written in the home Region.
    fn with_workload(application: &Front) -> Self {
        let scene = Self::new();
        scene.moto.create_locked_bucket(RECOVERY, MARKERS);
        scene.standin.with(|state| {
            state.add_global("orders", &[HOME, RECOVERY]);
            state.add_database(RECOVERY, "reports", false, 100, None);
            state.add_database(HOME, "reports-central", false, 100, None);
            let reports = "arn:aws:rds:eu-west-1:123456789012:db:reports";
            state.make_replica(HOME, "reports-central", reports);
            for (region, tasks, workers, drills) in [(HOME, 3, 2, 1), (RECOVERY, 0, 0, 0)] {
                state.add_capacity(region, "shop/orders", tasks, (0, 9));
                state.add_capacity(region, "drills/orders", drills, (0, 9));
                state.add_capacity(region, "workers", workers, (0, 4));
                state.add_function(region, "imports");
            }
            state.reserve(RECOVERY, "imports", Some(0));
        });
        scene.go(&configuration(application));
        scene
    }

    pub(super) fn working_in(&self, region: &str) -> Working {
        self.standin.with(|state| {
            (
                state.present_of(region, "shop/orders"),
                state.present_of(region, "workers"),
                state.reserved_of(region, "imports"),
            )
        })
    }

    /// Everything works in one Region and nothing in the other, and traffic and writes go to the one.
    fn only_works_in(&self, region: &str) {
        let other = if region == HOME { RECOVERY } else { HOME };
        assert_eq!((self.working_in(region), self.working_in(other)), (ALL, NOTHING));
        assert_eq!(self.get(MARKERS, MARKER).is_some(), region == RECOVERY);
        let writer = self.standin.with(|state| state.writer_of("orders").map(str::to_owned));
        assert_eq!(writer.as_deref(), Some(region));
        assert_eq!(self.authority().writer.unwrap().as_str(), region);
    }

    pub(super) fn authority(&self) -> AuthorityRecord {
        let key = records::authority_key(&"orders".parse().unwrap());
        let read = records::require(self.world.catalog.as_ref(), &key);
        self.runtime.block_on(read).unwrap().value
    }

    /// The calls that changed something; of the same two, both.
    pub(super) fn changes(&self) -> Vec<String> {
        let changes = |call: &&String| {
            let looks = ["Describe", "Get", "List"];
            !looks.iter().any(|word| call.starts_with(word))
        };
        self.standin
            .with(|state| state.calls.iter().filter(changes).cloned().collect())
    }

    /// Follows a run until its function tells so of it.
    pub(super) fn until_run(&self, execution: &mut Execution, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut surroundings = self;
        for _ in 0..40 {
            execution.run(&mut surroundings, Some("Decide"));
            assert_eq!(execution.status(), &Status::Running, "{}", execution.state());
            let told = self.told(execution);
            if holds(&told) {
                return told;
            }
            execution.run(&mut surroundings, Some("Wait"));
            execution.run(&mut surroundings, Some("Look"));
        }
        self.tell();
        panic!("in vain: {what}: {}", self.told(execution));
    }

    fn told(&self, execution: &Execution) -> Value {
        let run = text(&execution.input()["started"]["run"]);
        self.invoke("dr-failover", &json!({ "status": run })).unwrap()
    }

    fn instruct(&self, run: &Value, instruction: &str, by: &str) -> Result<Value, String> {
        let mut payload = json!({ "run": run["run"], "instruct": instruction, "by": by });
        if instruction == "approve" {
            payload["step"] = json!("agree");
        }
        self.invoke("dr-failover", &payload)
    }

    pub(super) fn succeeds(&self, execution: &mut Execution) -> Value {
        assert_eq!(self.runs_to_the_end(execution), Status::Succeeded);
        let told = self.told(execution);
        assert_eq!(told["state"], "succeeded", "{told}");
        told
    }

    /// What the run signed, out of a chain that holds.
    pub(super) fn stated(&self, run: &Value) -> Statement {
        let (evidence, keys) = (&self.world.evidence, &self.world.keys);
        let names = self.runtime.block_on(evidence.list()).unwrap();
        let documents: Vec<(String, Vec<u8>)> = names
            .into_iter()
            .map(|name| {
                (
                    name.clone(),
                    self.runtime.block_on(evidence.get(&name)).unwrap().unwrap(),
                )
            })
            .collect();
        let is_signed =
            |message: &[u8], signature: &Signature| self.runtime.block_on(keys.verify(message, signature)).unwrap();
        let statements = chain::verify(&documents, &is_signed).unwrap().statements;
        let origin = format!("{}/run", text(&run["run"]));
        let mut own = statements.into_iter().filter(|stated| stated.origin == origin);
        let stated = own.next().unwrap();
        assert_eq!((own.count(), stated.level), (0, Level::L6));
        stated
    }
}

/// What becomes of each step, by name.
pub(super) fn state_of<'a>(run: &'a Value, step: &str) -> &'a Value {
    let mut steps = run["steps"].as_array().unwrap().iter();
    &steps.find(|found| found["name"] == step).unwrap()["state"]
}

#[test]
fn a_workload_moves_there_by_a_switchover_and_back_by_a_failover_once_a_drill_and_a_failure_have_changed_nothing() {
    let application = Front::before(Box::new(|_, _| {
        Box::pin(async { (StatusCode::OK, "all is well").into_response() })
    }));
    let scene = Scene::with_workload(&application);
    scene.only_works_in(HOME);
    a_drill_changes_only_what_stands_for_production(&scene);
    a_switchover_that_fails_is_taken_back(&scene);
    let mut there = execution("planned", "there", "to-west");
    let before = scene.changes().len();
    a_switchover_waits_for_two_others(&scene, &mut there);
    a_switchover_moves_everything_and_states_it(&scene, &mut there, before);
    assert!(application.has_asked("GET /health"));
    what_was_ordered_before_changes_nothing(&scene);
    let mut back = execution("disaster", "back", "to-central");
    let run = a_failover_gets_stuck_beyond_return(&scene, &mut back);
    a_failover_goes_on_when_it_is_resumed_and_its_execution_redriven(&scene, &mut back, &run);
    the_same_failover_again_is_the_same_run(&scene);
}

fn a_drill_changes_only_what_stands_for_production(scene: &Scene) {
    let mut drill = execution("drill", "drill", "to-west");
    let run = scene.until_run(&mut drill, "it asks", |run| state_of(run, "agree") == "running");
    for person in ["ben", "cleo"] {
        scene.instruct(&run, "approve", person).unwrap();
    }
    let run = scene.succeeds(&mut drill);
    for (step, state) in [
        ("end-tasks", "undone"),
        ("promote", "skipped"),
        ("tasks", "undone"),
        ("direct", "skipped"),
    ] {
        assert_eq!(state_of(&run, step), state, "{run}");
    }
    let (down, up) = ("UpdateService eu-central-1", "UpdateService eu-west-1");
    assert_eq!(scene.changes(), [down, up, up, down], "there, and taken back");
    for (region, count) in [(HOME, 1), (RECOVERY, 0)] {
        let present = scene.standin.with(|state| state.present_of(region, "drills/orders"));
        assert_eq!(present, Some(count), "{region}");
    }
    assert_eq!(scene.authority().generation, 1);
    scene.only_works_in(HOME);
}

fn a_switchover_that_fails_is_taken_back(scene: &Scene) {
    let mut fails = execution("planned", "fails", "to-west");
    let denied = Fault::next("SetDesiredCapacity", Trouble::Deny, 1);
    scene.standin.with(|state| state.faults.push(denied));
    let run = scene.until_run(&mut fails, "it asks", |run| state_of(run, "agree") == "running");
    for person in ["ben", "cleo"] {
        scene.instruct(&run, "approve", person).unwrap();
    }
    let ended = scene.runs_to_the_end(&mut fails);
    assert!(
        matches!(ended, Status::Failed(ref error) if error.error == "RunFailed"),
        "{ended:?}"
    );
    let run = scene.told(&fails);
    assert!(
        text(&run["went_back"]).contains("Auto Scaling SetDesiredCapacity on workers"),
        "{run}"
    );
    for step in ["end-imports", "end-tasks", "end-workers"] {
        assert_eq!(state_of(&run, step), "undone", "{run}");
    }
    assert_eq!(state_of(&run, "promote"), "skipped", "{run}");
    assert!(scene.was_told("failed"), "{:?}", scene.subjects());
    assert!(
        scene
            .changes()
            .iter()
            .any(|change| change == "UpdateService eu-central-1")
    );
    scene.only_works_in(HOME);
    assert_eq!((scene.authority().generation, scene.stated(&run).passed), (3, false));
}

fn a_switchover_waits_for_two_others(scene: &Scene, there: &mut Execution) {
    let waits = scene.until_run(there, "it asks", |run| state_of(run, "agree") == "running");
    let (pages, changes) = (scene.subjects(), scene.changes());
    let asks = "planned of recovery plan to-west waits for approval";
    // The one before asked as well.
    assert_eq!(pages.iter().filter(|subject| *subject == asks).count(), 2, "{pages:?}");
    let page = scene.pages().pop().unwrap();
    assert_eq!(page["Subject"], asks);
    let refused = scene.instruct(&waits, "approve", "ada").unwrap_err();
    assert!(
        refused.contains("ada asked for it: somebody else must agree"),
        "{refused}"
    );
    let refused = scene.instruct(&waits, "approve", "dora").unwrap_err();
    assert!(
        refused.contains("dora is none of its approvers: ada, ben, cleo"),
        "{refused}"
    );
    for _ in 0..2 {
        scene.instruct(&waits, "approve", "ben").unwrap();
    }
    // Who publishes an event may be anybody.
    let said = json!({ "run": waits["run"], "instruction": { "do": "approve", "step": "agree" }, "by": "cleo" });
    scene.publish("Recovery Run Instructed", &said);
    scene.until("an event that approves is refused", || {
        let log = scene.service.log("holdfast-dr-failover");
        log.contains("is asked of dr-failover itself and not by an event")
    });
    let waits = scene.until_run(there, "it waits", |run| state_of(run, "agree") == "running");
    assert_eq!(state_of(&waits, "end-tasks"), "pending");
    assert_eq!(scene.changes(), changes);
    scene.only_works_in(HOME);
    scene.invoke("dr-failover", &payload_of(&page, "cleo")).unwrap();
}

/// The payload that a page tells approvers to send.
fn payload_of(page: &Value, name: &str) -> Value {
    let told = text(&page["Message"]);
    let payload = &told[told.find('{').unwrap()..=told.rfind('}').unwrap()];
    serde_json::from_str(&payload.replace("NAME", name)).unwrap()
}

fn a_switchover_moves_everything_and_states_it(scene: &Scene, there: &mut Execution, before: usize) {
    let run = scene.succeeds(there);
    scene.only_works_in(RECOVERY);
    let (page, pages) = (scene.pages().pop().unwrap(), scene.subjects());
    assert_eq!(page["Subject"], "Holdfast: a recovery run succeeded", "{pages:?}");
    assert!(text(&page["Message"]).contains("of plan to-west (planned)"), "{page}");
    let changes = scene.changes().split_off(before);
    for once in [
        "SwitchoverGlobalCluster eu-west-1",
        "UpdateService eu-central-1",
        "UpdateService eu-west-1",
        "SetDesiredCapacity eu-central-1",
        "SetDesiredCapacity eu-west-1",
        "Invoke eu-west-1",
    ] {
        let times = changes.iter().filter(|change| *change == once).count();
        assert_eq!(times, 1, "{once} of {changes:?}");
    }
    let called = scene.standin.with(|state| state.calls_of_function(RECOVERY, "imports"));
    assert_eq!(called, ["{\"warm\":true}"]);
    let stated = scene.stated(&run);
    let findings = &stated.findings;
    assert!(stated.passed);
    assert_eq!(
        (&findings["kind"], &findings["generation"]),
        (&json!("planned"), &json!(4))
    );
    let approved = findings["approvals"].as_array().unwrap().iter();
    let approved: Vec<&Value> = approved.map(|approval| &approval["by"]).collect();
    assert_eq!(approved, ["ben", "cleo"]);
    assert_eq!(findings["lag_milliseconds"], 0, "a switchover loses nothing");
}

fn what_was_ordered_before_changes_nothing(scene: &Scene) {
    let (changes, authority) = (scene.changes(), scene.authority());
    scene.succeeds(&mut execution("planned", "there", "to-west"));
    // Ordered anew, it is refused: the workload is not where the plan moves it from.
    let mut again = execution("planned", "there-again", "to-west");
    let Status::Failed(refused) = scene.runs_to_the_end(&mut again) else {
        panic!("it was not refused");
    };
    assert!(refused.cause.contains("but it is written in eu-west-1"), "{refused:?}");
    assert!(scene.was_told("did not start"), "{:?}", scene.subjects());
    assert_eq!((scene.changes(), scene.authority()), (changes, authority));
    scene.only_works_in(RECOVERY);
}

fn a_failover_gets_stuck_beyond_return(scene: &Scene, back: &mut Execution) -> Value {
    scene.standin.with(|state| {
        state.lost_regions.insert(RECOVERY.to_owned());
        // Two wake-ups may try at one time.
        let denied = Fault::next("PromoteReadReplica", Trouble::Deny, u32::MAX);
        state.faults.push(denied);
    });
    let run = scene.until_run(back, "it is stuck", |run| run["state"] == "stuck");
    assert!(
        text(&run["stuck"]).contains("step promote cannot be taken back"),
        "{run}"
    );
    assert!(
        text(&run["stuck"]).contains("RDS PromoteReadReplica on reports-central"),
        "{run}"
    );
    let pages = scene.subjects();
    let told = |subject: &&String| subject.contains("disaster of recovery plan to-central is stuck");
    assert_eq!(pages.iter().filter(told).count(), 1, "{pages:?}");
    // The side that was left is fenced, and the other not begun: nobody serves, and nobody writes beside the new writer.
    assert_eq!((scene.working_in(RECOVERY), scene.working_in(HOME)), (NOTHING, NOTHING));
    let refused = scene.invoke(
        "dr-failover",
        &json!({ "run": run["run"], "instruct": "abort", "reason": "too slow", "by": "ben" }),
    );
    assert!(refused.unwrap_err().contains("cannot be taken back"));
    run
}

fn a_failover_goes_on_when_it_is_resumed_and_its_execution_redriven(scene: &Scene, back: &mut Execution, run: &Value) {
    scene.dynamodb.trouble("POST", 0, usize::MAX, What::Answered(400));
    let mut surroundings = scene;
    back.run(&mut surroundings, None);
    assert!(matches!(back.status(), Status::Failed(_)), "{:?}", back.status());
    assert_eq!(back.state(), "Look again");
    scene.dynamodb.no_more_trouble();
    scene.standin.with(|state| state.faults.clear());
    scene.instruct(run, "resume", "ben").unwrap();
    back.redrive().unwrap();
    let run = scene.succeeds(back);
    scene.only_works_in(HOME);
    for (step, state) in [
        ("reports", "succeeded"),
        ("direct", "succeeded"),
        ("follows", "skipped"),
    ] {
        assert_eq!(state_of(&run, step), state, "{run}");
    }
    let stated = scene.stated(&run);
    assert!(stated.passed);
    let people = stated.findings["people"].as_array().unwrap();
    assert!(
        people.iter().any(|said| text(said).ends_with("ben: resume")),
        "{people:?}"
    );
    assert_eq!(stated.findings["generation"], 5);
}

fn the_same_failover_again_is_the_same_run(scene: &Scene) {
    let (changes, authority) = (scene.changes(), scene.authority());
    scene.succeeds(&mut execution("disaster", "back", "to-central"));
    assert_eq!((scene.changes(), scene.authority()), (changes, authority));
    scene.standin.with(|state| state.lost_regions.clear());
    scene.only_works_in(HOME);
}
