//! `holdfast-bench`: measures, and prints what it measured.

mod data;
mod database;
mod engine;
mod functions;
mod limit;
mod many;
mod measured;
mod model;
mod peers;
mod process;
mod remote;
mod report;
mod store;
mod workers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use data::Scale;
use holdfast_tests::front::Pace;
use holdfast_tests::workspace_root;

const USAGE: &str = "\
holdfast-bench engine [--quick] [--rounds N] [--work FOLDER]
    the content engine beside restic, rustic and borg, where they are installed: the same life of a repository, in
    alternation, N rounds (default 3). Takes target/release/holdfast and holdfast-kernels; writes docs/performance.json and
    docs/performance.svg, and prints the table. --quick takes an eighth of the data and one round, and writes into target/bench
holdfast-bench remote [--quick] [--latency MS] [--rate MB] [--work FOLDER]
    the content engine beside restic on an S3 server on this machine that answers MS milliseconds late (default 30), each answer
    at MB megabytes a second (default 50). Takes target/release/holdfast built with --features s3; prints tables
holdfast-bench workers [--rate MB] [--work FOLDER]
    one backup by 1, 2, 4 and 8 processes that may store MB megabytes a second each (default 20); prints a table,
    and a model of what terabytes take on Lambda
holdfast-bench many [--files N] [--work FOLDER]
    N files of a kibibyte (default 1000000) on the disk, and as many objects below one prefix of a bucket: backup, unchanged,
    restore of some. Takes target/release/holdfast built with --features s3; prints tables
holdfast-bench postgres [--major N] [--gib N] [--segments N] [--rounds N]
    a PostgreSQL server of its own with N GiB (default 10) beside pgBackRest and pg_basebackup: full backup, again after 1 % of the
    pages changed, restore into an empty folder and over a damaged one, and N segments of log (default 64) pushed and fetched, in
    alternation, N rounds (default 3). Takes target/release/holdfast; five times the room in /tmp; prints a table. --major takes
    another version than Debian's, which pgBackRest is left out for; from 17 on, incremental backups are measured, too
holdfast-bench functions [FOLDER] [--policies N]
    what each function costs to start and to invoke, from the programs in FOLDER (default: target/lambda, where `cargo xtask
    package` leaves them), over emulated AWS; and one tick of the scheduler with N policies (default 10000)";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Engine {
        scale: Scale,
        rounds: u32,
        work: PathBuf,
    },
    Remote {
        scale: Scale,
        pace: Pace,
        work: PathBuf,
    },
    Workers {
        rate: u64,
        work: PathBuf,
    },
    Many {
        files: u64,
        work: PathBuf,
    },
    Postgres {
        major: u32,
        gib: u32,
        segments: usize,
        rounds: u32,
    },
    Functions {
        folder: PathBuf,
        policies: usize,
    },
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match parse(&words) {
        Ok(Task::Engine { scale, rounds, work }) => engine(scale, rounds, &work),
        Ok(Task::Remote { scale, pace, work }) => remote(scale, pace, &work),
        Ok(Task::Workers { rate, work }) => workers(rate, &work),
        Ok(Task::Many { files, work }) => many(files, &work),
        Ok(Task::Postgres {
            major,
            gib,
            segments,
            rounds,
        }) => database::measure(&release(), major, gib, segments, rounds),
        Ok(Task::Functions { folder, policies }) => functions::measure(&folder, policies),
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: &[String]) -> Result<Task, String> {
    let target = workspace_root().join("target");
    let Some((verb, rest)) = words.split_first() else {
        return Err("what shall be measured?".to_owned());
    };
    let (mut scale, mut rounds, mut work) = (Scale::Full, None, target.join("bench"));
    let (mut latency, mut rate, mut files) = (30, None, 1_000_000);
    let (mut major, mut gib, mut segments) = (database::MAJOR, 10, 64);
    let (mut folder, mut policies) = (target.join("lambda"), 10_000);
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{word} wants a value"));
        match (verb.as_str(), word.as_str()) {
            ("engine" | "remote", "--quick") => scale = Scale::Quick,
            ("engine" | "postgres", "--rounds") => rounds = Some(number(value()?)?),
            ("engine" | "remote" | "workers" | "many", "--work") => work = value()?.into(),
            ("remote", "--latency") => latency = number(value()?)?,
            ("remote" | "workers", "--rate") => rate = Some(number::<u64>(value()?)?),
            ("many", "--files") => files = number(value()?)?,
            ("postgres", "--major") => major = number(value()?)?,
            ("postgres", "--gib") => gib = number(value()?)?,
            ("postgres", "--segments") => segments = number(value()?)?,
            ("functions", "--policies") => policies = number(value()?)?,
            ("functions", path) if !path.starts_with('-') => folder = path.into(),
            _ => return Err(format!("\"{word}\" is not understood here")),
        }
    }
    match verb.as_str() {
        "engine" => Ok(Task::Engine {
            scale,
            rounds: rounds.unwrap_or(if scale == Scale::Quick { 1 } else { 3 }),
            work,
        }),
        "remote" => Ok(Task::Remote {
            scale,
            pace: Pace {
                latency: Duration::from_millis(latency),
                bytes_per_second: Some(rate.unwrap_or(50) * 1_000_000),
                link_bytes_per_second: None,
            },
            work,
        }),
        "workers" => Ok(Task::Workers {
            rate: rate.unwrap_or(20),
            work,
        }),
        "many" => Ok(Task::Many { files, work }),
        "postgres" => Ok(Task::Postgres {
            major,
            gib,
            segments,
            rounds: rounds.unwrap_or(3),
        }),
        "functions" => Ok(Task::Functions { folder, policies }),
        _ => Err(format!("\"{verb}\" cannot be measured")),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("\"{word}\" is no number"))
}

