//! [`Intent`]: what a guard has been told, kept in a file that is safe on disk before anything follows from it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use holdfast_core::domain::{Failure, FailureKind};
use serde::{Deserialize, Serialize};

/// What a server is meant to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mode {
    /// Down.
    Fenced,
    /// Written to, while authority lasts.
    Writer {
        /// A standby is promoted only once it has replayed beyond this position: the last record of the one before it.
        /// None goes on with what there is.
        through: Option<String>,
    },
    /// Following another server.
    Standby {
        /// Its connection string, as libpq writes them, without a password.
        leader: String,
    },
}

/// What a promotion left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// Under which generation.
    pub generation: u64,
    /// Where the log of the one before it ends here.
    pub replayed: String,
    /// Age of the last commit that had arrived, in seconds: what was written after it is lost, if anything was.
    pub lag_seconds: Option<f64>,
}

/// What a server's own history holds beyond that of the one that it follows now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// Under which generation it was given up.
    pub generation: u64,
    /// The timeline on which it lies.
    pub timeline: u32,
    /// Where the histories part.
    pub from: String,
    /// The last record beyond.
    pub to: String,
    /// How many transactions were committed here only. Which ones is told by the file alone: a busy second has thousands.
    #[serde(default)]
    pub committed: u64,
    /// The file that holds their records as `pg_waldump` shows them.
    pub records: PathBuf,
}

/// All that a guard keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The highest generation that was ever seen, in an order or in a record of authority.
    pub generation: u64,
    /// What the server is meant to be under it.
    pub mode: Mode,
    /// Whether the data folder is a standby of the leader that [`Mode::Standby`] names.
    pub has_joined: bool,
    /// The last promotion.
    pub promotion: Option<Promotion>,
    /// The last divergence.
    pub divergence: Option<Divergence>,
    /// What is being given up by a rewinding that has begun and not come to its end. As long as this stands, the data folder
    /// may be neither the old nor the new, and no server is started over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewinding: Option<Divergence>,
}

/// The file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The file in a guard's folder.
    pub fn of(folder: &Path) -> Self {
        Self {
            path: folder.join("intent.json"),
        }
    }

    /// What it holds, if there is one.
    pub fn read(&self) -> Result<Option<Intent>, Failure> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Failure::unreadable(&self.path.display().to_string(), error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &self.path, error)),
        }
    }

    /// Replaces what it holds. What was written is on disk when this returns.
    pub fn write(&self, intent: &Intent) -> Result<(), Failure> {
        let unwritten = |error| failed("write", &self.path, error);
        let text = serde_json::to_vec_pretty(intent)
            .map_err(|error| Failure::caused(FailureKind::Bug, "an intent is no JSON", error))?;
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside).map_err(unwritten)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(unwritten)?;
        fs::rename(&beside, &self.path).map_err(unwritten)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(unwritten)
    }
}

pub(super) fn failed(what: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::caused(
        FailureKind::Transient,
        format!("cannot {what} {}: {error}", path.display()),
        error,
    )
}

impl Intent {
    /// What follows from having seen that a generation stands in a record of authority: a later one than this server was told
    /// of ends its writing, until it is told to write under that one. A guard that knows of none yet takes the first record
    /// at its word. None where nothing changes.
    pub fn after_seeing(&self, generation: u64) -> Option<Intent> {
        if generation <= self.generation {
            return None;
        }
        let is_first = self.generation == 0;
        let mode = match &self.mode {
            Mode::Writer { .. } if !is_first => Mode::Fenced,
            mode => mode.clone(),
        };
        Some(Intent {
            generation,
            mode,
            ..self.clone()
        })
    }

    /// What follows from an order. A lower generation than was ever seen is refused.
    pub fn after_order(&self, generation: u64, mode: &Mode) -> Result<Intent, Failure> {
        if generation < self.generation {
            let message = format!(
                "generation {} was seen here: an order under generation {generation} comes too late",
                self.generation
            );
            return Err(Failure::new(FailureKind::Fenced, message));
        }
        Ok(Intent {
            generation,
            has_joined: self.has_joined && *mode == self.mode,
            mode: mode.clone(),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(generation: u64) -> Intent {
        Intent {
            generation,
            mode: Mode::Writer { through: None },
            has_joined: false,
            promotion: None,
            divergence: None,
            rewinding: None,
        }
    }

    #[test]
    fn a_later_generation_ends_writing_and_the_first_is_taken_at_its_word() {
        assert_eq!(writer(0).after_seeing(3).unwrap().mode, writer(0).mode);
        assert_eq!(writer(3).after_seeing(4).unwrap().mode, Mode::Fenced);
        assert_eq!(writer(3).after_seeing(4).unwrap().generation, 4);
        assert_eq!(writer(3).after_seeing(3), None);
        assert_eq!(writer(3).after_seeing(2), None);
        let standby = Mode::Standby {
            leader: "host=b".into(),
        };
        let following = writer(3).after_order(3, &standby).unwrap();
        assert_eq!(following.after_seeing(9).unwrap().mode, standby);
    }

    #[test]
    fn an_order_of_an_earlier_generation_is_refused_and_a_repeated_one_changes_nothing() {
        let refused = writer(3).after_order(2, &Mode::Fenced).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Fenced);
        let standby = Mode::Standby {
            leader: "host=b".into(),
        };
        let mut following = writer(3).after_order(4, &standby).unwrap();
        following.has_joined = true;
        assert_eq!(following.after_order(4, &standby).unwrap(), following);
        assert!(!following.after_order(5, &Mode::Fenced).unwrap().has_joined);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::of(folder.path());
        assert_eq!(store.read().unwrap(), None);
        store.write(&writer(7)).unwrap();
        assert_eq!(store.read().unwrap(), Some(writer(7)));
        fs::write(folder.path().join("intent.json"), "{\"generation\":7}").unwrap();
        assert_eq!(store.read().unwrap_err().kind, FailureKind::Invalid);
    }
}
