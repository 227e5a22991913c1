use std::os::unix::fs::{PermissionsExt, symlink};

use std::sync::atomic::Ordering;

use super::*;
use crate::error::ErrorKind;
use crate::storage::contract;

fn store() -> (tempfile::TempDir, DiskStorage) {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStorage::open_or_create(folder.path().join("repo")).unwrap();
    (folder, store)
}

fn pack(bytes: &[u8]) -> FileName {
    FileName::Object(FileKind::Data, Id::of(bytes))
}

#[test]
fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicU32::new(0);
    contract::all(&|| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        DiskStorage::open_or_create(folder.path().join(n.to_string())).unwrap()
    });
}

#[test]
fn the_layout_is_restics_and_private() {
    let (folder, store) = store();
    store.put(&pack(b"x"), b"x").unwrap();
    let id = Id::of(b"x").to_string();
    let file = folder.path().join("repo/data").join(&id[..2]).join(&id);
    assert_eq!(fs::read(&file).unwrap(), b"x");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(folder.path().join("repo/data/ff"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    for name in ["keys", "locks", "snapshots", "index"] {
        assert!(folder.path().join("repo").join(name).is_dir());
    }
}

#[test]
fn a_file_of_another_size_is_reported_as_damage() {
    let (_folder, store) = store();
    store.put(&pack(b"bytes"), b"bytes").unwrap();
    fs::write(store.full_path(&pack(b"bytes")).unwrap(), b"byt").unwrap();
    let error = store.put(&pack(b"bytes"), b"bytes").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains(&Id::of(b"bytes").to_string()), "{error}");
}

#[test]
fn leftovers_of_dead_writers_go_and_those_of_living_ones_stay() {
    let (folder, store) = store();
    let data = folder.path().join("repo/data/00");
    fs::write(data.join(".writing-1-0"), b"half").unwrap();
    let sidecars = folder.path().join("repo/holdfast/index");
    fs::create_dir_all(&sidecars).unwrap();
    fs::write(sidecars.join(".writing-1-1"), b"half").unwrap();
    let living = Temporary::create(&data).unwrap();
    assert_eq!(store.list(FileKind::Data).unwrap(), []);
    DiskStorage::open_or_create(folder.path().join("repo")).unwrap();
    let left: Vec<_> = fs::read_dir(&data).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(&living.path));
    assert_eq!(fs::read_dir(&sidecars).unwrap().count(), 0);
    drop(living);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let (folder, store) = store();
    let path = store.full_path(&pack(b"x")).unwrap();
    fs::create_dir(&path).unwrap();
    let error = store.put(&pack(b"x"), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let parent = path.parent().unwrap();
    assert_eq!(fs::read_dir(parent).unwrap().count(), 1);
    drop(folder);
}

#[test]
fn a_full_disk_is_named_as_such() {
    let (_folder, store) = store();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
        let error = store.write_failed(&store.full_path(&pack(b"x")).unwrap(), io::Error::from(kind));
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains(&Id::of(b"x").to_string()));
    }
}

#[test]
fn links_are_not_followed() {
    let (folder, store) = store();
    let outside = folder.path().join("outside");
    fs::write(&outside, b"x").unwrap();
    symlink(&outside, store.full_path(&pack(b"x")).unwrap()).unwrap();
    for error in [
        store.list(FileKind::Data).unwrap_err(),
        store.read(&pack(b"x")).unwrap_err(),
        store.size(&pack(b"x")).unwrap_err(),
        store.put(&pack(b"x"), b"x").unwrap_err(),
    ] {
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}

#[test]
fn a_missing_or_unreadable_folder_is_an_error_and_not_an_empty_listing() {
    let (folder, store) = store();
    fs::remove_dir(folder.path().join("repo/index")).unwrap();
    let error = store.list(FileKind::Index).unwrap_err();
    assert!(error.to_string().contains("index"), "{error}");
    fs::remove_dir(folder.path().join("repo/data/7f")).unwrap();
    fs::write(folder.path().join("repo/data/7f"), b"no folder").unwrap();
    let error = store.list(FileKind::Data).unwrap_err();
    assert!(error.to_string().contains("data/7f"), "{error}");
}

#[test]
fn foreign_files_are_passed_over() {
    let (folder, store) = store();
    fs::write(folder.path().join("repo/snapshots/notes.txt"), b"x").unwrap();
    fs::create_dir(folder.path().join("repo/data/lost+found")).unwrap();
    fs::write(
        folder
            .path()
            .join("repo/index")
            .join(Id::of(b"x").to_string().to_uppercase()),
        b"x",
    )
    .unwrap();
    for kind in FileKind::ALL {
        assert_eq!(store.list(kind).unwrap(), []);
    }
}

#[test]
fn opening_a_folder_without_a_repository_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let error = DiskStorage::open(folder.path().join("none")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(!folder.path().join("none").exists());
}

#[test]
fn the_quarantine_keeps_the_damaged_bytes() {
    let (_folder, store) = store();
    store.put(&pack(b"bytes"), b"bytes").unwrap();
    let path = store.full_path(&pack(b"bytes")).unwrap();
    fs::write(&path, b"bitten").unwrap();
    store
        .replace_damaged(FileKind::Data, Id::of(b"bytes"), b"bytes")
        .unwrap();
    assert_eq!(store.read(&pack(b"bytes")).unwrap(), b"bytes");
    assert_eq!(
        store
            .read(&quarantine_name(FileKind::Data, Id::of(b"bytes"), 0))
            .unwrap(),
        b"bitten"
    );
}
