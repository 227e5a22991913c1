//! `holdfast wal push` as a server's archive_command, and `holdfast wal fetch` as what a damaged repository says to one.

use std::fs;

use crate::server::wait_until;
use crate::tools::Ran;
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
