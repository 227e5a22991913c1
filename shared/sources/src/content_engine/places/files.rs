//! File trees of this machine as places.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::backup::Source;
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::failure;
use super::{Places, PointContent, RestoreRequest, Restored, Target, printable};
use crate::files::{Beneath, FileTree, Overwrite, Patterns, RestoreError, RestoreOptions, compare, restore};

/// Longer than any time.
const HEARTBEAT_BYTES_MAX: u64 = 100;

/// Folders of this machine.
pub struct FileTrees {
    drill_area: PathBuf,
}

impl FileTrees {
    /// Folders, of which only those below `drill_area` are ever cleaned.
    pub fn new(drill_area: PathBuf) -> Self {
        Self { drill_area }
    }
}

impl Places for FileTrees {
    fn source(&self, path: &str, patterns: Patterns) -> Result<Box<dyn Source>, Failure> {
        let tree = FileTree::new(vec![PathBuf::from(path)], patterns)
            .map_err(|error| Failure::caused(FailureKind::NotFound, error.to_string(), error))?;
        Ok(Box::new(tree))
    }

    fn target(&self, address: &str) -> Result<Box<dyn Target>, Failure> {
        Ok(Box::new(Folder {
            path: PathBuf::from(address),
        }))
    }

    /// Removes a drill's folder. The path leads through no symbolic link below the drill area.
    fn clean(&self, target: &str) -> Result<(), Failure> {
        let target = Path::new(target);
        let outside = |reason: &str| {
            let (target, area) = (target.display(), self.drill_area.display());
            let message = format!("{target} does not lie in the drill area {area}{reason}");
            Failure::new(FailureKind::Invalid, message)
        };
        let relative = target
            .strip_prefix(&self.drill_area)
            .ok()
            .filter(|relative| {
                let mut parts = relative.components();
                parts.clone().next().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
            })
            .ok_or_else(|| outside(""))?;
        match Beneath::new(&self.drill_area).and_then(|area| area.folder(relative)) {
            Ok(_) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::LOOP) => return Err(outside(": a symbolic link stands there")),
            Err(error) => return Err(cannot_remove(target, error.into())),
        }
        match fs::remove_dir_all(target) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot_remove(target, error)),
            _ => Ok(()),
        }
    }
}

fn cannot_remove(target: &Path, error: std::io::Error) -> Failure {
    let message = format!("drill folder {} cannot be removed: {error}", target.display());
    Failure::caused(FailureKind::Transient, message, error)
}

/// A folder to restore into.
struct Folder {
    path: PathBuf,
}

impl Target for Folder {
    fn is_free(&self) -> Result<bool, Failure> {
        match fs::read_dir(&self.path) {
            Ok(mut entries) => Ok(entries.next().is_none()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => {
                let message = format!("target {} cannot be looked at: {error}", self.path.display());
                Err(Failure::caused(FailureKind::Invalid, message, error))
            }
        }
    }

    /// What stands is compared, and what is right is not written again.
    fn restore(&self, content: &PointContent<'_>, request: &RestoreRequest<'_>) -> Result<Restored, Failure> {
        let PointContent { repository, index, .. } = *content;
        let options = RestoreOptions {
            include: request.include.to_vec(),
            subfolder: Some(content.root.to_owned()),
            overwrite: if request.overwrite {
                Overwrite::Always
            } else {
                Overwrite::Never
            },
            workers: request.threads,
            progress: request.progress,
            ..RestoreOptions::new(request.cancel)
        };
        let report = restore(repository, index, &content.snapshot, &self.path, &options).map_err(restore_failure)?;
        let selection = Patterns::new(request.include, &[])
            .map_err(|error| Failure::caused(FailureKind::Invalid, error.to_string(), error))?;
        let (tree, root) = (&content.tree, content.root);
        let compared =
            compare(repository, index, tree, root, &self.path, &selection, request.cancel).map_err(failure)?;
        let mut differences: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
        differences.extend(
            compared
                .differences
                .iter()
                .map(|(path, what)| format!("{}: {what}", printable(path))),
        );
        Ok(Restored {
            files: report.files,
            bytes: report.bytes_written,
            differences,
            more_differences: 0,
        })
    }

    /// The file may be a link that leads elsewhere or a pipe that never ends, and is not followed or waited for.
    fn heartbeat(&self, name: &str) -> Option<Timestamp> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = Beneath::new(&self.path).and_then(|folder| folder.open(Path::new(name), flags, Mode::empty()));
        let mut text = String::new();
        let mut file = File::from(file.ok()?).take(HEARTBEAT_BYTES_MAX);
        file.read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

pub(in super::super) fn restore_failure(error: RestoreError) -> Failure {
    let kind = match error {
        RestoreError::Repository(error) => return failure(error),
        RestoreError::Full { .. } | RestoreError::Io { .. } | RestoreError::Cancelled => FailureKind::Transient,
        RestoreError::Busy { .. } => FailureKind::Conflict,
        _ => FailureKind::Invalid,
    };
    Failure::caused(kind, error.to_string(), error)
}
