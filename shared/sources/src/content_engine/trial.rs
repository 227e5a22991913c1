//! Trials of servers: a base backup is restored in private, started, recovered to the end of its log, and looked through.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use holdfast_core::domain::{Failure, FailureKind, Location, Outcome, Trial, TrialReport, Verdict};
use holdfast_repository::lock::{Lock, LockKind};

use super::task::Control;
use super::verify::Opened;
use super::{Inner, failure};
use crate::postgres::ClientOptions;
use crate::postgres::isolated::{IsolatedError, Request};
use crate::postgres::recovery::{Recovery, Target, TargetTimeline};
use crate::postgres::trial::{Check, TrialRequest, TrialVerdict, run};

/// How often to look whether the trial must end.
const LOOK: Duration = Duration::from_millis(200);

impl Inner {
    /// Tries a base backup. Nothing is left of it, whatever comes of it; what a process left that was killed is cleared by the next
    /// trial in the same folder. That it could not be tried is a failure, and says nothing about the backup.
    pub(super) fn try_out(&self, at: &Location, trial: &Trial, control: &Control) -> Result<Outcome, Failure> {
        let repository = match self.open_to_prove(at)? {
            Opened::Repository(repository) => repository,
            Opened::Lost(outcome) => return Ok(outcome),
        };
        let _reading = Lock::acquire(&repository, LockKind::Shared).map_err(failure)?;
        let index = repository.load_index().map_err(failure)?;
        let recovery = Recovery {
            target: Target::Latest,
            is_inclusive: true,
            timeline: TargetTimeline::Latest,
        };
        let client = ClientOptions {
            now: self.repositories.ambient.now,
            stop: Arc::default(),
        };
        let cluster = Request {
            repository: &repository,
            index: &index,
            resource: at.resource.as_str(),
            recovery: &recovery,
            base: Some(&at.artefact),
            folder: Path::new(&trial.folder),
            programs: trial.programs.as_deref().map(Path::new),
            superuser: &trial.superuser,
            workers: self.threads,
            progress: control,
            client: &client,
        };
        let request = TrialRequest {
            cluster,
            checks: &trial.checks,
        };
        let (verdict, is_late) = within(trial, control, &client, || run(&request));
        match verdict {
            Ok(verdict) => Ok(Outcome::Verify(judged(&verdict, control.progress().done_bytes))),
            Err(IsolatedError::Stopped) if is_late => {
                let message = format!(
                    "the trial of {at} took longer than its timeout of {}: give it more time",
                    trial.timeout
                );
                Err(Failure::new(FailureKind::Invalid, message))
            }
            Err(error) if error.is_of_the_store() => Ok(Outcome::Verify(Verdict {
                damages: vec![error.to_string()],
                ..Verdict::default()
            })),
            Err(error) => Err(Failure::new(
                error.kind(),
                format!("the backup at {at} could not be tried: {error}"),
            )),
        }
    }
}

/// Does the work, and stops it where somebody asks for that or its time is over; whether it was.
fn within<T>(trial: &Trial, control: &Control, client: &ClientOptions, work: impl FnOnce() -> T) -> (T, bool) {
    let ends_at = trial.timeout.after((client.now)());
    let is_late = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let (ended, waits) = channel::<()>();
        let is_late = &is_late;
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = waits.recv_timeout(LOOK) {
                let late = (client.now)() >= ends_at;
                if late || control.cancel.load(Ordering::SeqCst) {
                    is_late.store(late, Ordering::SeqCst);
                    client.stop.store(true, Ordering::SeqCst);
                }
            }
        });
        let done = work();
        drop(ended);
        done
    });
    (done, is_late.load(Ordering::SeqCst))
}

/// What a trial found, as it is kept. What keeps the base backup from being restored is damage of the copy; everything else is
/// in it, and would be in every copy.
fn judged(verdict: &TrialVerdict, bytes: u64) -> Verdict {
    let told = |of: fn(Check) -> bool| {
        let faults = verdict.faults.iter().filter(|fault| of(fault.check));
        faults.map(ToString::to_string).collect::<Vec<String>>()
    };
    let millis = |seconds: f64| (seconds.max(0.0) * 1000.0).round() as u64;
    let recovery_seconds = verdict.times.recovery_time().as_secs_f64();
    let loss = verdict.heartbeat.as_ref().and_then(|beat| beat.data_loss_seconds);
    Verdict {
        damages: told(|check| check == Check::Restore),
        affected: Vec::new(),
        bytes,
        trial: Some(TrialReport {
            level: verdict.level(),
            corrupt: told(|check| !matches!(check, Check::Restore | Check::Assertion | Check::Heartbeat)),
            refuted: told(|check| matches!(check, Check::Assertion | Check::Heartbeat)),
            recovery_millis: verdict.recovered.as_ref().map(|_| millis(recovery_seconds)),
            data_loss_millis: loss.map(millis),
            findings: verdict.findings(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_core::domain::{Checks, Span};
    use jiff::Timestamp;

    use super::*;

    /// Works until it is told to end; whether it was late.
    fn ended_late(timeout: Span, control: &Control) -> bool {
        let trial = Trial {
            folder: String::new(),
            superuser: String::new(),
            programs: None,
            timeout,
            checks: Checks::default(),
        };
        let client = ClientOptions {
            now: || Timestamp::UNIX_EPOCH,
            stop: Arc::default(),
        };
        let ((), is_late) = within(&trial, control, &client, || {
            while !client.stop.load(Ordering::SeqCst) {
                thread::yield_now();
            }
        });
        is_late
    }

    #[test]
    fn work_ends_when_its_time_is_over_and_when_somebody_asks() {
        assert!(ended_late(Span::seconds(0), &Control::default()));
        let control = Control::default();
        control.cancel.store(true, Ordering::SeqCst);
        assert!(!ended_late(Span::hours(4), &control));
    }
}
