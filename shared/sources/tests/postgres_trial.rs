//! Trials of real backups: what is sound is proven, what is not is found and named, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_repository;
mod postgres_server;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_core::domain::{Checks, FailureKind, Level};
use holdfast_repository::{NoProgress, Repository};
use holdfast_sources::postgres::ClientOptions;
use holdfast_sources::postgres::isolated::Request;
use holdfast_sources::postgres::recovery::{Recovery, RecoveryWords};
use holdfast_sources::postgres::trial::{Check, TrialError, TrialRequest, TrialVerdict, run};
use jiff::{Timestamp, ToSpan};
use rustix::fs::{FlockOperation, flock};

use postgres_repository::{NAME, repository, store, store_log};
use postgres_server::{ADMIN, Server, folder, give_to_owner, options, wait_until};

/// A trial in `place`, to where `words` say.
fn tried(
    repository: &Repository,
    place: &Path,
    words: &RecoveryWords<'_>,
    checks: &str,
    client: &ClientOptions,
) -> Result<TrialVerdict, TrialError> {
    let checks: Checks = serde_json::from_str(checks).unwrap();
    let cluster = Request {
        repository,
        index: &repository.load_index().unwrap(),
        resource: NAME,
        recovery: &Recovery::parse(words).unwrap(),
        base: None,
        folder: place,
        programs: None,
        superuser: ADMIN,
        workers: 2,
        progress: &NoProgress,
        client,
    };
    run(&TrialRequest {
        cluster,
        checks: &checks,
    })
}

/// A trial to the end of the log; nothing may be left of it.
fn verdict(repository: &Repository, checks: &str) -> TrialVerdict {
    let place = folder();
    let verdict = tried(repository, place.path(), &RecoveryWords::default(), checks, &options()).unwrap();
    assert_eq!(left(place.path()), [] as [String; 0]);
    verdict
}

fn left(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn now(server: &Server) -> Timestamp {
    let text = server.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    text.parse().unwrap()
}

#[test]
fn a_sound_backup_is_proven_to_a_moment_with_what_it_loses() {
    let server = Server::start(&[
        "archive_mode = on",
        "archive_command = 'false'",
        "log_checkpoints = off",
    ]);
    server.fill(1);
    let fast = folder();
    server.sql(&format!("CREATE TABLESPACE fast LOCATION '{}'", fast.path().display()));
    server.sql("CREATE TABLE beats (at timestamptz) TABLESPACE fast");
    // What a copy of the server must never do: archive, follow, jobs of a library, wait for standbys.
    server.sql("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'");
    server.sql("ALTER SYSTEM SET shared_preload_libraries = 'not_installed'");
    server.sql("ALTER DATABASE template1 SET default_transaction_read_only = on");
    let repository = repository();
    store(&repository, &server);
    server.sql("INSERT INTO beats VALUES (clock_timestamp())");
    let beat = now(&server);
    let target = beat + 2.seconds();
    // Later than the target, so that the log goes on beyond it.
    wait_until("the target has passed", || now(&server) > target + 100.milliseconds());
    server.sql("DELETE FROM pgbench_accounts WHERE aid > 5");
    store_log(&repository, &server);

    let place = folder();
    let time = target.to_string();
    let words = RecoveryWords {
        time: Some(&time),
        ..RecoveryWords::default()
    };
    let checks = r#"{
        "assert": [
            { "database": "postgres", "sql": "SELECT count(*) FROM pgbench_accounts", "expects": "100000" },
            { "database": "postgres", "sql": "SELECT sum(abalance) = 0 FROM pgbench_accounts" }
        ],
        "heartbeat": { "database": "postgres", "column": "public.beats.at" }
    }"#;
    let verdict = tried(&repository, place.path(), &words, checks, &options()).unwrap();
    assert_eq!(left(place.path()), [] as [String; 0]);
    assert!(verdict.passed(), "{:?}", verdict.faults);
    assert_eq!(verdict.level(), Level::L5);
    assert_eq!(verdict.unchecked, [] as [String; 0]);
    let loss = verdict.heartbeat.as_ref().unwrap().data_loss_seconds.unwrap();
    assert!((2.0..2.5).contains(&loss), "{loss}");
    let counts = &verdict.counts;
    assert!(
        counts.databases >= 2 && counts.heaps > 100 && counts.indexes > 200 && counts.pages > 2000,
        "{counts:?}"
    );
    let accounts = verdict
        .tables
        .iter()
        .find(|table| table.table.ends_with("pgbench_accounts"))
        .unwrap();
    assert_eq!((accounts.rows, accounts.is_exact), (100_000, true));
    let findings = serde_json::to_value(verdict.findings()).unwrap();
    assert_eq!(findings["assertions"][0]["passed"], true);
    assert_eq!(findings["fault_count"], 0);
    assert!(findings["recovered"]["last_commit_at"].is_string(), "{findings}");
    assert!(
        fast.path().join("PG_15_202209061").exists(),
        "the original's tablespace is left alone"
    );
}

