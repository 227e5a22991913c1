//! The ground that the demo stands on: its folder, the private copy, and the configuration.

use std::fs;
use std::path::{Path, PathBuf};

use super::application;
use super::report::Report;
use crate::args::DemoOptions;
use crate::embedded::absolute;
use crate::error::CliError;
use crate::output::say;

/// The resource's name.
pub const RESOURCE: &str = "application";

/// The configuration that the demo runs on; it stays in the demo's folder to be looked at.
const CONFIGURATION: &str = r#"# Written by `holdfast demo`.
region = "eu-central-1"
data = "data"

[[vault]]
name = "primary"
region = "eu-central-1"

[[vault]]
name = "recovery"
region = "eu-west-1"

[[resource]]
name = "application"
kind = "files"
path = "private-copy"
heartbeat = ".heartbeat"

[[policy]]
name = "application-daily"
description = "A full backup at night, an incremental in the morning, a differential in the afternoon."
vault = "primary"
zone = "Europe/Berlin"
rpo = "13h"
rto = "1h"
verify-every = "7d"
delete-after = "1d"
select = { resources = ["application"] }
keep = { last = 2, daily = 7, weekly = 4, monthly = 12, yearly = 7 }
copy = [{ vault = "recovery", within = "1h" }]

[[policy.rule]]
name = "night"
cron = "0 2 * * *"
kind = "full"

[[policy.rule]]
name = "morning"
cron = "0 8 * * *"
kind = "incremental"

[[policy.rule]]
name = "afternoon"
cron = "0 14 * * *"
kind = "differential"

[[plan]]
name = "application-in-the-other-region"
description = "The application comes up from the recovery Region."
rpo = "13h"
rto = "1h"

[[plan.step]]
name = "point-is-proven"
check = { that = "proven-point", resource = "application", vault = "recovery" }
timeout = "1m"

[[plan.step]]
name = "restore"
restore = { resource = "application", vault = "recovery" }
after = ["point-is-proven"]
timeout = "2h"

[[plan.step]]
name = "settle"
wait = "1s"
after = ["restore"]
timeout = "1m"

[[plan.step]]
name = "compare"
verify = { restored-by = "restore" }
after = ["settle"]
timeout = "1m"

[[plan.step]]
name = "tell"
notify = "the drill has restored and compared the application"
after = ["compare"]
timeout = "1m"
"#;

/// The demo's folder.
pub struct Ground {
    /// The folder itself, absolute.
    pub dir: PathBuf,
}

impl Ground {
    /// Makes the folder, the private copy and the configuration.
    pub fn prepare(options: &DemoOptions, report: &mut Report) -> Result<Self, CliError> {
        let dir = match &options.dir {
            Some(dir) => absolute(dir)?,
            None => free_name(&absolute(Path::new("holdfast-demo"))?)?,
        };
        let source = options
            .source
            .as_deref()
            .map(|source| check_source(source, &dir))
            .transpose()?;
        make_empty(&dir)?;
        let ground = Self { dir };
        report.stage("The files");
        let copy = ground.private_copy();
        match &source {
            Some(source) => {
                application::copy(source, &copy).map_err(|error| failed("copy", source, &error))?;
                report.tell(&format!(
                    "a private copy of {} stands in {}",
                    source.display(),
                    copy.display()
                ));
            }
            None => {
                application::generate(&copy).map_err(|error| failed("write", &copy, &error))?;
                report.tell(&format!(
                    "an application with photos, orders, a database and odd names stands in {}",
                    copy.display()
                ));
            }
        }
        fs::write(ground.configuration(), CONFIGURATION)
            .map_err(|error| failed("write", &ground.configuration(), &error))?;
        Ok(ground)
    }

    /// The files that are backed up, and lost.
    pub fn private_copy(&self) -> PathBuf {
        self.dir.join("private-copy")
    }

    /// Where they are restored.
    pub fn restored(&self) -> PathBuf {
        self.dir.join("restored")
    }

    /// The configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.dir.join("holdfast.toml")
    }

    /// A repository of the resource.
    pub fn repository(&self, region: &str, vault: &str) -> PathBuf {
        self.dir
            .join("data/regions")
            .join(region)
            .join("vaults")
            .join(vault)
            .join(RESOURCE)
    }

    /// Says what is left to look at.
    pub fn say_how_to_look(&self) {
        let dir = self.dir.display();
        say!("\nEverything is still in {dir}. Read the vaults without Holdfast:");
        say!("  export RESTIC_PASSWORD_FILE='{dir}/data/repository-password'");
        say!(
            "  restic -r '{}' snapshots",
            self.repository("eu-west-1", "recovery").display()
        );
        say!(
            "  restic -r '{}' check --read-data",
            self.repository("eu-central-1", "primary").display()
        );
        say!("Go on with Holdfast:");
        say!("  holdfast points --config '{}'", self.configuration().display());
    }
}

/// An error of a stage, naming what was tried on what.
pub fn failed(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("cannot {what} {}: {error}", path.display()))
}

fn free_name(wanted: &Path) -> Result<PathBuf, CliError> {
    let name = |number: u32| match number {
        1 => wanted.to_path_buf(),
        _ => PathBuf::from(format!("{}-{number}", wanted.display())),
    };
    let free = (1..1000).map(name).find(|path| !path.exists());
    free.ok_or_else(|| {
        CliError::usage(format!(
            "{} and 998 more like it exist; give a folder with --dir",
            wanted.display()
        ))
    })
}

fn check_source(source: &Path, dir: &Path) -> Result<PathBuf, CliError> {
    let found = source
        .canonicalize()
        .map_err(|error| CliError::usage(format!("--source {} cannot be read: {error}", source.display())))?;
    if !found.is_dir() {
        return Err(CliError::usage(format!(
            "--source {} is not a folder",
            source.display()
        )));
    }
    if dir.starts_with(&found) || dir.starts_with(source) {
        let message = format!(
            "the demo's folder {} would lie in --source {}; give another with --dir",
            dir.display(),
            source.display()
        );
        return Err(CliError::usage(message));
    }
    Ok(found)
}

fn make_empty(dir: &Path) -> Result<(), CliError> {
    fs::create_dir_all(dir).map_err(|error| failed("make", dir, &error))?;
    let mut entries = fs::read_dir(dir).map_err(|error| failed("read", dir, &error))?;
    if entries.next().is_some() {
        return Err(CliError::usage(format!(
            "--dir {} is not empty; give a new or empty folder",
            dir.display()
        )));
    }
    Ok(())
}
