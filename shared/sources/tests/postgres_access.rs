//! How clients get into a real server, and how they are told why not.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod postgres_server;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_core::domain::FailureKind;
use holdfast_sources::postgres::{
    Address, Connection, Expectations, PostgresError, Problem, Purpose, ServerFacts, find_problems,
};
use postgres_server::{ADMIN, Server, give_to_owner, options, run, wait_until};

fn open(address: &Address, purpose: Purpose) -> Result<Connection, PostgresError> {
    Connection::open(address, purpose, &options())
}

fn who(connection: &mut Connection) -> String {
    let row = connection.query_one("SELECT current_user, NULL").unwrap();
    assert_eq!(row.text(1), None);
    row.text(0).unwrap().to_owned()
}

#[test]
fn passwords_are_proven_in_every_way() {
    let server = Server::start(&[]);
    server.sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE s LOGIN PASSWORD 'swordfish'");
    server.sql("SET password_encryption = 'md5'; CREATE ROLE m LOGIN PASSWORD 'swordfish'");
    server.admit(&[
        "host all s 127.0.0.1/32 scram-sha-256",
        "host all m 127.0.0.1/32 md5",
        "host all c 127.0.0.1/32 password",
    ]);
    server.sql("CREATE ROLE c LOGIN PASSWORD 'swordfish'");
    for role in ["s", "m", "c"] {
        let address = server.tcp(&format!("user={role} password=swordfish"));
        assert_eq!(who(&mut open(&address, Purpose::Sql).unwrap()), role);

        let error = open(&server.tcp(&format!("user={role} password=sardine")), Purpose::Sql)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, PostgresError::WrongPassword { .. }), "{role}: {error}");
        assert_eq!(error.kind(), FailureKind::Denied);
        assert!(!format!("{error} {error:?}").contains("sardine"));

        let error = open(&server.tcp(&format!("user={role}")), Purpose::Sql)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, PostgresError::NoPassword { .. }), "{role}: {error}");
    }
}

#[test]
fn what_the_server_does_not_allow_is_named() {
    let server = Server::start(&["max_wal_senders = 1"]);
    server.sql("CREATE ROLE plain LOGIN");
    server.sql("CREATE ROLE backup LOGIN REPLICATION");
    server.admit(&["host postgres all 127.0.0.1/32 trust"]);

    let error = open(&server.tcp("user=backup"), Purpose::Replication)
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, PostgresError::NotAdmitted { .. }), "{error}");
    assert!(error.to_string().contains("pg_hba.conf"), "{error}");

    // Versions from 17 on count a connection that they refuse for a moment.
    let settled = |role| {
        let mut outcome = None;
        wait_until("refused connections are gone", || {
            let opened = open(&server.address(role), Purpose::Replication);
            outcome = Some(opened).filter(|opened| !matches!(opened, Err(PostgresError::Full { .. })));
            outcome.is_some()
        });
        outcome.unwrap()
    };
    let error = settled("plain").map(|_| ()).unwrap_err();
    assert!(matches!(error, PostgresError::NotPermitted { .. }), "{error}");
    assert!(error.to_string().contains("ALTER ROLE plain REPLICATION"), "{error}");

    let only = settled("backup").unwrap();
    let error = open(&server.address("backup"), Purpose::Replication)
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, PostgresError::Full { .. }), "{error}");
    assert_eq!(error.kind(), FailureKind::Throttled);
    drop(only);

    let nowhere = server.address("backup");
    let nowhere = Address {
        database: "nowhere".to_owned(),
        ..nowhere
    };
    let error = open(&nowhere, Purpose::Sql).map(|_| ()).unwrap_err();
    assert!(matches!(error, PostgresError::Missing { .. }), "{error}");
}

#[test]
fn an_error_leaves_the_connection_usable() {
    let server = Server::start(&[]);
    let mut connection = open(&server.address(ADMIN), Purpose::Sql).unwrap();
    let error = connection.query("SELECT 1/0").map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("division by zero (SQLSTATE 22012)"),
        "{error}"
    );
    assert_eq!(who(&mut connection), ADMIN);
}

