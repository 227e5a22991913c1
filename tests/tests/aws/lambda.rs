//! The real program of a function under our own Lambda, wired by the template: what reaches it, what becomes of what it
//! cannot do, and what happens when it is killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::FunctionName;
use holdfast_tests::lambda::provision::{Changes, catalog_table, make_table, make_topic, provision};
use holdfast_tests::lambda::template::Surroundings;
use holdfast_tests::lambda::wire::Wire;
use holdfast_tests::lambda::wiring::Wiring;
use holdfast_tests::lambda::{ACCOUNT, Answer, LambdaService, Launch};
use holdfast_tests::moto::Moto;
use holdfast_tests::{program, workspace_root};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const REGION: &str = "eu-central-1";
const SCHEDULER: &str = "holdfast-scheduler";
const DEAD_LETTERS: &str = "holdfast-scheduler-dead-letters";
pub const TABLE: &str = "holdfast-catalog";

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(420);

/// Between two looks. The emulator answers one at a time: whoever looks without a pause keeps it from the functions.
const PAUSE: Duration = Duration::from_millis(250);

/// The template after the transform, worked out once.
fn template() -> &'static Value {
    static TEMPLATE: OnceLock<Value> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let python = workspace_root().join("target/sam/bin/python");
        let script = workspace_root().join("tests/emulators/sam/transform.py");
        let output = Command::new(&python).arg("-B").arg(script).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask setup`", python.display()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

/// A value for every parameter that has no default: the known one, or one that looks like it.
fn parameters(made: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let vaults = json!([{ "name": "home", "region": REGION, "bucket": "holdfast-home", "key": "arn:aws:kms:eu-central-1:1:key/v",
        "backup_vault": "holdfast-home" }]);
    let evidence = json!([{ "region": REGION, "bucket": "holdfast-evidence", "lock_days": 30 }]);
    let known = template()["Parameters"].as_object().unwrap().iter();
    let needed = known.filter(|(_, said)| said.get("Default").is_none());
    let value = |name: &str| match name {
        name if made.contains_key(name) => made[name].clone(),
        "CatalogTable" => TABLE.to_owned(),
        "Vaults" => vaults.to_string(),
        "Evidence" => evidence.to_string(),
        "DrillArea" => "s3://holdfast-drills/area".to_owned(),
        "AlertTopicArn" => topic("alerts"),
        "SignalsTopicArn" => topic("signals"),
        name if name.ends_with("KeyArn") => format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}"),
        name if name.ends_with("RoleArn") => format!("arn:aws:iam::{ACCOUNT}:role/{name}"),
        name => name.to_lowercase(),
    };
    needed.map(|(name, _)| (name.clone(), value(name))).collect()
}

/// What the template says, where the infrastructure has made these things.
pub fn wiring(made: &BTreeMap<String, String>) -> Wiring {
    let around = Surroundings {
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        stack: "holdfast".to_owned(),
        parameters: parameters(made),
    };
    Wiring::from_template(template(), &around).unwrap()
}

/// The ARN of a topic, which the infrastructure makes and not the template.
pub fn topic(name: &str) -> String {
    format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")
}

/// The folder of the functions' programs.
pub fn programs() -> PathBuf {
    program(SCHEDULER).parent().unwrap().to_owned()
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    #[expect(clippy::disallowed_methods, reason = "real programs take real time")]
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        #[expect(clippy::disallowed_methods, reason = "real programs take real time")]
        std::thread::sleep(PAUSE);
    }
}

/// An emulated AWS with what the template makes, and the scheduler deployed.
struct Scene {
    moto: Moto,
    wire: Wire,
    service: LambdaService,
}

impl Scene {
    /// Further variables and changes of how the scheduler is run.
    fn new(change: impl FnOnce(&Moto, &mut Launch)) -> Self {
        let moto = Moto::start();
        let wire = Wire::new(moto.endpoint(), REGION);
        let wiring = wiring(&BTreeMap::new());
        for name in ["alerts", "signals"] {
            make_topic(&wire, name).unwrap();
        }
        provision(&wire, &wiring, &Changes::default()).unwrap();
        make_table(&wire, &catalog_table(TABLE)).unwrap();
        let endpoint = [("AWS_ENDPOINT_URL".to_owned(), moto.endpoint().to_owned())];
        let function = wiring.function(SCHEDULER).unwrap();
        let mut launch = Launch::of(function, REGION, &programs(), &BTreeMap::from(endpoint));
        change(&moto, &mut launch);
        let service = LambdaService::start(vec![launch], wiring, wire.clone()).unwrap();
        Self { moto, wire, service }
    }

    fn depth(&self, queue: &str) -> (u64, u64) {
        self.wire.depth(queue).unwrap()
    }

    fn fire_and_poll(&self) {
        self.service.fire(SCHEDULER).unwrap();
        self.service.poll_queues();
    }

    /// Lines of the log about messages, read back.
    fn lines(&self) -> Vec<Value> {
        let log = self.service.log(SCHEDULER);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["outcome"].is_string()).collect()
    }
}

#[test]
fn the_template_wires_every_function_to_its_queue_and_its_timer_and_gives_it_a_whole_environment() {
    let wiring = wiring(&BTreeMap::new());
    for function in FunctionName::ALL {
        let name = format!("holdfast-{function}");
        let deployed = wiring.function(&name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(deployed.program, name);
        let mut environment = deployed.environment.clone();
        environment.insert("AWS_REGION".to_owned(), REGION.to_owned());
        Deployment::read(&environment).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let mapping = wiring.mappings.iter().find(|mapping| mapping.function == name);
        let mapping = mapping.unwrap_or_else(|| panic!("{name} is mapped to no queue"));
        assert_eq!((mapping.queue.as_str(), mapping.is_partial), (name.as_str(), true));
        assert!(deployed.concurrency.unwrap() >= mapping.concurrency, "{name}");
        let queue = wiring.queues.iter().find(|queue| queue.name == name).unwrap();
        assert_eq!(queue.redrive, Some((format!("{name}-dead-letters"), 5)));
        let hidden: u64 = queue.attributes["VisibilityTimeout"].parse().unwrap();
        assert_eq!(hidden, deployed.timeout.as_secs() + 60, "{name}");
        let timer = wiring.schedules.iter().find(|timer| timer.name == name).unwrap();
        assert_eq!(timer.every, Duration::from_secs(60));
        assert!(timer.target.ends_with(&format!(":{name}")), "{}", timer.target);
    }
}

#[test]
fn a_timer_reaches_the_function_through_its_queue_and_a_message_that_is_no_event_ends_among_the_dead_letters() {
    let scene = Scene::new(|_, _| {});
    scene.fire_and_poll();
    until("the wake-up is handled", || !scene.lines().is_empty());
    until("the message is acknowledged", || scene.depth(SCHEDULER) == (0, 0));
    let line = scene.lines().remove(0);
    assert_eq!(line["outcome"], "handled", "{line}");
    assert_eq!(line["function"], "scheduler");
    assert_eq!(line["detail_type"], "Scheduled Wake-Up");
    for key in [
        "request_id",
        "trace",
        "message_id",
        "event",
        "duration_ms",
        "level",
        "timestamp",
    ] {
        assert!(!line[key].is_null() && line[key] != "", "{key} of {line}");
    }
    let log = scene.service.log(SCHEDULER);
    let metrics = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let metrics: Vec<Value> = metrics.filter(|line| line["_aws"].is_object()).collect();
    assert_eq!(metrics[0]["Handled"], 1);

    scene.wire.send(SCHEDULER, "{\"secret\": \"hunter2\" no JSON").unwrap();
    for delivery in 1..=5 {
        let failed = || scene.lines().iter().filter(|line| line["outcome"] == "failed").count();
        until("it is delivered", || failed() == delivery);
        until("it is given back", || scene.service.busy(SCHEDULER) == 0);
        scene.moto.advance(361);
    }
    until("it is among the dead letters", || scene.depth(DEAD_LETTERS) == (1, 0));
    assert_eq!(scene.depth(SCHEDULER), (0, 0));
    let line = scene.lines().pop().unwrap();
    assert_eq!(line["failure_kind"], "invalid");
    assert_eq!(line["level"], "ERROR");
    assert!(line["message"].as_str().unwrap().contains("dead letters"), "{line}");
    assert!(!scene.service.log(SCHEDULER).contains("hunter2"));
}

/// Stands before an emulator and lets connections through only while it is open.
struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    _runtime: tokio::runtime::Runtime,
}

impl Gate {
    fn closed_before(endpoint: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let behind = endpoint.trim_start_matches("http://").to_owned();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(false);
        runtime.spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (behind, mut is_open) = (behind.clone(), is_open.clone());
                tokio::spawn(async move {
                    let opened = is_open.wait_for(|open| *open).await.is_ok();
                    if let Ok(mut far) = TcpStream::connect(behind).await
                        && opened
                    {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self {
            address,
            open,
            _runtime: runtime,
        }
    }
}

#[test]
fn a_function_that_is_killed_or_takes_too_long_gets_its_message_again() {
    let mut gate = None;
    let scene = Scene::new(|moto, launch| {
        let closed = Gate::closed_before(moto.endpoint());
        let address = format!("http://{}", closed.address);
        launch
            .environment
            .insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), address);
        launch.timeout = Duration::from_secs(3);
        gate = Some(closed);
    });
    let gate = gate.unwrap();
    scene.fire_and_poll();
    until("it is at work", || scene.service.busy(SCHEDULER) == 1);
    assert_eq!(scene.service.kill_busy(SCHEDULER), 1);
    until("it has died", || scene.service.busy(SCHEDULER) == 0);
    assert_eq!(scene.depth(SCHEDULER), (0, 1), "the message stays in the queue, hidden");

    scene.moto.advance(361);
    until("the message comes again", || scene.service.invocations(SCHEDULER) == 2);
    until("it is at work", || scene.service.busy(SCHEDULER) == 1);
    until("its time is over", || scene.service.busy(SCHEDULER) == 0);
    assert!(scene.lines().iter().all(|line| line["outcome"] != "handled"));

    gate.open.send_replace(true);
    scene.moto.advance(361);
    until("the message is handled", || {
        scene.lines().iter().any(|line| line["outcome"] == "handled")
    });
    until("the message is acknowledged", || scene.depth(SCHEDULER) == (0, 0));
    assert_eq!(scene.depth(DEAD_LETTERS), (0, 0));
}

/// A call of the Invoke API: status, headers of note, body.
fn call(scene: &Scene, name: &str, headers: &[(&str, &str)], body: &str) -> (u16, BTreeMap<String, String>, String) {
    let url = format!("{}/2015-03-31/functions/{name}/invocations", scene.service.endpoint());
    let mut request = ureq::post(url).config().http_status_as_error(false).build();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = request.send(body).unwrap();
    let headers = answer.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (
        answer.status().as_u16(),
        headers,
        answer.body_mut().read_to_string().unwrap(),
    )
}

#[test]
fn the_invoke_api_answers_as_that_of_aws() {
    let scene = Scene::new(|_, launch| launch.concurrency = 1);
    let wake_up = json!({ "id": "w-1", "source": "holdfast", "time": "2026-11-20T02:31:07Z",
        "detail-type": "Scheduled Wake-Up", "detail": {} })
    .to_string();
    let tail = [("x-amz-log-type", "Tail")];
    let (status, headers, body) = call(&scene, SCHEDULER, &tail, &wake_up);
    assert_eq!((status, body.as_str()), (200, "{\"outcome\":\"handled\"}"));
    assert!(!headers.contains_key("x-amz-function-error"));
    assert!(headers["x-amz-log-result"].len() > 100);

    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{SCHEDULER}");
    let (status, headers, body) = call(&scene, &arn, &[], "{\"config\": 1}");
    assert_eq!((status, headers["x-amz-function-error"].as_str()), (200, "Unhandled"));
    let error: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["errorType"], "Invalid");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("`configuration` is missing"),
        "{error}"
    );

    let before = scene.service.invocations(SCHEDULER);
    assert_eq!(
        call(&scene, SCHEDULER, &[("x-amz-invocation-type", "DryRun")], "{}").0,
        204
    );
    assert_eq!(scene.service.invocations(SCHEDULER), before);
    assert_eq!(
        call(&scene, SCHEDULER, &[("x-amz-invocation-type", "Event")], "{}").0,
        202
    );
    until("it is tried three times", || {
        scene.service.invocations(SCHEDULER) == before + 3
    });

    assert_eq!(call(&scene, "nobody", &[], "{}").0, 404);
    assert_eq!(call(&scene, SCHEDULER, &[], "no JSON").0, 400);
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    assert_eq!(
        call(&scene, SCHEDULER, &[("x-amz-invocation-type", "Event")], &large).0,
        413
    );
}

#[test]
fn a_function_without_its_settings_says_what_is_missing_and_does_not_start() {
    let scene = Scene::new(|_, launch| {
        launch.environment.remove("HOLDFAST_TABLE");
        launch.environment.insert("HOLDFAST_BUS".to_owned(), String::new());
    });
    let invoked = scene.service.invoke(SCHEDULER, "{}").unwrap();
    let Answer::Failed(error) = invoked.answer else {
        panic!("{invoked:?}");
    };
    assert!(
        error.contains("Runtime.ExitError") && error.contains("exit status: 1"),
        "{error}"
    );
    let log = scene.service.log(SCHEDULER);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(
        log.contains("HOLDFAST_TABLE is not set") && log.contains("HOLDFAST_BUS is not set"),
        "{log}"
    );
}

#[test]
fn a_configuration_is_put_into_force_through_the_console() {
    let scene = Scene::new(|_, _| {});
    let path = workspace_root().join("events/scheduler/console-configuration.json");
    let payload = std::fs::read_to_string(path).unwrap();
    let invoked = scene.service.invoke(SCHEDULER, &payload).unwrap();
    let Answer::Done(answer) = invoked.answer else {
        panic!("{invoked:?}");
    };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer["changed"],
        json!([{ "policy": "main", "version": 1 }]),
        "{answer}"
    );
}
