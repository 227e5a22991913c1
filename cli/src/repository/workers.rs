//! `repository backup --workers`: processes that read one backup's files side by side. The files are dealt into slices;
//! each process stores one slice after the other, as it is told to. One that dies costs the slice that it had in hand, which
//! another takes on.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write, stdin};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use holdfast_repository::Repository;
use holdfast_repository::backup::{BackupOptions, Ended, Portion, PortionReport, Slice, Source, backup_portion};
use holdfast_repository::crypto::MasterKey;

use zeroize::Zeroizing;

use super::interrupt::Interrupt;
use crate::error::{CliError, Done};
use crate::output::say;

/// How often what is left is halved before the last slices, so that all workers end at nearly the same time.
const HALVINGS: u32 = 4;
/// How often to look whether somebody asked to stop.
const LOOK: Duration = Duration::from_millis(100);

/// What workers did.
#[derive(Default)]
pub struct Gathered {
    /// What they stored, slice by slice.
    pub done: Vec<PortionReport>,
    /// What became of those that ended too early.
    pub lost: Vec<String>,
}

/// What the coordinator and the threads that speak with its workers share.
struct Shared {
    left: Mutex<Vec<Slice>>,
    done: Mutex<Vec<PortionReport>>,
    /// A worker whose input ends stops.
    inputs: Mutex<Vec<Option<ChildStdin>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has processes of this program store all files, until all is stored, all have died, or somebody asked to stop. They are
/// given the arguments of this one and, through their input, the key of the repository: deriving it from the password takes
/// each longer than a small slice.
pub fn gather(workers: u32, key: &MasterKey, interrupt: &Interrupt) -> Result<Gathered, CliError> {
    let refused = |error: std::io::Error| CliError::failed(format!("a worker cannot be started: {error}"));
    let program = std::env::current_exe().map_err(refused)?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut children = Vec::new();
    for _ in 0..workers {
        let mut command = Command::new(&program);
        command.args(&arguments).arg("--worker");
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(refused)?;
        if let Some(input) = &mut child.stdin {
            // One that died already is seen when it is asked for something.
            let _ = input.write_all(&key.to_json()).and_then(|()| input.write_all(b"\n"));
        }
        children.push(child);
    }
    let shared = Shared {
        left: Mutex::new(slices(workers).into_iter().rev().collect()),
        done: Mutex::default(),
        inputs: Mutex::new(children.iter_mut().map(|child| child.stdin.take()).collect()),
    };
    let lost = thread::scope(|scope| {
        let (ended, wait) = channel();
        for (which, child) in children.into_iter().enumerate() {
            let (shared, ended) = (&shared, ended.clone());
            scope.spawn(move || drop(ended.send(attend(shared, which, child))));
        }
        drop(ended);
        until_all_ended(&wait, &shared, interrupt)
    });
    let done = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Gathered { done, lost })
}

/// All files, as slices in the order in which they are dealt: one for each worker with half of all files among them, then the
/// same of what is left. A slice costs a walk through all folders, and a wait until it is stored, so there are few, and the last
/// ones are small.
fn slices(workers: u32) -> Vec<Slice> {
    let mut slices = Vec::new();
    let (mut first, mut of) = (0, workers);
    for _ in 0..HALVINGS {
        // Each of the slices that are left is two of twice as many.
        let number = first;
        first += of;
        of *= 2;
        slices.extend((number..number + workers).map(|number| Slice { number, of }));
    }
    slices.extend((first..first + workers).map(|number| Slice { number, of }));
    slices
}