#[test]
fn hosts_are_tried_in_order() {
    let server = Server::start(&[]);
    server.admit(&["host all all 127.0.0.1/32 trust"]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (first, port) = (format!("127.0.0.1:{nobody}"), server.port);
    let address = Address::parse(&format!("postgresql://{ADMIN}@{first},127.0.0.1:{port}/postgres")).unwrap();
    assert_eq!(who(&mut open(&address, Purpose::Sql).unwrap()), ADMIN);

    let address = Address::parse(&format!("postgresql://{ADMIN}@{first},{first}/postgres")).unwrap();
    let error = open(&address, Purpose::Sql).map(|_| ()).unwrap_err();
    assert!(matches!(error, PostgresError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&first), "{error}");
}

#[test]
fn who_is_no_postgresql_server_is_found_out() {
    for (says, expected) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "not the protocol of PostgreSQL",
        ),
        (b"N", "connection lost"),
        (b"SHTTP", "TLS fails"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let other = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 8]).unwrap();
            stream.write_all(says).unwrap();
            let _ = stream.read(&mut [0; 1000]);
        });
        let address = Address::parse(&format!("host=127.0.0.1 port={port} user=u connect_timeout=5")).unwrap();
        let error = open(&address, Purpose::Sql).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        other.join().unwrap();
    }
    // Somebody who says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = Address::parse(&format!("host=127.0.0.1 port={port} user=u connect_timeout=1")).unwrap();
    let error = open(&address, Purpose::Sql).map(|_| ()).unwrap_err();
    assert!(matches!(error, PostgresError::Silent { seconds: 1, .. }), "{error}");
}

/// An authority and a certificate of it for a name, by the openssl program.
struct Authority {
    root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

fn authority(folder: &Path, name: &str) -> Authority {
    let at = |end: &str| folder.join(format!("{name}.{end}"));
    let openssl = |arguments: &[&str]| run(Command::new("openssl").args(arguments).current_dir(folder));
    let (root, root_key) = (format!("{name}.root.crt"), format!("{name}.root.key"));
    let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &format!("/CN=Authority of {name}"),
        "-keyout",
        &root_key,
        "-out",
        &root,
    ]);
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=server",
        "-keyout",
        &key,
        "-out",
        &request,
    ]);
    std::fs::write(at("ext"), format!("subjectAltName=DNS:{name}\n")).unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-days",
        "2",
        "-sha384",
        "-CA",
        &root,
        "-CAkey",
        &root_key,
        "-CAcreateserial",
        "-extfile",
        &format!("{name}.ext"),
        "-out",
        &certificate,
    ]);
    Authority {
        root: at("root.crt"),
        certificate: at("crt"),
        key: at("key"),
    }
}

