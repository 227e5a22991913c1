use tempfile::TempDir;

use super::super::{Target, TargetTimeline};
use super::*;

const RECOVERY: Recovery = Recovery {
    target: Target::Latest,
    is_inclusive: true,
    timeline: TargetTimeline::Latest,
};

fn restored() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("pg_tblspc")).unwrap();
    fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    fs::write(data.join("backup_label"), "START WAL LOCATION").unwrap();
    fs::write(data.join("postgresql.auto.conf"), "work_mem = '4MB'").unwrap();
    (folder, data)
}

fn run(data: &Path, version: Option<u32>, tablespaces: &BTreeMap<u32, PathBuf>) -> Result<(), PrepareError> {
    let options = PrepareOptions {
        recovery: &RECOVERY,
        restore_command: "cp /log/%f %p",
        version,
        tablespaces,
    };
    prepare(data, &options)
}

#[test]
fn settings_are_added_and_a_standby_becomes_a_recovery() {
    let (_folder, data) = restored();
    fs::write(data.join("standby.signal"), "").unwrap();
    run(&data, Some(15), &BTreeMap::new()).unwrap();
    let text = fs::read_to_string(data.join("postgresql.auto.conf")).unwrap();
    assert!(
        text.starts_with("work_mem = '4MB'\nrestore_command = 'cp /log/%f %p'\n"),
        "{text}"
    );
    assert!(data.join("recovery.signal").exists() && !data.join("standby.signal").exists());
    run(&data, Some(15), &BTreeMap::new()).unwrap();
}

#[test]
fn folders_that_cannot_recover_are_refused() {
    let (_folder, data) = restored();
    let none = BTreeMap::new();
    let error = run(&data, Some(16), &none).unwrap_err().to_string();
    assert!(error.contains("PostgreSQL 15, not 16"), "{error}");
    fs::write(data.join("postmaster.pid"), "1").unwrap();
    assert!(matches!(run(&data, None, &none), Err(PrepareError::Running(_))));
    fs::remove_file(data.join("postmaster.pid")).unwrap();
    let unknown = BTreeMap::from([(7, PathBuf::from("/srv/space"))]);
    assert!(matches!(run(&data, None, &unknown), Err(PrepareError::NoTablespace(7))));
    fs::remove_file(data.join("backup_label")).unwrap();
    assert!(matches!(run(&data, None, &none), Err(PrepareError::NoLabel(_))));
    assert!(!data.join("recovery.signal").exists());
}

#[test]
fn tablespaces_move_to_their_places_and_never_over_others() {
    let (folder, data) = restored();
    let place = |name: &str| folder.path().join(name);
    for number in ["16400", "16401"] {
        fs::create_dir_all(data.join("pg_tblspc").join(number).join("PG_15_202209061")).unwrap();
    }
    let map = format!("16400 {}\n16401 /nowhere/a\\\nb\\\\c\n", place("old").display());
    fs::write(data.join("tablespace_map"), map).unwrap();
    let wanted = BTreeMap::from([(16_401, place("new \\ one"))]);
    fs::create_dir_all(place("old").join("of a server that runs")).unwrap();
    let error = run(&data, None, &wanted).unwrap_err().to_string();
    assert!(
        error.contains("16400") && error.contains("something is there"),
        "{error}"
    );
    fs::remove_dir(place("old").join("of a server that runs")).unwrap();
    run(&data, None, &wanted).unwrap();
    for (number, place) in [("16400", place("old")), ("16401", place("new \\ one"))] {
        assert_eq!(fs::read_link(data.join("pg_tblspc").join(number)).unwrap(), place);
        assert!(place.join("PG_15_202209061").is_dir());
    }
    let map = fs::read(data.join("tablespace_map")).unwrap();
    assert_eq!(parse_map(&map).unwrap()[&16_401], place("new \\ one"));
    run(&data, None, &wanted).unwrap();
    let inside = BTreeMap::from([(16_401, data.join("inside"))]);
    assert!(matches!(run(&data, None, &inside), Err(PrepareError::Place { .. })));
    fs::write(data.join("tablespace_map"), "x /y\n").unwrap();
    assert!(matches!(run(&data, None, &wanted), Err(PrepareError::Map { .. })));
}
