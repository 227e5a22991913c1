use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use holdfast_repository::tree::{NodeKind, mode};

use super::*;

fn tree_of(folder: &Path, exclude: &[&str]) -> FileTree {
    FileTree::new(vec![folder.to_owned()], Patterns::new(&[], exclude).unwrap()).unwrap()
}

fn read_all(content: &mut dyn Content) -> (Vec<u8>, u64) {
    let (mut bytes, mut skipped, mut buffer) = (Vec::new(), 0, vec![0; 100_000]);
    loop {
        let hole = content.hole().unwrap();
        skipped += hole;
        bytes.resize(bytes.len() + usize::try_from(hole).unwrap(), 0);
        let count = content.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..count]);
        if count == 0 && hole == 0 {
            return (bytes, skipped);
        }
    }
}

fn name(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

#[test]
fn every_kind_of_entry_is_described_as_restic_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "hello").unwrap();
    std::fs::hard_link(at("file"), at("link")).unwrap();
    std::fs::write(at("suid"), "").unwrap();
    std::fs::set_permissions(at("suid"), std::fs::Permissions::from_mode(0o6755)).unwrap();
    std::fs::create_dir(at("sticky")).unwrap();
    std::fs::set_permissions(at("sticky"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    symlink(name(b"no\xffwhere"), at("symlink")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let tree = tree_of(folder.path(), &[]);
    let node = |name: &str| tree.stat(&at(name)).unwrap();

    let (file, link, seen) = (node("file"), node("link"), at("file").metadata().unwrap());
    assert_eq!(
        (file.kind, file.size, file.links, file.mode),
        (NodeKind::File, 5, 2, mode::from_unix(seen.mode()))
    );
    assert_eq!((file.inode, file.device_id), (seen.ino(), seen.dev()));
    assert_eq!((link.inode, link.device_id), (file.inode, file.device_id));
    assert_eq!(
        (file.mtime.seconds, i64::from(file.mtime.nanos), file.mtime.offset),
        (seen.mtime(), seen.mtime_nsec(), 0)
    );
    assert_eq!(
        file.atime, file.mtime,
        "whoever reads a file does not change the snapshot"
    );
    assert_eq!((file.uid, file.gid), (seen.uid(), seen.gid()));
    assert_eq!((&file.content, &file.subtree), (&None, &None));
    let suid = node("suid");
    assert_eq!(
        (suid.mode, suid.links, suid.device_id),
        (0o755 | mode::SETUID | mode::SETGID, 1, 0)
    );
    let sticky = node("sticky");
    assert_eq!(
        (sticky.kind, sticky.mode, sticky.links),
        (NodeKind::Dir, 0o777 | mode::DIR | mode::STICKY, 0)
    );
    let symlink = node("symlink");
    assert_eq!(
        (symlink.kind, symlink.link_target.as_slice()),
        (NodeKind::Symlink, &b"no\xffwhere"[..])
    );
    assert_eq!(
        (node("fifo").kind, node("socket").kind),
        (NodeKind::Fifo, NodeKind::Socket)
    );
    assert_eq!(node("file").name, b"file");
}

#[test]
fn owners_have_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let node = tree_of(folder.path(), &[]).stat(folder.path()).unwrap();
    let user = uzers::get_user_by_uid(node.uid).map(|user| user.name().to_owned().into_string().unwrap());
    assert_eq!(node.user, user.unwrap_or_default());
}

#[test]
fn devices_keep_their_number() {
    let tree = FileTree::new(vec!["/dev/null".into()], Patterns::all()).unwrap();
    let node = tree.stat(Path::new("/dev/null")).unwrap();
    assert_eq!((node.kind, node.device), (NodeKind::CharDev, rustix::fs::makedev(1, 3)));
    assert_eq!(node.mode & !0o777, mode::DEVICE | mode::CHAR_DEVICE);
}

#[test]
fn extended_attributes_are_read_from_files_and_after_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "x").unwrap();
    Subject::Entry(path.clone()).set("user.note", b"a\0b").unwrap();
    Subject::Entry(path.clone()).set("user.empty", b"").unwrap();
    let tree = tree_of(folder.path(), &[]);
    let mut content = tree.open(&path).unwrap();
    read_all(&mut *content);
    for node in [tree.stat(&path).unwrap(), content.finish().unwrap()] {
        let mut found: Vec<_> = node
            .extended_attributes
            .into_iter()
            .map(|a| (a.name, a.value))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [("user.empty".into(), vec![]), ("user.note".into(), b"a\0b".to_vec())]
        );
    }
}

#[test]
fn names_are_bytes_in_ascending_order() {
    let folder = tempfile::tempdir().unwrap();
    let long = vec![b'n'; 255];
    let names = [
        &b"b"[..],
        b"a\xff",
        b"a",
        b"A",
        b"\xc3\xa4",
        b"new\nline",
        b"quote\"'\\",
        b" ",
        b"-rf",
        b"...",
        &long,
    ];
    for each in names {
        std::fs::write(folder.path().join(name(each)), each).unwrap();
    }
    let tree = tree_of(folder.path(), &[]);
    let mut expected: Vec<OsString> = names.iter().map(|each| name(each)).collect();
    expected.sort();
    assert_eq!(tree.names(folder.path()).unwrap(), expected);
    for each in &expected {
        let path = folder.path().join(each);
        assert_eq!(tree.stat(&path).unwrap().name, each.as_bytes());
        assert_eq!(read_all(&mut *tree.open(&path).unwrap()).0, each.as_bytes());
    }
}

