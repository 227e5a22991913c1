//! The content engine beside other programs: each lives the same life of a repository, in alternation, several times.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::{self, Scale, Set};
use crate::limit::{self, Limit};
use crate::measured::{self, Took};
use crate::peers::{Bucket, Commands, Operation, Peer, Place};
use crate::report::{Row, Table};

/// A program that is there.
pub struct Program {
    pub peer: Peer,
    pub path: PathBuf,
    pub version: String,
}

/// Measures all programs that are there.
pub fn measure(holdfast: &Path, peers: &Path, work: &Path, scale: Scale, rounds: u32) -> Result<Table, String> {
    let programs = find(holdfast, peers)?;
    for program in &programs {
        eprintln!(
            "{}: {} ({})",
            program.peer.name(),
            program.version,
            program.path.display()
        );
    }
    let mut rows = Vec::new();
    let figures = limit::figures(&holdfast.with_file_name("holdfast-kernels"), work)?;
    eprintln!("{}", figures.markdown());
    let mut limits = Vec::new();
    let mut aside = Aside::new(work)?;
    for set in Set::ALL {
        let first = work.join(format!("{}-1", set.name()));
        let second = work.join(format!("{}-2", set.name()));
        make(set, scale, &first, &second)?;
        limits.push(Limit::of(set, &first, work, &figures, &mut aside)?);
        for round in 1..=rounds {
            for program in &programs {
                eprintln!("{}, round {round}: {}", set.name(), program.peer.name());
                rows.extend(live(program, set, (&first, &second), work, &mut aside)?);
            }
        }
        for folder in [first, second] {
            aside.put(set, &folder)?;
        }
    }
    aside.remove()?;
    Ok(Table::new(&programs, scale, rounds, rows, figures, limits))
}

/// What is done with, until everything is measured: ext4 makes files several times slower for some minutes after many were
/// removed, which would be the doing of whatever was measured before.
pub struct Aside {
    folder: PathBuf,
    count: usize,
}

impl Aside {
    fn new(work: &Path) -> Result<Self, String> {
        let folder = work.join("aside");
        remove(&folder)?;
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { folder, count: 0 })
    }

    /// Puts a folder of a set aside. Of sets with few files, it is removed at once, since they are large.
    pub fn put(&mut self, set: Set, folder: &Path) -> Result<(), String> {
        if set != Set::Small {
            return remove(folder);
        }
        self.count += 1;
        let to = self.folder.join(self.count.to_string());
        fs::rename(folder, to).map_err(|error| format!("{}: {error}", folder.display()))
    }

    fn remove(self) -> Result<(), String> {
        remove(&self.folder)
    }
}

pub fn find(holdfast: &Path, peers: &Path) -> Result<Vec<Program>, String> {
    let mut programs = Vec::new();
    for peer in Peer::ALL {
        let places = match peer {
            Peer::Holdfast => vec![holdfast.to_owned()],
            Peer::Restic | Peer::Rustic | Peer::Borg => [peers, Path::new("/usr/local/bin"), Path::new("/usr/bin")]
                .map(|folder| folder.join(peer.name()))
                .into(),
        };
        let Some(path) = places.into_iter().find(|path| path.is_file()) else {
            eprintln!("{}: not there, and left out", peer.name());
            continue;
        };
        let asked = Command::new(&path).args(peer.version()).output();
        let asked = asked.map_err(|error| format!("{}: {error}", path.display()))?;
        let version = String::from_utf8_lossy(&asked.stdout)
            .lines()
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        programs.push(Program { peer, path, version });
    }
    if programs.first().is_none_or(|first| first.peer != Peer::Holdfast) {
        return Err(format!(
            "{}: not there; `cargo build --release -p holdfast-cli` makes it",
            holdfast.display()
        ));
    }
    Ok(programs)
}

pub fn make(set: Set, scale: Scale, first: &Path, second: &Path) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", first.display());
    remove(first)?;
    remove(second)?;
    data::write(set, scale, first).map_err(at)?;
    copy(first, second)?;
    data::change(set, scale, second).map_err(at)
}

/// Everything a program does with one set. What is restored is compared with what was backed up.
fn live(
    program: &Program,
    set: Set,
    (first, second): (&Path, &Path),
    work: &Path,
    aside: &mut Aside,
) -> Result<Vec<Row>, String> {
    let mut place = furnish(work, None, first)?;
    run(&program.peer.init(&program.path, &place), &place)?;
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        match operation {
            Operation::Incremental => replace(second, &place.source)?,
            Operation::RestoreOver | Operation::RestoreChanged => {
                data::disturb(&place.restored()).map_err(|error| error.to_string())?;
            }
            Operation::Prune if program.peer == Peer::Holdfast => place.old = old_snapshots(program, &place)?,
            _ => {}
        }
        let Some((prepared, commands)) = program.peer.commands(&program.path, operation, &place) else {
            continue;
        };
        run(&prepared, &place)?;
        // What was written before is not this operation's.
        measured::settle()?;
        let took = run(&commands, &place)?;
        let on_disk = took.wall + measured::settle()?;
        if matches!(
            operation,
            Operation::Restore | Operation::RestoreOver | Operation::RestoreChanged
        ) {
            require_same(&place.source, &restored(&place)?)?;
        }
        let stored = match operation {
            Operation::Backup | Operation::Incremental | Operation::Prune => {
                Some(size(&place.folder.join("repository"))?)
            }
            _ => None,
        };
        rows.push(Row {
            set: set.name(),
            peer: program.peer.name(),
            operation: operation.name(),
            took,
            on_disk,
            stored_mib: stored.map(|bytes| bytes as f64 / f64::from(1 << 20)),
        });
    }
    aside.put(set, &place.folder)?;
    aside.put(set, &place.source)?;
    Ok(rows)
}

