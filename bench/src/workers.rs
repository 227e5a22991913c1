//! One backup by several processes, each of which may store so many bytes a second: what executions with little bandwidth
//! each reach together.

use std::path::Path;

use crate::data;
use crate::engine;
use crate::measured;
use crate::model;
use crate::peers::Peer;

/// How many there are at a time.
const WORKERS: [u32; 4] = [1, 2, 4, 8];
/// The files: 2,000 MiB.
const FILES: u64 = 8_000;
const FILE_BYTES: usize = 256 << 10;

/// Measures, and prints a table, and what follows from it for Lambda.
pub fn measure(holdfast: &Path, work: &Path, megabytes_per_second: u64) -> Result<(), String> {
    let source = work.join("many");
    engine::remove(&source)?;
    data::write_many(FILES, FILE_BYTES, &source).map_err(|error| format!("{}: {error}", source.display()))?;
    let bytes = FILES * FILE_BYTES as u64;
    println!("| workers | wall s | CPU s | MB/s | of one worker's, times their number |");
    println!("| --- | --- | --- | --- | --- |");
    let (mut one, mut efficiency) = (None, 1.0);
    for workers in WORKERS {
        let place = engine::furnish(work, None, &source)?;
        engine::run(&Peer::Holdfast.init(holdfast, &place), &place)?;
        let mut command: Vec<std::ffi::OsString> = vec![holdfast.into()];
        command.extend(["repository", "backup", "--repo"].map(Into::into));
        command.push(place.repository(Peer::Holdfast));
        command.push(place.source.clone().into());
        command.extend(["--workers".into(), workers.to_string().into()]);
        command.extend(["--limit-upload".into(), format!("{megabytes_per_second}MB/s").into()]);
        measured::settle()?;
        let took = engine::run(&vec![command], &place)?;
        let alone = *one.get_or_insert(took.wall);
        efficiency = alone / took.wall / f64::from(workers);
        println!(
            "| {workers} | {:.2} | {:.2} | {:.0} | {:.2} |",
            took.wall,
            took.cpu,
            bytes as f64 / 1e6 / took.wall,
            efficiency
        );
        engine::clear(&place)?;
    }
    model::print(efficiency);
    engine::remove(&source)
}
