//! [`Settings`]: what a guard is told of its server, read strictly from a TOML file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_core::domain::{Failure, FailureKind, Region, WorkloadName};
use holdfast_sources::postgres::Address;
use serde::Deserialize;

/// How long a right to be written to lasts without being renewed.
const LEASE_SECONDS: u64 = 10;
/// Shorter ones end with every hiccup of a network, longer ones make every failover wait.
const LEASES: std::ops::RangeInclusive<u64> = 3..=300;

/// A guard's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The workload whose authority counts.
    pub workload: WorkloadName,
    /// The Region in which the server stands.
    pub region: Region,
    /// The server's data folder.
    pub data: PathBuf,
    /// The folder of the server's programs.
    pub programs: PathBuf,
    /// The connection string by which the guard asks its own server, as a superuser.
    pub server: String,
    /// Arguments that the server is started with, besides its data folder.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// The guard's own folder: what it has been told, and what it had to give up.
    pub folder: PathBuf,
    /// Where it answers, as `address:port`.
    pub listen: String,
    /// The file with the secret that it shares with whoever gives it orders.
    pub token_file: PathBuf,
    /// Where authority is told, `http://host:port` each. All must tell the same record.
    pub authority: Vec<String>,
    /// How long the right to be written to lasts without being renewed, in seconds.
    #[serde(default = "lease_seconds")]
    pub lease_seconds: u64,
    /// Whom a server follows whose data folder is that of a standby, until an order names another.
    pub leader: Option<String>,
}

fn lease_seconds() -> u64 {
    LEASE_SECONDS
}

impl Settings {
    /// Reads a file. A word that is not known, or a value that cannot work, is named.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refused = |reason: String| Failure::new(FailureKind::Invalid, format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let mut settings: Self = toml::from_str(&text).map_err(|error| refused(error.to_string()))?;
        settings.check().map_err(refused)?;
        settings.data = std::fs::canonicalize(&settings.data)
            .map_err(|error| refused(format!("data = \"{}\": {error}", settings.data.display())))?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        if !LEASES.contains(&self.lease_seconds) {
            return Err(format!(
                "lease_seconds = {}: use {} to {}",
                self.lease_seconds,
                LEASES.start(),
                LEASES.end()
            ));
        }
        if self.authority.is_empty() {
            return Err(
                "authority is empty: name where authority is told, such as \"http://10.2.0.5:7080\"".to_owned(),
            );
        }
        if let Some(wrong) = self.authority.iter().find(|url| !url.starts_with("http://")) {
            return Err(format!("authority \"{wrong}\": write http://host:port"));
        }
        Address::parse(&self.server).map_err(|error| format!("server: {error}"))?;
        for folder in [&self.data, &self.programs, &self.folder] {
            if !folder.is_absolute() {
                return Err(format!("{} is no absolute path", folder.display()));
            }
        }
        Ok(())
    }

    /// The lease as a span of time.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// One of the server's programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}
