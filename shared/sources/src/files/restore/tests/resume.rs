use super::*;

fn set_up() -> (tempfile::TempDir, PathBuf, Memory, Id, Vec<Vec<u8>>) {
    let (folder, target, _) = sandbox();
    let mut store = Memory::default();
    let contents: Vec<Vec<u8>> = (0..20).map(|n| bytes(n, 10 * BLOB)).collect();
    let mut nodes: Vec<Node> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| store.file(&format!("f{n:02}"), content))
        .collect();
    let mut second_name = nodes[0].clone();
    second_name.name = b"f00-again".to_vec();
    for node in [&mut nodes[0], &mut second_name] {
        (node.inode, node.device_id, node.links) = (3, 1, 2);
    }
    nodes.push(second_name);
    let folder_node = store.folder("folder", nodes);
    let root = store.tree_of(vec![folder_node]);
    (folder, target, store, root, contents)
}

fn assert_whole(target: &Path, contents: &[Vec<u8>]) {
    for (n, content) in contents.iter().enumerate() {
        assert_holds(&target.join(format!("folder/f{n:02}")), content);
    }
    let inode = |name: &str| target.join("folder").join(name).metadata().unwrap().ino();
    assert_eq!(inode("f00"), inode("f00-again"));
    assert!(!target.join(target::MARKER).exists());
}

#[test]
fn a_restore_that_was_cut_off_goes_on_where_it_stopped() {
    // Batches of three files, so that finished and unfinished files stand side by side.
    for cut_after in [0, 1, 29, 30, 95, 199] {
        let (_folder, target, mut store, root, contents) = set_up();
        let options = RestoreOptions {
            batch: 33,
            ..RestoreOptions::new(&GO_ON)
        };
        store.breaks_after = Some(cut_after);
        attempt(&store, &root, &target, &options).unwrap_err();
        assert!(target.join(target::MARKER).exists());
        store.breaks_after = None;
        let report = attempt(&store, &root, &target, &options).unwrap();
        assert!(report.is_complete());
        assert_eq!(report.bytes_right, cut_after * BLOB as u64);
        assert_eq!(report.bytes_written, (200 - cut_after) * BLOB as u64);
        assert_whole(&target, &contents);
    }
}

#[test]
fn a_cancelled_restore_says_so_and_can_be_repeated() {
    let (_folder, target, store, root, contents) = set_up();
    let cancelled = AtomicBool::new(true);
    let error = attempt(&store, &root, &target, &RestoreOptions::new(&cancelled)).unwrap_err();
    assert!(matches!(error, RestoreError::Cancelled));
    plain(&store, &root, &target).unwrap();
    assert_whole(&target, &contents);
}

#[test]
fn an_unfinished_restore_of_something_else_is_refused_by_name() {
    let (_folder, target, mut store, root, contents) = set_up();
    store.breaks_after = Some(5);
    plain(&store, &root, &target).unwrap_err();
    store.breaks_after = None;
    let go_on = RestoreOptions::new(&GO_ON);
    let error = restore_tree(&store, "repository", &Id([8; 32]), &root, &target, &go_on).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&format!("unfinished restore of snapshot {SNAPSHOT}")),
        "{error}"
    );
    restore_tree(&store, "another", &SNAPSHOT, &root, &target, &go_on).unwrap_err();
    let part = RestoreOptions {
        include: vec!["f00".into()],
        ..RestoreOptions::new(&GO_ON)
    };
    assert!(matches!(
        attempt(&store, &root, &target, &part).unwrap_err(),
        RestoreError::Unfinished { .. }
    ));
    attempt(&store, &root, &target, &overwriting()).unwrap();
    assert_whole(&target, &contents);
}

#[test]
fn a_broken_marker_is_refused_unless_nothing_else_is_there() {
    let (_folder, target, store, root, contents) = set_up();
    fs::create_dir(&target).unwrap();
    fs::write(target.join(target::MARKER), "{\"version\":1,").unwrap();
    fs::write(target.join("other"), "").unwrap();
    let error = plain(&store, &root, &target).unwrap_err();
    assert!(error.to_string().contains("is not readable"), "{error}");
    fs::remove_file(target.join("other")).unwrap();
    plain(&store, &root, &target).unwrap();
    assert_whole(&target, &contents);
}

#[test]
fn two_restores_do_not_work_in_one_target() {
    let (_folder, target, _store, _root, _) = set_up();
    let marker = || Marker::new("repository", &SNAPSHOT, &RestoreOptions::new(&GO_ON));
    let held = Target::prepare(&target, marker(), false).unwrap();
    let error = Target::prepare(&target, marker(), false).map(|_| ()).unwrap_err();
    assert!(matches!(error, RestoreError::Busy { .. }), "{error}");
    drop(held);
    Target::prepare(&target, marker(), false).unwrap();
}

#[test]
fn a_full_disk_names_the_file_and_the_restore_goes_on_once_there_is_room() {
    let (folder, _, store, root, contents) = set_up();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let small = c"size=64k";
    if rustix::mount::mount("none", &disk, "tmpfs", rustix::mount::MountFlags::empty(), small).is_err() {
        eprintln!("not tested: only the system's administrator may mount a small disk");
        return;
    }
    let target = disk.join("target");
    let error = plain(&store, &root, &target).unwrap_err();
    let marked = target.join(target::MARKER).exists();
    let larger = rustix::mount::mount_remount(&disk, rustix::mount::MountFlags::empty(), c"size=10m");
    let again = plain(&store, &root, &target);
    let whole = std::panic::catch_unwind(|| assert_whole(&target, &contents));
    rustix::mount::unmount(&disk, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(
        matches!(&error, RestoreError::Full { path, .. } if path.starts_with(target.join("folder"))),
        "{error}"
    );
    assert!(marked);
    larger.unwrap();
    assert!(again.unwrap().is_complete());
    whole.unwrap();
}

#[test]
fn existing_files_are_written_at_the_right_places() {
    let (_folder, target, store, root, contents) = set_up();
    plain(&store, &root, &target).unwrap();
    let file = fs::File::options().write(true).open(target.join("folder/f07")).unwrap();
    file.write_at(b"damage", 4 * BLOB as u64 - 3).unwrap();
    let report = attempt(&store, &root, &target, &overwriting()).unwrap();
    // Both blobs that the damage touches, and the file with two names, which is made anew.
    assert_eq!(report.bytes_written, 2 * BLOB as u64 + 10 * BLOB as u64);
    assert_whole(&target, &contents);
}
