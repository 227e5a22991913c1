//! The database file: what outlives the process, and what is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind, FunctionName, Span};
use holdfast_core::ports::{Catalog, Draft, Inserted, Key, Queue, Wake};
use holdfast_local::{Database, SqliteCatalog, SqliteQueue, SystemClock};
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

fn key(sort: &str) -> Key {
    Key {
        partition: "P".to_owned(),
        sort: sort.to_owned(),
    }
}

fn draft(sort: &str) -> Draft {
    Draft {
        key: key(sort),
        body: json!({"n": 1}),
        wake: Some(Wake {
            status: "job".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }),
    }
}

fn refused(path: &Path) -> Failure {
    let Err(failure) = Database::open(path) else {
        panic!("the file is refused");
    };
    assert!(failure.message.contains(&path.display().to_string()), "{failure}");
    failure
}

#[tokio::test]
async fn records_and_messages_outlive_the_process() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    {
        let database = Database::open(&path).expect("a database");
        let catalog = SqliteCatalog::new(database.clone());
        assert_eq!(catalog.insert(draft("a")).await.expect("insert"), Inserted::Created);
        catalog.replace(draft("a"), 1).await.expect("replace");
        let queue = SqliteQueue::new(database, Arc::new(SystemClock));
        queue
            .send(FunctionName::Verifier, "body", Span::seconds(0))
            .await
            .expect("send");
    }
    let database = Database::open(&path).expect("the same database");
    let stored = SqliteCatalog::new(database.clone()).get(&key("a")).await.expect("get");
    assert_eq!(
        stored.map(|entry| (entry.version, entry.body)),
        Some((2, json!({"n": 1})))
    );
    let queue = SqliteQueue::new(database, Arc::new(SystemClock));
    let deliveries = queue
        .receive(FunctionName::Verifier, 10, Span::minutes(1))
        .await
        .expect("receive");
    assert_eq!(deliveries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_threads_that_count_one_record_up_none_is_lost() {
    let folder = TempDir::new().expect("a folder");
    let catalog = SqliteCatalog::new(Database::open(folder.path().join("holdfast.db")).expect("a database"));
    catalog.insert(draft("counter")).await.expect("insert");
    let count_up = |catalog: SqliteCatalog| async move {
        let mut done = 0;
        while done < 25 {
            let version = catalog
                .get(&key("counter"))
                .await
                .expect("get")
                .expect("the record")
                .version;
            match catalog.replace(draft("counter"), version).await {
                Ok(()) => done += 1,
                Err(failure) => assert_eq!(failure.kind, FailureKind::Conflict, "{failure}"),
            }
        }
    };
    let workers: Vec<_> = (0..4).map(|_| tokio::spawn(count_up(catalog.clone()))).collect();
    for worker in workers {
        worker.await.expect("a worker");
    }
    let stored = catalog.get(&key("counter")).await.expect("get").expect("the record");
    assert_eq!(stored.version, 101);
}

#[test]
fn only_the_owner_can_read_the_database() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    let _database = Database::open(&path).expect("a database");
    for entry in fs::read_dir(folder.path()).expect("a listing") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    let foreign = Connection::open(&path).expect("a database");
    foreign
        .execute_batch("CREATE TABLE songs (name TEXT)")
        .expect("a table");
    drop(foreign);
    let before = fs::read(&path).expect("the file");
    assert_eq!(refused(&path).kind, FailureKind::Invalid);
    assert_eq!(fs::read(&path).expect("the file"), before);
}

#[test]
fn the_database_of_a_newer_holdfast_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    drop(Database::open(&path).expect("a database"));
    let newer = Connection::open(&path).expect("the database");
    newer.pragma_update(None, "user_version", 99).expect("a newer layout");
    drop(newer);
    let failure = refused(&path);
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("newer"), "{failure}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    let text = "not a database, only text that is long enough to be mistaken for a header. ".repeat(100);
    fs::write(&path, &text).expect("a file");
    assert_eq!(refused(&path).kind, FailureKind::Integrity);
    assert_eq!(fs::read_to_string(&path).expect("the file"), text);
}

#[tokio::test]
async fn a_damaged_page_is_an_integrity_failure_that_names_the_file() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    {
        let catalog = SqliteCatalog::new(Database::open(&path).expect("a database"));
        for n in 0..200 {
            catalog.insert(draft(&format!("{n:05}"))).await.expect("insert");
        }
    }
    let mut bytes = fs::read(&path).expect("the file");
    assert!(bytes.len() > 8 * 4096, "several pages in the main file");
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).expect("damage");
    let failure = match Database::open(&path) {
        Err(failure) => failure,
        Ok(database) => {
            let catalog = SqliteCatalog::new(database);
            catalog.list("P", "").await.expect_err("the records are damaged")
        }
    };
    assert_eq!(failure.kind, FailureKind::Integrity, "{failure}");
    assert!(failure.message.contains("holdfast.db"), "{failure}");
}

#[tokio::test]
async fn a_record_that_somebody_edited_badly_is_named() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    let catalog = SqliteCatalog::new(Database::open(&path).expect("a database"));
    catalog.insert(draft("a")).await.expect("insert");
    let editor = Connection::open(&path).expect("the database");
    editor
        .execute("UPDATE records SET body = '{oops'", [])
        .expect("an edit");
    let failure = catalog.get(&key("a")).await.expect_err("no JSON");
    assert_eq!(failure.kind, FailureKind::Integrity);
    assert!(failure.message.contains("P/a"), "{failure}");
}

#[tokio::test]
async fn a_database_that_another_program_holds_is_a_passing_failure_that_changes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("holdfast.db");
    let catalog = SqliteCatalog::new(Database::open(&path).expect("a database"));
    let other = Connection::open(&path).expect("the database");
    other.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    let failure = catalog.insert(draft("a")).await.expect_err("held");
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    other.execute_batch("ROLLBACK").expect("let go");
    assert_eq!(catalog.insert(draft("a")).await.expect("insert"), Inserted::Created);
}
