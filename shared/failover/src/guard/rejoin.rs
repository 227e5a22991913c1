//! A server becomes a standby of another: rewound to where their histories part, with a report of what is given up.

use std::fs;
use std::path::Path;

use holdfast_core::domain::Failure;
use holdfast_sources::postgres::address::DEFAULT_DATABASE;
use holdfast_sources::postgres::{ClientOptions, Lsn, Segment};

use super::control::{self, Control, run};
use super::intent::{Divergence, failed};
use super::lease::Shared;
use super::seed;
use super::settings::Settings;

/// Makes the data folder of a server that is down that of a standby of `leader`. What its own history holds beyond the
/// leader's is written down before it is given up. Where a rewinding was broken off it is seeded anew, and what was there is
/// set aside.
pub fn rejoin(shared: &Shared, leader: &str, generation: u64, options: &ClientOptions) -> Result<(), Failure> {
    let settings = &shared.settings;
    if shared.known().intent.rewinding.is_some() {
        // Half rewound is neither the old nor the new: only a fresh copy is safe.
        return seed::seed(settings, leader, generation, options);
    }
    // A standby that was not stopped in order has nothing of its own, and recovers when it starts.
    if seed::signal(&settings.data).exists() && !control::read(settings)?.is_clean {
        return Ok(());
    }
    rewind(shared, leader, generation)?;
    write_whole(&seed::signal(&settings.data), "")
}

fn rewind(shared: &Shared, leader: &str, generation: u64) -> Result<(), Failure> {
    let settings = &shared.settings;
    let data = settings.data.to_string_lossy();
    if !control::read(settings)?.is_clean {
        // A crash left the log's end unapplied; this applies it, as pg_rewind itself would, and serves no client.
        run(settings, "postgres", &["--single", "-F", "-D", &data, "template1"])?;
    }
    let source = format!("--source-server={}", with_database(leader));
    let words = ["--target-pgdata", &data, &source];
    let said = run(settings, "pg_rewind", &[words.as_slice(), &["--dry-run"]].concat())?;
    let Some(fork) = fork_in(&said) else {
        return Ok(());
    };
    shared.begin_rewinding(report(settings, fork, generation)?)?;
    // A folder that is marked as a standby's, with a label of a backup, is whole.
    seed::unmark(&settings.data)?;
    run(settings, "pg_rewind", &words).map(drop)
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
    let words = [
        "--rmgr=Transaction".to_owned(),
        format!("--start={from}"),
        format!("--end={}", own.checkpoint),
        format!("--path={}", settings.data.join("pg_wal").display()),
        segment(from),
        segment(own.checkpoint),
    ];
    run(settings, "pg_waldump", &words.each_ref().map(String::as_str))
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
