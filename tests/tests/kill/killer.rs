//! [`Killer`]: runs a command and kills it at a random moment.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_testkit::seeds::SeededRandom;

use crate::tools::Ran;

const SEED_VARIABLE: &str = "HOLDFAST_KILL_SEED";

/// Kills one kind of command again and again.
pub struct Killer {
    what: &'static str,
    seed: u64,
    random: SeededRandom,
    duration: Duration,
    /// Commands that were killed before their end.
    pub kills: usize,
}

impl Killer {
    /// Runs the command once to its end, which gives the span that the kills are spread over.
    pub fn measure(what: &'static str, whole: &mut Command) -> Killer {
        let started = now();
        Ran::of(whole).ends(0);
        let duration = started.elapsed();
        let seed = seed();
        println!("{what} takes {duration:?}; {SEED_VARIABLE}={seed}");
        let own = what
            .bytes()
            .fold(seed, |seed, byte| seed.rotate_left(5) ^ u64::from(byte));
        Killer {
            what,
            seed,
            random: SeededRandom::new(own),
            duration,
            kills: 0,
        }
    }

    /// Runs the command and kills it, without a warning, at a random moment. Where it ended before, nothing is counted,
    /// and the next moments are earlier.
    pub fn kill(&mut self, command: &mut Command) {
        let span = u64::try_from(self.duration.as_micros()).unwrap();
        let moment = Duration::from_micros(self.random.below(span));
        let mut child = spawn(command);
        pause(moment);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.code().is_none() {
            self.kills += 1;
            self.duration = self.duration.mul_f64(1.02);
        } else {
            assert!(
                status.success(),
                "{}: {command:?} failed by itself: {status}",
                self.describe()
            );
            self.duration = self.duration.mul_f64(0.93);
        }
    }

    /// For messages.
    pub fn describe(&self) -> String {
        format!(
            "kill {} of {} with {SEED_VARIABLE}={}",
            self.kills, self.what, self.seed
        )
    }
}

/// Starts a command whose output nobody reads.
pub fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the span that the kills are spread over is measured"
)]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a process is killed in the middle of its work")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is where a person tells which kills to repeat"
)]
fn seed() -> u64 {
    match std::env::var(SEED_VARIABLE) {
        Ok(word) => word
            .parse()
            .unwrap_or_else(|_| panic!("{SEED_VARIABLE}={word} is no number")),
        Err(_) => u64::from_le_bytes(holdfast_local::system_ambient().random()),
    }
}
