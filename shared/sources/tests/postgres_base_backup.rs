//! Base backups of a real server, judged by PostgreSQL itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_server;

use std::fs;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use holdfast_core::domain::FailureKind;
use holdfast_sources::postgres::{BaseBackup, Connection, PostgresError, Purpose};
use postgres_server::{ADMIN, MAJOR, NEWER, Server, folder, give_to_owner, options, verify, wait_until, write_out};

#[test]
fn a_backup_under_load_passes_pg_verifybackup_and_starts() {
    for major in [MAJOR].into_iter().chain(NEWER) {
        a_backup_under_load_of(major);
    }
}

fn a_backup_under_load_of(major: u32) {
    let server = Server::start_of(major, &[]);
    server.fill(5);
    let load = server.load();
    wait_until("the load has begun", || {
        server.sql("SELECT count(*) > 100 FROM pgbench_history") == "t"
    });
    let connection = server.replication();
    assert_eq!(connection.major(), major);
    let mut backup = BaseBackup::begin(connection, "it's a test").unwrap();
    let target = folder();
    let data = target.path().join("data");
    write_out(&mut backup, &data);
    let report = backup.finish().unwrap();
    drop(load);
    let written: i64 = server.sql("SELECT count(*) FROM pgbench_history").parse().unwrap();

    assert!(report.end.lsn > report.start.lsn);
    assert_eq!(
        (report.damaged.count, report.damaged.confirmed),
        (0, false),
        "{:?}",
        report.damaged
    );
    assert!(report.bytes > 50 << 20, "{}", report.bytes);
    assert_eq!(
        report.system_identifier,
        server.replication().identify_system().unwrap().system_identifier
    );
    assert!(
        fs::read_to_string(data.join("backup_label"))
            .unwrap()
            .contains("LABEL: it's a test")
    );
    verify(major, &data);

    let mut restored = Server::over(target, data);
    restored.begin();
    let restored_rows: i64 = restored.sql("SELECT count(*) FROM pgbench_history").parse().unwrap();
    assert!((100..=written).contains(&restored_rows), "{restored_rows} of {written}");
    let balances = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)";
    assert_eq!(restored.sql(balances), "t");
}

#[test]
fn tablespaces_become_folders() {
    let server = Server::start(&[]);
    let elsewhere = server.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    give_to_owner(&elsewhere);
    server.sql(&format!("CREATE TABLESPACE side LOCATION '{}'", elsewhere.display()));
    server.sql("CREATE TABLE t TABLESPACE side AS SELECT generate_series(1, 100000) AS n");
    let mut backup = BaseBackup::begin(server.replication(), "tablespaces").unwrap();
    let [tablespace] = backup.tablespaces() else {
        panic!("{:?}", backup.tablespaces())
    };
    assert_eq!(tablespace.location, elsewhere);
    let oid = tablespace.oid;
    let target = folder();
    let data = target.path().join("data");
    write_out(&mut backup, &data);
    backup.finish().unwrap();
    let mapped = data.join(format!("pg_tblspc/{oid}"));
    assert!(fs::symlink_metadata(&mapped).unwrap().is_dir());
    verify(MAJOR, &data);

    // A server takes no folder for a tablespace: it goes elsewhere, and the map has the server make the link.
    let map = data.join("tablespace_map");
    assert_eq!(
        fs::read_to_string(&map).unwrap().trim_end(),
        format!("{oid} {}", elsewhere.display())
    );
    let moved = target.path().join("moved");
    fs::rename(&mapped, &moved).unwrap();
    fs::write(&map, format!("{oid} {}\n", moved.display())).unwrap();
    let mut restored = Server::over(target, data);
    restored.begin();
    assert_eq!(restored.sql("SELECT sum(n) FROM t"), "5000050000");
}

