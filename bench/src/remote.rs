//! The content engine on S3 that is far away: the same life of a repository as on a disk, over a server on this machine that
//! answers as late and as slowly as one in another place.

use std::ffi::OsString;
use std::path::Path;

use holdfast_tests::front::Pace;
use holdfast_tests::radosgw::Radosgw;

use crate::data::{Scale, Set};
use crate::engine::{self, Program};
use crate::measured::Took;
use crate::peers::{Bucket, Operation, Peer, Place};

const OPERATIONS: [Operation; 6] = [
    Operation::Backup,
    Operation::Unchanged,
    Operation::Incremental,
    Operation::Check,
    Operation::Restore,
    Operation::Prune,
];

/// One operation of one program.
struct Row {
    operation: Operation,
    took: Took,
    requests: usize,
}

/// Measures Holdfast and restic, one after the other, and prints a table for each set.
pub fn measure(holdfast: &Path, peers: &Path, work: &Path, scale: Scale, pace: Pace) -> Result<(), String> {
    let speaks_s3 = |program: &Program| matches!(program.peer, Peer::Holdfast | Peer::Restic);
    let programs: Vec<Program> = engine::find(holdfast, peers)?.into_iter().filter(speaks_s3).collect();
    let restic = programs.iter().find(|program| program.peer == Peer::Restic);
    let restic = restic.ok_or("restic is not there")?.path.clone();
    for program in &programs {
        println!("* {}: {}", program.peer.name(), program.version);
    }
    for set in Set::ALL {
        let first = work.join(format!("{}-1", set.name()));
        let second = work.join(format!("{}-2", set.name()));
        engine::make(set, scale, &first, &second)?;
        let mut lives = Vec::new();
        for program in &programs {
            eprintln!("{}: {}", set.name(), program.peer.name());
            lives.push(live(program, &restic, (&first, &second), work, pace)?);
        }
        print(set, scale, &programs, &lives);
        engine::remove(&first)?;
        engine::remove(&second)?;
    }
    Ok(())
}

/// restic makes the bucket of a repository; Holdfast, which may only do what it must, makes none.
fn make_bucket(restic: &Path, place: &Place) -> Vec<OsString> {
    let bucket = place.bucket.as_ref();
    let address = bucket.map(|bucket| format!("s3:{}/{}/other", bucket.endpoint, bucket.name));
    ["-q", "-r", &address.unwrap_or_default(), "init"]
        .iter()
        .fold(vec![restic.into()], |mut command, word| {
            command.push(word.into());
            command
        })
}

fn live(
    program: &Program,
    restic: &Path,
    (first, second): (&Path, &Path),
    work: &Path,
    pace: Pace,
) -> Result<Vec<Row>, String> {
    let radosgw = Radosgw::start();
    let server = radosgw.watched();
    let bucket = Bucket {
        endpoint: server.endpoint(),
        name: "vault".to_owned(),
    };
    let mut place = engine::furnish(work, Some(bucket), first)?;
    engine::run(&vec![make_bucket(restic, &place)], &place)?;
    engine::run(&program.peer.init(&program.path, &place), &place)?;
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        match operation {
            Operation::Incremental => engine::replace(second, &place.source)?,
            Operation::Prune if program.peer == Peer::Holdfast => place.old = engine::old_snapshots(program, &place)?,
            _ => {}
        }
        let Some((_, commands)) = program.peer.commands(&program.path, operation, &place) else {
            continue;
        };
        server.keep_pace(pace);
        server.requests();
        let took = engine::run(&commands, &place)?;
        let requests = server.requests().len();
        server.keep_pace(Pace::default());
        if operation == Operation::Restore {
            engine::require_same(&place.source, &engine::restored(&place)?)?;
        }
        rows.push(Row {
            operation,
            took,
            requests,
        });
    }
    engine::clear(&place)?;
    Ok(rows)
}

/// Wall seconds, processor seconds, peak MiB and requests of each; and how many times as long as Holdfast it took.
fn print(set: Set, scale: Scale, programs: &[Program], lives: &[Vec<Row>]) {
    println!("\n### {}: {}\n", set.name(), set.says(scale));
    let names: Vec<&str> = programs.iter().map(|program| program.peer.name()).collect();
    println!("| wall s / CPU s / peak MiB / requests | {} |", names.join(" | "));
    println!("| --- |{}", " --- |".repeat(names.len()));
    for (at, operation) in OPERATIONS.iter().enumerate() {
        let cells: Vec<String> = lives
            .iter()
            .enumerate()
            .filter_map(|(which, rows)| {
                let row = rows.get(at)?;
                let Took { wall, cpu, peak } = row.took;
                let ours = lives.first()?.get(at)?.took.wall;
                let times = if which == 0 {
                    String::new()
                } else {
                    format!(" (×{:.1})", wall / ours)
                };
                debug_assert!(row.operation == *operation);
                Some(format!("{wall:.2} / {cpu:.2} / {peak:.0} / {}{times}", row.requests))
            })
            .collect();
        println!("| {} | {} |", operation.name(), cells.join(" | "));
    }
}
