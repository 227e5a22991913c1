//! Incremental base backups of real servers: what is stored is whole, and PostgreSQL itself is the judge.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_repository;
mod postgres_server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use holdfast_repository::pack::BlobKind;
use holdfast_repository::storage::{FileKind, FileName};
use holdfast_repository::{Id, Node, NodeKind, Repository};
use holdfast_sources::files::{RestoreOptions, restore};
use holdfast_sources::postgres::cluster::{BaseKind, ClusterBackup, FullReason, MOST_INCREMENTS, Taken};
use postgres_repository::{NAME, repository, store_as};
use postgres_server::{Server, folder, give_to_owner, program_of, run, wait_until};
use tempfile::TempDir;

const SUMMARIZING: &[&str] = &["summarize_wal = on", "autovacuum = off"];

fn start(settings: &[&str]) -> Server {
    Server::start_of(18, settings)
}

fn incremental(repository: &Repository, server: &Server) -> ClusterBackup {
    store_as(repository, server, BaseKind::Incremental)
}

fn reason(made: &ClusterBackup) -> FullReason {
    match &made.taken {
        Taken::Full(reason) => reason.clone(),
        Taken::Incremental(parent) => panic!("incremental to {parent}"),
    }
}

/// Restores the files as they are, has PostgreSQL's own tool judge them, and gives the folder.
fn restored(repository: &Repository, made: &ClusterBackup) -> (TempDir, PathBuf) {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let target = folder();
    let data = target.path().join("data");
    let options = RestoreOptions {
        subfolder: Some(PathBuf::from(format!("/{NAME}/data"))),
        ..RestoreOptions::new(&GO_ON)
    };
    let index = repository.load_index().unwrap();
    let report = restore(repository, &index, &made.report.snapshot, &data, &options).unwrap();
    assert_eq!(report.failures, []);
    give_to_owner(&data);
    run(Command::new(program_of(18, "pg_verifybackup"))
        .arg("--exit-on-error")
        .arg(&data));
    (target, data)
}

/// A server over what was restored.
fn started((target, data): (TempDir, PathBuf)) -> Server {
    let mut server = Server::over(target, data);
    server.configure("archive_mode = off");
    server.begin();
    server
}