/// What became of the workers that ended too early. Once somebody asks to stop, all are told to.
fn until_all_ended(wait: &Receiver<Option<String>>, shared: &Shared, interrupt: &Interrupt) -> Vec<String> {
    let mut lost = Vec::new();
    loop {
        match wait.recv_timeout(LOOK) {
            Ok(how) => lost.extend(how),
            Err(RecvTimeoutError::Timeout) => {
                if interrupt.flag().load(Ordering::SeqCst) {
                    locked(&shared.inputs).iter_mut().for_each(|input| *input = None);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return lost,
        }
    }
}

/// Gives a worker slices until none is left. Says how it ended if that was too early.
fn attend(shared: &Shared, which: usize, mut child: Child) -> Option<String> {
    let mut answers = child.stdout.take().map(BufReader::new);
    loop {
        let Some(slice) = locked(&shared.left).pop() else {
            break;
        };
        let asked = match &mut locked(&shared.inputs)[which] {
            Some(input) => writeln!(input, "{} {}", slice.number, slice.of).and_then(|()| input.flush()),
            None => break,
        };
        let answer = asked.ok().and_then(|()| answer(answers.as_mut()?));
        match answer {
            Some(report) => locked(&shared.done).push(report),
            None => {
                locked(&shared.left).push(slice);
                break;
            }
        }
    }
    locked(&shared.inputs)[which] = None;
    match child.wait() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("a worker ended too early: {status}")),
        Err(error) => Some(format!("a worker cannot be waited for: {error}")),
    }
}

/// The next line, if the worker still writes one that is a report.
fn answer(answers: &mut impl BufRead) -> Option<PortionReport> {
    let mut line = String::new();
    answers.read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// The key of the repository, which is the first line of a worker's input.
pub fn key() -> Result<MasterKey, CliError> {
    let mut line = Zeroizing::new(String::new());
    let read = stdin().read_line(&mut line);
    read.map_err(|error| CliError::failed(format!("a worker's input cannot be read: {error}")))?;
    MasterKey::from_json(line.trim_end().as_bytes())
        .map_err(|_| CliError::usage("a worker is started by `repository backup --workers`, not by hand"))
}

/// A worker: stores the slices that its input names, and answers with a report for each. When its input ends, because there is
/// no more to do or whoever started it died, it stops.
pub fn work(
    repository: &Repository,
    source: &dyn Source,
    options: &BackupOptions<'_>,
    interrupt: &Interrupt,
) -> Result<Done, CliError> {
    let (slices, wait) = channel();
    let stop = interrupt.handle();
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if slices.send(line).is_err() {
                return;
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    let never = AtomicBool::new(false);
    for line in wait {
        let slice = slice(&line).ok_or_else(|| CliError::usage(format!("\"{line}\" is no slice")))?;
        let portion = Portion {
            done: &[],
            slice: Some(slice),
            pause: &never,
        };
        match backup_portion(repository, source, options, portion)? {
            Ended::Stored(report) => {
                let json = serde_json::to_string(&report)
                    .map_err(|error| CliError::failed(format!("a report cannot be written as JSON: {error}")))?;
                say!("{json}");
            }
            Ended::Published(_) => return Err(CliError::failed("a slice was published as if it were all")),
        }
    }
    Ok(Done::Done)
}

/// A slice as `<number> <of>`.
fn slice(line: &str) -> Option<Slice> {
    let (number, of) = line.split_once(' ')?;
    Some(Slice {
        number: number.parse().ok()?,
        of: of.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_file_is_in_one_slice_and_slices_shrink() {
        let files: Vec<PathBuf> = (0..3_000).map(|number| format!("/a/{number}").into()).collect();
        for workers in [1, 2, 3, 8] {
            let slices = slices(workers);
            let held = |slice: &Slice| files.iter().filter(|file| slice.holds(file)).count();
            let all: Vec<usize> = slices.iter().map(held).collect();
            assert_eq!(all.iter().sum::<usize>(), files.len());
            let each = files
                .iter()
                .map(|file| slices.iter().filter(|slice| slice.holds(file)).count());
            assert!(each.into_iter().all(|times| times == 1), "{workers} workers");
            let shares: Vec<f64> = slices
                .iter()
                .map(|slice| f64::from(workers) / f64::from(slice.of))
                .collect();
            assert!(shares.is_sorted_by(|larger, smaller| larger >= smaller));
            assert_eq!((shares[0], shares[shares.len() - 1]), (0.5, 1.0 / 16.0));
        }
    }
}
