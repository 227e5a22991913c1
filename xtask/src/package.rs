//! The zips that Lambda runs: one program a function, named `bootstrap`, made for Amazon Linux 2023.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::steps::{line, shell};

/// Every function of `template.yaml`.
const FUNCTIONS: [&str; 7] = [
    "scheduler",
    "snapshot-trigger",
    "verifier",
    "replicator",
    "lifecycle",
    "restore-runner",
    "dr-failover",
];

/// The C library of Amazon Linux 2023. A program that needs a newer one does not start there.
const NEWEST_GLIBC: Version = (2, 34);

/// Zips one file so that the same bytes always give the same zip.
const ZIP: &str = include_str!("zip.py");

type Version = (u32, u32);

/// The processors that Lambda offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    /// Reads the word that Lambda and `template.yaml` use.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word {
            "x86_64" => Ok(Self::X86_64),
            "arm64" => Ok(Self::Arm64),
            _ => Err(format!(
                "\"{word}\" is no architecture of Lambda: it has x86_64 and arm64"
            )),
        }
    }

    /// As Rust calls it.
    fn rust_name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.rust_name())
    }
}

/// Builds every function and zips it to `target/lambda/<function>/bootstrap.zip`.
pub fn run(root: &Path, architecture: Architecture) -> Result<(), String> {
    let target = architecture.target();
    let is_native = architecture.rust_name() == env::consts::ARCH;
    if !is_native {
        can_cross_compile(&target)?;
    }
    shell(&mut build(&target, is_native))?;
    let built = built_folder(root, &target, is_native);
    println!("{:<18} {:>12} {:>12}  newest symbol", "function", "bootstrap", "zip");
    for function in FUNCTIONS {
        let program = built.join(format!("holdfast-{function}"));
        let needs = newest_glibc(&program)?;
        let zip = root.join("target/lambda").join(function).join("bootstrap.zip");
        make_zip(&program, &zip)?;
        let (major, minor) = needs;
        let (bytes, zipped) = (size(&program)?, size(&zip)?);
        println!("{function:<18} {bytes:>12} {zipped:>12}  GLIBC_{major}.{minor}");
    }
    Ok(())
}

fn build(target: &str, is_native: bool) -> Command {
    let mut command = Command::new("cargo");
    command.args(["build", "--profile", "lambda"]);
    for function in FUNCTIONS {
        command.args(["--bin", &format!("holdfast-{function}")]);
    }
    // All members at once: the features of dependencies are then the same as everywhere else, and built once.
    command.arg("--workspace");
    if !is_native {
        command.args(["--target", target]);
    }
    command
}

fn built_folder(root: &Path, target: &str, is_native: bool) -> PathBuf {
    let folder = cargo_target_folder(root);
    if is_native {
        folder.join("lambda")
    } else {
        folder.join(target).join("lambda")
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this program is the edge: cargo reads the same variable"
)]
fn cargo_target_folder(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Says what is missing before a long build fails for want of it.
fn can_cross_compile(target: &str) -> Result<(), String> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib");
    if library.is_dir() {
        return Ok(());
    }
    Err(format!(
        "the standard library for {target} is not installed ({} is missing): `rustup target add {target}` brings it; a C \
         cross-compiler and linker for it are needed as well. Or build on a machine of that kind",
        library.display()
    ))
}

/// The newest version of the C library that a program asks for; an error when it is too new for Lambda.
fn newest_glibc(program: &Path) -> Result<Version, String> {
    let symbols = output(Command::new("objdump").arg("--dynamic-syms").arg(program))?;
    let newest = newest_in(&symbols).ok_or_else(|| format!("{}: it asks for no symbol of glibc", program.display()))?;
    if newest <= NEWEST_GLIBC {
        return Ok(newest);
    }
    let ((major, minor), (most, of)) = (newest, NEWEST_GLIBC);
    Err(format!(
        "{} needs GLIBC_{major}.{minor}, and Amazon Linux 2023 has {most}.{of}: build on Debian 12 or an older system",
        program.display()
    ))
}

fn newest_in(symbols: &str) -> Option<Version> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let mut parts = digits.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    versions.max()
}

fn make_zip(program: &Path, zip: &Path) -> Result<(), String> {
    if let Some(folder) = zip.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    output(Command::new("python3").args(["-c", ZIP]).arg(program).arg(zip)).map(drop)
}

fn size(file: &Path) -> Result<u64, String> {
    let metadata = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(metadata.len())
}

/// What a command prints; an error tells what it complained about.
fn output(command: &mut Command) -> Result<String, String> {
    let name = line(command);
    let done = command
        .output()
        .map_err(|error| format!("{name}: did not start: {error}"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&done.stderr);
    Err(format!("{name}: {}: {}", done.status, complaint.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_lambda_are_understood_and_others_refused() {
        assert_eq!(Architecture::parse("arm64"), Ok(Architecture::Arm64));
        assert!(Architecture::parse("aarch64").unwrap_err().contains("arm64"));
    }

    #[test]
    fn every_function_is_built_for_its_processor() {
        let native = line(&build("x86_64-unknown-linux-gnu", true));
        assert!(native.contains("--profile lambda") && native.contains("--bin holdfast-dr-failover"));
        assert!(!native.contains("--target"), "{native}");
        let foreign = line(&build("aarch64-unknown-linux-gnu", false));
        assert!(foreign.ends_with("--target aarch64-unknown-linux-gnu"), "{foreign}");
    }

    #[test]
    fn the_newest_symbol_is_found_by_number_and_not_by_letter() {
        let symbols = "0 DF *UND* 0 (GLIBC_2.9) a\n0 DF *UND* 0 (GLIBC_2.34) b\n0 DF *UND* 0 (GLIBC_2.2.5) c\n";
        assert_eq!(newest_in(symbols), Some((2, 34)));
        assert_eq!(newest_in("no symbols"), None);
    }

    #[test]
    fn a_missing_standard_library_is_told_before_the_build() {
        let error = can_cross_compile("sparc-unknown-nowhere").unwrap_err();
        assert!(error.contains("rustup target add sparc-unknown-nowhere"), "{error}");
    }

    #[test]
    fn a_zip_holds_one_program_named_bootstrap_and_is_the_same_every_time() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/xtask-zip");
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("holdfast-scheduler");
        fs::write(&program, "a program").unwrap();
        let (first, second) = (folder.join("1/bootstrap.zip"), folder.join("2/bootstrap.zip"));
        make_zip(&program, &first).unwrap();
        fs::write(&program, "a program").unwrap();
        make_zip(&program, &second).unwrap();
        let bytes = fs::read(&first).unwrap();
        assert_eq!(bytes, fs::read(&second).unwrap());
        assert_eq!(bytes.windows(9).filter(|name| name == b"bootstrap").count(), 2);
        fs::remove_dir_all(&folder).unwrap();
    }
}
