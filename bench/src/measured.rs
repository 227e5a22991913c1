//! Running one command and counting what it took.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process;

/// What commands took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of processors, in the program and in the kernel for it, to a hundredth.
    pub cpu: f64,
    /// The most memory that was resident, in MiB; read every few milliseconds while the program runs.
    pub peak: f64,
}

impl Took {
    /// What this and another took one after the other.
    pub fn and(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            peak: self.peak.max(other.peak),
        }
    }
}

/// Runs a command in `folder`, with this environment and no other.
pub fn run(command: &[OsString], environment: &[(&'static str, OsString)], folder: &Path) -> Result<Took, String> {
    let shown = command
        .iter()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let at = |error: std::io::Error| format!("{shown}: {error}");
    let (program, arguments) = command.split_first().ok_or("an empty command")?;
    let said = std::env::temp_dir().join("holdfast-bench.stderr");
    let before = process::cpu_of_ended_children()?;
    #[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&said).map_err(at)?)
        .spawn()
        .map_err(at)?;
    let mut peak = 0;
    let status = loop {
        // A process that is ending has no memory any more.
        peak = peak.max(process::peak_memory(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait().map_err(at)? {
            break status;
        }
        #[expect(clippy::disallowed_methods, reason = "a real program takes real time")]
        std::thread::sleep(Duration::from_millis(2));
    };
    let wall = started.elapsed();
    if !status.success() {
        let said = std::fs::read_to_string(&said).unwrap_or_default();
        return Err(format!("{shown}: {status}\n{said}"));
    }
    Ok(Took {
        wall: wall.as_secs_f64(),
        cpu: (process::cpu_of_ended_children()? - before).as_secs_f64(),
        peak: peak as f64 / 1024.0,
    })
}

/// Waits until what was written before stands on disk; how many seconds that takes.
pub fn settle() -> Result<f64, String> {
    #[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
    let started = Instant::now();
    match Command::new("sync").status() {
        Ok(status) if status.success() => Ok(started.elapsed().as_secs_f64()),
        Ok(status) => Err(format!("sync: {status}")),
        Err(error) => Err(format!("sync: {error}")),
    }
}
