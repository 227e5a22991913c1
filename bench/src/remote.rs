//! The content engine on S3 that is far away: the same life of a repository as on a disk, over a server on this machine that
//! answers as late and as slowly as one in another place.

use std::path::Path;

use holdfast_tests::front::Pace;

use crate::data::{self, Scale, Set};
use crate::engine::{self, Program};
use crate::measured::Took;
use crate::peers::{Bucket, Operation, Peer};
use crate::store::Store;

const OPERATIONS: [Operation; 6] = [
    Operation::Backup,
    Operation::Unchanged,
    Operation::Incremental,
    Operation::Check,
    Operation::Restore,
    Operation::Prune,
];

/// Bytes a second of the link that one file is restored over.
const LINK: u64 = 100_000_000;

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
            lives.push(live(program, (&first, &second), work, pace)?);
        }
        print(set, scale, &programs, &lives);
        engine::remove(&first)?;
        engine::remove(&second)?;
    }
    one_file(&programs, work, scale, pace)
}

/// Restores one large file over a link that carries `LINK` bytes a second in all, and prints how much of it was used.
fn one_file(programs: &[Program], work: &Path, scale: Scale, pace: Pace) -> Result<(), String> {
    let (mib, linked) = (
        scale.one_file_mib(),
        Pace {
            link_bytes_per_second: Some(LINK),
            ..pace
        },
    );
    println!(
        "\n### One file of {mib} MiB of noise, restored over a link of {} MB/s\n",
        LINK / 1_000_000
    );
    println!("| | wall s / CPU s / peak MiB / requests | of the link |");
    println!("| --- | --- | --- |");
    let source = work.join("one");
    engine::remove(&source)?;
    data::write_one(scale, &source).map_err(|error| format!("{}: {error}", source.display()))?;
    for program in programs {
        let store = Store::start();
        let place = engine::furnish(work, Some(bucket_of(&store)), &source)?;
        engine::run(&program.peer.init(&program.path, &place), &place)?;
        let commands = |operation| {
            program
                .peer
                .commands(&program.path, operation, &place)
                .map(|(_, commands)| commands)
        };
        engine::run(&commands(Operation::Backup).unwrap_or_default(), &place)?;
        store.front.keep_pace(linked);
        store.front.requests();
        let Took { wall, cpu, peak } = engine::run(&commands(Operation::Restore).unwrap_or_default(), &place)?;
        let requests = store.front.requests().len();
        engine::require_same(&place.source, &engine::restored(&place)?)?;
        let used = (mib << 20) as f64 / LINK as f64 / wall * 100.0;
        println!(
            "| {} | {wall:.2} / {cpu:.2} / {peak:.0} / {requests} | {used:.0} % |",
            program.peer.name()
        );
        engine::clear(&place)?;
    }
    engine::remove(&source)
}

fn bucket_of(store: &Store) -> Bucket {
    Bucket {
        endpoint: store.front.endpoint(),
        name: "vault".to_owned(),
    }
}

fn live(program: &Program, (first, second): (&Path, &Path), work: &Path, pace: Pace) -> Result<Vec<Row>, String> {
    let store = Store::start();
    let server = &store.front;
    let mut place = engine::furnish(work, Some(bucket_of(&store)), first)?;
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
