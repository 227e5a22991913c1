//! The log of a real server: nothing is lost, whatever dies, and timelines are followed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_server;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use holdfast_core::domain::FailureKind;
use holdfast_sources::postgres::{
    BaseBackup, ClientOptions, History, LogPosition, LogSink, LogSource, Lsn, PostgresError, Received, SinkError,
    Spool, Until, receive,
};
use postgres_server::{ADMIN, Server, folder, options, wait_until, write_out};
use tempfile::TempDir;

const SEGMENT: u64 = 16 << 20;

fn source(server: &Server, from: Option<LogPosition>) -> LogSource {
    LogSource {
        address: server.address(ADMIN),
        slot: "holdfast".parse().unwrap(),
        system_identifier: None,
        from,
    }
}

fn create_slot(server: &Server) {
    server.replication().create_slot(&"holdfast".parse().unwrap()).unwrap();
}

fn resume(server: &Server, folder: &Path, until: Until, options: &ClientOptions) -> Result<Received, PostgresError> {
    let mut spool = Spool::open(folder, SEGMENT).unwrap();
    let source = source(server, spool.position().unwrap());
    receive(&source, until, options, &mut spool)
}

/// A spool that remembers what it promised.
struct Promising {
    spool: Spool,
    promised: Arc<AtomicU64>,
}

impl LogSink for Promising {
    fn history(&mut self, history: &History) -> Result<(), SinkError> {
        self.spool.history(history)
    }

    fn write(&mut self, timeline: u32, start: Lsn, bytes: &[u8]) -> Result<(), SinkError> {
        self.spool.write(timeline, start, bytes)
    }

    fn flush(&mut self) -> Result<Lsn, SinkError> {
        let flushed = self.spool.flush()?;
        self.promised.fetch_max(flushed.0, Ordering::SeqCst);
        Ok(flushed)
    }
}

/// A receiver in a thread of its own.
struct Receiving {
    thread: JoinHandle<Result<Received, PostgresError>>,
    promised: Arc<AtomicU64>,
    options: ClientOptions,
}

impl Receiving {
    fn start(server: &Server, folder: &Path) -> Receiving {
        let (options, promised) = (options(), Arc::new(AtomicU64::new(0)));
        let spool = Spool::open(folder, SEGMENT).unwrap();
        let source = source(server, spool.position().unwrap());
        let mut sink = Promising {
            spool,
            promised: Arc::clone(&promised),
        };
        let inner = options.clone();
        let thread = std::thread::spawn(move || receive(&source, Until::Stopped, &inner, &mut sink));
        Receiving {
            thread,
            promised,
            options,
        }
    }

    fn stop(self) -> Received {
        self.options.stop.store(true, Ordering::Relaxed);
        let received = self.thread.join().unwrap().unwrap();
        assert!(received.was_stopped);
        received
    }
}

/// Files of the log by name, those of the spool or of a server.
fn segments(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            files.insert(
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            );
        }
    }
    files
}