#[test]
fn tls_looks_at_the_other_side_as_far_as_sslmode_says() {
    let mut server = Server::start(&[]);
    server.sql("CREATE ROLE s LOGIN REPLICATION PASSWORD 'swordfish'");
    server.admit(&["host all s 127.0.0.1/32 scram-sha-256"]);
    let with = |server: &Server, more: &str| server.tcp(&format!("user=s password=swordfish {more}"));

    let error = open(&with(&server, "sslmode=require"), Purpose::Sql)
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, PostgresError::NoTls { .. }), "{error}");
    assert!(
        !open(&with(&server, "sslmode=prefer"), Purpose::Sql)
            .unwrap()
            .is_encrypted()
    );

    let folder = server.beside("tls");
    std::fs::create_dir(&folder).unwrap();
    let mine = authority(&folder, "localhost");
    let other = authority(&folder, "other");
    std::fs::set_permissions(&mine.key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    give_to_owner(&folder);
    server.configure("ssl = on");
    server.configure(&format!("ssl_cert_file = '{}'", mine.certificate.display()));
    server.configure(&format!("ssl_key_file = '{}'", mine.key.display()));
    server.stop();
    server.begin();
    server.admit(&[
        "hostssl all s 127.0.0.1/32 scram-sha-256",
        "hostssl replication s 127.0.0.1/32 scram-sha-256",
    ]);

    let root = mine.root.display().to_string();
    let other = other.root.display().to_string();
    let named = |more: &str| {
        let address = format!("host=localhost port={} user=s password=swordfish {more}", server.port);
        Address::parse(&address).unwrap()
    };
    for address in [
        with(&server, "sslmode=prefer"),
        with(&server, "sslmode=require"),
        with(&server, &format!("sslmode=verify-ca sslrootcert={root}")),
        named(&format!("sslmode=verify-full sslrootcert={root}")),
    ] {
        let mut connection = open(&address, Purpose::Sql).unwrap();
        assert!(connection.is_encrypted());
        assert_eq!(who(&mut connection), "s");
        open(&address, Purpose::Replication).unwrap().identify_system().unwrap();
    }
    for (address, expected) in [
        (
            with(&server, &format!("sslmode=verify-full sslrootcert={root}")),
            "not valid for name",
        ),
        (
            with(&server, &format!("sslmode=verify-ca sslrootcert={other}")),
            "UnknownIssuer",
        ),
        (
            with(&server, &format!("sslmode=require sslrootcert={other}")),
            "UnknownIssuer",
        ),
        (
            named(&format!("sslmode=verify-full sslrootcert={other}")),
            "UnknownIssuer",
        ),
        (named("sslmode=verify-full sslrootcert=/nowhere.pem"), "/nowhere.pem"),
        (named("sslmode=disable"), "no encryption"),
    ] {
        let error = open(&address, Purpose::Sql).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn facts_tell_what_stands_in_the_way() {
    let server = Server::start(&[]);
    let mut connection = server.replication();
    connection.create_slot(&"holdfast".parse().unwrap()).unwrap();
    let error = connection.create_slot(&"holdfast".parse().unwrap()).unwrap_err();
    assert!(matches!(error, PostgresError::Exists { .. }), "{error}");
    let facts = ServerFacts::ask(&server.address(ADMIN), &options()).unwrap();
    assert_eq!(facts.version / 10_000, connection.major());
    assert_eq!((facts.segment_bytes, facts.has_checksums), (16 << 20, true));
    assert_eq!(facts.identity.timeline, 1);
    assert!(facts.role.is_superuser && !facts.is_in_recovery);
    let [slot] = &facts.slots[..] else {
        panic!("{:?}", facts.slots)
    };
    assert_eq!((slot.name.as_str(), slot.is_active), ("holdfast", false));
    let expected = |slot: &str, most_lag_bytes| Expectations {
        slot: Some(slot.parse().unwrap()),
        most_lag_bytes,
    };
    assert_eq!(find_problems(&facts, &expected("holdfast", Some(16 << 20))), []);
    let missing = Problem::NoSlot {
        slot: "other".to_owned(),
    };
    assert_eq!(find_problems(&facts, &expected("other", None)), [missing]);

    server.sql("CREATE TABLE t AS SELECT generate_series(1, 10000) AS n");
    let facts = ServerFacts::ask(&server.address(ADMIN), &options()).unwrap();
    let problems = find_problems(&facts, &expected("holdfast", Some(1000)));
    assert!(
        matches!(problems[..], [Problem::SlotLags { most: 1000, .. }]),
        "{problems:?}"
    );
    connection.drop_slot(&"holdfast".parse().unwrap()).unwrap();
    let error = connection.drop_slot(&"holdfast".parse().unwrap()).unwrap_err();
    assert!(matches!(error, PostgresError::Missing { .. }), "{error}");
}

#[test]
fn a_slot_whose_log_is_lost_is_named() {
    let server = Server::start(&[
        "wal_keep_size = 0",
        "max_slot_wal_keep_size = '16MB'",
        "min_wal_size = '32MB'",
        "max_wal_size = '48MB'",
    ]);
    server.replication().create_slot(&"holdfast".parse().unwrap()).unwrap();
    for _ in 0..6 {
        server.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n; DROP TABLE t; SELECT pg_switch_wal()");
    }
    server.sql("CHECKPOINT");
    let facts = ServerFacts::ask(&server.address(ADMIN), &options()).unwrap();
    let expected = Expectations {
        slot: Some("holdfast".parse().unwrap()),
        most_lag_bytes: None,
    };
    let problems = find_problems(&facts, &expected);
    assert_eq!(
        problems,
        [Problem::SlotLost {
            slot: "holdfast".to_owned()
        }],
        "{facts:?}"
    );
    assert!(problems[0].is_blocking());
}
