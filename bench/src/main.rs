//! `holdfast-bench`: measures, and prints what it measured.

mod functions;
mod process;

use std::path::Path;
use std::process::ExitCode;

use holdfast_tests::workspace_root;

const USAGE: &str = "\
holdfast-bench functions [FOLDER] [--policies N]
    what each function costs to start and to invoke, from the programs in FOLDER (default: target/lambda, where `cargo xtask
    package` leaves them), over emulated AWS; and one tick of the scheduler with N policies (default 10000)";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let default = workspace_root().join("target/lambda");
    let (folder, policies) = match words.as_slice() {
        ["functions"] => (default.as_path(), Ok(10_000)),
        ["functions", "--policies", number] => (default.as_path(), number.parse()),
        ["functions", folder] => (Path::new(folder), Ok(10_000)),
        ["functions", folder, "--policies", number] => (Path::new(folder), number.parse()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Ok(policies) = policies else {
        eprintln!("--policies: \"{}\" is no number\n\n{USAGE}", words[words.len() - 1]);
        return ExitCode::from(2);
    };
    match functions::measure(folder, policies) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
