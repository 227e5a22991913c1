//! Logical exports of a server that allows no replication, while it is written to, and what comes back of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_repository;
mod postgres_server;

use std::sync::atomic::AtomicBool;

use holdfast_core::domain::FailureKind;
use holdfast_repository::backup::BackupOptions;
use holdfast_repository::{NoProgress, Repository};
use holdfast_sources::postgres::Address;
use holdfast_sources::postgres::logical::{
    ExportReport, ExportRequest, ImportReport, ImportRequest, LogicalError, Table, export, exports, import,
};
use jiff::Timestamp;

use postgres_repository::{NAME, repository};
use postgres_server::{ADMIN, Server, options, run, wait_until};

static GO_ON: AtomicBool = AtomicBool::new(false);

/// A role that may read and nothing else.
const READER: &str = "CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader";

fn exported(repository: &Repository, address: &Address) -> Result<ExportReport, LogicalError> {
    let stored = BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, &GO_ON);
    export(&ExportRequest {
        repository,
        resource: NAME,
        address,
        programs: None,
        workers: 3,
        client: &options(),
        options: &stored,
    })
}

fn imported(
    repository: &Repository,
    tables: &[&str],
    address: &Address,
    owners: bool,
) -> Result<ImportReport, LogicalError> {
    let tables: Vec<String> = tables.iter().map(|table| (*table).to_owned()).collect();
    import(&ImportRequest {
        repository,
        index: &repository.load_index().unwrap(),
        resource: NAME,
        database: "postgres",
        export: None,
        tables: &tables,
        address,
        without_owners: !owners,
        programs: None,
        workers: 3,
        client: &options(),
    })
}

fn database(server: &Server, name: &str) -> Address {
    Address {
        database: name.to_owned(),
        ..server.address(ADMIN)
    }
}

fn sql(server: &Server, database: &str, statement: &str) -> String {
    let mut psql = server.client("psql");
    run(psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]))
}

/// What pgbench keeps equal in each of its transactions.
const SUMS: &str = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), \
    (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)";

#[test]
fn an_export_under_load_is_of_one_moment_and_needs_no_replication() {
    let server = Server::start(&["max_wal_senders = 0", "wal_level = minimal"]);
    server.fill(2);
    server.sql(READER);
    let repository = repository();
    let load = server.load();
    wait_until("something was written", || {
        server.sql("SELECT count(*) > 500 FROM pgbench_history") == "t"
    });
    let report = exported(&repository, &server.address("reader")).unwrap();
    drop(load);
    let tables: Vec<String> = report.manifest.tables.iter().map(Table::full_name).collect();
    let names = ["accounts", "branches", "history", "tellers"].map(|name| format!("public.pgbench_{name}"));
    assert_eq!(tables, names);
    assert_eq!(report.manifest.left_out, [] as [String; 0]);

    server.sql("CREATE DATABASE again");
    let back = imported(&repository, &[], &database(&server, "again"), true).unwrap();
    assert_eq!(back.tables, 4);
    assert_eq!(
        back.rows,
        report.manifest.tables.iter().map(|table| table.rows).sum::<u64>()
    );
    let sums = sql(&server, "again", SUMS);
    let sums: Vec<&str> = sums.split('|').collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    assert_ne!(sums[0], "0");
    assert_eq!(
        sql(
            &server,
            "again",
            "SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'"
        ),
        "3"
    );
}

