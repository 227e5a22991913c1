//! Measuring beside other programs: installing those, building ours for release, and handing over to `bench/`.

use std::path::Path;
use std::process::Command;

use crate::setup;
use crate::steps::shell;

/// rustic is not in Debian; its own package is. Its version is fixed, so that figures can be compared.
const RUSTIC: &str = "rustic-rs@0.11.4";

/// What is measured: the verb, and what makes it take a few minutes only.
const MEASUREMENTS: [(&str, &[&str]); 4] = [
    ("engine", &["--quick"]),
    ("remote", &["--quick"]),
    ("workers", &[]),
    ("many", &["--files", "50000"]),
];

/// Measures the content engine: on a disk, on S3 that is far away, by several workers, and with very many small files. With
/// `quick` an eighth of the data or less, once.
pub fn run(root: &Path, quick: bool) -> Result<(), String> {
    setup::for_measurements()?;
    let peers = root.join("target/peers");
    if !peers.join("bin/rustic").is_file() {
        shell(
            Command::new("cargo")
                .args(["install", "--locked", "--root"])
                .arg(&peers)
                .arg(RUSTIC),
        )?;
    }
    let ours = ["build", "--release", "--package", "holdfast-cli", "--features", "s3"];
    shell(Command::new("cargo").args(ours))?;
    // By itself, so that it is the program whose instructions are counted.
    shell(Command::new("cargo").args(["build", "--release", "--package", "holdfast-kernels"]))?;
    for (what, quickly) in MEASUREMENTS {
        let mut bench = Command::new("cargo");
        bench.args(["run", "--package", "holdfast-bench", "--", what]);
        if quick {
            bench.args(quickly);
        }
        shell(&mut bench)?;
    }
    Ok(())
}
