//! `cargo xtask`: set up a machine, test, run. Plain standard library, so that it builds in a moment anywhere.

mod bench;
mod environments;
mod package;
mod setup;
mod steps;
mod test;

use std::path::Path;
use std::process::{Command, ExitCode};

use package::Architecture;

const USAGE: &str = "\
cargo xtask setup           install what the tests need (Debian packages), only what is missing
cargo xtask test            set up, then format, lints, documentation, every test, dependency rules
cargo xtask test --quick    set up, then every test
cargo xtask package         the functions' zips for Lambda, in target/lambda; --arch x86_64 (default) or arm64
cargo xtask bench           the content engine beside restic, rustic and borg; --quick: an eighth of the data, once
cargo xtask run -- ARGS     holdfast ARGS, built for release";

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    Setup,
    Test { quick: bool },
    Package { architecture: Architecture },
    Bench { quick: bool },
    Run { arguments: Vec<String> },
    Help,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match parse(&words) {
        Ok(Task::Setup) => setup::run(),
        Ok(Task::Test { quick }) => test::run(quick),
        Ok(Task::Package { architecture }) => package::run(root(), architecture),
        Ok(Task::Bench { quick }) => bench::run(root(), quick),
        Ok(Task::Run { arguments }) => return run(&arguments),
        Ok(Task::Help) => {
            println!("{USAGE}");
            Ok(())
        }
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
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["setup"] => Ok(Task::Setup),
        ["test"] => Ok(Task::Test { quick: false }),
        ["test", "--quick"] => Ok(Task::Test { quick: true }),
        ["package"] => Ok(Task::Package {
            architecture: Architecture::X86_64,
        }),
        ["package", "--arch", word] => Architecture::parse(word).map(|architecture| Task::Package { architecture }),
        ["bench"] => Ok(Task::Bench { quick: false }),
        ["bench", "--quick"] => Ok(Task::Bench { quick: true }),
        ["run"] => Ok(Task::Run { arguments: Vec::new() }),
        ["run", "--", arguments @ ..] => Ok(Task::Run {
            arguments: arguments.iter().map(ToString::to_string).collect(),
        }),
        [] | ["help" | "--help" | "-h"] => Ok(Task::Help),
        unknown => Err(format!("cargo xtask does not know \"{}\"", unknown.join(" "))),
    }
}

/// The root of the checkout that this was built from.
fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Runs the program with this terminal's input and output, and ends as it ends.
fn run(arguments: &[String]) -> ExitCode {
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--release", "--package", "holdfast-cli", "--"])
        .args(arguments)
        .status();
    match status {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("cargo did not start: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_documented_command_line_is_understood() {
        assert_eq!(parsed("setup"), Ok(Task::Setup));
        assert_eq!(parsed("test"), Ok(Task::Test { quick: false }));
        assert_eq!(parsed("test --quick"), Ok(Task::Test { quick: true }));
        let arguments = vec!["point".to_owned(), "--json".to_owned()];
        assert_eq!(parsed("run -- point --json"), Ok(Task::Run { arguments }));
        let architecture = Architecture::Arm64;
        assert_eq!(parsed("package --arch arm64"), Ok(Task::Package { architecture }));
        assert!(matches!(parsed("package"), Ok(Task::Package { .. })));
        assert_eq!(parsed("bench"), Ok(Task::Bench { quick: false }));
        assert_eq!(parsed("bench --quick"), Ok(Task::Bench { quick: true }));
        assert_eq!(parsed(""), Ok(Task::Help));
    }

    #[test]
    fn a_misspelt_word_is_refused_and_named() {
        for line in ["tset", "test --quik", "setup now", "run point", "package --arm64"] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(line), "{error}");
        }
    }
}
