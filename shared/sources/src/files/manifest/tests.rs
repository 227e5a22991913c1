use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn folder_with(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), bytes).unwrap();
    for path in ["file", ""] {
        let at = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123_456_789);
        File::open(folder.path().join(path)).unwrap().set_modified(at).unwrap();
    }
    folder
}

fn differences(a: &tempfile::TempDir, b: &tempfile::TempDir) -> Vec<Difference> {
    compare(&Manifest::of(a.path()).unwrap(), &Manifest::of(b.path()).unwrap())
}

#[test]
fn equal_folders_have_no_differences_and_the_manifest_survives_json() {
    let (a, b) = (folder_with(b"abc"), folder_with(b"abc"));
    assert_eq!(differences(&a, &b), []);
    let manifest = Manifest::of(a.path()).unwrap();
    let json = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    let file = &manifest.entries["file"];
    assert_eq!(
        file.sha256.as_deref(),
        Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(file.mtime_ns, 1_000_000_000_123_456_789);
}

#[test]
fn content_size_mode_and_time_are_told_apart() {
    let (a, b) = (folder_with(b"abc"), folder_with(b"abd"));
    assert!(matches!(&differences(&a, &b)[..], [Difference::Content { path, .. }] if path == "file"));
    let b = folder_with(b"abcd");
    assert!(matches!(
        &differences(&a, &b)[..],
        [Difference::Size { sizes: (3, 4), .. }]
    ));
    let b = folder_with(b"abc");
    std::fs::set_permissions(b.path().join("file"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(matches!(
        &differences(&a, &b)[..],
        [Difference::Mode { modes: (_, 0o4755), .. }]
    ));
    let b = folder_with(b"abc");
    File::open(b.path().join("file"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    assert!(matches!(
        &differences(&a, &b)[..],
        [Difference::ModifiedAt { mtime_ns: (_, 0), .. }]
    ));
}

#[test]
fn kinds_link_targets_attributes_and_hard_links_are_told_apart() {
    let (a, b) = (folder_with(b"abc"), folder_with(b"abc"));
    for (folder, target) in [(&a, &b"x\xff"[..]), (&b, &b"y"[..])] {
        symlink(std::ffi::OsStr::from_bytes(target), folder.path().join("link")).unwrap();
    }
    std::fs::create_dir(a.path().join("other")).unwrap();
    std::fs::write(b.path().join("other"), "").unwrap();
    std::fs::hard_link(a.path().join("file"), a.path().join("file2")).unwrap();
    std::fs::copy(b.path().join("file"), b.path().join("file2")).unwrap();
    Subject::Entry(b.path().join("file")).set("user.note", b"v").unwrap();
    let found = differences(&a, &b);
    let has = |wanted: &dyn Fn(&Difference) -> bool| assert!(found.iter().any(wanted), "{found:?}");
    has(&|d| matches!(d, Difference::LinkTarget { targets, .. } if targets.0 == "x\\xff" && targets.1 == "y"));
    has(&|d| {
        matches!(
            d,
            Difference::Kind {
                kinds: (Kind::Folder, Kind::File),
                ..
            }
        )
    });
    has(&|d| matches!(d, Difference::HardLink { path, groups: (Some(of), None) } if path == "file2" && of == "file"));
    has(&|d| matches!(d, Difference::ExtendedAttribute { values: (None, Some(v)), .. } if v == "76"));
}

#[test]
fn what_only_one_side_has_is_named() {
    let (a, b) = (folder_with(b"abc"), folder_with(b"abc"));
    std::fs::write(a.path().join("gone\n\\"), "").unwrap();
    std::fs::write(b.path().join("new"), "").unwrap();
    let found = differences(&a, &b);
    assert!(
        found.contains(&Difference::Missing {
            path: "gone\\x0a\\x5c".into()
        }),
        "{found:?}"
    );
    assert!(
        found.contains(&Difference::Unexpected { path: "new".into() }),
        "{found:?}"
    );
}
