//! Connection strings as people write them.

use super::*;

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn both_forms_say_the_same() {
    let pairs = Address::parse(
        r"host=db.example port=6000 user='back up' password='it\'s \\ secret' dbname=app sslmode=verify-full
          sslrootcert = /etc/root.pem connect_timeout=7 application_name=nightly",
    );
    let uri = Address::parse(
        "postgresql://back%20up:it's%20%5C%20secret@db.example:6000/app?sslmode=verify-full\
         &sslrootcert=/etc/root.pem&connect_timeout=7&application_name=nightly",
    );
    let address = pairs.unwrap();
    assert_eq!(address, uri.unwrap());
    assert_eq!(address.endpoints, [tcp("db.example", 6000)]);
    assert_eq!(address.user, "back up");
    assert_eq!(address.password.as_ref().unwrap().reveal(), r"it's \ secret");
    assert_eq!(address.tls, TlsMode::VerifyHost(PathBuf::from("/etc/root.pem")));
    assert_eq!(address.connect_timeout, Some(Duration::from_secs(7)));
}

#[test]
fn several_hosts_are_kept_in_order() {
    let expected = [
        tcp("a", 1),
        tcp("::1", 2),
        Endpoint::Unix {
            folder: "/run/pg".into(),
            port: 3,
        },
    ];
    for text in [
        "host=a,::1,/run/pg port=1,2,3 user=u",
        "postgres://u@a:1,[::1]:2,%2Frun%2Fpg:3",
    ] {
        assert_eq!(Address::parse(text).unwrap().endpoints, expected, "{text}");
    }
    let one_port = Address::parse("host=a,b user=u port=9").unwrap();
    assert_eq!(one_port.endpoints, [tcp("a", 9), tcp("b", 9)]);
    let none = Address::parse("postgresql://u@a,b").unwrap();
    assert_eq!(none.endpoints, [tcp("a", 5432), tcp("b", 5432)]);
    assert_eq!((none.database.as_str(), none.tls), ("postgres", TlsMode::Prefer));
}

#[test]
fn a_uri_may_name_its_socket_folder_in_a_parameter() {
    let address = Address::parse("postgresql:///app?host=/run/pg&user=u&port=77").unwrap();
    assert_eq!(
        address.endpoints,
        [Endpoint::Unix {
            folder: "/run/pg".into(),
            port: 77
        }]
    );
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    for (text, names) in [
        ("host=a user=u target_session_attrs=primary", "target_session_attrs"),
        ("postgresql://u@a/x?gssencmode=disable", "gssencmode"),
        ("host=a user=u user=v", "user is given twice"),
        ("user=u", "host is missing"),
        ("host=a", "user is missing"),
        ("host=a,,b user=u", "host is not valid"),
        ("host=a user=u port=0", "port is not valid"),
        ("host=a,b user=u port=1,2,3", "port is not valid"),
        ("host=a user=u sslmode=allow", "sslmode is not valid"),
        ("host=a user=u sslmode=verify-full", "sslrootcert is missing"),
        (
            "host=a user=u sslmode=require sslrootcert=system",
            "sslrootcert is not valid",
        ),
        ("host=a user=u connect_timeout=soon", "connect_timeout is not valid"),
        ("host=a user=u password='open", "a quote is not closed"),
        ("host=a user", "no value"),
        ("postgresql://u:50%@a", "percent sign"),
        ("postgresql://u:%ff@a", "no text"),
        ("postgresql://u@[::1", "closing bracket"),
    ] {
        let error = Address::parse(text).unwrap_err().to_string();
        assert!(error.contains(names), "{text}: {error}");
    }
}

#[test]
fn a_password_shows_nowhere() {
    let address = Address::parse("host=a user=u password=swordfish").unwrap();
    assert!(!format!("{address:?}").contains("swordfish"));
    let error = Address::parse("host=a user=u password='swordfish'x").unwrap_err();
    assert!(!format!("{error:?} {error}").contains("swordfish"));
}

#[test]
fn a_password_comes_from_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sword fish\r\n").unwrap();
    let address = || Address::parse("host=a user=u").unwrap();
    let with = address().with_password_file(file.path()).unwrap();
    assert_eq!(with.password.unwrap().reveal(), "sword fish");
    std::fs::write(file.path(), "\n").unwrap();
    let error = address().with_password_file(file.path()).unwrap_err().to_string();
    assert!(error.contains("is empty"), "{error}");
    let error = address()
        .with_password_file("/nowhere/at/all".as_ref())
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn require_with_authorities_looks_at_them() {
    let address = Address::parse("host=a user=u sslmode=require sslrootcert=/r.pem").unwrap();
    assert_eq!(address.tls, TlsMode::VerifyAuthority("/r.pem".into()));
}

#[test]
fn an_address_is_written_for_other_programs_without_its_password() {
    let text = r"host=a,b port=1,2 user='it\'s' password=secret dbname='x y' sslmode=verify-full sslrootcert=/ca connect_timeout=7";
    let address = Address::parse(text).unwrap();
    let words = address.words();
    assert_eq!(
        words,
        r"host='a,b' port='1,2' user='it\'s' dbname='x y' sslmode='verify-full' sslrootcert='/ca' connect_timeout='7'"
    );
    let again = Address {
        password: address.password.clone(),
        ..Address::parse(&words).unwrap()
    };
    assert_eq!(again, address);
}