#[test]
fn an_index_that_lacks_a_row_is_named() {
    let server = Server::start(&[]);
    server.sql("CREATE DATABASE shop");
    let mut psql = server.client("psql");
    let plant = "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 100);
        UPDATE pg_index SET indisready = false WHERE indexrelid = 'orders_pkey'::regclass;
        INSERT INTO orders VALUES (101);
        UPDATE pg_index SET indisready = true WHERE indexrelid = 'orders_pkey'::regclass;";
    for statement in plant.split_inclusive(';') {
        psql.args(["-c", statement]);
    }
    postgres_server::run(psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "shop"]));
    let repository = repository();
    store(&repository, &server);
    let verdict = verdict(
        &repository,
        r#"{ "assert": [{ "database": "shop", "sql": "SELECT true" }] }"#,
    );
    assert_eq!(
        (verdict.level(), verdict.passed(), verdict.fault_count),
        (Level::L4, false, 1),
        "{:?}",
        verdict.faults
    );
    let fault = &verdict.faults[0];
    assert_eq!((fault.check, fault.level), (Check::Index, Level::L4));
    assert_eq!(fault.database.as_deref(), Some("shop"));
    assert_eq!(fault.object.as_deref(), Some("public.orders_pkey"));
    assert!(fault.reason.contains("lacks matching index tuple"), "{}", fault.reason);
}

#[test]
fn a_page_that_was_damaged_on_the_server_is_named() {
    let mut server = Server::start(&[]);
    server.fill(1);
    let file = server.sql("SELECT pg_relation_filepath('pgbench_accounts')");
    server.stop();
    let open = File::options().write(true).open(server.data.join(&file)).unwrap();
    open.write_all_at(b"?", 3 * 8192 + 5000).unwrap();
    server.begin();
    let repository = repository();
    store(&repository, &server);
    let verdict = verdict(&repository, "{}");
    assert_eq!((verdict.level(), verdict.passed()), (Level::L4, false));
    let found = |check| verdict.faults.iter().find(|fault| fault.check == check).unwrap();
    assert_eq!(found(Check::Page).object.as_deref(), Some(file.as_str()));
    assert!(found(Check::Page).reason.starts_with("page 3:"));
    assert_eq!(found(Check::Heap).object.as_deref(), Some("public.pgbench_accounts"));
    assert_eq!(found(Check::Rows).object.as_deref(), Some("public.pgbench_accounts"));
}

