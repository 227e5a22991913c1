//! `holdfast wal push` as a server's archive_command, and `holdfast wal fetch` as what a damaged repository says to one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::server::{give_to_owner, wait_until};
use crate::tools::{PASSWORD, Ran};
use crate::world::{NAME, World};

#[test]
fn a_server_archives_its_log_and_recovers_from_there() {
    let world = World::new(&["archive_mode = on", "archive_command = 'false'"]);
    let words = format!(
        "{} wal push --repo {} --password-file {} --name {NAME}",
        world.path("holdfast").display(),
        world.repo().display(),
        world.path("password").display()
    );
    world.server.configure(&format!("archive_command = '{words} \"%p\"'"));
    world.server.sql("SELECT pg_reload_conf()");
    world.back_up();
    for _ in 0..3 {
        world
            .server
            .sql("INSERT INTO ledger SELECT FROM generate_series(1, 1000)");
        world.server.sql("SELECT pg_switch_wal()");
    }
    let last = world.server.sql("SELECT pg_walfile_name(pg_switch_wal())");
    wait_until("the log is archived", || {
        world.server.sql("SELECT last_archived_wal FROM pg_stat_archiver") >= last
    });
    let windows = world.windows();
    assert_eq!(windows["gaps"].as_array().unwrap().len(), 0, "{windows}");
    let restored = world.recovered(&[]);
    assert_eq!(restored.sql("SELECT count(*) FROM ledger"), "3000");
}

/// A server with segments that wait to be archived, and their paths.
fn waiting(count: usize) -> (World, Vec<PathBuf>) {
    let world = World::new(&["archive_mode = on", "archive_command = 'false'"]);
    let log = world.server.data.join("pg_wal");
    let segments = (0..count).map(|_| {
        world
            .server
            .sql("INSERT INTO ledger SELECT FROM generate_series(1, 100)");
        log.join(world.server.sql("SELECT pg_walfile_name(pg_switch_wal())"))
    });
    let segments: Vec<PathBuf> = segments.collect();
    wait_until("all of them wait", || {
        let status = log.join("archive_status");
        let ready = |segment: &PathBuf| {
            let name = segment.file_name().unwrap().to_str().unwrap();
            status.join(format!("{name}.ready")).exists()
        };
        segments.iter().all(ready)
    });
    (world, segments)
}

impl World {
    fn push(&self, segment: &Path) -> Ran {
        Ran::of(self.command(&["wal", "push", "--name", NAME]).arg(segment))
    }

    /// Has every later call use another password, so that none opens the repository any more.
    fn password(&self, password: &str) {
        fs::write(self.path("password"), password).unwrap();
    }
}

#[test]
fn what_was_stored_along_is_acknowledged_without_the_repository_being_opened() {
    let (world, segments) = waiting(5);
    world.push(&segments[0]).ends(0);
    world.password("wrong");
    world.push(&segments[1]).ends(0);
    // The one that is used up, and the one that was asked for, are pushed in the ordinary way.
    for segment in &segments[..2] {
        world.push(segment).ends(1).says("password");
    }
    world.server.sql("INSERT INTO ledger DEFAULT VALUES");
    let not_stored = world.server.sql("SELECT pg_walfile_name(pg_switch_wal())");
    world
        .push(&world.server.data.join("pg_wal").join(not_stored))
        .ends(1)
        .says("password");

    // Other content under the name of what was stored along.
    let bytes = fs::read(&segments[2]).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&segments[2], changed).unwrap();
    world.push(&segments[2]).ends(1).says("password");
    world.password(PASSWORD);
    world
        .push(&segments[2])
        .ends(1)
        .says("stored already with other content");
    fs::write(&segments[2], bytes).unwrap();

    // A push that was killed between the store and the notes.
    let spool = world.server.data.join("pg_wal/holdfast-spool");
    fs::remove_dir_all(&spool).unwrap();
    world.push(&segments[2]).ends(0);
    world.password("wrong");
    world.push(&segments[3]).ends(0);

    // A repository that was made anew at the same place.
    fs::rename(world.repo(), world.path("old")).unwrap();
    world.push(&segments[4]).ends(1).says("no repository");
    world.password(PASSWORD);
    Ran::of(&mut world.command(&["repository", "init"])).ends(0);
    world.push(&segments[4]).ends(0);
    let target = world.path("fetched");
    let fetch = |segment: &Path| {
        let mut command = world.command(&["wal", "fetch", "--name", NAME]);
        Ran::of(command.arg(segment.file_name().unwrap()).arg(&target))
    };
    fetch(&segments[4]).ends(0);
    assert_eq!(fs::read(&target).unwrap(), fs::read(&segments[4]).unwrap());
}

#[test]
fn what_was_fetched_ahead_before_the_machine_started_anew_is_not_believed() {
    let (world, segments) = waiting(2);
    world.push(&segments[0]).ends(0);
    let target = world.path("fetched");
    let fetch = |segment: &Path| {
        let mut command = world.command(&["wal", "fetch", "--name", NAME]);
        Ran::of(command.arg(segment.file_name().unwrap()).arg(&target)).ends(0);
        fs::read(&target).unwrap()
    };
    let spool = world.path("holdfast-spool");
    let earlier = spool.join("7c0e0d3c-8a5f-4a63-9d8e-000000000000");
    fs::create_dir_all(&earlier).unwrap();
    for folder in [&earlier, &spool] {
        fs::write(folder.join(segments[0].file_name().unwrap()), vec![0; 16 << 20]).unwrap();
    }
    give_to_owner(&spool);
    assert!(fetch(&segments[0]) == fs::read(&segments[0]).unwrap());
    assert!(!earlier.exists());
    // The next one waits, and is taken without a look at the repository.
    fs::rename(world.repo(), world.path("away")).unwrap();
    assert!(fetch(&segments[1]) == fs::read(&segments[1]).unwrap());
}

#[test]
fn what_is_not_stored_is_told_apart_from_what_cannot_be_read() {
    let world = World::new(&[]);
    world.pull().ends(0);
    world.server.sql("SELECT pg_switch_wal()");
    world.pull().ends(0);
    let target = world.path("fetched");
    let fetch = |file: &str| {
        let mut command = world.command(&["wal", "fetch"]);
        Ran::of(command.args(["--name", NAME, file]).arg(&target))
    };
    fetch("0000000100000000000000FF").ends(1);
    fetch("00000009.history").ends(1);
    fetch("000000010000000000000001").ends(0);
    assert_eq!(fs::metadata(&target).unwrap().len(), 16 << 20);
    fs::remove_file(&target).unwrap();
    // The spool beside the target must not answer for the repository.
    let _ = fs::remove_dir_all(world.path("holdfast-spool"));
    for pack in walk(&world.repo().join("data")) {
        let mut bytes = fs::read(&pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    fetch("000000010000000000000001").ends(200);
    assert!(!target.exists());
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}