/// The program that is measured, and a folder to work in.
fn furnished(work: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(work).map_err(|error| format!("{}: {error}", work.display()))?;
    Ok(release())
}

fn release() -> PathBuf {
    workspace_root().join("target/release/holdfast")
}

fn remote(scale: Scale, pace: Pace, work: &Path) -> Result<(), String> {
    let peers = workspace_root().join("target/peers/bin");
    remote::measure(&furnished(work)?, &peers, work, scale, pace)
}

fn workers(rate: u64, work: &Path) -> Result<(), String> {
    workers::measure(&furnished(work)?, work, rate)
}

fn many(files: u64, work: &Path) -> Result<(), String> {
    many::measure(&furnished(work)?, work, files)
}

fn engine(scale: Scale, rounds: u32, work: &Path) -> Result<(), String> {
    let root = workspace_root();
    let at = |folder: &Path, error: std::io::Error| format!("{}: {error}", folder.display());
    let table = engine::measure(&furnished(work)?, &root.join("target/peers/bin"), work, scale, rounds)?;
    let out = match scale {
        Scale::Full => root.join("docs"),
        Scale::Quick => work.to_owned(),
    };
    for (name, content) in [("performance.json", table.json()), ("performance.svg", table.svg())] {
        let path = out.join(name);
        fs::write(&path, content).map_err(|error| at(&path, error))?;
        eprintln!("wrote {}", path.display());
    }
    println!("{}", table.markdown());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn documented_command_lines_are_understood() {
        let Ok(Task::Remote { pace, .. }) = parsed("remote --quick --latency 60") else {
            panic!("remote is not understood");
        };
        assert_eq!(pace.latency, Duration::from_millis(60));
        assert_eq!(pace.bytes_per_second, Some(50_000_000));
        assert!(matches!(
            parsed("engine --quick"),
            Ok(Task::Engine {
                scale: Scale::Quick,
                rounds: 1,
                ..
            })
        ));
        assert!(matches!(
            parsed("engine --rounds 5"),
            Ok(Task::Engine {
                scale: Scale::Full,
                rounds: 5,
                ..
            })
        ));
        assert!(matches!(
            parsed("workers --rate 10"),
            Ok(Task::Workers { rate: 10, .. })
        ));
        assert!(matches!(
            parsed("postgres --gib 2"),
            Ok(Task::Postgres {
                major: 15,
                gib: 2,
                segments: 64,
                rounds: 3
            })
        ));
        assert!(matches!(parsed("many"), Ok(Task::Many { files: 1_000_000, .. })));
        assert!(matches!(
            parsed("functions --policies 10"),
            Ok(Task::Functions { policies: 10, .. })
        ));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [
            ("engine --fast", "--fast"),
            ("engine --rounds few", "few"),
            ("disk", "disk"),
            ("functions --quick", "--quick"),
            ("many --rate 5", "--rate"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