#[test]
fn what_does_not_hold_is_a_verdict_and_what_was_not_tried_is_an_error() {
    let server = Server::start(&[]);
    server.fill(1);
    let repository = repository();
    store(&repository, &server);
    let checks = r#"{
        "assert": [
            { "database": "postgres", "sql": "SELECT count(*) FROM pgbench_branches", "expects": "2" },
            { "database": "postgres", "sql": "DELETE FROM pgbench_branches RETURNING true" },
            { "database": "nowhere", "sql": "SELECT true" }
        ],
        "heartbeat": { "database": "postgres", "column": "public.beats.at" }
    }"#;
    let failed = verdict(&repository, checks);
    assert_eq!(
        (failed.level(), failed.passed(), failed.fault_count),
        (Level::L5, false, 4)
    );
    for (fault, part) in failed
        .faults
        .iter()
        .zip(["1, where 2 is expected", "read-only", "nowhere", "beats"])
    {
        assert!(fault.to_string().contains(part), "{fault}");
    }

    // A moment that the stored log does not reach.
    let words = RecoveryWords {
        time: Some("2100-01-01T00:00:00Z"),
        ..RecoveryWords::default()
    };
    let place = folder();
    let tried_with = |words: &RecoveryWords<'_>| tried(&repository, place.path(), words, "{}", &options());
    let short = tried_with(&words).unwrap();
    assert_eq!((short.level(), short.passed()), (Level::L4, false));
    assert_eq!(short.faults[0].check, Check::Recovery);
    assert!(
        short.faults[0].reason.contains("before configured recovery target"),
        "{}",
        short.faults[0]
    );

    let early = RecoveryWords {
        time: Some("2000-01-01T00:00:00Z"),
        ..RecoveryWords::default()
    };
    assert_eq!(tried_with(&early).unwrap_err().kind(), FailureKind::NotFound);
    let stopped = ClientOptions {
        stop: Arc::new(AtomicBool::new(true)),
        ..options()
    };
    let words = RecoveryWords::default();
    let error = tried(&repository, place.path(), &words, "{}", &stopped).unwrap_err();
    assert!(matches!(error, TrialError::Stopped), "{error}");
    assert_eq!(left(place.path()), [] as [String; 0]);
}

#[test]
fn a_trial_that_is_stopped_at_any_time_leaves_nothing() {
    let server = Server::start(&[]);
    server.fill(1);
    let repository = repository();
    store(&repository, &server);
    let place = folder();
    let stages: [fn(&Path) -> bool; 3] = [
        |folder| folder.join("data/base").exists(),
        |folder| folder.join("data/postmaster.pid").exists(),
        |folder| folder.join(".s.PGSQL.5432").exists(),
    ];
    for stage in stages {
        let client = options();
        let outcome = std::thread::scope(|scope| {
            let trial = scope.spawn(|| tried(&repository, place.path(), &RecoveryWords::default(), "{}", &client));
            wait_until("the trial has come so far", || {
                let private = left(place.path()).into_iter().find(|name| !name.ends_with(".lock"));
                trial.is_finished() || private.is_some_and(|name| stage(&place.path().join(name)))
            });
            client.stop.store(true, Ordering::SeqCst);
            trial.join().unwrap()
        });
        assert!(matches!(outcome, Err(TrialError::Stopped)), "{outcome:?}");
        assert_eq!(left(place.path()), [] as [String; 0]);
    }
}

#[test]
fn what_dead_trials_left_is_cleared_and_nothing_else() {
    let server = Server::start(&[]);
    let repository = repository();
    store(&repository, &server);
    let place = folder();
    let path = |name: &str| place.path().join(name);
    // A server that still runs over what a killed process left.
    let dead = path("holdfast-trial-00000000000000aa");
    fs::create_dir(&dead).unwrap();
    File::create(path("holdfast-trial-00000000000000aa.lock")).unwrap();
    let data = dead.join("data");
    let mut copy = postgres_server::as_owner(&postgres_server::program("initdb"));
    give_to_owner(place.path());
    postgres_server::run(copy.args(["-A", "trust", "-N", "-D"]).arg(&data));
    let mut orphan = Server::over(folder(), data.clone());
    orphan.begin();
    let pid = fs::read_to_string(data.join("postmaster.pid"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned();
    // Another one at work, and things of others.
    fs::create_dir(path("holdfast-trial-00000000000000bb")).unwrap();
    let alive = File::create(path("holdfast-trial-00000000000000bb.lock")).unwrap();
    flock(&alive, FlockOperation::NonBlockingLockExclusive).unwrap();
    fs::create_dir(path("holdfast-trial-of-mine")).unwrap();
    fs::write(path("holdfast-trial-of-mine.lock"), "").unwrap();
    fs::create_dir(path("orders")).unwrap();

    let verdict = tried(&repository, place.path(), &RecoveryWords::default(), "{}", &options()).unwrap();
    assert!(verdict.passed(), "{:?}", verdict.faults);
    assert_eq!(
        left(place.path()),
        [
            "holdfast-trial-00000000000000bb",
            "holdfast-trial-00000000000000bb.lock",
            "holdfast-trial-of-mine",
            "holdfast-trial-of-mine.lock",
            "orders"
        ]
    );
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(state.contains(") Z "), "the orphan has ended: {state}");
}