/// Everything in every database, as statements.
fn dump(server: &Server) -> String {
    let mut dump = server.client("pg_dumpall");
    let text = run(dump.arg("--no-sync"));
    // These lines have a random word in them.
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The chunks of every file of a relation.
fn relations(repository: &Repository, made: &ClusterBackup) -> BTreeMap<PathBuf, Vec<Id>> {
    let index = repository.load_index().unwrap();
    let mut files = BTreeMap::new();
    for place in ["base", "global", "pg_tblspc"] {
        let root = PathBuf::from(format!("/{NAME}/data/{place}"));
        let tree = repository
            .find_folder(&index, &made.report.tree, &root)
            .unwrap()
            .unwrap();
        let mut folders = vec![(root, tree)];
        while let Some((folder, tree)) = folders.pop() {
            for Node {
                name,
                kind,
                subtree,
                content,
                ..
            } in repository.load_tree(&index, &tree).unwrap().nodes
            {
                let name = String::from_utf8(name).unwrap();
                let path = folder.join(&name);
                folders.extend(subtree.map(|tree| (path.clone(), tree)));
                if kind == NodeKind::File && name.as_bytes()[0].is_ascii_digit() {
                    files.insert(path, content.unwrap());
                }
            }
        }
    }
    files
}

fn fill(server: &Server) {
    server.fill(12);
    let elsewhere = server.beside("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    give_to_owner(&elsewhere);
    server.sql(&format!("CREATE TABLESPACE side LOCATION '{}'", elsewhere.display()));
    for table in [
        "kept",
        "emptied",
        "dropped",
        "shortened",
        "grown",
        "indexed",
        "moved TABLESPACE side",
    ] {
        let rows = "SELECT n, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 20000) n";
        server.sql(&format!("CREATE TABLE {table} AS {rows}"));
    }
    server.sql("CREATE DATABASE left_alone");
    server.sql("CREATE DATABASE gone");
}

fn change(server: &Server) {
    for statement in [
        "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 4001 = 0",
        "UPDATE moved SET filler = 'changed' WHERE n = 777",
        "TRUNCATE emptied",
        "DROP TABLE dropped",
        "DELETE FROM shortened WHERE n > 7001",
        "VACUUM shortened",
        "INSERT INTO grown SELECT n, 'more' FROM generate_series(1, 50000) n",
        "CREATE INDEX ON indexed (filler)",
        "CREATE TABLE young AS SELECT n FROM generate_series(1, 10000) n",
        "CREATE DATABASE new",
        "DROP DATABASE gone",
    ] {
        server.sql(statement);
    }
}

#[test]
fn an_incremental_backup_is_as_whole_as_a_full_one_and_little_of_it_comes() {
    let repository = repository();
    let server = start(SUMMARIZING);
    fill(&server);
    let first = incremental(&repository, &server);
    assert_eq!(reason(&first), FullReason::First);
    assert_eq!(first.base.received, first.base.bytes);
    let tables = "SELECT pg_relation_size('shortened') / 8192";
    let before: u64 = server.sql(tables).parse().unwrap();
    change(&server);
    let after: u64 = server.sql(tables).parse().unwrap();
    assert!(after < before / 2, "{after} of {before} pages: nothing was cut off");

    let second = incremental(&repository, &server);
    assert_eq!(second.taken, Taken::Incremental(first.report.snapshot));
    assert_eq!(second.base.damaged.count, 0);
    let full = store_as(&repository, &server, BaseKind::Full);
    assert_eq!(reason(&full), FullReason::Asked);
    let (received, bytes) = (second.base.received, full.base.bytes);
    assert!(received < bytes / 4, "{received} of {bytes}");
    let (ours, theirs) = (relations(&repository, &second), relations(&repository, &full));
    let differ = |(path, chunks): &(&PathBuf, &Vec<Id>)| theirs.get(*path) != Some(*chunks);
    let differing: Vec<_> = ours.iter().filter(differ).map(|(path, _)| path).collect();
    assert!(
        ours.len() > 900 && ours.len() == theirs.len(),
        "{} of {}",
        ours.len(),
        theirs.len()
    );
    assert_eq!(differing, [] as [&PathBuf; 0]);

    let (target, data) = restored(&repository, &second);
    let label = fs::read_to_string(data.join("backup_label")).unwrap();
    assert!(
        label.contains("START WAL LOCATION") && !label.contains("INCREMENTAL"),
        "{label}"
    );
    // A server takes no folder for a tablespace.
    let map = data.join("tablespace_map");
    let oid = fs::read_to_string(&map).unwrap().split(' ').next().unwrap().to_owned();
    let moved = target.path().join("moved");
    fs::rename(data.join("pg_tblspc").join(&oid), &moved).unwrap();
    fs::write(&map, format!("{oid} {}\n", moved.display())).unwrap();
    let copy = started((target, data));
    let place = |text: String, folder: &Path| text.replace(&folder.display().to_string(), "SIDE");
    let (copied, original) = (dump(&copy), dump(&server));
    assert!(
        place(copied, &moved) == place(original, &server.beside("elsewhere")),
        "other contents"
    );
    assert_eq!(
        copy.sql("SELECT count(*) FROM indexed WHERE filler = repeat(md5('19999'), 8)"),
        "1"
    );
}

#[test]
fn incremental_backups_follow_each_other_under_load_until_a_full_one_is_due() {
    let repository = repository();
    let server = start(SUMMARIZING);
    server.fill(2);
    let mut parent = incremental(&repository, &server).report.snapshot;
    let load = server.load();
    let mut last = None;
    for _ in 0..MOST_INCREMENTS {
        let made = incremental(&repository, &server);
        assert_eq!(made.taken, Taken::Incremental(parent));
        parent = made.report.snapshot;
        last = Some(made);
    }
    drop(load);
    assert_eq!(reason(&incremental(&repository, &server)), FullReason::Due);
    assert!(matches!(incremental(&repository, &server).taken, Taken::Incremental(_)));

    let copy = started(restored(&repository, &last.unwrap()));
    let balances = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history), \
                    (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)";
    assert_eq!(copy.sql(balances), "t|t");
    assert_eq!(copy.sql("SELECT count(*) FROM pgbench_accounts"), "200000");
}

#[test]
fn a_server_that_does_not_know_what_changed_is_read_as_a_whole() {
    let repository = repository();
    let server = start(&["wal_keep_size = 0"]);
    assert_eq!(reason(&incremental(&repository, &server)), FullReason::NotSummarized);
    let set = |value: &str| {
        server.sql(&format!("ALTER SYSTEM SET summarize_wal = {value}"));
        server.sql("SELECT pg_reload_conf()");
        wait_until("the setting is in force", || server.sql("SHOW summarize_wal") == value);
    };
    set("on");
    incremental(&repository, &server);
    let parent = incremental(&repository, &server);
    assert!(matches!(parent.taken, Taken::Incremental(_)), "{:?}", parent.taken);

    // Log that nobody summarized goes away.
    set("off");
    server.sql("CREATE TABLE unseen AS SELECT n FROM generate_series(1, 1000) n");
    let is_there = |name: &str| server.data.join("pg_wal").join(name).exists();
    let segment = server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    wait_until("the log is gone", || {
        server.sql("SELECT pg_switch_wal()");
        server.sql("INSERT INTO unseen VALUES (0)");
        server.sql("CHECKPOINT");
        !is_there(&segment)
    });
    set("on");
    let made = incremental(&repository, &server);
    let FullReason::Refused(said) = reason(&made) else {
        panic!("{:?}", made.taken)
    };
    assert!(said.contains("WAL summaries are required"), "{said}");
    let made = incremental(&repository, &server);
    assert!(matches!(made.taken, Taken::Incremental(_)), "{:?}", made.taken);
    let copy = started(restored(&repository, &made));
    let count = "SELECT count(*) FROM unseen";
    assert_eq!(copy.sql(count), server.sql(count));
}

#[test]
fn older_versions_say_why_everything_is_read() {
    let repository = repository();
    let server = Server::start_of(16, &[]);
    let made = incremental(&repository, &server);
    assert_eq!(reason(&made), FullReason::Version { major: 16 });
    assert!(reason(&made).to_string().contains("version 17 is the first"));
}

#[test]
fn a_chunk_that_is_needed_and_cannot_be_read_leads_to_a_full_backup() {
    let repository = repository();
    let server = start(SUMMARIZING);
    server.fill(2);
    let first = incremental(&repository, &server);
    let path = server.sql("SELECT pg_relation_filepath('pgbench_accounts')");
    let chunks = &relations(&repository, &first)[&PathBuf::from(format!("/{NAME}/data/{path}"))];
    let index = repository.load_index().unwrap();
    let place = index.lookup(BlobKind::Data, &chunks[3]).unwrap();
    let file = FileName::Object(FileKind::Data, place.pack);
    repository.storage().delete(&file).unwrap();

    // A page of the fourth chunk changes, and the others in it come from the repository.
    server.sql("UPDATE pgbench_accounts SET abalance = 7 WHERE ctid = '(13,1)'");
    let second = incremental(&repository, &server);
    let FullReason::Unreadable(said) = reason(&second) else {
        panic!("{:?}", second.taken)
    };
    // Other chunks of the pack may be asked for before it.
    assert!(said.contains(&place.pack.to_string()), "{said}");
    let now = &relations(&repository, &second)[&PathBuf::from(format!("/{NAME}/data/{path}"))];
    let index = repository.load_index().unwrap();
    let page = repository.load_blob(&index, BlobKind::Data, &now[3]).unwrap();
    let disk = fs::read(server.data.join(&path)).unwrap();
    assert!(page == disk[3 * 32768..4 * 32768], "not what is on disk");
    assert_eq!(repository.snapshots().unwrap().len(), 2);
}
