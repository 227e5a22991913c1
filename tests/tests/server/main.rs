//! The embedded server: exactly one job for each occurrence, across a restart and a missed window; and the real process
//! that starts, refuses a second one, takes an operator's request, and stops when it is told to.

mod observers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdfast_cli::args::Place;
use holdfast_cli::embedded::{Parts, System, load, pause, turn};
use holdfast_core::domain::{Job, JobKind, JobState, Occurrence, OccurrenceState, Span};
use holdfast_core::ports::Clock;
use holdfast_core::workflow::{inventory, jobs, records};
use holdfast_local::{DataFolder, system_ambient};
use holdfast_repository::Ambient;
use holdfast_tests::holdfast_binary;
use jiff::{SignedDuration, Timestamp};

/// Seconds since the epoch in the simulated time of this process.
static NOW: AtomicI64 = AtomicI64::new(1_790_000_000);

fn now() -> Timestamp {
    Timestamp::from_second(NOW.load(Ordering::SeqCst)).expect("a time in range")
}

struct MovedClock;

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

const CONFIGURATION: &str = r#"
region = "west"
[[vault]]
name = "primary"
region = "west"
[[vault]]
name = "recovery"
region = "east"
[[resource]]
name = "app"
kind = "files"
path = "files"
[[policy]]
name = "every-minute"
vault = "primary"
zone = "UTC"
verify-every = "7d"
delete-after = "1d"
max-parallel = 1
select = { resources = ["app"] }
keep = { last = 100 }
copy = [{ vault = "recovery", within = "1h" }]
[[policy.rule]]
name = "minute"
cron = "* * * * *"
kind = "incremental"
start-within = "1m"
"#;

fn write_installation(folder: &Path) -> Place {
    fs::create_dir_all(folder.join("files")).expect("folder");
    fs::write(folder.join("files/one"), "first").expect("file");
    fs::write(folder.join("holdfast.toml"), CONFIGURATION).expect("configuration");
    Place {
        config: folder.join("holdfast.toml"),
        data: None,
    }
}

async fn open(place: &Place) -> System {
    let installation = load(place, now())
        .map_err(|error| error.to_string())
        .expect("the configuration is good");
    let ambient = Ambient {
        now,
        ..system_ambient()
    };
    let folder = DataFolder::open(&installation.data, &ambient).expect("data folder");
    let parts = Parts {
        clock: Arc::new(MovedClock),
        ambient,
        poll: SignedDuration::from_secs(1),
        print_pages: false,
    };
    let system = System::open(&installation.config, folder, parts).expect("system");
    system
        .apply(&installation.config)
        .await
        .expect("the configuration is applied");
    system
}

/// Lets simulated time pass in steps of five seconds, the server at work.
async fn serve(system: &System, span: Span) {
    let until = span.after(now());
    while now() < until {
        turn(system).await.expect("a turn");
        NOW.fetch_add(5, Ordering::SeqCst);
        // The engine works on threads of its own, in real time.
        while !system.engine.working().is_empty() {
            pause(Duration::from_millis(1)).await;
        }
    }
    for _ in 0..200 {
        turn(system).await.expect("a turn");
        NOW.fetch_add(1, Ordering::SeqCst);
        if jobs::open_jobs(&system.world, JobKind::Backup)
            .await
            .expect("jobs")
            .is_empty()
        {
            return;
        }
        pause(Duration::from_millis(5)).await;
    }
    panic!("backup jobs do not end");
}

async fn occurrences(system: &System) -> Vec<Occurrence> {
    let entries = system
        .world
        .catalog
        .list("OCC#every-minute#minute#app", "")
        .await
        .expect("occurrences");
    entries
        .into_iter()
        .map(|entry| records::decode::<Occurrence>(entry).expect("an occurrence").value)
        .collect()
}

#[test]
fn every_occurrence_has_exactly_one_job_across_a_restart_and_a_missed_window() {
    let folder = tempfile::tempdir().expect("folder");
    let place = write_installation(folder.path());
    let began_at = now();

    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("runtime")
    };
    let first = runtime();
    first.block_on(async {
        let system = open(&place).await;
        serve(&system, Span::minutes(5)).await;
    });
    drop(first);
    // The process is gone, and with it all it remembered; four due times pass while nobody is there.
    NOW.fetch_add(4 * 60 + 30, Ordering::SeqCst);
    let second = runtime();
    second.block_on(async {
        let system = open(&place).await;
        fs::write(folder.path().join("files/two"), "second").expect("file");
        serve(&system, Span::minutes(6)).await;
        check_occurrences(&system, began_at).await;
    });
}