/// A place below `work` whose source is a copy of the first generation.
pub fn furnish(work: &Path, bucket: Option<Bucket>, first: &Path) -> Result<Place, String> {
    let place = Place {
        source: work.join("source"),
        folder: work.join("place"),
        old: Vec::new(),
        bucket,
    };
    clear(&place)?;
    fs::create_dir_all(place.restored()).map_err(|error| format!("{}: {error}", place.folder.display()))?;
    copy(first, &place.source)?;
    Ok(place)
}

/// Removes everything of a place.
pub fn clear(place: &Place) -> Result<(), String> {
    remove(&place.folder)?;
    remove(&place.source)
}

/// What some commands take together.
pub fn run(commands: &Commands, place: &Place) -> Result<Took, String> {
    let mut took = Took::default();
    for command in commands {
        took = took.and(measured::run(command, &place.environment(), &place.restored())?);
    }
    Ok(took)
}

/// All snapshots of Holdfast's repository but the newest.
pub fn old_snapshots(program: &Program, place: &Place) -> Result<Vec<String>, String> {
    let listed = Command::new(&program.path)
        .args(["repository", "snapshots", "--json", "--repo"])
        .arg(place.repository(program.peer))
        .envs(place.environment())
        .output()
        .map_err(|error| error.to_string())?;
    let snapshots: serde_json::Value =
        serde_json::from_slice(&listed.stdout).map_err(|error| format!("snapshots: {error}"))?;
    let listed = snapshots.as_array().or_else(|| snapshots["snapshots"].as_array());
    let mut all: Vec<(String, String)> = listed
        .into_iter()
        .flatten()
        .filter_map(|snapshot| {
            Some((
                snapshot["time"].as_str()?.to_owned(),
                snapshot["snapshot"].as_str()?.to_owned(),
            ))
        })
        .collect();
    all.sort_unstable();
    all.pop();
    if all.len() != 2 {
        return Err(format!("there are {} old snapshots, not two", all.len()));
    }
    Ok(all.into_iter().map(|(_, id)| id).collect())
}

/// Where in the target the source's content is: programs keep its path, or they do not.
pub fn restored(place: &Place) -> Result<PathBuf, String> {
    let below = place.source.strip_prefix("/").unwrap_or(&place.source);
    let kept = place.restored().join(below);
    let whole = place.restored().join(place.source.file_name().unwrap_or_default());
    [kept, whole, place.restored()]
        .into_iter()
        .find(|path| path.is_dir())
        .ok_or_else(|| format!("nothing was restored to {}", place.restored().display()))
}

fn command(program: &str, arguments: &[&Path], options: &[&str]) -> Result<(), String> {
    let status = Command::new(program).args(options).args(arguments).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} {options:?} {arguments:?}: {status}")),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

/// Copies a tree with its times, so that what is the same looks the same.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    command("cp", &[from, to], &["--archive", "--reflink=never"])
}

/// Makes `to` what `from` is; what is the same in both is left alone.
pub fn replace(from: &Path, to: &Path) -> Result<(), String> {
    let (wanted, there) = (files(from)?, files(to)?);
    let at = |error: std::io::Error| format!("{}: {error}", to.display());
    for gone in there.keys().filter(|path| !wanted.contains_key(*path)) {
        fs::remove_file(to.join(gone)).map_err(at)?;
    }
    for (path, (size, changed)) in &wanted {
        if there.get(path) != Some(&(*size, *changed)) {
            if let Some(folder) = to.join(path).parent() {
                fs::create_dir_all(folder).map_err(at)?;
            }
            command("cp", &[&from.join(path), &to.join(path)], &["--archive"])?;
        }
    }
    Ok(())
}

/// Every file below a folder with its size and the time of its last change.
fn files(root: &Path) -> Result<BTreeMap<PathBuf, (u64, std::time::SystemTime)>, String> {
    let at = |error: std::io::Error| format!("{}: {error}", root.display());
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(at)? {
            let path = entry.map_err(at)?.path();
            let metadata = fs::symlink_metadata(&path).map_err(at)?;
            if metadata.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(root).unwrap_or(&path).to_owned();
                found.insert(below, (metadata.len(), metadata.modified().map_err(at)?));
            }
        }
    }
    Ok(found)
}

pub fn size(root: &Path) -> Result<u64, String> {
    Ok(files(root)?.values().map(|(size, _)| size).sum())
}

pub fn require_same(expected: &Path, found: &Path) -> Result<(), String> {
    command(
        "diff",
        &[expected, found],
        &["--recursive", "--brief", "--no-dereference"],
    )
}

pub fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}
