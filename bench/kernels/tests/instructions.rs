//! Kernels may not take more instructions than they did when they were recorded.

use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_kernels::instructions::{count, differences, file, recorded};

const RECORD: &str = "cargo run --release --package holdfast-kernels -- record";

/// Builds the program for release, as users get it: instructions of a build for tests mean nothing. This takes a minute or
/// two once, since nothing of the tests' build can be used for it.
fn program() -> Result<PathBuf, String> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--locked", "--package", "holdfast-kernels"]);
    // Flags such as `-C target-cpu=native` would make a program that is this machine's alone.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let status = build.status().map_err(|error| format!("{build:?}: {error}"))?;
    if !status.success() {
        return Err(format!("{build:?}: {status}"));
    }
    // The program of this test's own build stands in `target/<profile>`.
    let own = Path::new(env!("CARGO_BIN_EXE_holdfast-kernels"));
    let target = own.ancestors().nth(2).ok_or("the program is not in a target folder")?;
    Ok(target.join("release/holdfast-kernels"))
}

#[test]
fn kernels_take_as_many_instructions_as_recorded() {
    let (sets, found) = program().and_then(|program| count(&program)).unwrap();
    let all = recorded().unwrap();
    let Some(baseline) = all.get(&sets) else {
        panic!(
            "nothing is recorded in {} for \"{sets}\", only for {:?}; to record it here: {RECORD}",
            file().display(),
            all.keys()
        );
    };
    let lines = differences(baseline, &found);
    assert!(
        lines.is_empty(),
        "kernels take more instructions than recorded, or so many fewer that they should be recorded anew:\n  {}\n\
         recorded with {:?}, built here with {:?}\nif that is meant: {RECORD}",
        lines.join("\n  "),
        baseline.made_with,
        found.made_with
    );
}
