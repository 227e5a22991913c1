//! Very many small files, on a disk and below one prefix of a bucket: how long they take, and how much memory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use holdfast_kernels::data::noise;

use crate::data;
use crate::engine;
use crate::measured;
use crate::peers::{Bucket, Commands, Place};
use crate::store::Store;

const BYTES: usize = 1 << 10;
/// The bucket and the prefix of the objects.
const BUCKET: &str = "source";
const PREFIX: &str = "flat/";

/// Measures both, and prints a table for each.
pub fn measure(holdfast: &Path, work: &Path, number: u64) -> Result<(), String> {
    on_disk(holdfast, work, number)?;
    in_bucket(holdfast, work, number)
}

fn on_disk(holdfast: &Path, work: &Path, number: u64) -> Result<(), String> {
    let place = place(work, None)?;
    data::write_many(number, BYTES, &place.source).map_err(|error| format!("{}: {error}", place.source.display()))?;
    println!("\n### {number} files of 1 KiB in folders of a thousand\n");
    let some = format!("{}/0000/**", place.source.display());
    live(holdfast, &place, place.source.as_os_str().to_owned(), &some)
}

fn in_bucket(holdfast: &Path, work: &Path, number: u64) -> Result<(), String> {
    let store = Store::start();
    for object in 0..number {
        store.put(BUCKET, &format!("{PREFIX}{object:07}"), noise(8 << 40 | object, BYTES));
    }
    let bucket = Bucket {
        endpoint: store.front.endpoint(),
        name: BUCKET.to_owned(),
    };
    let place = place(work, Some(bucket))?;
    println!("\n### {number} objects of 1 KiB below one prefix\n");
    let some = format!("/{BUCKET}/{PREFIX}**/0000[0-9][0-9][0-9]");
    live(holdfast, &place, format!("s3://{BUCKET}/{PREFIX}").into(), &some)
}

fn place(work: &Path, bucket: Option<Bucket>) -> Result<Place, String> {
    let place = Place {
        source: work.join("source"),
        folder: work.join("place"),
        old: Vec::new(),
        bucket,
    };
    engine::clear(&place)?;
    std::fs::create_dir_all(place.restored()).map_err(|error| format!("{}: {error}", place.folder.display()))?;
    Ok(place)
}

/// A first backup, one where nothing changed, and a restore of some; the repository is in a folder.
fn live(holdfast: &Path, place: &Place, source: OsString, some: &str) -> Result<(), String> {
    let repository: PathBuf = place.folder.join("repository");
    let command = |verb: &str, rest: Vec<OsString>| -> Commands {
        let mut command: Vec<OsString> = vec![holdfast.into()];
        command.extend(["repository", verb, "--repo"].map(Into::into));
        command.push(repository.clone().into());
        command.extend(rest);
        vec![command]
    };
    engine::run(&command("init", Vec::new()), place)?;
    println!("| | wall s | CPU s | peak MiB |");
    println!("| --- | --- | --- | --- |");
    let restore = vec![
        "latest".into(),
        "--target".into(),
        place.restored().into(),
        "--include".into(),
        some.into(),
    ];
    for (name, commands) in [
        ("backup", command("backup", vec![source.clone()])),
        ("unchanged", command("backup", vec![source])),
        ("restore of a thousand", command("restore", restore)),
        ("check", command("check", vec!["--read-data".into()])),
    ] {
        measured::settle()?;
        let took = engine::run(&commands, place)?;
        println!("| {name} | {:.2} | {:.2} | {:.0} |", took.wall, took.cpu, took.peak);
    }
    engine::clear(place)
}
