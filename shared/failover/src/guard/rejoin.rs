//! A server becomes a standby of another: rewound to where their histories part, with a report of what is given up.

use std::fs;
use std::path::Path;

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_sources::postgres::address::DEFAULT_DATABASE;
use holdfast_sources::postgres::{ClientOptions, Lsn, Segment};

use super::control::{self, Control, run};
use super::intent::{Divergence, failed};
use super::seed;
use super::settings::Settings;

/// Makes the data folder of a server that is down that of a standby of `leader`. What its own history holds beyond the
/// leader's is written down before it is given up. Where it cannot be rewound it is seeded anew, and what was there is set
/// aside.
pub fn rejoin(
    settings: &Settings,
    leader: &str,
    generation: u64,
    options: &ClientOptions,
) -> Result<Option<Divergence>, Failure> {
    let marker = settings.folder.join("rewinding");
    let mut begun = None;
    if marker.exists() {
        // What was being given up when it broke off; the fresh copy has nothing of it.
        let text = fs::read(&marker).map_err(|error| failed("read", &marker, error))?;
        begun = serde_json::from_slice(&text).ok();
        // Half rewound is neither the old nor the new: only a fresh copy is safe.
        seed::seed(settings, leader, generation, options)?;
        fs::remove_file(&marker).map_err(|error| failed("remove", &marker, error))?;
    }
    let control = control::read(settings)?;
    let signal = settings.data.join("standby.signal");
    // A standby that was not stopped in order has nothing of its own, and recovers when it starts.
    let divergence = if signal.exists() && !control.is_clean {
        None
    } else {
        rewind(settings, leader, generation, &marker)?
    };
    write_whole(&signal, "")?;
    match fs::remove_file(&marker) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &marker, error)),
        _ => Ok(divergence.or(begun)),
    }
}

fn rewind(settings: &Settings, leader: &str, generation: u64, marker: &Path) -> Result<Option<Divergence>, Failure> {
    let data = settings.data.to_string_lossy();
    if !control::read(settings)?.is_clean {
        // A crash left the log's end unapplied; this applies it, as pg_rewind itself would, and serves no client.
        run(
            &settings.program("postgres"),
            &["--single", "-F", "-D", &data, "template1"],
        )?;
    }
    let program = settings.program("pg_rewind");
    let source = format!("--source-server={}", with_database(leader));
    let words = ["--target-pgdata", &data, &source];
    let said = run(&program, &[words.as_slice(), &["--dry-run"]].concat())?;
    let Some(fork) = fork_in(&said) else {
        return Ok(None);
    };
    let divergence = report(settings, fork, generation)?;
    let text = serde_json::to_string(&divergence)
        .map_err(|error| Failure::caused(FailureKind::Bug, "a divergence is no JSON", error))?;
    write_whole(marker, &text)?;
    run(&program, &words)?;
    Ok(Some(divergence))
}

/// The leader's connection string for a client that needs a database. Followers' strings need none, and libpq would take the
/// role's name for one; a URI names its own.
fn with_database(leader: &str) -> String {
    match leader.contains("dbname") || leader.contains("://") {
        true => leader.to_owned(),
        false => format!("{leader} dbname={DEFAULT_DATABASE}"),
    }
}

/// Where pg_rewind says that histories part; none where they do not.
fn fork_in(said: &str) -> Option<(Lsn, u32)> {
    if said.contains("no rewind required") {
        return None;
    }
    let rest = said.split_once("servers diverged at WAL location ")?.1;
    let (position, rest) = rest.split_once(" on timeline ")?;
    let timeline: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((position.parse().ok()?, timeline.parse().ok()?))
}

/// Writes down the transactions that were committed beyond the fork, and where.
fn report(settings: &Settings, fork: (Lsn, u32), generation: u64) -> Result<Divergence, Failure> {
    let (from, _) = fork;
    let own = control::read(settings)?;
    let records = transactions(settings, &own, from)?;
    let path = settings.folder.join(format!("divergence-{generation}.txt"));
    // A second attempt must not replace what the first has written: the log may be rewound by then.
    if !path.exists() {
        write_whole(&path, &records)?;
    }
    Ok(Divergence {
        generation,
        timeline: own.timeline,
        from: from.to_string(),
        to: own.checkpoint.to_string(),
        committed: commits_in(&records) as u64,
        records: path,
    })
}

/// The records of transactions from a position up to the last checkpoint, as `pg_waldump` shows them. It is told the first and
/// the last file: by itself it reads the length of segments from any, also from one that was made beforehand and is empty.
fn transactions(settings: &Settings, own: &Control, from: Lsn) -> Result<String, Failure> {
    if from >= own.checkpoint {
        return Ok(String::new());
    }
    let segment = |position| Segment::holding(own.timeline, position, own.segments).name(own.segments);
    let program = settings.program("pg_waldump");
    let log = settings.data.join("pg_wal");
    let output = std::process::Command::new(&program)
        .args([
            "--rmgr=Transaction",
            &format!("--start={from}"),
            &format!("--end={}", own.checkpoint),
        ])
        .arg("--path")
        .arg(&log)
        .args([segment(from), segment(own.checkpoint)])
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| failed("run", &program, error))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let is_end = [
        "invalid record length",
        "invalid magic number",
        "could not find file",
        "unexpected pageaddr",
    ]
    .iter()
    .any(|end| said.contains(end));
    if output.status.success() || is_end {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = format!("{} fails over {}: {}", program.display(), log.display(), said.trim());
    Err(Failure::new(FailureKind::Transient, message))
}

fn commits_in(records: &str) -> usize {
    records.lines().filter(|line| line.contains("desc: COMMIT")).count()
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let beside = path.with_extension("new");
    fs::write(&beside, text).map_err(|error| failed("write", &beside, error))?;
    fs::File::open(&beside)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed("write", &beside, error))?;
    fs::rename(&beside, path).map_err(|error| failed("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fork_is_found_in_what_pg_rewind_says() {
        let said = "pg_rewind: connected to server\npg_rewind: servers diverged at WAL location 0/3000A50 on timeline 12\n\
            pg_rewind: rewinding from last common checkpoint at 0/3000060 on timeline 12\n";
        assert_eq!(fork_in(said), Some((Lsn(0x0300_0A50), 12)));
        let same =
            "pg_rewind: servers diverged at WAL location 0/3000A50 on timeline 1\npg_rewind: no rewind required\n";
        assert_eq!(fork_in(same), None);
        assert_eq!(fork_in(""), None);
    }

    #[test]
    fn commits_are_counted_and_aborts_are_not() {
        let records = "rmgr: Transaction len (rec/tot): 34/34, tx:        735, lsn: 0/03000A50, prev 0/03000A18, desc: COMMIT 2026\n\
            rmgr: Transaction len (rec/tot): 34/34, tx: 736, lsn: 0/03000B50, prev 0/03000A18, desc: ABORT 2026\n";
        assert_eq!(commits_in(records), 1);
    }
}