async fn check_occurrences(system: &System, began_at: Timestamp) {
    let recorded = occurrences(system).await;
    let last = recorded.last().expect("occurrences were recorded").key.due_at;
    let mut expected = Vec::new();
    let mut due = began_at.as_second() / 60 * 60 + 60;
    while due <= last.as_second() {
        expected.push(due);
        due += 60;
    }
    let found: Vec<i64> = recorded
        .iter()
        .map(|occurrence| occurrence.key.due_at.as_second())
        .collect();
    assert_eq!(found, expected, "one record for each due time, and none besides");
    assert!(expected.len() >= 14, "the test spans more than ten minutes");

    let missed = recorded
        .iter()
        .filter(|occurrence| occurrence.state == OccurrenceState::Missed)
        .count();
    let caught_up: Vec<_> = recorded.iter().filter(|occurrence| occurrence.catch_up).collect();
    assert!((3..=4).contains(&missed), "{missed} were missed");
    assert_eq!(caught_up.len(), 1, "the missed window is caught up once");

    let points = inventory::points(&system.world, &"app".parse().expect("a name"))
        .await
        .expect("points");
    let mut by_job: BTreeMap<String, u32> = BTreeMap::new();
    for point in &points {
        *by_job.entry(point.job.to_string()).or_default() += 1;
    }
    for occurrence in &recorded {
        let job = records::read::<Job>(
            system.world.catalog.as_ref(),
            &records::job_key(&occurrence.key.job_id()),
        )
        .await
        .expect("catalog");
        match occurrence.state {
            OccurrenceState::Missed => assert!(job.is_none(), "a missed occurrence has no job"),
            OccurrenceState::Completed => {
                let job = job.expect("a completed occurrence has its job").value;
                assert_eq!(job.state, JobState::Completed);
                assert_eq!(
                    by_job.get(job.id.as_str()),
                    Some(&1),
                    "one recovery point of {}",
                    occurrence.key.due_at
                );
            }
            other => panic!("occurrence of {} is left {other:?}", occurrence.key.due_at),
        }
    }
    assert_eq!(
        points.len(),
        recorded.len() - missed,
        "no recovery point without an occurrence"
    );
}

/// A process that is ended with the test, however the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn holdfast(place: &Place, words: &[&str]) -> Command {
    let mut command = Command::new(holdfast_binary());
    command
        .args(words)
        .arg("--config")
        .arg(&place.config)
        .stdin(Stdio::null());
    command
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the test watches a real process")]
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{what} did not come within a minute");
}

#[test]
fn the_server_serves_refuses_a_second_one_takes_requests_and_stops_on_sigterm() {
    let folder = tempfile::tempdir().expect("folder");
    let place = write_installation(folder.path());
    let text = CONFIGURATION.replace("* * * * *", "0 3 1 1 *");
    fs::write(&place.config, text).expect("configuration");
    let log = folder.path().join("log");
    let child = holdfast(&place, &["serve"])
        .stderr(fs::File::create(&log).expect("log"))
        .stdout(Stdio::null())
        .spawn();
    let mut server = Server(child.expect("the server starts"));
    let said = |words: &str| fs::read_to_string(&log).unwrap_or_default().contains(words);
    wait_until("the server", || said("serving from"));

    let second = holdfast(&place, &["serve"]).output().expect("a second server");
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(
        told.contains(&format!("process {}", server.0.id())),
        "it names the first one: {told}"
    );

    let backup = holdfast(&place, &["backup", "app", "--json"])
        .output()
        .expect("a backup beside the server");
    assert_eq!(
        backup.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&backup.stderr)
    );
    let job: serde_json::Value = serde_json::from_slice(&backup.stdout).expect("JSON");
    assert_eq!(job["state"], "completed");
    let target = folder.path().join("restored");
    let restored = holdfast(&place, &["restore", "app@latest"])
        .arg("--target")
        .arg(&target)
        .output()
        .expect("a restore");
    assert_eq!(
        restored.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );
    assert_eq!(
        fs::read_to_string(target.join("one")).expect("the restored file"),
        "first"
    );

    let pid = rustix::process::Pid::from_child(&server.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
    let mut status = None;
    wait_until("the end of the server", || {
        status = server.0.try_wait().expect("its status");
        status.is_some()
    });
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(0),
        "{}",
        fs::read_to_string(&log).unwrap_or_default()
    );
}
