//! Databases and tables out of backups of whole clusters, judged by PostgreSQL's own programs.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_repository;
mod postgres_server;

use std::fs;
use std::path::Path;

use holdfast_core::domain::FailureKind;
use holdfast_repository::{NoProgress, Repository};
use holdfast_sources::postgres::extract::{Destination, ExtractError, ExtractRequest, Extracted, extract};
use holdfast_sources::postgres::isolated::Request;
use holdfast_sources::postgres::recovery::{Recovery, RecoveryWords};

use postgres_repository::{NAME, repository, store};
use postgres_server::{ADMIN, Server, folder, options, program, run};

const TABLES: &str = "
    CREATE SCHEMA \"Odd.Name\";
    CREATE TABLE orders (id int PRIMARY KEY, text text);
    CREATE TABLE \"Odd.Name\".\"it's\" (id int);
    CREATE TABLE \"Odd.Name\".orders (id int);
    CREATE TABLE parts (id int, day date) PARTITION BY RANGE (id);
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (20);
    INSERT INTO orders SELECT g, repeat('x', g % 100) FROM generate_series(1, 20000) g;
    INSERT INTO \"Odd.Name\".\"it's\" VALUES (7);
    INSERT INTO parts SELECT g, '2026-01-01' FROM generate_series(0, 19) g;
    CREATE ROLE clerk;
    ALTER TABLE parts OWNER TO clerk;";

fn shop(server: &Server, statement: &str) -> String {
    let mut psql = server.client("psql");
    run(psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", "shop", "-c", statement]))
}

/// What a test varies.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    database: &'a str,
    tables: &'a [&'a str],
    to: Destination<'a>,
    without_owners: bool,
    programs: Option<&'a Path>,
}

impl<'a> Wanted<'a> {
    fn of(tables: &'a [&'a str], to: Destination<'a>) -> Wanted<'a> {
        Wanted {
            database: "shop",
            tables,
            to,
            without_owners: false,
            programs: None,
        }
    }
}

fn extracted(repository: &Repository, place: &Path, wanted: Wanted<'_>) -> Result<Extracted, ExtractError> {
    let tables: Vec<String> = wanted.tables.iter().map(|table| (*table).to_owned()).collect();
    extract(&ExtractRequest {
        cluster: Request {
            repository,
            index: &repository.load_index().unwrap(),
            resource: NAME,
            recovery: &Recovery::parse(&RecoveryWords::default()).unwrap(),
            base: None,
            folder: place,
            programs: wanted.programs,
            superuser: ADMIN,
            workers: 2,
            progress: &NoProgress,
            client: &options(),
        },
        database: wanted.database,
        tables: &tables,
        to: wanted.to,
        without_owners: wanted.without_owners,
    })
}

#[test]
fn a_database_and_tables_of_it_come_out_of_a_backup() {
    let server = Server::start(&[]);
    server.sql("CREATE DATABASE shop");
    shop(&server, TABLES);
    let repository = repository();
    store(&repository, &server);
    let place = folder();
    let out = |name: &str| place.path().join(name);

    // Chosen tables as statements.
    let file = out("some.sql");
    let wanted = ["public.parts", "it's"];
    let some = extracted(&repository, place.path(), Wanted::of(&wanted, Destination::File(&file))).unwrap();
    let names = [
        "\"Odd.Name\".\"it's\"",
        "\"public\".\"parts\"",
        "\"public\".\"parts_high\"",
        "\"public\".\"parts_low\"",
    ];
    assert_eq!(some.tables, names);
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("COPY public.parts_high") && text.contains("COPY \"Odd.Name\".\"it's\""),
        "{text}"
    );
    assert!(!text.contains("public.orders"), "{text}");

    // The whole database as an archive.
    let archive = out("out.dump");
    extracted(&repository, place.path(), Wanted::of(&[], Destination::File(&archive))).unwrap();
    server.sql("CREATE DATABASE again");
    let mut restore = server.client("pg_restore");
    run(restore.args(["--exit-on-error", "-d", "again"]).arg(&archive));
    let count = |database: &str| {
        let mut psql = server.client("psql");
        run(psql.args([
            "-XAtq",
            "-d",
            database,
            "-c",
            "SELECT count(*), sum(length(text)) FROM orders",
        ]))
    };
    assert_eq!(count("again"), count("shop"));

    // Straight into another server, which lacks the roles.
    let other = Server::start(&[]);
    let address = other.address(ADMIN);
    let into = |owners: bool| {
        let wanted = Wanted::of(&["public.parts"], Destination::Server(&address));
        let without_owners = !owners;
        extracted(
            &repository,
            place.path(),
            Wanted {
                without_owners,
                ..wanted
            },
        )
    };
    let error = into(true).unwrap_err().to_string();
    assert!(
        error.contains("pg_restore failed") && error.contains("clerk"),
        "{error}"
    );
    assert_eq!(
        other.sql("SELECT to_regclass('public.parts') IS NULL"),
        "t",
        "all of it or nothing"
    );
    into(false).unwrap();
    assert_eq!(other.sql("SELECT count(*), sum(id) FROM parts"), "20|190");
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "both files, and nothing of the private servers");
}

#[test]
fn what_is_not_there_is_named() {
    let server = Server::start(&[]);
    server.sql("CREATE DATABASE shop");
    shop(&server, TABLES);
    let repository = repository();
    store(&repository, &server);
    let place = folder();
    let file = place.path().join("out.dump");
    let all = Wanted::of(&[], Destination::File(&file));
    let refused = |wanted: Wanted<'_>| {
        let error = extracted(&repository, place.path(), wanted).unwrap_err();
        assert_eq!(error.kind(), FailureKind::Invalid, "{error}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        error.to_string()
    };
    let database = "shops";
    assert_eq!(
        refused(Wanted { database, ..all }),
        "the cluster has no database shops: it has postgres, shop, template1"
    );
    let tables: &[&str] = &["order"];
    let unknown = refused(Wanted { tables, ..all });
    assert!(
        unknown.starts_with("database shop has no table order: it has Odd.Name.it's, "),
        "{unknown}"
    );
    let tables: &[&str] = &["orders"];
    assert_eq!(
        refused(Wanted { tables, ..all }),
        "orders may be Odd.Name.orders or public.orders: name the schema, too"
    );
    // A folder with the server's program alone.
    let folder = folder();
    std::os::unix::fs::symlink(program("postgres"), folder.path().join("postgres")).unwrap();
    let programs = Some(folder.path());
    let error = refused(Wanted { programs, ..all });
    assert!(error.contains("has no pg_dump: install postgresql-15"), "{error}");
    fs::write(&file, "somebody's").unwrap();
    let error = extracted(&repository, place.path(), all).unwrap_err();
    assert!(matches!(error, ExtractError::Exists(path) if path == file));
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
}
