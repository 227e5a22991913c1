//! [`S3Source`]: the objects below a prefix as the [`Source`] of a backup.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_repository::backup::{Content, Source, Unread, UnreadReason};
use holdfast_repository::tree::Node;
use holdfast_sources::files::{Patterns, patterns::Verdict};

use super::address::S3Address;
use super::bucket::Bucket;
use super::listing::{self, Listed};
use super::reader::{self, Reader};
use super::refused::Refused;
use super::{attributes, names};

/// The objects below a prefix, as a tree of files. Patterns are anchored at the prefix, and match names as
/// `names` writes them.
///
/// A folder is listed when the backup comes to it, a thousand entries a request; one of very many entries is listed in
/// parts. An object counts as unchanged while its size, ETag and time of last change are the same: then nothing is asked of
/// it, and its metadata is taken over from the snapshot before (S3 changes metadata only by writing the object anew; tags
/// are the exception, and are read again with the object). Version ids are recorded with what was read, and play no part in
/// this: listings do not name them.
pub struct S3Source {
    bucket: Bucket,
    address: S3Address,
    root: PathBuf,
    patterns: Patterns,
    /// Folders that the backup is in, by path.
    open: Mutex<BTreeMap<PathBuf, BTreeMap<String, Listed>>>,
}

impl S3Source {
    /// The objects below `address`. Fails where the bucket cannot be listed.
    pub(crate) fn new(bucket: Bucket, address: S3Address, patterns: Patterns) -> Result<Self, Refused> {
        bucket.is_empty(address.prefix())?;
        Ok(Self {
            bucket,
            root: address.path(),
            address,
            patterns,
            open: Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<PathBuf, BTreeMap<String, Listed>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The prefix of the keys below a folder.
    fn prefix(&self, folder: &Path) -> Option<String> {
        let relative = names::without_parts(folder.strip_prefix(&self.root).ok()?);
        let mut prefix = self.address.prefix().to_owned();
        for name in &relative {
            prefix.push_str(&names::unescaped(name.to_str()?)?);
            prefix.push('/');
        }
        Some(prefix)
    }

    /// What stands at a path.
    fn listed(&self, path: &Path) -> Result<Listed, UnreadReason> {
        if self.root.starts_with(path) {
            return Ok(Listed::Folder);
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(UnreadReason::Vanished);
        };
        if let Some(entries) = self.open().get(folder) {
            return entries.get(name).cloned().ok_or(UnreadReason::Vanished);
        }
        self.list(folder)?.remove(name).ok_or(UnreadReason::Vanished)
    }

    /// What stands in a folder, or in a part of one.
    fn list(&self, folder: &Path) -> Result<BTreeMap<String, Listed>, UnreadReason> {
        let prefix = self.prefix(folder).ok_or(UnreadReason::Vanished)?;
        let entries = match self.listed(folder)? {
            Listed::Part { after, until } => listing::part(&self.bucket, &prefix, &after, until.as_deref()),
            Listed::Folder | Listed::Object(_) => listing::folder(&self.bucket, &prefix),
        };
        entries.map_err(reader::reason)
    }
}

fn unread(path: &Path) -> impl FnOnce(UnreadReason) -> Unread {
    let path = path.to_owned();
    move |reason| Unread { path, reason }
}

impl Source for S3Source {
    fn paths(&self) -> Vec<PathBuf> {
        vec![self.root.clone()]
    }

    fn host(&self) -> Option<String> {
        Some("s3".to_owned())
    }

    fn stat(&self, path: &Path) -> Result<Node, Unread> {
        self.stat_after(path, &[])
    }

    fn stat_after(&self, path: &Path, before: &[&Node]) -> Result<Node, Unread> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let state = match self.listed(path).map_err(unread(path))? {
            Listed::Folder => return Ok(attributes::folder_node(name)),
            Listed::Part { after, .. } => return Ok(attributes::part_node(name, &after)),
            Listed::Object(state) => state,
        };
        let mut node = attributes::object_node(name, &state);
        // Of any other object, the attributes come with its content.
        if let Some(same) = before.iter().find(|before| attributes::is_state(before, &state)) {
            node.extended_attributes = attributes::taken_over(same, &state);
        }
        Ok(node)
    }

    fn names(&self, folder: &Path) -> Result<Vec<OsString>, Unread> {
        let Ok(relative) = folder.strip_prefix(&self.root) else {
            // A folder above the prefix leads there.
            let next = self.root.strip_prefix(folder).ok().and_then(|rest| rest.iter().next());
            return Ok(next.map(OsString::from).into_iter().collect());
        };
        let mut entries = self.list(folder).map_err(unread(folder))?;
        let relative = names::without_parts(relative);
        entries.retain(|name, listed| {
            let verdict = |is_folder| self.patterns.verdict(&relative.join(name), is_folder);
            match listed {
                Listed::Part { .. } => true,
                Listed::Folder => verdict(true) != Verdict::Skipped,
                Listed::Object(_) => verdict(false) != Verdict::Skipped,
            }
        });
        let names = entries.keys().map(OsString::from).collect();
        let mut open = self.open();
        open.retain(|other, _| folder.starts_with(other));
        open.insert(folder.to_owned(), entries);
        Ok(names)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Unread> {
        let relative = path.strip_prefix(&self.root).ok();
        let key = relative
            .and_then(names::key)
            .ok_or(UnreadReason::Vanished)
            .map_err(unread(path))?;
        let key = format!("{}{key}", self.address.prefix());
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let reader = Reader::open(&self.bucket, &key, path.to_owned(), name);
        Ok(Box::new(reader.map_err(reader::reason).map_err(unread(path))?))
    }
}