/// Flips a bit of a table's page on disk while the server is down.
fn flip(server: &mut Server, table: &str, page: u64) -> String {
    server.sql("CHECKPOINT");
    let path = server.sql(&format!("SELECT pg_relation_filepath('{table}')"));
    server.stop();
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(server.data.join(&path))
        .unwrap();
    let (at, mut byte) = (page * 8192 + 5000, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    server.begin();
    path
}

#[test]
fn a_flipped_bit_is_named_by_file_and_page() {
    let mut server = Server::start(&[]);
    server.sql("CREATE TABLE t AS SELECT generate_series(1, 100000) AS n");
    let path = flip(&mut server, "t", 17);
    let mut backup = BaseBackup::begin(server.replication(), "damage").unwrap();
    let target = folder();
    write_out(&mut backup, target.path());
    let report = backup.finish().unwrap();
    assert_eq!(report.damaged.count, 1, "{:?}", report.damaged);
    let [page] = &report.damaged.listed[..] else {
        panic!("{:?}", report.damaged)
    };
    assert_eq!((page.path.as_path(), page.page), (Path::new(&path), 17));
    assert!(report.damaged.confirmed, "the server sees it too");
    let warned = |name: &str| report.warnings.iter().any(|warning| warning.message.contains(name));
    assert!(warned(&path), "{:?}", report.warnings);
}

#[test]
fn what_is_not_read_is_checked_all_the_same() {
    let mut server = Server::start(&[]);
    server.sql("CREATE TABLE t AS SELECT generate_series(1, 100000) AS n");
    flip(&mut server, "t", 3);
    let report = BaseBackup::begin(server.replication(), "unread")
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(report.damaged.count, 1);
    assert_eq!(report.damaged.listed[0].page, 3);
}

#[test]
fn a_server_that_is_killed_ends_the_backup_with_a_named_error() {
    let mut server = Server::start(&[]);
    server.fill(10);
    let mut backup = BaseBackup::begin(server.replication(), "killed").unwrap();
    let mut read = 0;
    while read < 30 << 20 {
        backup.next_member().unwrap().unwrap();
        read += std::io::copy(&mut backup, &mut std::io::sink()).unwrap();
    }
    server.kill();
    let error = backup.finish().unwrap_err();
    assert!(matches!(error, PostgresError::Lost { .. }), "{error}");
    assert_eq!(error.kind(), FailureKind::Transient);
    assert!(
        error
            .to_string()
            .contains("connection lost while reading a base backup"),
        "{error}"
    );
}

#[test]
fn a_server_that_shuts_down_or_hangs_ends_the_backup_too() {
    let server = Server::start(&[]);
    server.fill(10);
    let options = options();
    let open = || Connection::open(&server.address(ADMIN), Purpose::Replication, &options).unwrap();
    let mut backup = BaseBackup::begin(open(), "ended").unwrap();
    backup.next_member().unwrap().unwrap();
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walsender'");
    let error = backup.finish().unwrap_err();
    assert!(
        matches!(error, PostgresError::ShuttingDown { .. } | PostgresError::Lost { .. }),
        "{error}"
    );
    assert_eq!(error.kind(), FailureKind::Transient);

    // The stop flag ends a wait for a server that is frozen.
    let mut backup = BaseBackup::begin(open(), "frozen").unwrap();
    backup.next_member().unwrap().unwrap();
    let pid = server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walsender'");
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    options.stop.store(true, Ordering::Relaxed);
    let mut error = None;
    while error.is_none() {
        let mut all = Vec::new();
        error = backup.read_to_end(&mut all).err().map(|error| error.to_string());
        error = error.or(backup.next_member().err().map(|error| error.to_string()));
    }
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(error.unwrap(), "stopped as asked while reading a base backup");
}

#[test]
fn the_passing_slot_goes_away_with_the_backup() {
    let server = Server::start(&[]);
    let backup = BaseBackup::begin(server.replication(), "slot").unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM pg_replication_slots"), "1");
    drop(backup);
    wait_until("the slot is gone", || {
        server.sql("SELECT count(*) FROM pg_replication_slots") == "0"
    });
    server.sql("ALTER SYSTEM SET max_replication_slots = 0");
    let mut server = server;
    server.stop();
    server.begin();
    let error = BaseBackup::begin(server.replication(), "slot").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("max_replication_slots"), "{error}");
}
