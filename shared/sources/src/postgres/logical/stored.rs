//! [`StoredExport`]: the exports that a repository has, and what is in one.

use std::path::Path;

use holdfast_repository::index::Lookup;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::{Id, Node, Repository, RepositoryError, Tree};
use jiff::Timestamp;

use super::export::MANIFEST;
use super::manifest::{Manifest, VERSION};
use super::{LogicalError, root};

/// The tag of every snapshot of an export.
const TAG: &str = "postgres-export";

/// An export in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredExport {
    /// Its snapshot.
    pub snapshot: Id,
    /// The database.
    pub database: String,
    /// The moment that it is of.
    pub at: Timestamp,
}

/// The tags that say this.
pub(super) fn tags(manifest: &Manifest, at: Timestamp) -> Vec<String> {
    vec![
        TAG.to_owned(),
        format!("database:{}", manifest.database),
        format!("major:{}", manifest.major),
        format!("at:{at}"),
    ]
}

/// The exports of a server, oldest first.
pub fn exports(repository: &Repository, resource: &str) -> Result<Vec<StoredExport>, LogicalError> {
    let above = Path::new("/").join(resource).join("export");
    let mut exports = Vec::new();
    for (snapshot, description) in repository.snapshots()? {
        let [path] = description.paths.as_slice() else { continue };
        if Path::new(path).parent() != Some(&above) || !description.tags.iter().any(|tag| tag == TAG) {
            continue;
        }
        let value = |name: &str| {
            let found = description
                .tags
                .iter()
                .find_map(|tag| tag.strip_prefix(name)?.strip_prefix(':'));
            found.ok_or_else(|| LogicalError::Damaged {
                snapshot,
                reason: format!("its tags do not say `{name}`"),
            })
        };
        let database = value("database")?.to_owned();
        let at = value("at")?.parse().map_err(|_| LogicalError::Damaged {
            snapshot,
            reason: "its tags hold no time".to_owned(),
        })?;
        exports.push(StoredExport { snapshot, database, at });
    }
    exports.sort_by_key(|export| export.at);
    Ok(exports)
}

/// The newest export of a database, or the one whose id begins so.
pub(super) fn choose(
    repository: &Repository,
    resource: &str,
    database: &str,
    wanted: Option<&str>,
) -> Result<StoredExport, LogicalError> {
    let all = exports(repository, resource)?;
    let is_wanted = |export: &&StoredExport| {
        let id = export.snapshot.to_string();
        export.database == database && wanted.is_none_or(|wanted| !wanted.is_empty() && id.starts_with(wanted))
    };
    let mut found = all.iter().rev().filter(is_wanted);
    match (found.next(), found.next(), wanted) {
        (Some(export), _, None) | (Some(export), None, Some(_)) => Ok(export.clone()),
        _ => {
            let known: Vec<String> = all
                .iter()
                .map(|export| format!("{} of {}", export.snapshot.short(), export.database))
                .collect();
            Err(LogicalError::NoExport {
                wanted: wanted.map_or_else(
                    || format!("of database {database}"),
                    |wanted| format!("{wanted} of database {database}"),
                ),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
            })
        }
    }
}

/// The files of an export.
pub(super) struct Files<'a> {
    repository: &'a Repository,
    index: &'a dyn Lookup,
    snapshot: Id,
    top: Tree,
    root_tree: Id,
}

impl<'a> Files<'a> {
    /// Opens an export, with its manifest.
    pub(super) fn open(
        repository: &'a Repository,
        index: &'a dyn Lookup,
        resource: &str,
        export: &StoredExport,
    ) -> Result<(Files<'a>, Manifest), LogicalError> {
        let snapshot = export.snapshot;
        let damaged = |reason: String| LogicalError::Damaged { snapshot, reason };
        let tree = repository.snapshot(&snapshot)?.tree;
        let found = repository.find_folder(index, &tree, &root(resource, &export.database))?;
        let root_tree = found.ok_or_else(|| damaged("its folder is missing".to_owned()))?;
        let files = Files {
            repository,
            index,
            snapshot,
            top: repository.load_tree(index, &root_tree)?,
            root_tree,
        };
        let text = files.read(MANIFEST)?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("its manifest makes no sense: {error}")))?;
        match manifest.version {
            VERSION => Ok((files, manifest)),
            other => Err(damaged(format!(
                "its manifest is of version {other}, and this program knows {VERSION}"
            ))),
        }
    }

    /// That something is not as the manifest says.
    pub(super) fn damaged(&self, reason: String) -> LogicalError {
        let snapshot = self.snapshot;
        LogicalError::Damaged { snapshot, reason }
    }

    /// A file at the top, whole.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, LogicalError> {
        let node = self.top.find(name.as_bytes());
        let node = node.ok_or_else(|| self.damaged(format!("{name} is missing")))?;
        let mut bytes = Vec::new();
        self.each(node, |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The parts of a table, in order.
    pub(super) fn parts(&self, oid: u32) -> Result<Vec<Node>, LogicalError> {
        let folder = Path::new("/tables").join(oid.to_string());
        match self.repository.find_folder(self.index, &self.root_tree, &folder)? {
            Some(tree) => Ok(self.repository.load_tree(self.index, &tree)?.nodes),
            None => Ok(Vec::new()),
        }
    }

    /// Hands over the content of a file, piece by piece, each checked against its hash.
    pub(super) fn each(
        &self,
        node: &Node,
        mut take: impl FnMut(&[u8]) -> Result<(), LogicalError>,
    ) -> Result<(), LogicalError> {
        let content = node.content.as_ref().ok_or_else(|| {
            RepositoryError::invalid(
                format!("snapshot {}", self.snapshot.short()),
                format!("{} is no file", String::from_utf8_lossy(&node.name)),
            )
        })?;
        for id in content {
            take(&self.repository.load_blob(self.index, BlobKind::Data, id)?)?;
        }
        Ok(())
    }
}
