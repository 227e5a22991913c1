//! The key file: made once, private, never overwritten; and the public half.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use holdfast_core::domain::FailureKind;
use holdfast_core::ports::Keys;
use holdfast_local::{DataFolder, FileKeys, repository_password, system_ambient, verify_with_public_key};
use tempfile::TempDir;

fn open(path: &Path) -> FileKeys {
    FileKeys::open_or_create(path, &system_ambient()).expect("keys")
}

fn scene() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("keys.json");
    (folder, path)
}

#[test]
fn the_file_is_private_and_made_once() {
    let (folder, path) = scene();
    open(&path);
    let made = fs::read(&path).expect("the file");
    assert_eq!(
        fs::metadata(&path).expect("metadata").permissions().mode() & 0o777,
        0o600
    );
    open(&path);
    assert_eq!(fs::read(&path).expect("the file"), made);
    assert_eq!(fs::read_dir(folder.path()).expect("a listing").count(), 1);
}

#[test]
fn many_that_make_it_at_once_agree_on_one() {
    let (_folder, path) = scene();
    let keys: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| open(&path).public_key_pem())).collect();
        makers.into_iter().map(|maker| maker.join().expect("a maker")).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let (_folder, path) = scene();
    open(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("open to the group");
    let failure = FileKeys::open_or_create(&path, &system_ambient())
        .err()
        .expect("refused");
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(failure.message.contains("chmod 600"), "{failure}");
}

#[test]
fn a_damaged_file_is_refused_and_never_replaced() {
    let (_folder, path) = scene();
    open(&path);
    let good = fs::read_to_string(&path).expect("the file");
    let too_new = good.replace("\"version\": 1", "\"version\": 2");
    for (bad, kind) in [
        ("", FailureKind::Integrity),
        (&good[..good.len() / 2], FailureKind::Integrity),
        (&good.replacen("\": \"", "\": \"zz", 1), FailureKind::Integrity),
        (&too_new, FailureKind::Invalid),
    ] {
        fs::write(&path, bad).expect("damage");
        let failure = FileKeys::open_or_create(&path, &system_ambient())
            .err()
            .expect("refused");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains("keys.json"), "{failure}");
        assert_eq!(fs::read_to_string(&path).expect("the file"), bad);
    }
}

#[tokio::test]
async fn the_public_key_alone_verifies_a_signature() {
    let (folder, path) = scene();
    let keys = open(&path);
    let signature = keys.sign(b"a statement").await.expect("sign");
    let pem = keys.public_key_pem();
    assert!(verify_with_public_key(&pem, b"a statement", &signature.bytes).expect("verify"));
    assert!(!verify_with_public_key(&pem, b"another", &signature.bytes).expect("verify"));
    assert!(!verify_with_public_key(&pem, b"a statement", b"short").expect("verify"));
    let other = open(&folder.path().join("other.json")).public_key_pem();
    assert!(!verify_with_public_key(&other, b"a statement", &signature.bytes).expect("verify"));
    for bad in [
        "",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        &pem[10..],
        &pem.replace("MC", "MD"),
    ] {
        let failure = verify_with_public_key(bad, b"a statement", &signature.bytes).expect_err("no key");
        assert_eq!(failure.kind, FailureKind::Invalid);
    }
}

/// The judge is a public test vector: the first of RFC 8032, section 7.1.
#[test]
fn a_signature_of_the_standard_verifies() {
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
               -----END PUBLIC KEY-----\n";
    let signature = [
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ];
    let signature: Vec<u8> = signature
        .concat()
        .as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).expect("ASCII"), 16).expect("digits"))
        .collect();
    assert!(verify_with_public_key(pem, b"", &signature).expect("verify"));
    assert!(!verify_with_public_key(pem, b"x", &signature).expect("verify"));
}

#[test]
fn the_public_key_is_exported_once_and_watched() {
    let (folder, path) = scene();
    let keys = open(&path);
    let public = folder.path().join("keys.pub.pem");
    keys.export_public_key(&public).expect("export");
    assert_eq!(fs::read_to_string(&public).expect("the file"), keys.public_key_pem());
    keys.export_public_key(&public).expect("again");
    fs::write(&public, "another key").expect("tampering");
    let failure = keys.export_public_key(&public).expect_err("another key");
    assert_eq!(failure.kind, FailureKind::Integrity);
    assert_eq!(fs::read_to_string(&public).expect("the file"), "another key");
}

#[test]
fn the_repository_password_is_made_once_and_guarded() {
    let folder = TempDir::new().expect("a folder");
    let data = DataFolder::open(folder.path(), &system_ambient()).expect("a data folder");
    let password = || repository_password(&data, &system_ambient());
    let made = password().expect("a password");
    assert_eq!(made.len(), 64);
    assert_eq!(password().expect("a password"), made);
    let path = data.repository_password();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("open to all");
    assert_eq!(password().expect_err("readable by others").kind, FailureKind::Denied);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed again");
    for bad in [&b"\n"[..], b"", b"\xff\xfe"] {
        fs::write(&path, bad).expect("damage");
        assert_eq!(password().expect_err("no password").kind, FailureKind::Integrity);
        assert_eq!(fs::read(&path).expect("the file"), bad, "never replaced");
    }
}