/// Every full segment of the spool is the server's, to the byte, and none is missing between the first and the last.
fn compare(server: &Server, spool: &TempDir) -> usize {
    let theirs = segments(&server.data.join("pg_wal"));
    let ours = segments(spool.path());
    let full: Vec<&String> = ours.keys().filter(|name| name.len() == 24).collect();
    for name in &full {
        assert!(ours[*name] == theirs[*name], "{name} differs");
    }
    let number = |name: &str| {
        u64::from_str_radix(&name[8..16], 16).unwrap() * 256 + u64::from_str_radix(&name[16..], 16).unwrap()
    };
    for pair in full.windows(2) {
        assert_eq!(number(pair[0]) + 1, number(pair[1]), "{pair:?}");
    }
    full.len()
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_server_is_killed() {
    let mut server = Server::start(&["synchronous_commit = off"]);
    create_slot(&server);
    let spool = folder();
    let receiving = Receiving::start(&server, spool.path());
    server.fill(5);
    let load = server.load();
    wait_until("a few segments came", || {
        fs::read_dir(spool.path()).unwrap().count() > 5
    });
    server.kill();
    drop(load);
    let error = receiving.thread.join().unwrap().unwrap_err();
    assert!(
        matches!(error, PostgresError::Lost { .. } | PostgresError::ShuttingDown { .. }),
        "{error}"
    );
    assert_eq!(error.kind(), FailureKind::Transient);

    // What was promised is on disk.
    let promised = receiving.promised.load(Ordering::SeqCst);
    let standing = Spool::open(spool.path(), SEGMENT).unwrap().position().unwrap().unwrap();
    let partial = segments(spool.path())
        .into_iter()
        .find(|(name, _)| name.ends_with(".partial"));
    let on_disk = standing.lsn.0 + partial.map_or(0, |(_, content)| content.len() as u64);
    assert!(promised > SEGMENT && promised <= on_disk, "{promised} of {on_disk}");

    server.begin();
    let slot = server
        .sql("SELECT restart_lsn FROM pg_replication_slots")
        .parse::<Lsn>()
        .unwrap();
    assert!(slot.0 <= promised, "the server may forget only what is safe here");
    let received = resume(&server, spool.path(), Until::CaughtUp, &options()).unwrap();
    assert_eq!(received.start, standing);
    assert!(received.end.lsn >= received.identity.flushed);
    assert!(compare(&server, &spool) > 3);
    // The partial one too, as far as it goes.
    let (name, content) = segments(spool.path())
        .into_iter()
        .find(|(name, _)| name.ends_with(".partial"))
        .unwrap();
    let theirs = fs::read(server.data.join("pg_wal").join(name.trim_end_matches(".partial"))).unwrap();
    let valid = usize::try_from(received.end.lsn.0 % SEGMENT).unwrap();
    assert!(content[..valid] == theirs[..valid]);
}

#[test]
fn pulls_in_a_row_give_contiguous_segments() {
    let server = Server::start(&[]);
    create_slot(&server);
    let spool = folder();
    let mut end = Lsn(0);
    for pull in 0..4 {
        server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT generate_series(1, 300000) AS n");
        let flushed = server.replication().identify_system().unwrap().flushed;
        let received = resume(&server, spool.path(), Until::CaughtUp, &options()).unwrap();
        assert!(!received.was_stopped);
        assert!(received.end.lsn >= flushed && received.end.lsn > end, "pull {pull}");
        assert!(received.start.lsn <= end || pull == 0, "no gap");
        end = received.end.lsn;
        // The server was told, so it may forget what is here.
        let slot = server
            .sql("SELECT restart_lsn FROM pg_replication_slots")
            .parse::<Lsn>()
            .unwrap();
        assert_eq!(slot, end);
    }
    assert!(compare(&server, &spool) >= 4);
    // With nothing new, a pull ends at once.
    let again = resume(&server, spool.path(), Until::CaughtUp, &options()).unwrap();
    assert!(again.end.lsn >= end);
}

#[test]
fn a_receiver_stops_when_asked_and_keeps_up_meanwhile() {
    let server = Server::start(&[]);
    create_slot(&server);
    let spool = folder();
    let receiving = Receiving::start(&server, spool.path());
    server.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n");
    let end = server.sql("SELECT pg_current_wal_lsn()").parse::<Lsn>().unwrap();
    wait_until("it is safe here", || receiving.promised.load(Ordering::SeqCst) >= end.0);
    let told = || {
        server
            .sql("SELECT flush_lsn FROM pg_stat_replication")
            .parse::<Lsn>()
            .unwrap()
    };
    wait_until("the server is told", || told() >= end);
    let received = receiving.stop();
    assert!(received.end.lsn >= end);
}

#[test]
fn a_server_shuts_down_in_order_while_its_log_is_received() {
    let mut server = Server::start(&[]);
    create_slot(&server);
    let spool = folder();
    let receiving = Receiving::start(&server, spool.path());
    server.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n");
    let end = server.sql("SELECT pg_current_wal_lsn()").parse::<Lsn>().unwrap();
    server.stop();
    let error = receiving.thread.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), FailureKind::Transient, "{error}");
    assert!(
        receiving.promised.load(Ordering::SeqCst) >= end.0,
        "all of it came before the end"
    );
}

/// A replica of a server, made from a base backup of ours.
fn replica(server: &Server) -> Server {
    let target = folder();
    let data = target.path().join("data");
    let mut backup = BaseBackup::begin(server.replication(), "replica").unwrap();
    write_out(&mut backup, &data);
    backup.finish().unwrap();
    fs::write(data.join("standby.signal"), "").unwrap();
    let mut replica = Server::over(target, data);
    let socket = server.beside("").display().to_string();
    replica.configure(&format!(
        "primary_conninfo = 'host={socket} port={} user={ADMIN}'",
        server.port
    ));
    replica.begin();
    replica
}

fn write_some(server: &Server, table: &str) -> Lsn {
    server.sql(&format!(
        "CREATE TABLE {table} AS SELECT generate_series(1, 300000) AS n"
    ));
    server.sql("SELECT pg_current_wal_flush_lsn()").parse().unwrap()
}

