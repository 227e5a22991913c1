use super::*;

/// A tree whose JSON says something that our own encoder refuses to write.
fn forged(store: &mut Memory, nodes: Vec<Node>, from: &str, to: &str) -> Id {
    let bytes = String::from_utf8(Tree::new(nodes).encode().unwrap()).unwrap();
    assert!(bytes.contains(from));
    store.put_tree(bytes.replace(from, to).into_bytes())
}

#[test]
fn names_that_lead_out_of_a_folder_are_refused() {
    for name in ["..", ".", "", "a/b", "/", "../outside/evil"] {
        let (_folder, target, outside) = sandbox();
        let mut store = Memory::default();
        let file = store.file("placeholder", b"evil");
        let root = forged(
            &mut store,
            vec![file.clone()],
            "\"placeholder\"",
            &format!("\"{name}\""),
        );
        let error = plain(&store, &root, &target).unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");

        let mut folder = store.folder("folder", vec![]);
        folder.subtree = Some(root);
        let root = store.tree_of(vec![folder, file]);
        let report = plain(&store, &root, &target).unwrap();
        assert_eq!(report.failures.len(), 1);
        assert_eq!(report.failures[0].path, target.join("folder"));
        assert!(target.join("placeholder").exists(), "the rest is restored");
        assert_untouched(&outside);
    }
}

#[test]
fn a_link_and_a_folder_of_the_same_name_are_refused() {
    let (_folder, target, outside) = sandbox();
    let mut store = Memory::default();
    let file = store.file("evil", b"evil");
    let folder = store.folder("b", vec![file]);
    let root = forged(&mut store, vec![link_to("a", "../outside"), folder], "\"b\"", "\"a\"");
    let error = plain(&store, &root, &target).unwrap_err();
    assert!(error.to_string().contains("`a`"), "{error}");
    assert_untouched(&outside);
}

#[test]
fn a_link_standing_where_a_folder_belongs_is_an_error_that_names_it() {
    for overwrite in [Overwrite::Always, Overwrite::Never] {
        let (_folder, target, outside) = sandbox();
        let mut store = Memory::default();
        let file = store.file("evil", b"evil");
        let deep = store.folder("deep", vec![file]);
        let folder = store.folder("folder", vec![deep]);
        let root = store.tree_of(vec![folder]);
        // As if somebody had put it there while an unfinished restore was waiting to be resumed.
        store.breaks_after = Some(0);
        plain(&store, &root, &target).unwrap_err();
        store.breaks_after = None;
        fs::remove_dir_all(target.join("folder/deep")).unwrap();
        symlink(&outside, target.join("folder/deep")).unwrap();
        let options = RestoreOptions {
            overwrite,
            ..RestoreOptions::new(&GO_ON)
        };
        let error = attempt(&store, &root, &target, &options).unwrap_err();
        assert!(
            matches!(&error, RestoreError::SymlinkInTheWay { path } if *path == target.join("folder/deep")),
            "{error}"
        );
        assert_untouched(&outside);
    }
}

#[test]
fn a_link_standing_where_a_file_or_link_belongs_is_replaced_not_followed() {
    let (_folder, target, outside) = sandbox();
    fs::create_dir(&target).unwrap();
    symlink(outside.join("precious"), target.join("file")).unwrap();
    symlink(&outside, target.join("link")).unwrap();
    symlink(outside.join("new"), target.join("pipe")).unwrap();
    let mut store = Memory::default();
    let file = store.file("file", b"evil");
    let root = store.tree_of(vec![
        file,
        link_to("link", "elsewhere"),
        node("pipe", NodeKind::Fifo, 0o600),
    ]);
    assert!(attempt(&store, &root, &target, &overwriting()).unwrap().is_complete());
    assert_holds(&target.join("file"), b"evil");
    assert!(target.join("file").symlink_metadata().unwrap().is_file());
    assert_eq!(target.join("link").read_link().unwrap(), Path::new("elsewhere"));
    assert_untouched(&outside);
}

#[test]
fn metadata_is_never_set_through_a_link() {
    let (_folder, target, outside) = sandbox();
    let before = outside.join("precious").metadata().unwrap();
    let mut store = Memory::default();
    let mut link = link_to("link", "../outside/precious");
    link.mode |= holdfast_repository::tree::mode::SETUID;
    link.extended_attributes = vec![ExtendedAttribute {
        name: "user.evil".into(),
        value: b"x".to_vec(),
    }];
    let root = store.tree_of(vec![link]);
    let report = plain(&store, &root, &target).unwrap();
    assert_eq!(
        report.notes.len(),
        1,
        "links take no user attributes: {:?}",
        report.notes
    );
    let after = outside.join("precious").metadata().unwrap();
    let state = |m: &fs::Metadata| (m.mode(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec());
    assert_eq!(state(&before), state(&after));
}

#[test]
fn an_entry_named_like_the_marker_does_not_replace_it() {
    let (_folder, target, _) = sandbox();
    let mut store = Memory::default();
    let (evil, file) = (store.file(target::MARKER, b"evil"), store.file("file", b"x"));
    let root = store.tree_of(vec![evil, file]);
    let report = plain(&store, &root, &target).unwrap();
    assert_eq!(report.failures.len(), 1);
    assert_holds(&target.join("file"), b"x");
}

#[test]
fn a_marker_that_is_a_link_or_has_another_name_is_not_written_through() {
    let (_folder, target, outside) = sandbox();
    let mut store = Memory::default();
    let file = store.file("file", b"x");
    let root = store.tree_of(vec![file]);
    fs::create_dir(&target).unwrap();
    fs::hard_link(outside.join("precious"), target.join(target::MARKER)).unwrap();
    plain(&store, &root, &target).unwrap();
    assert_untouched(&outside);

    let target = target.join("second");
    fs::create_dir(&target).unwrap();
    symlink(outside.join("precious"), target.join(target::MARKER)).unwrap();
    plain(&store, &root, &target).unwrap_err();
    assert_untouched(&outside);
}
