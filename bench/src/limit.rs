//! The limit of the machine for each set: what the engine's kernels allow, and what `cp` takes.

use std::path::Path;
use std::process::Command;

use holdfast_kernels::{Composition, Figures, Seconds, least_seconds};
use serde::Serialize;

use crate::data::Set;
use crate::engine::Aside;
use crate::measured;
use crate::peers::Operation;

/// The least seconds on the wall for the first generation of a set, with all processors.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    /// The set.
    pub set: &'static str,
    /// What it is made of.
    pub composition: Composition,
    /// What the kernels allow.
    pub kernels: Seconds,
    /// What `cp --recursive` takes.
    pub copy: f64,
    /// The same, until what it wrote stands on disk, as what a restore of Holdfast wrote does when it ends.
    pub copy_to_disk: f64,
}

impl Limit {
    /// Takes a set apart, and copies it once.
    pub fn of(set: Set, data: &Path, work: &Path, figures: &Figures, aside: &mut Aside) -> Result<Self, String> {
        let composition = Composition::of(data).map_err(|error| error.to_string())?;
        let copy = work.join("copy");
        let words = ["cp".into(), "--recursive".into(), data.into(), copy.clone().into()];
        // What was written before is not this copy's.
        measured::settle()?;
        let took = measured::run(&words, &[], Path::new("/"))?;
        let copy_to_disk = took.wall + measured::settle()?;
        aside.put(set, &copy)?;
        Ok(Self {
            set: set.name(),
            composition,
            kernels: least_seconds(&figures.all, &composition),
            copy: took.wall,
            copy_to_disk,
        })
    }

    /// The limit for an operation: of a restore, writing the same files with `cp`.
    pub fn seconds(&self, operation: Operation) -> Option<f64> {
        match operation {
            Operation::Backup => Some(self.kernels.backup),
            Operation::Check => Some(self.kernels.check),
            Operation::Restore => Some(self.copy),
            _ => None,
        }
    }
}

/// How fast the kernels are, by the program that measures them, which is built for release as Holdfast is.
pub fn figures(program: &Path, work: &Path) -> Result<Figures, String> {
    let at = |error: &dyn std::fmt::Display| {
        let built = "`cargo build --release --package holdfast-kernels` makes it";
        format!("{}: {error}; {built}", program.display())
    };
    let mut measure = Command::new(program);
    measure.args(["measure", "--json", "--work"]).arg(work);
    let output = measure.output().map_err(|error| at(&error))?;
    if !output.status.success() {
        return Err(at(&String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| at(&error))
}