#[test]
fn what_did_not_change_is_not_stored_again() {
    let server = Server::start(&[]);
    server.sql("CREATE TABLE big AS SELECT g AS id, md5(g::text) || md5((g + 1)::text) AS text FROM generate_series(1, 200000) g");
    let repository = repository();
    let first = exported(&repository, &server.address(ADMIN))
        .unwrap()
        .report
        .summary
        .data_added;
    let again = exported(&repository, &server.address(ADMIN))
        .unwrap()
        .report
        .summary
        .data_added;
    server.sql("INSERT INTO big SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
    let third = exported(&repository, &server.address(ADMIN))
        .unwrap()
        .report
        .summary
        .data_added;
    assert!(first > 14_000_000, "{first}");
    assert!(again < 100_000, "{again}: the definitions and the manifest");
    assert!(third < 6_000_000, "{third}: the last part");
    let known = exports(&repository, NAME).unwrap();
    assert_eq!(known.len(), 3);
    assert!(known.iter().all(|export| export.database == "postgres"));
}

const SHOP: &str = r#"
    CREATE SCHEMA "Odd.Name";
    CREATE TABLE orders (id serial PRIMARY KEY, text text, twice int GENERATED ALWAYS AS (length(text) * 2) STORED,
        at timestamptz DEFAULT now(), bytes bytea, share double precision, span interval);
    CREATE TABLE lines (id int GENERATED ALWAYS AS IDENTITY, "order" int REFERENCES orders, "it's" jsonb);
    CREATE INDEX lines_order ON lines ("order");
    CREATE TABLE "Odd.Name"."a b" (id int CHECK (id > 0));
    CREATE TABLE parts (id int, day date) PARTITION BY RANGE (id);
    CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE nothing ();
    INSERT INTO nothing DEFAULT VALUES;
    INSERT INTO orders (text, bytes, share, span) VALUES
        (E'tab\t line\n back\\slash', '\x00ff0a5c', 0.1, '1 day 2 hours'), (NULL, '', 'NaN', '-3 mons'), ('\.', NULL, 1e-300, NULL);
    INSERT INTO lines ("order", "it's") SELECT 1 + g % 3, '{"a": "\n"}' FROM generate_series(1, 1000) g;
    INSERT INTO "Odd.Name"."a b" VALUES (7);
    INSERT INTO parts SELECT g, '2026-01-01' FROM generate_series(0, 9) g;
    CREATE MATERIALIZED VIEW totals AS SELECT "order", count(*) FROM lines GROUP BY 1;
    CREATE MATERIALIZED VIEW most AS SELECT max(count) FROM totals;
    CREATE SEQUENCE alone START 40;
    SELECT nextval('alone');
    CREATE ROLE clerk;
    ALTER TABLE lines OWNER TO clerk;"#;

const CONTENT: &str = r#"SELECT (SELECT string_agg(orders::text, ';' ORDER BY id) FROM orders),
    (SELECT md5(string_agg(lines::text, ';' ORDER BY id)) FROM lines), (SELECT count(*) FROM parts),
    (SELECT id FROM "Odd.Name"."a b"), (SELECT count(*) FROM nothing), (SELECT max FROM most), nextval('alone'),
    nextval('orders_id_seq'), (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'),
    (SELECT count(*) FROM pg_constraint WHERE contype = 'f')"#;

#[test]
fn all_of_a_database_comes_back_or_chosen_tables() {
    let server = Server::start(&[]);
    server.sql(SHOP);
    server.sql("SELECT lo_create(0)");
    let repository = repository();
    let report = exported(&repository, &server.address(ADMIN)).unwrap();
    assert_eq!(report.manifest.left_out, ["1 large objects: they are not exported"]);

    server.sql("CREATE DATABASE again");
    imported(&repository, &[], &database(&server, "again"), true).unwrap();
    assert_eq!(sql(&server, "again", CONTENT), server.sql(CONTENT));
    let error = imported(&repository, &[], &database(&server, "again"), true)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pg_restore failed") && error.contains("already exists"),
        "{error}"
    );

    // On a server without the roles.
    let other = Server::start(&[]);
    let into = other.address(ADMIN);
    let error = imported(&repository, &["lines"], &into, true).unwrap_err().to_string();
    assert!(error.contains("clerk"), "{error}");
    let back = imported(&repository, &["lines", "orders", "Odd.Name.a b"], &into, false).unwrap();
    assert_eq!((back.tables, back.rows), (3, 1004));
    let rows =
        r#"SELECT (SELECT md5(string_agg(lines::text, ';' ORDER BY id)) FROM lines), (SELECT count(*) FROM orders)"#;
    assert_eq!(other.sql(rows), server.sql(rows));
    assert_eq!(
        other.sql("SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'public'"),
        "lines_order,orders_pkey"
    );
    assert_eq!(
        other.sql("INSERT INTO orders (text) VALUES ('x') RETURNING id, twice"),
        "4|2",
        "sequences go on"
    );
    assert_eq!(other.sql("INSERT INTO lines DEFAULT VALUES RETURNING id"), "1001");
    assert_eq!(other.sql("SELECT to_regclass('parts') IS NULL"), "t");
    let unknown = imported(&repository, &["line"], &into, false).unwrap_err();
    assert_eq!(unknown.kind(), FailureKind::Invalid);
    server.sql("CREATE TABLE \"Odd.Name\".lines ()");
    exported(&repository, &server.address(ADMIN)).unwrap();
    let twice = imported(&repository, &["lines"], &into, false).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "lines may be Odd.Name.lines or public.lines: name the schema, too"
    );
    assert!(
        unknown
            .to_string()
            .contains("no table line: it has Odd.Name.a b, public.lines"),
        "{unknown}"
    );
}

#[test]
fn rows_that_a_role_may_not_see_are_an_error() {
    let server = Server::start(&[]);
    server.sql(READER);
    server.sql("CREATE TABLE orders (id int); ALTER TABLE orders ENABLE ROW LEVEL SECURITY");
    let repository = repository();
    let error = exported(&repository, &server.address("reader")).unwrap_err();
    assert!(error.to_string().contains("row-level security"), "{error}");
    assert_eq!(exports(&repository, NAME).unwrap(), []);
    assert_eq!(repository.snapshots().unwrap().len(), 0);
}
