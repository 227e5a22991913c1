//! What every [`Storage`] must do, as functions over an empty store. An adapter's tests call [`all`].

use super::{FileKind, FileName, Put, Storage};
use crate::error::ErrorKind;
use crate::id::Id;

/// Runs the whole suite; `fresh` makes an empty store each time.
pub fn all<S: Storage>(fresh: &dyn Fn() -> S) {
    for law in [
        what_is_put_is_read_and_listed,
        ranges_are_exact_or_an_error,
        as_much_is_read_as_is_there,
        a_range_comes_piece_by_piece_and_ends_where_it_was_said_to,
        what_is_missing_is_said_to_be,
        objects_are_written_once_under_their_hash,
        a_buffer_is_stored_as_its_bytes_are_and_given_back,
        an_object_gets_the_name_that_its_bytes_give_it,
        a_file_of_another_size_is_damage,
        config_and_sidecars_are_written_once,
        sidecar_names_are_checked,
        sidecars_are_listed_by_prefix,
        damaged_files_are_replaced_and_kept,
        deleting_is_idempotent,
        many_writers_of_one_file_agree,
    ] {
        law(&fresh());
    }
}

fn object(kind: FileKind, bytes: &[u8]) -> FileName {
    FileName::Object(kind, Id::of(bytes))
}

/// A stored file has its bytes, its size and a place in the listing of its kind alone.
pub fn what_is_put_is_read_and_listed(store: &dyn Storage) {
    for kind in FileKind::ALL {
        assert_eq!(store.list(kind).expect("list"), []);
        let mut expected = Vec::new();
        for n in 0..40u8 {
            let bytes = [kind as u8, n, 7];
            assert_eq!(store.put(&object(kind, &bytes), &bytes).expect("put"), Put::Created);
            expected.push((Id::of(&bytes), 3));
        }
        expected.sort_unstable();
        assert_eq!(store.list(kind).expect("list"), expected);
        let bytes = [kind as u8, 3, 7];
        assert_eq!(store.read(&object(kind, &bytes)).expect("read"), bytes);
        assert_eq!(store.size(&object(kind, &bytes)).expect("size"), Some(3));
    }
    assert_eq!(store.put(&FileName::Config, b"config").expect("put"), Put::Created);
    assert_eq!(store.read(&FileName::Config).expect("read"), b"config");
    store.barrier().expect("barrier");
}

