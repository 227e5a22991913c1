//! Commands as actuators, and probes, on real programs and sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_core::domain::{
    Act, ActOrder, Actuator, ActuatorKind, ActuatorName, AuthorityRecord, Bound, Failure, FailureKind, Probe, Region,
    Run, Seen, StepName, WorkloadName,
};
use holdfast_core::ports::{Actuators, Clock, Probes};
use holdfast_failover::actuators::EmbeddedActuators;
use holdfast_failover::authority::Authorities;
use holdfast_failover::probes::NetworkProbes;
use holdfast_testkit::contract::actuators::{ActuatorWorld, order_under, suite};
use holdfast_testkit::contract::probes::{self, ProbeWorld};
use jiff::Timestamp;
use serde_json::json;

/// The newest generation that was claimed; 0 before any was.
#[derive(Default)]
struct Claimed(AtomicU64);

#[async_trait]
impl Authorities for Claimed {
    async fn read(&self, workload: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        let generation = self.0.load(Ordering::SeqCst);
        Ok((generation > 0).then(|| AuthorityRecord {
            workload: workload.clone(),
            generation,
            writer: None,
            claimed_by: None,
            since: now(),
        }))
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        now()
    }
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn actuators() -> EmbeddedActuators {
    EmbeddedActuators::new(Arc::new(Claimed::default()), Arc::new(Still))
}

/// An executable program in a folder.
fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn actuator(drill: Option<BTreeMap<String, String>>) -> Actuator {
    Actuator {
        name: ActuatorName::new("orders").unwrap(),
        kind: ActuatorKind::Command,
        region: Region::new("b").unwrap(),
        workload: WorkloadName::new("shop").unwrap(),
        production: BTreeMap::new(),
        drill,
    }
}

fn order(act: Act, settings: BTreeMap<String, String>) -> ActOrder {
    let run: Run = serde_json::from_value(json!({
        "id": "0123456789abcdef0123456789abcdef", "kind": "drill", "requested_by": "test", "state": "running",
        "plan": {"id": "shop", "description": "", "objectives": {"rto": "1h", "rpo": "1h"}, "steps": []},
        "declared_at": "2026-01-01T00:00:00Z", "steps": [], "next_action_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap();
    ActOrder {
        step: StepName::new("start").unwrap(),
        act,
        on: Bound::for_drill(&actuator(Some(settings)), &run).unwrap(),
        others: Vec::new(),
    }
}

fn settings(words: &[(&str, &Path)]) -> BTreeMap<String, String> {
    let text = |path: &Path| path.display().to_string();
    words
        .iter()
        .map(|(name, path)| ((*name).to_owned(), text(path)))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a program takes its time")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Looks until the program has ended.
async fn ended(actuators: &EmbeddedActuators, order: &ActOrder) -> Result<Seen, Failure> {
    loop {
        match actuators.look(order).await {
            Ok(Seen::Working { .. }) => pause().await,
            seen => return seen,
        }
    }
}

#[tokio::test]
async fn a_program_runs_once_with_its_arguments_and_what_it_should_know() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let program = script(
        folder.path(),
        "program",
        &format!(
            "echo \"$1|$2|$HOLDFAST_ACT|$HOLDFAST_STEP|$HOLDFAST_PAYLOAD\" >> {}",
            said.display()
        ),
    );
    let mut words = settings(&[("program", &program)]);
    words.insert("arguments".into(), "[\"a b\", \"$HOME;\"]".into());
    let invoke = order(
        Act::Invoke {
            payload: "hello".into(),
        },
        words,
    );
    let actuators = actuators();
    assert_eq!(actuators.look(&invoke).await.unwrap(), Seen::NotDone);
    actuators.begin(&invoke).await.unwrap();
    actuators.begin(&invoke).await.unwrap();
    assert!(matches!(ended(&actuators, &invoke).await.unwrap(), Seen::Done { .. }));
    actuators.begin(&invoke).await.unwrap();
    assert!(matches!(ended(&actuators, &invoke).await.unwrap(), Seen::Done { .. }));
    assert_eq!(fs::read_to_string(said).unwrap(), "a b|$HOME;|invoke|start|hello\n");
}

#[tokio::test]
async fn a_check_tells_what_nobody_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let program = script(folder.path(), "program", &format!("touch {}", done.display()));
    let check = script(folder.path(), "check", &format!("test -e {}", done.display()));
    let start = order(Act::Start, settings(&[("program", &program), ("check", &check)]));
    assert_eq!(actuators().look(&start).await.unwrap(), Seen::NotDone);
    let first = actuators();
    first.begin(&start).await.unwrap();
    assert!(matches!(ended(&first, &start).await.unwrap(), Seen::Done { .. }));
    assert!(matches!(actuators().look(&start).await.unwrap(), Seen::Done { .. }));
}

/// A service that is a file: there while it runs.
struct Service {
    folder: tempfile::TempDir,
    actuator: Actuator,
    claimed: Arc<Claimed>,
}

impl Service {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("runs"), folder.path().join("log"));
        let (file, log) = (file.display(), log.display());
        let by_act = |start: &str, stop: &str| format!("case $HOLDFAST_ACT in start) {start};; stop) {stop};; esac");
        let change = by_act(&format!("touch {file}"), &format!("rm {file}"));
        let program = script(
            folder.path(),
            "program",
            &format!("sleep 0.1; echo \"$HOLDFAST_ACT\" >> {log}; {change}"),
        );
        let check = by_act(&format!("test -e {file}"), &format!("test ! -e {file}"));
        let check = script(folder.path(), "check", &check);
        let production = settings(&[("program", &program), ("check", &check)]);
        let actuator = Actuator {
            production,
            ..actuator(None)
        };
        Self {
            folder,
            actuator,
            claimed: Arc::default(),
        }
    }

    fn order_to(&self, act: Act, generation: u64) -> ActOrder {
        self.claimed.0.fetch_max(generation, Ordering::SeqCst);
        order_under(&self.actuator, act, generation)
    }
}

#[async_trait]
impl ActuatorWorld for Service {
    fn process(&self) -> Arc<dyn Actuators> {
        Arc::new(EmbeddedActuators::new(self.claimed.clone(), Arc::new(Still)))
    }