#[test]
fn excluded_names_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("sub/cache")).unwrap();
    for file in ["a.tmp", "a.txt", "cache", "sub/b.tmp", "sub/top"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let tree = tree_of(folder.path(), &["*.tmp", "cache/", "/top"]);
    assert_eq!(tree.names(folder.path()).unwrap(), ["a.txt", "cache", "sub"]);
    assert_eq!(tree.names(&folder.path().join("sub")).unwrap(), ["top"]);
}

#[test]
fn folders_above_the_roots_list_only_the_way_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    std::fs::create_dir_all(base.join("x/one")).unwrap();
    std::fs::create_dir_all(base.join("x/two/deep")).unwrap();
    std::fs::create_dir_all(base.join("x/other")).unwrap();
    let tree = FileTree::new(
        vec![base.join("x/two/deep/"), base.join("x/one"), base.join("x/one")],
        Patterns::all(),
    )
    .unwrap();
    assert_eq!(tree.paths(), [base.join("x/one"), base.join("x/two/deep")]);
    assert_eq!(tree.names(&base).unwrap(), ["x"]);
    assert_eq!(tree.names(&base.join("x")).unwrap(), ["one", "two"]);
}

#[test]
fn holes_are_skipped_and_read_as_zeroes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(b"middle", 32 << 20).unwrap();
    let tree = tree_of(folder.path(), &[]);
    let mut content = tree.open(&path).unwrap();
    let (bytes, skipped) = read_all(&mut *content);
    assert_eq!(bytes.len(), 64 << 20);
    assert_eq!(&bytes[32 << 20..][..6], b"middle");
    assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 6);
    assert!(
        skipped > 60 << 20,
        "this file system keeps no holes (skipped {skipped})"
    );
    content.finish().unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "before").unwrap();
    let tree = tree_of(folder.path(), &[]);
    let mut content = tree.open(&path).unwrap();
    read_all(&mut *content);
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_at(b"after", 6)
        .unwrap();
    assert_eq!(
        content.finish().unwrap_err(),
        Unread {
            path: path.clone(),
            reason: UnreadReason::ChangedWhileRead
        }
    );

    let mut content = tree.open(&path).unwrap();
    assert_eq!(
        content.finish().unwrap_err().reason,
        UnreadReason::ChangedWhileRead,
        "not read to its end"
    );
}

#[test]
fn what_vanishes_is_told_apart_from_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let tree = tree_of(folder.path(), &[]);
    for reason in [
        tree.stat(&gone).unwrap_err().reason,
        tree.names(&gone).unwrap_err().reason,
        tree.open(&gone).map(|_| ()).unwrap_err().reason,
        tree.stat(&gone.join("below")).unwrap_err().reason,
    ] {
        assert_eq!(reason, UnreadReason::Vanished);
    }
    assert_eq!(metadata::reason(Errno::ACCESS), UnreadReason::Denied);
    assert!(matches!(metadata::reason(Errno::IO), UnreadReason::Io(_)));
}

#[test]
fn a_link_or_pipe_put_in_place_of_a_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tree")).unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/key"), "secret").unwrap();
    let root = folder.path().join("tree");
    symlink("../secrets/key", root.join("file")).unwrap();
    symlink("../secrets", root.join("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let tree = tree_of(&root, &[]);
    for path in ["file", "folder/key", "pipe"] {
        let unread = tree.open(&root.join(path)).map(|_| ()).unwrap_err();
        assert_eq!(
            unread,
            Unread {
                path: root.join(path),
                reason: UnreadReason::ChangedWhileRead
            }
        );
    }
    assert_eq!(
        tree.names(&root.join("folder")).unwrap_err().reason,
        UnreadReason::ChangedWhileRead
    );
}

#[test]
fn roots_that_make_no_sense_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path();
    std::fs::create_dir_all(base.join("a/b")).unwrap();
    symlink("a", base.join("link")).unwrap();
    let refused = |roots: &[PathBuf]| FileTree::new(roots.to_vec(), Patterns::all()).map(|_| ()).unwrap_err();
    assert!(matches!(refused(&[]), RootError::None));
    assert!(matches!(refused(&["relative".into()]), RootError::NotAbsolute { .. }));
    assert!(matches!(refused(&[base.join("a/../a")]), RootError::NotAbsolute { .. }));
    assert!(matches!(refused(&[base.join("link")]), RootError::Symlink { path } if path == base.join("link")));
    assert!(matches!(refused(&[base.join("none")]), RootError::Io { path, .. } if path == base.join("none")));
    let nested = refused(&[base.join("a"), base.join("a/b")]);
    assert!(matches!(nested, RootError::Nested { inner, .. } if inner == base.join("a/b")));
}

#[test]
fn a_root_may_be_a_single_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "alone").unwrap();
    let tree = FileTree::new(vec![path.clone()], Patterns::all()).unwrap();
    assert_eq!(tree.names(folder.path()).unwrap(), ["file"]);
    assert_eq!(read_all(&mut *tree.open(&path).unwrap()).0, b"alone");
}
