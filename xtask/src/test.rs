//! Everything that must hold before a change is taken.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::setup;
use crate::steps::{Steps, is_installed, line, shell};

/// Runs every check; `quick` leaves out format, lints and documentation.
pub fn run(quick: bool) -> Result<(), String> {
    let mut steps = Steps::default();
    steps.step("setup", setup::run);
    if steps.any_failed() {
        return steps.finish();
    }
    if !quick {
        steps.step("format", || cargo(&["fmt", "--all", "--check"]));
        steps.step("lints", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
        });
        steps.step("documentation", || {
            let mut doc = Command::new("cargo");
            shell(
                doc.args(["doc", "--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            )
        });
    }
    // The end-to-end tests run the programs; cargo builds one for its own crate's tests only. With the tests in the same build,
    // every dependency has one set of features, and is compiled once.
    steps.step("programs", || cargo(&["build", "--workspace", "--all-targets"]));
    let mut counts = Counts::default();
    steps.step("tests", || tests(&mut counts));
    if is_installed("cargo-deny") {
        // Advisories are left to people: they need a database from outside, and change without a commit of ours.
        steps.step("dependency rules", || {
            cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"])
        });
    } else {
        steps.skip("dependency rules", "cargo-deny is not installed");
    }
    let finished = steps.finish();
    println!(
        "tests: {} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.ignored
    );
    finished
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    shell(Command::new("cargo").args(arguments))
}

/// What the test programs say of themselves, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs every test of every crate, shows what they print, and counts.
fn tests(counts: &mut Counts) -> Result<(), String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--no-fail-fast"]);
    let line = line(&command);
    println!("$ {line}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{line}: did not start: {error}"))?;
    let output = child.stdout.take().ok_or("cargo test has no output")?;
    for text in BufReader::new(output).split(b'\n') {
        let text = text.map_err(|error| format!("{line}: its output cannot be read: {error}"))?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        counts.add(&text);
    }
    let status = child.wait().map_err(|error| format!("{line}: {error}"))?;
    if !status.success() {
        return Err(format!("{line}: {status}"));
    }
    if counts.passed == 0 {
        return Err(format!("{line}: ran no test"));
    }
    Ok(())
}

impl Counts {
    /// Adds a closing line of a test program; every other line counts for nothing.
    fn add(&mut self, text: &str) {
        let Some(figures) = text
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for figure in figures.1.split("; ") {
            let Some((number, word)) = figure.split_once(' ') else {
                continue;
            };
            let number = number.parse().unwrap_or(0);
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_test_programs_are_added_up() {
        let mut counts = Counts::default();
        counts.add("running 4 tests");
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        counts.add("test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.20s");
        let expected = Counts {
            passed: 5,
            failed: 5,
            ignored: 1,
        };
        assert_eq!(counts, expected);
    }
}
