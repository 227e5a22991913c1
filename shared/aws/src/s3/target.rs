//! [`S3Target`]: a prefix that recovery points are restored to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::tree::{Node, NodeKind};
use holdfast_repository::{ErrorKind, Id, RepositoryError};
use holdfast_sources::content_engine::places::{PointContent, RestoreRequest, Restored, Target, printable};
use holdfast_sources::files::{Patterns, patterns::Verdict};
use jiff::Timestamp;

use super::address::S3Address;
use super::bucket::Bucket;
use super::{attributes, compare, names, restore};

/// Longer than any time.
const HEARTBEAT_BYTES_MAX: u64 = 100;

/// The objects below a prefix, to restore into.
///
/// A snapshot of objects is restored with the keys and the metadata it was made of, and a snapshot of files with their
/// paths as keys. Folders are no objects: of an empty one nothing is left, and of files nothing but content. What an
/// object cannot be (a link, a pipe, a device) is a difference, and is not written. S3 sets the time of last change
/// itself.
pub(crate) struct S3Target {
    pub(crate) bucket: Bucket,
    pub(crate) address: S3Address,
}

/// A file of a recovery point and the object that it becomes.
pub(crate) struct Item {
    /// Below the root of the resource, for messages.
    pub(crate) path: PathBuf,
    /// The whole key.
    pub(crate) key: String,
    pub(crate) node: Node,
}

impl Item {
    /// A line about it.
    pub(crate) fn differs(&self, what: impl std::fmt::Display) -> String {
        line(&self.path, what)
    }
}

pub(crate) fn line(path: &Path, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", printable(path))
}

impl Target for S3Target {
    fn is_free(&self) -> Result<bool, Failure> {
        let empty = self.bucket.is_empty(self.address.prefix());
        empty.map_err(super::Refused::into_failure)
    }

    fn restore(&self, content: &PointContent<'_>, request: &RestoreRequest<'_>) -> Result<Restored, Failure> {
        if !request.overwrite && !self.is_free()? {
            let message = format!(
                "{} is not empty: choose another prefix, or ask to overwrite what is there",
                self.address
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let mut cursor = request.cursors.take_up()?;
        restore::restore(self, content, request, &mut cursor)?;
        // What was not written is said once.
        compare::compare(self, content, request, &mut cursor)?;
        Ok(cursor.restored)
    }

    fn heartbeat(&self, name: &str) -> Option<Timestamp> {
        let key = format!("{}{name}", self.address.prefix());
        let call = self.bucket.piece(&key, Some(0..HEARTBEAT_BYTES_MAX), None);
        let text = String::from_utf8(self.bucket.block_on(call).ok()?.bytes).ok()?;
        text.trim().parse().ok()
    }
}

impl S3Target {
    /// Shows `each` every file that was asked for, in the order of the snapshot, and `other` what no object can be.
    /// Folders that cannot be read are [`FailureKind::Integrity`] failures. Returns how many entries were asked for.
    pub(crate) fn walk(
        &self,
        content: &PointContent<'_>,
        request: &RestoreRequest<'_>,
        each: &mut dyn FnMut(Item) -> Result<(), Failure>,
        other: &mut dyn FnMut(String),
    ) -> Result<u64, Failure> {
        let patterns = Patterns::new(request.include, &[])
            .map_err(|error| Failure::caused(FailureKind::Invalid, error.to_string(), error))?;
        let place = content.root.strip_prefix("/").unwrap_or(content.root);
        let mut selected = 0;
        let mut folders: Vec<(Id, PathBuf)> = vec![(content.tree, PathBuf::new())];
        while let Some((tree, folder)) = folders.pop() {
            let tree = content
                .repository
                .load_tree(content.index, &tree)
                .map_err(of_repository)?;
            let mut below = Vec::new();
            for node in tree.nodes {
                go_on(request)?;
                if let (Some(subtree), true) = (node.subtree, attributes::is_part(&node)) {
                    below.push((subtree, folder.clone()));
                    continue;
                }
                let path = folder.join(OsStr::from_bytes(&node.name));
                let verdict = patterns.verdict(&place.join(&path), node.kind == NodeKind::Dir);
                if verdict == Verdict::Skipped {
                    continue;
                }
                selected += u64::from(verdict == Verdict::Selected);
                match (node.kind, node.subtree) {
                    (NodeKind::Dir, Some(subtree)) => below.push((subtree, path)),
                    (NodeKind::Dir, None) => other(line(&path, "a folder without entries, not even none")),
                    (NodeKind::File, _) => match self.key(&path, &node) {
                        Some(key) => each(Item { path, key, node })?,
                        None => other(line(&path, "its name cannot be the key of an object")),
                    },
                    (kind, _) => other(line(&path, format_args!("a {} cannot be an object", kind.word()))),
                }
            }
            folders.extend(below.into_iter().rev());
        }
        Ok(selected)
    }

    fn key(&self, path: &Path, node: &Node) -> Option<String> {
        let key = if attributes::is_object(node) {
            names::key(path)
        } else {
            names::plain_key(path)
        };
        // S3 has no longer keys.
        let key = format!("{}{}", self.address.prefix(), key?);
        (key.len() <= 1024).then_some(key)
    }
}

/// Ends a restore that was asked to stop.
pub(crate) fn go_on(request: &RestoreRequest<'_>) -> Result<(), Failure> {
    if request.cancel.load(Ordering::Relaxed) {
        return Err(of_repository(RepositoryError::Cancelled));
    }
    Ok(())
}

/// An error of the repository as it crosses the port.
pub(crate) fn of_repository(error: RepositoryError) -> Failure {
    let kind = match error.kind() {
        ErrorKind::Transient | ErrorKind::Full | ErrorKind::Cancelled => FailureKind::Transient,
        ErrorKind::Conflict => FailureKind::Conflict,
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::Denied => FailureKind::Denied,
        ErrorKind::Invalid => FailureKind::Invalid,
        ErrorKind::Integrity => FailureKind::Integrity,
        _ => FailureKind::Bug,
    };
    Failure::caused(kind, error.to_string(), error)
}