    fn order(&self, generation: u64) -> ActOrder {
        self.order_to(Act::Start, generation)
    }

    fn back(&self, generation: u64) -> Option<ActOrder> {
        Some(self.order_to(Act::Stop, generation))
    }

    fn changes(&self) -> usize {
        fs::read_to_string(self.folder.path().join("log")).map_or(0, |log| log.lines().count())
    }

    #[expect(clippy::disallowed_methods, reason = "a program takes its time")]
    async fn pass(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn commands_obey_the_contract_of_actuators() {
    suite(async || Service::new()).await;
}

#[tokio::test]
async fn without_a_check_too_an_act_and_its_opposite_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("said");
    let program = script(
        folder.path(),
        "program",
        &format!("echo $HOLDFAST_ACT >> {}", said.display()),
    );
    let to = |act| order(act, settings(&[("program", &program)]));
    let actuators = actuators();
    for act in [Act::Start, Act::Stop] {
        let order = to(act);
        assert_eq!(actuators.look(&order).await.unwrap(), Seen::NotDone);
        actuators.begin(&order).await.unwrap();
        assert!(matches!(ended(&actuators, &order).await.unwrap(), Seen::Done { .. }));
    }
    assert_eq!(fs::read_to_string(said).unwrap(), "start\nstop\n");
}

#[tokio::test]
async fn a_program_that_fails_or_takes_too_long_says_so_and_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let fails = script(folder.path(), "fails", "echo no such service >&2; exit 3");
    let fails = order(Act::Start, settings(&[("program", &fails)]));
    let hangs = script(folder.path(), "hangs", "exec sleep 600");
    let mut words = settings(&[("program", &hangs)]);
    words.insert("timeout_seconds".into(), "1".into());
    let hangs = order(Act::Start, words);
    for (order, part) in [(&fails, "no such service"), (&hangs, "more than 1 s")] {
        let actuators = actuators();
        actuators.begin(order).await.unwrap();
        let failure = ended(&actuators, order).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transient);
        assert!(failure.message.contains(part), "{failure}");
        assert_eq!(actuators.look(order).await.unwrap(), Seen::NotDone);
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let relative = order(Act::Start, settings(&[("program", Path::new("orders-ctl"))]));
    let none = order(Act::Start, BTreeMap::new());
    let unknown = order(
        Act::Direct { share: 100 },
        settings(&[("program", Path::new("/bin/true"))]),
    );
    for (order, part) in [
        (relative, "program"),
        (none, "program is missing"),
        (unknown, "cannot direct"),
    ] {
        let failure = actuators().begin(&order).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.message.contains(part), "{failure}");
    }
}

/// Answers a few requests.
fn serve(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(4) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// An address that nobody listens at.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nready";
const DOWN: &str = "HTTP/1.1 503 Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn http(address: &str, contains: Option<&str>) -> Probe {
    Probe::Http {
        url: format!("http://{address}/health"),
        status: 200,
        contains: contains.map(str::to_owned),
    }
}

/// Sockets of this machine.
struct Sockets;

#[async_trait]
impl ProbeWorld for Sockets {
    fn probes(&self) -> Arc<dyn Probes> {
        Arc::new(NetworkProbes::new(now))
    }

    async fn good(&self) -> Vec<Probe> {
        let address = serve(OK);
        vec![
            http(&serve(OK), None),
            http(&serve(OK), Some("ready")),
            Probe::Tcp { address },
        ]
    }

    async fn wrong(&self) -> Vec<Probe> {
        const BROKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\nready";
        vec![
            http(&serve(OK), Some("steady")),
            http(&serve(DOWN), None),
            http(&serve("no HTTP at all"), None),
            http(&serve(BROKEN), Some("ready")),
        ]
    }

    async fn silent(&self) -> Vec<Probe> {
        let address = closed();
        let port = address.rsplit(':').next().unwrap();
        let server = format!("host=127.0.0.1 port={port} user=nobody sslmode=disable");
        let (query, expects) = ("SELECT 1".to_owned(), "1".to_owned());
        let sql = Probe::Sql { server, query, expects };
        vec![http(&address, None), sql, Probe::Tcp { address }]
    }
}

#[tokio::test]
async fn probes_obey_the_contract() {
    probes::suite(async || Sockets).await;
}