/// What is stored from a buffer is as if it were put, and the buffer comes back.
pub fn a_buffer_is_stored_as_its_bytes_are_and_given_back(store: &dyn Storage) {
    let bytes = vec![5; 1 << 20];
    let file = object(FileKind::Data, &bytes);
    for _ in 0..2 {
        let buffer = store.put_buffer(&file, bytes.clone()).expect("put");
        assert!(buffer.capacity() >= bytes.len(), "it can be filled again");
        assert_eq!(store.read(&file).expect("read"), bytes);
    }
    let error = store
        .put_buffer(&file, b"other bytes".to_vec())
        .expect_err("another hash");
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

/// The name is the hash of the bytes, and whoever stores them once more finds them there.
pub fn an_object_gets_the_name_that_its_bytes_give_it(store: &dyn Storage) {
    for length in [0, 1, 300_000, 1 << 20] {
        let bytes: Vec<u8> = (0..length).map(|n: u32| (n / 7) as u8).collect();
        for _ in 0..2 {
            let (id, buffer) = store.put_unnamed(FileKind::Data, bytes.clone()).expect("put");
            assert_eq!(id, Id::of(&bytes));
            assert!(buffer.capacity() >= bytes.len(), "it can be filled again");
            assert_eq!(store.read(&object(FileKind::Data, &bytes)).expect("read"), bytes);
        }
    }
    assert_eq!(store.list(FileKind::Data).expect("list").len(), 4);
}

/// A range is filled completely, and a range past the end is damage.
pub fn ranges_are_exact_or_an_error(store: &dyn Storage) {
    let bytes: Vec<u8> = (0..=255).collect();
    let file = object(FileKind::Data, &bytes);
    store.put(&file, &bytes).expect("put");
    let mut into = [0; 16];
    store.read_range(&file, 100, &mut into).expect("range");
    assert_eq!(into, bytes[100..116]);
    store.read_range(&file, 240, &mut into).expect("the last bytes");
    store.read_range(&file, 256, &mut []).expect("nothing at the end");
    for offset in [241, 256, 100_000, u64::MAX - 5] {
        let error = store.read_range(&file, offset, &mut into).expect_err("past the end");
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    }
}

/// What is read without knowing where the file ends is what it has, which may be nothing.
pub fn as_much_is_read_as_is_there(store: &dyn Storage) {
    let bytes: Vec<u8> = (0..=255).collect();
    let file = object(FileKind::Data, &bytes);
    store.put(&file, &bytes).expect("put");
    for (offset, most) in [
        (0, 256),
        (0, 1000),
        (100, 16),
        (240, 16),
        (240, 17),
        (256, 4),
        (300, 4),
        (7, 0),
    ] {
        let read = store.read_up_to(&file, offset, most).expect("read");
        let from = usize::try_from(offset).expect("small").min(256);
        assert_eq!(read, bytes[from..(from + most).min(256)], "{most} from {offset}");
    }
    let missing = object(FileKind::Data, b"never stored");
    let error = store.read_up_to(&missing, 0, 4).expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// A range that is read piece by piece brings the same bytes, and no more than were asked for; one that the file does not
/// have, or that is in no file, is an error.
pub fn a_range_comes_piece_by_piece_and_ends_where_it_was_said_to(store: &dyn Storage) {
    let bytes: Vec<u8> = (0..3 << 20).map(|n: u32| (n / 251) as u8 ^ n as u8).collect();
    let file = object(FileKind::Data, &bytes);
    store.put(&file, &bytes).expect("put");
    let end = bytes.len() - 7;
    let mut range = store.range(&file, 5, end as u64).expect("range");
    let mut at = 5;
    for piece in [1, 0, 70_000, 1 << 20, end - 5 - 1 - 70_000 - (1 << 20)] {
        let mut into = vec![0; piece];
        range.fill(&mut into).expect("a piece");
        assert!(into == bytes[at..at + piece], "at {at}");
        at += piece;
    }
    let error = range.fill(&mut [0]).expect_err("past the end of the range");
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    let mut into = vec![0; bytes.len() + 1];
    let mut past = store.range(&file, 0, into.len() as u64).expect("range");
    let error = past.fill(&mut into).expect_err("past the end of the file");
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    let missing = object(FileKind::Data, b"never stored");
    let mut range = store.range(&missing, 0, 4).expect("range");
    let error = range.fill(&mut [0; 4]).expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// A missing file is `None`, or an error that names it.
pub fn what_is_missing_is_said_to_be(store: &dyn Storage) {
    let file = object(FileKind::Index, b"never stored");
    assert_eq!(store.size(&file).expect("size"), None);
    for error in [
        store.read(&file).expect_err("missing"),
        store.read_range(&file, 0, &mut [0; 4]).expect_err("missing"),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().contains(&Id::of(b"never stored").to_string()),
            "{error}"
        );
    }
    assert_eq!(store.list_sidecar("condemned/").expect("list"), []);
}

/// Bytes go under their own hash, once.
pub fn objects_are_written_once_under_their_hash(store: &dyn Storage) {
    let file = object(FileKind::Snapshot, b"bytes");
    assert_eq!(store.put(&file, b"bytes").expect("put"), Put::Created);
    assert_eq!(store.put(&file, b"bytes").expect("put"), Put::AlreadyThere);
    if cfg!(debug_assertions) {
        let other = object(FileKind::Snapshot, b"other");
        let error = store.put(&other, b"bytes").expect_err("wrong bytes");
        assert_eq!(error.kind(), ErrorKind::Integrity);
        assert_eq!(store.size(&other).expect("size"), None);
    }
}

/// A file that is there with another size is never taken for the right one.
pub fn a_file_of_another_size_is_damage(store: &dyn Storage) {
    let file = object(FileKind::Data, b"bytes");
    store.put(&file, b"bytes").expect("put");
    if !cfg!(debug_assertions) {
        let error = store.put(&file, b"longer bytes").expect_err("another size");
        assert_eq!(error.kind(), ErrorKind::Integrity);
    }
    assert_eq!(store.read(&file).expect("read"), b"bytes");
}

/// Files that are not named by their content are written once too.
pub fn config_and_sidecars_are_written_once(store: &dyn Storage) {
    for file in [FileName::Config, FileName::Sidecar("condemned/1.json".to_owned())] {
        assert_eq!(store.put(&file, b"one").expect("put"), Put::Created);
        assert_eq!(store.put(&file, b"one").expect("put"), Put::AlreadyThere);
        for other in [&b"two"[..], b"longer"] {
            let error = store.put(&file, other).expect_err("other content");
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        assert_eq!(store.read(&file).expect("read"), b"one");
    }
}

/// A sidecar cannot leave its folder, nor hide.
pub fn sidecar_names_are_checked(store: &dyn Storage) {
    for name in [
        "",
        "/a",
        "a/",
        "a//b",
        "../config",
        "a/../b",
        ".",
        "a/.b",
        "A",
        "a b",
        "a\0",
        "ä",
    ] {
        let file = FileName::Sidecar(name.to_owned());
        let error = store.put(&file, b"x").expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name:?}: {error}");
        assert_eq!(store.read(&file).expect_err(name).kind(), ErrorKind::Invalid);
        assert_eq!(store.delete(&file).expect_err(name).kind(), ErrorKind::Invalid);
    }
}

/// A prefix is text, not a folder.
pub fn sidecars_are_listed_by_prefix(store: &dyn Storage) {
    for name in ["key/one", "key/two", "keys", "index/a/b/c", "index/a/d"] {
        store
            .put(&FileName::Sidecar(name.to_owned()), name.as_bytes())
            .expect("put");
    }
    let names = |prefix: &str| -> Vec<String> {
        store
            .list_sidecar(prefix)
            .expect("list")
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names(""), ["index/a/b/c", "index/a/d", "key/one", "key/two", "keys"]);
    assert_eq!(names("key"), ["key/one", "key/two", "keys"]);
    assert_eq!(names("key/"), ["key/one", "key/two"]);
    assert_eq!(names("index/a/b"), ["index/a/b/c"]);
    assert_eq!(names("other/"), [""; 0]);
    assert_eq!(store.list_sidecar("keys").expect("list"), [("keys".to_owned(), 4)]);
}

/// The right bytes replace whatever is there; what was there is kept.
pub fn damaged_files_are_replaced_and_kept(store: &dyn Storage) {
    let bytes = b"the right bytes";
    let id = Id::of(bytes);
    let file = object(FileKind::Data, bytes);
    let error = store
        .replace_damaged(FileKind::Data, id, b"wrong")
        .expect_err("wrong bytes");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert_eq!(store.size(&file).expect("size"), None);
    store
        .replace_damaged(FileKind::Data, id, bytes)
        .expect("a missing file is put");
    assert_eq!(store.list_sidecar("quarantine/").expect("list"), []);
    for kept in 1..=2 {
        store
            .replace_damaged(FileKind::Data, id, bytes)
            .expect("a present file is replaced");
        assert_eq!(store.list_sidecar("quarantine/").expect("list").len(), kept);
    }
    let name = FileName::Sidecar(format!("quarantine/data-{id}-0"));
    assert_eq!(store.read(&name).expect("read"), bytes);
    assert_eq!(store.read(&file).expect("read"), bytes);
    assert_eq!(store.list(FileKind::Data).expect("list"), [(id, bytes.len() as u64)]);
}

/// Deleting twice is fine.
pub fn deleting_is_idempotent(store: &dyn Storage) {
    let files = [
        FileName::Config,
        object(FileKind::Lock, b"x"),
        FileName::Sidecar("log/1".to_owned()),
    ];
    for file in &files {
        store.delete(file).expect("nothing there");
        store.put(file, b"x").expect("put");
        store.delete(file).expect("there");
        store.delete(file).expect("gone");
        assert_eq!(store.size(file).expect("size"), None);
        assert_eq!(store.put(file, b"x").expect("put again"), Put::Created);
    }
    store.barrier().expect("barrier");
}

/// Exactly one of many writers of the same file creates it.
pub fn many_writers_of_one_file_agree(store: &dyn Storage) {
    let bytes = vec![42; 100_000];
    let file = object(FileKind::Data, &bytes);
    let created = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(|| store.put(&file, &bytes))).collect();
        let puts = writers
            .into_iter()
            .map(|writer| writer.join().expect("no panic").expect("put"));
        puts.filter(|put| *put == Put::Created).count()
    });
    assert_eq!(created, 1);
    assert_eq!(store.read(&file).expect("read"), bytes);
}