#[test]
fn a_promotion_is_followed_while_receiving_and_afterwards() {
    let mut server = Server::start(&[]);
    let replica = replica(&server);
    create_slot(&replica);
    let (live, later) = (folder(), folder());
    let receiving = Receiving::start(&replica, live.path());
    let before = write_some(&server, "a");
    wait_until("the replica has it", || {
        receiving.promised.load(Ordering::SeqCst) >= before.0
    });
    server.kill();
    replica.sql("SELECT pg_promote()");
    let after = write_some(&replica, "b");
    wait_until("the new timeline came", || {
        receiving.promised.load(Ordering::SeqCst) >= after.0
    });
    let received = receiving.stop();
    assert_eq!((received.start.timeline, received.end.timeline), (1, 2));
    let history = fs::read(live.path().join("00000002.history")).unwrap();
    assert_eq!(history, fs::read(replica.data.join("pg_wal/00000002.history")).unwrap());

    // From a place on the old timeline, long after it ended.
    let mut spool = Spool::open(later.path(), SEGMENT).unwrap();
    let received = receive(
        &source(&replica, Some(received.start)),
        Until::CaughtUp,
        &options(),
        &mut spool,
    )
    .unwrap();
    assert_eq!((received.start.timeline, received.end.timeline), (1, 2));
    for spool in [&live, &later] {
        let theirs = segments(&replica.data.join("pg_wal"));
        let ours = segments(spool.path());
        let full: Vec<_> = ours
            .keys()
            .filter(|name| name.starts_with("00000002") && name.len() == 24)
            .collect();
        assert!(!full.is_empty(), "{:?}", ours.keys());
        assert!(full.iter().all(|name| ours[*name] == theirs[*name]));
        assert!(
            ours.keys()
                .any(|name| name.starts_with("00000001") && name.ends_with(".partial"))
        );
    }
}

#[test]
fn log_beyond_the_place_where_a_replica_was_promoted_is_no_obstacle() {
    let mut server = Server::start(&[]);
    create_slot(&server);
    let mut replica = replica(&server);
    create_slot(&replica);
    let spool = folder();
    write_some(&server, "a");
    resume(&server, spool.path(), Until::CaughtUp, &options()).unwrap();
    replica.stop();
    write_some(&server, "b");
    let ahead = resume(&server, spool.path(), Until::CaughtUp, &options()).unwrap().end;
    server.kill();
    replica.begin();
    replica.sql("SELECT pg_promote()");
    write_some(&replica, "c");
    let received = resume(&replica, spool.path(), Until::CaughtUp, &options()).unwrap();
    assert_eq!((received.start.timeline, received.end.timeline), (2, 2));
    assert!(
        received.start.lsn < ahead.lsn,
        "it begins where the timeline branched off"
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let server = Server::start(&[]);
    let spool = folder();
    let error = resume(&server, spool.path(), Until::CaughtUp, &options()).unwrap_err();
    assert!(matches!(error, PostgresError::NoSlot { .. }), "{error}");
    create_slot(&server);
    let identity = server.replication().identify_system().unwrap();
    let mut sink = Spool::open(spool.path(), SEGMENT).unwrap();
    let mut attempt = |change: &dyn Fn(&mut LogSource)| {
        let mut source = source(&server, None);
        change(&mut source);
        receive(&source, Until::CaughtUp, &options(), &mut sink).unwrap_err()
    };
    let error = attempt(&|source| source.system_identifier = Some(identity.system_identifier + 1));
    assert!(matches!(error, PostgresError::OtherSystem { .. }), "{error}");
    let at = |timeline, lsn| {
        Some(LogPosition {
            lsn: Lsn(lsn),
            timeline,
        })
    };
    let error = attempt(&|source| source.from = at(1, 0x10_0000_0000));
    assert!(matches!(error, PostgresError::Ahead { .. }), "{error}");
    let error = attempt(&|source| source.from = at(3, SEGMENT));
    assert!(matches!(error, PostgresError::Ahead { .. }), "{error}");
    server.sql("DROP TABLE IF EXISTS t");
    server.sql("ALTER SYSTEM SET wal_keep_size = 0");
    server.sql("SELECT pg_reload_conf()");
    for _ in 0..4 {
        server.sql("CREATE TABLE t AS SELECT 1; DROP TABLE t; SELECT pg_switch_wal()");
    }
    resume(&server, folder().path(), Until::CaughtUp, &options()).unwrap();
    server.sql("CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT");
    let error = attempt(&|source| source.from = at(1, SEGMENT));
    assert!(matches!(error, PostgresError::LogGone { .. }), "{error}");
    assert_eq!(error.kind(), FailureKind::Integrity);
}
