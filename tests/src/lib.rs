//! End-to-end tests: the whole system, other tools as judges, golden files, tidy rules.
//!
//! This library holds what the test files share.

pub mod front;
pub mod lambda;
pub mod moto;
pub mod radosgw;
pub mod s3s;
pub mod standin;
pub mod steps;
pub mod time;

use std::path::{Path, PathBuf};

/// The root of the checkout that these tests were built from.
pub fn workspace_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The `holdfast` program of the same build as the running test.
///
/// # Panics
///
/// When the program has not been built: cargo builds it for the tests of its own crate only.
pub fn holdfast_binary() -> PathBuf {
    program("holdfast")
}

/// A program of the same build as the running test.
///
/// # Panics
///
/// When the program has not been built: cargo builds it for the tests of its own crate only.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("the running test has no path: {error}"));
    // A test stands in `target/<profile>/deps`, the program in `target/<profile>`.
    let folder = test
        .ancestors()
        .nth(2)
        .unwrap_or_else(|| panic!("{}: not in a target folder", test.display()));
    let program = folder.join(name);
    assert!(
        program.is_file(),
        "{}: not built; run `cargo build --workspace --bins`, or all tests with `cargo xtask test`",
        program.display()
    );
    program
}
