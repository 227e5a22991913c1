//! Steps that are announced, timed and remembered, so that one failure does not hide the next.

use std::process::Command;
use std::time::{Duration, Instant};

/// How a step ended.
#[derive(Debug)]
enum Ending {
    Done,
    Failed(String),
    Skipped(String),
}

/// The steps of one task, in the order in which they ran.
#[derive(Debug, Default)]
pub struct Steps {
    ended: Vec<(String, Duration, Ending)>,
}

impl Steps {
    /// Runs one step and remembers how it ended.
    #[expect(
        clippy::disallowed_methods,
        reason = "this program is the edge: it measures for people"
    )]
    pub fn step(&mut self, name: &str, work: impl FnOnce() -> Result<(), String>) {
        println!("==> {name}");
        let started = Instant::now();
        let ending = match work() {
            Ok(()) => Ending::Done,
            Err(error) => {
                eprintln!("{name}: {error}");
                Ending::Failed(error)
            }
        };
        let took = started.elapsed();
        println!("<== {name}: {} in {:.1} s", ending.word(), took.as_secs_f64());
        self.ended.push((name.to_owned(), took, ending));
    }

    /// Remembers that a step was left out, and why.
    pub fn skip(&mut self, name: &str, reason: &str) {
        println!("==> {name}: skipped: {reason}");
        self.ended
            .push((name.to_owned(), Duration::ZERO, Ending::Skipped(reason.to_owned())));
    }

    /// Whether a step has failed.
    pub fn any_failed(&self) -> bool {
        self.ended
            .iter()
            .any(|(_, _, ending)| matches!(ending, Ending::Failed(_)))
    }

    /// Prints one line for each step; an error names those that failed.
    pub fn finish(self) -> Result<(), String> {
        println!();
        let mut failed = Vec::new();
        for (name, took, ending) in self.ended {
            let note = match &ending {
                Ending::Done => String::new(),
                Ending::Failed(reason) | Ending::Skipped(reason) => format!(" ({reason})"),
            };
            println!("{:>7.1} s  {:<8} {name}{note}", took.as_secs_f64(), ending.word());
            if matches!(ending, Ending::Failed(_)) {
                failed.push(name);
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        Err(format!("failed: {}", failed.join(", ")))
    }
}

impl Ending {
    fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(_) => "FAILED",
            Self::Skipped(_) => "skipped",
        }
    }
}

/// Runs a command whose output goes straight to the terminal.
pub fn shell(command: &mut Command) -> Result<(), String> {
    let line = line(command);
    println!("$ {line}");
    let status = command
        .status()
        .map_err(|error| format!("{line}: did not start: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{line}: {status}"))
}

/// The command as a person would type it.
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Whether a program can be found.
pub fn is_installed(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_at_the_end_and_later_steps_still_run() {
        let mut steps = Steps::default();
        let mut later = false;
        steps.step("first", || Err("broken".to_owned()));
        steps.step("second", || {
            later = true;
            Ok(())
        });
        steps.skip("third", "not here");
        assert!(later && steps.any_failed());
        assert_eq!(steps.finish(), Err("failed: first".to_owned()));
    }

    #[test]
    fn a_command_that_ends_badly_or_does_not_exist_is_an_error_that_names_it() {
        assert!(shell(&mut Command::new("false")).unwrap_err().contains("false"));
        assert!(
            shell(&mut Command::new("no-such-program"))
                .unwrap_err()
                .contains("no-such-program")
        );
        assert!(is_installed("sh") && !is_installed("no-such-program"));
    }
}
