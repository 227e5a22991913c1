//! Instructions that kernels take, counted by valgrind's callgrind: a figure that other work on the machine does not change.
//!
//! valgrind emulates a processor, and tells of its own instructions when a program asks: AES and AVX2 where the real
//! processor has AVX2, and neither SHA nor AVX-512 nor VAES. So the code that is counted is the same on all such processors,
//! and not everywhere what runs there otherwise. Baselines are kept by what the program was told ([`instruction_sets`]).
//!
//! [`instruction_sets`]: crate::instruction_sets

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::kernel::Kernel;

/// Bytes that a pass is over.
pub const LENGTH: usize = 8 << 20;

/// What is counted. Copying is left out: it is the C library's.
pub const COUNTED: [Kernel; 7] = [
    Kernel::Chunk,
    Kernel::Hash,
    Kernel::Probe,
    Kernel::Compress,
    Kernel::Seal,
    Kernel::Open,
    Kernel::Decompress,
];

/// How far a count may be off its baseline, in percent. The same code took 6 % more when only what lies beside it in its crate
/// had changed, and with that what the compiler inlines; the counts of zstd depend on the C compiler of the machine.
const ALLOWED: u64 = 15;

/// What was counted once, on an emulated processor of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The compiler's and the emulator's versions.
    pub made_with: Vec<String>,
    /// Instructions of one pass, by the kernel's name.
    pub instructions: BTreeMap<String, u64>,
}

/// Baselines by the instruction sets that the emulated processor has.
pub type Baselines = BTreeMap<String, Baseline>;

/// Where baselines are kept.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

/// Reads the recorded baselines; none when nothing was recorded yet.
pub fn recorded() -> Result<Baselines, String> {
    let file = file();
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    match fs::read(&file) {
        Ok(json) => serde_json::from_slice(&json).map_err(|error| at(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Baselines::new()),
        Err(error) => Err(at(&error)),
    }
}

/// Counts all kernels of a program built for release, and notes them as the baseline of their instruction sets.
pub fn record(program: &Path) -> Result<(), String> {
    let (sets, baseline) = count(program)?;
    let mut all = recorded()?;
    all.insert(sets, baseline);
    let json = serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?;
    fs::write(file(), json + "\n").map_err(|error| format!("{}: {error}", file().display()))
}

/// Counts all kernels of a program built for release: on which instruction sets, and how many.
pub fn count(program: &Path) -> Result<(String, Baseline), String> {
    let version = |program: &str| output(Command::new(program).arg("--version")).map(|(stdout, _)| stdout);
    let mut baseline = Baseline {
        made_with: vec![version("rustc")?, version("valgrind")?],
        ..Baseline::default()
    };
    let mut sets = String::new();
    for kernel in COUNTED {
        // What is done before the first pass is in both.
        let (_, once) = run(program, kernel, 1)?;
        let (found, twice) = run(program, kernel, 2)?;
        baseline
            .instructions
            .insert(kernel.name().to_owned(), twice.saturating_sub(once));
        sets = found;
    }
    Ok((sets, baseline))
}

/// What the program said, and how many instructions it took.
fn run(program: &Path, kernel: Kernel, passes: u32) -> Result<(String, u64), String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind
        .arg(program)
        .args(["count", kernel.name(), &passes.to_string()]);
    let (stdout, stderr) = output(&mut valgrind)?;
    let collected = stderr.lines().find_map(|line| line.split_once("Collected :"));
    let number = collected.and_then(|(_, number)| number.trim().parse().ok());
    number
        .map(|number| (stdout, number))
        .ok_or_else(|| format!("callgrind did not say how many instructions it saw:\n{stderr}"))
}

fn output(command: &mut Command) -> Result<(String, String), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}; `cargo xtask setup` installs what tests need"))?;
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    if !output.status.success() {
        return Err(format!("{name}: {}\n{stderr}", output.status));
    }
    Ok((stdout, stderr))
}

/// What differs from the baseline by more than is allowed, a line each.
pub fn differences(baseline: &Baseline, found: &Baseline) -> Vec<String> {
    let mut lines = Vec::new();
    for kernel in COUNTED {
        let name = kernel.name();
        let of = |counts: &Baseline| counts.instructions.get(name).copied().unwrap_or(0);
        let (before, now) = (of(baseline), of(found));
        if now * 100 > before * (100 + ALLOWED) || now * 100 < before * (100 - ALLOWED) {
            lines.push(format!(
                "{name}: {now} instructions, recorded are {before} (allowed: {ALLOWED} % either way)"
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(count: u64) -> Baseline {
        Baseline {
            made_with: Vec::new(),
            instructions: COUNTED.map(|kernel| (kernel.name().to_owned(), count)).into(),
        }
    }

    #[test]
    fn more_and_fewer_than_allowed_are_named_and_little_is_not() {
        assert!(differences(&all(1000), &all(1000)).is_empty());
        for count in [850, 1150] {
            assert!(differences(&all(1000), &all(count)).is_empty(), "{count}");
        }
        for count in [849, 1151] {
            let lines = differences(&all(1000), &all(count));
            assert_eq!(lines.len(), COUNTED.len(), "{lines:?}");
            assert!(lines[0].starts_with(&format!("chunk: {count} instructions, recorded are 1000")));
        }
    }

    #[test]
    fn a_kernel_that_was_not_recorded_is_named() {
        assert_eq!(differences(&Baseline::default(), &all(1)).len(), COUNTED.len());
    }
}
