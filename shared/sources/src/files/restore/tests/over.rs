use super::*;

#[test]
fn a_target_that_holds_something_else_is_refused_with_advice() {
    let (_folder, target, outside) = sandbox();
    let mut store = Memory::default();
    let file = store.file("precious", b"other");
    let root = store.tree_of(vec![file]);
    let error = plain(&store, &root, &outside).unwrap_err();
    assert!(matches!(error, RestoreError::NotEmpty { .. }));
    assert!(
        error
            .to_string()
            .contains("choose an empty or new folder, or ask to overwrite"),
        "{error}"
    );
    let error = plain(&store, &root, &outside.join("precious")).unwrap_err();
    assert!(matches!(error, RestoreError::NotFolder { .. }), "{error}");
    assert_untouched(&outside);
    fs::create_dir(&target).unwrap();
    plain(&store, &root, &target).unwrap();
}

#[test]
fn an_overwrite_moves_only_what_differs_and_leaves_strangers_alone() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let content = bytes(1, 100 * BLOB);
    let (same, changed) = (store.file("same", &content), store.file("changed", &content));
    let (longer, shorter) = (
        store.file("longer", &content[..5 * BLOB]),
        store.file("shorter", &content[..5 * BLOB]),
    );
    let kind = store.file("was-a-folder", b"file");
    let (inner, empty) = (store.file("inner", b"inner"), store.file("empty", b""));
    let folder = store.folder("was-a-file", vec![inner]);
    let root = store.tree_of(vec![same, changed, longer, shorter, kind, folder, empty]);
    fs::create_dir(&target).unwrap();
    let at = |name: &str| target.join(name);
    fs::write(at("same"), &content).unwrap();
    let mut other = content.clone();
    other[50 * BLOB + 3] ^= 1;
    fs::write(at("changed"), &other).unwrap();
    fs::set_permissions(at("changed"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::write(at("longer"), &content[..9 * BLOB]).unwrap();
    fs::write(at("shorter"), &content[..2 * BLOB + 1]).unwrap();
    fs::create_dir(at("was-a-folder")).unwrap();
    fs::write(at("was-a-file"), "file").unwrap();
    fs::write(at("empty"), "not empty").unwrap();
    fs::write(at("stranger"), "stranger").unwrap();
    Subject::Entry(at("same")).set("user.extra", b"x").unwrap();
    let inode = at("changed").metadata().unwrap().ino();

    let report = attempt(&store, &root, &target, &overwriting()).unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_eq!(report.bytes_written, (1 + 3) * BLOB as u64 + 4 + 5);
    assert_eq!(report.bytes_right, (100 + 99 + 5 + 2) * BLOB as u64);
    assert_holds(&at("same"), &content);
    assert_holds(&at("changed"), &content);
    assert_eq!(at("changed").metadata().unwrap().ino(), inode, "changed in place");
    assert_eq!(at("changed").metadata().unwrap().mode() & 0o7777, 0o644);
    assert_holds(&at("longer"), &content[..5 * BLOB]);
    assert_holds(&at("shorter"), &content[..5 * BLOB]);
    assert_holds(&at("was-a-folder"), b"file");
    assert_holds(&at("was-a-file/inner"), b"inner");
    assert_holds(&at("empty"), b"");
    assert_holds(&at("stranger"), b"stranger");
    assert_eq!(
        Subject::Entry(at("same")).names().unwrap(),
        Vec::<std::ffi::CString>::new()
    );
}

#[test]
fn a_file_is_believed_that_has_the_size_and_the_time_of_the_snapshot_and_no_other() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let content = bytes(1, 3 * BLOB);
    let names = ["believed", "later", "longer"];
    let nodes = names.map(|name| store.file(name, &content)).to_vec();
    let time = nodes[0].mtime;
    let root = store.tree_of(nodes);
    fs::create_dir(&target).unwrap();
    let mut other = content.clone();
    other[BLOB] ^= 1;
    for (name, length, nanos) in [("believed", 0, 0), ("later", 0, 1), ("longer", 1, 0)] {
        let file = fs::File::create(target.join(name)).unwrap();
        file.write_all_at(&other, 0).unwrap();
        file.set_len((other.len() + length) as u64).unwrap();
        let since = std::time::Duration::new(u64::try_from(time.seconds).unwrap(), time.nanos + nanos);
        file.set_modified(std::time::UNIX_EPOCH + since).unwrap();
    }
    let options = RestoreOptions {
        overwrite: Overwrite::IfChanged,
        ..overwriting()
    };
    let report = attempt(&store, &root, &target, &options).unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    assert_eq!(report.bytes_written, 2 * BLOB as u64);
    assert_holds(&target.join("believed"), &other);
    assert_holds(&target.join("later"), &content);
    assert_holds(&target.join("longer"), &content);
    attempt(&store, &root, &target, &overwriting()).unwrap();
    assert_holds(&target.join("believed"), &content);
}

#[test]
fn zeroes_overwrite_what_stood_there() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let zeroes = vec![0; 512 << 10];
    let file = store.file_of("file", [zeroes.as_slice(), &zeroes].into_iter());
    let root = store.tree_of(vec![file]);
    fs::create_dir(&target).unwrap();
    fs::write(target.join("file"), vec![1; 512 << 10]).unwrap();
    attempt(&store, &root, &target, &overwriting()).unwrap();
    assert_holds(&target.join("file"), &[zeroes.clone(), zeroes].concat());
}

#[test]
fn a_folder_that_is_not_empty_is_not_removed_for_a_file() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let (file, other) = (store.file("name", b"x"), store.file("other", b"y"));
    let root = store.tree_of(vec![file, other]);
    fs::create_dir_all(target.join("name")).unwrap();
    fs::write(target.join("name/theirs"), "theirs").unwrap();
    let report = attempt(&store, &root, &target, &overwriting()).unwrap();
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].path, target.join("name"));
    assert_holds(&target.join("name/theirs"), b"theirs");
    assert_holds(&target.join("other"), b"y");
}

#[test]
fn another_name_of_a_file_outside_is_not_written_through() {
    let (_folder, target, outside) = sandbox();
    let before = outside.join("precious").metadata().unwrap();
    let mut store = Memory::default();
    let (mut a, c) = (store.file("a", b"restored"), store.file("c", b"precious"));
    let mut b = a.clone();
    b.name = b"b".to_vec();
    for node in [&mut a, &mut b] {
        (node.inode, node.device_id, node.links, node.mode) = (9, 1, 2, 0o600);
    }
    let root = store.tree_of(vec![a, b, c]);
    fs::create_dir(&target).unwrap();
    for name in ["a", "b", "c"] {
        fs::hard_link(outside.join("precious"), target.join(name)).unwrap();
    }
    assert!(attempt(&store, &root, &target, &overwriting()).unwrap().is_complete());
    assert_untouched(&outside);
    let after = outside.join("precious").metadata().unwrap();
    assert_eq!(
        (after.nlink(), after.mode(), after.mtime()),
        (1, before.mode(), before.mtime())
    );
    assert_holds(&target.join("b"), b"restored");
    assert_eq!(
        target.join("a").metadata().unwrap().ino(),
        target.join("b").metadata().unwrap().ino()
    );
}
