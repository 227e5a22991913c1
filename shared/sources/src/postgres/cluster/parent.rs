//! [`plan_parent()`]: whether only what changed since an earlier base backup is read; [`Parent`]: that base backup.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_repository::index::LayeredIndex;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::{Id, Node, NodeKind, Repository, RepositoryError};

use super::super::base_backup::{Changes, MANIFEST, layout};
use super::super::connection::Connection;
use super::super::error::PostgresError;
use super::super::lsn::Lsn;
use super::merge::Merge;
use super::stream::RELATION_CUT;
use super::{ClusterError, StoredBase, bases, data_root};

/// The first version that tells what changed.
const FIRST_MAJOR: u32 = 17;
/// Incremental base backups that follow each other. The next one is full: nothing else reads every page of the server again, and
/// checks it.
pub const MOST_INCREMENTS: u32 = 6;

/// Which base backup is asked for. Either makes the same of the same server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseKind {
    /// Everything is read.
    Full,
    /// What did not change since the newest base backup is not read, where that can be done.
    Incremental,
}

/// Which one was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Everything was read.
    Full(FullReason),
    /// What changed since this base backup was read.
    Incremental(Id),
}

/// Why everything is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FullReason {
    /// Somebody wants it.
    #[error("as asked")]
    Asked,
    /// The server cannot say what changed.
    #[error("PostgreSQL {major} cannot tell what changed, version {FIRST_MAJOR} is the first that can")]
    Version {
        /// Its major version.
        major: u32,
    },
    /// The server does not keep what changed.
    #[error("summarize_wal is off: switch it on and reload, and later base backups read what changed only")]
    NotSummarized,
    /// There is nothing to go on from.
    #[error("it is the first of this server")]
    First,
    /// The newest base backup is of another cluster.
    #[error("the newest base backup is of another cluster")]
    OtherCluster,
    /// The newest base backup is of another timeline.
    #[error("the server is on timeline {server}, and the newest base backup of timeline {parent}")]
    #[allow(missing_docs, reason = "said above")]
    OtherTimeline { server: u32, parent: u32 },
    /// The server is not as far as it was.
    #[error("the server's log ends at {flushed}, and the newest base backup at {end}: it was set back, or lags behind")]
    #[allow(missing_docs, reason = "said above")]
    Behind { flushed: Lsn, end: Lsn },
    /// Pages that did not change would lack their checksums, or have what is none.
    #[error("it is not known that pages had checksums then as they have now")]
    OtherChecksums,
    /// Damaged pages that were mended since are not among those that changed.
    #[error("pages were damaged on the server when the newest base backup was made")]
    Damaged,
    /// It is time.
    #[error("{MOST_INCREMENTS} incremental base backups have followed each other")]
    Due,
    /// The server does not go on from it.
    #[error("the server does not tell what changed since the newest base backup: {0}")]
    Refused(String),
    /// The repository does not give what did not change.
    #[error("the newest base backup cannot be gone on from: {0}")]
    Unreadable(String),
}

/// What matters of a server for this.
#[derive(Clone, Copy, Debug)]
struct ServerState {
    major: u32,
    summarizes: bool,
    has_checksums: bool,
    system: u64,
    timeline: u32,
    flushed: Lsn,
}

impl ServerState {
    fn ask(connection: &mut Connection) -> Result<ServerState, PostgresError> {
        let major = connection.major();
        let identity = connection.identify_system()?;
        Ok(ServerState {
            major,
            summarizes: major >= FIRST_MAJOR && connection.show("summarize_wal")? == "on",
            has_checksums: layout(connection)?.is_some(),
            system: identity.system_identifier,
            timeline: identity.timeline,
            flushed: identity.flushed,
        })
    }
}

/// The base backup to go on from, which is the newest or none; `bases` are those of the server, oldest first.
fn plan_parent<'a>(
    kind: BaseKind,
    server: &ServerState,
    bases: &'a [StoredBase],
) -> Result<&'a StoredBase, FullReason> {
    if kind == BaseKind::Full {
        return Err(FullReason::Asked);
    }
    if server.major < FIRST_MAJOR {
        return Err(FullReason::Version { major: server.major });
    }
    if !server.summarizes {
        return Err(FullReason::NotSummarized);
    }
    let newest = bases.last().ok_or(FullReason::First)?;
    let (parent, end) = (newest.base.timeline, newest.base.end);
    if newest.system != server.system {
        Err(FullReason::OtherCluster)
    } else if parent != server.timeline {
        let server = server.timeline;
        Err(FullReason::OtherTimeline { server, parent })
    } else if server.flushed < end {
        let flushed = server.flushed;
        Err(FullReason::Behind { flushed, end })
    } else if newest.has_checksums != Some(server.has_checksums) {
        Err(FullReason::OtherChecksums)
    } else if newest.damaged_pages > 0 {
        Err(FullReason::Damaged)
    } else if newest.since_full >= MOST_INCREMENTS {
        Err(FullReason::Due)
    } else {
        Ok(newest)
    }
}

/// The base backup to go on from, as the server and the repository are.
pub(super) fn plan(
    repository: &Repository,
    resource: &str,
    kind: BaseKind,
    connection: &mut Connection,
) -> Result<Result<StoredBase, FullReason>, ClusterError> {
    let server = ServerState::ask(connection)?;
    let bases = bases(repository, resource)?;
    Ok(plan_parent(kind, &server, &bases).cloned())
}

/// A base backup that another one goes on from.
pub(super) struct Parent {
    repository: Repository,
    index: Arc<LayeredIndex>,
    /// Its snapshot.
    pub(super) snapshot: Id,
    /// Incremental base backups since the last full one, with itself.
    pub(super) since_full: u32,
    /// What its server sent.
    pub(super) manifest: Vec<u8>,
    /// The tree of its data folder.
    tree: Id,
    /// The folder that was asked for last, and files in it that were not asked for yet.
    folder: Option<PathBuf>,
    files: HashMap<Vec<u8>, Node>,
    /// Why it cannot be gone on from.
    pub(super) failed: Option<RepositoryError>,
}

impl Parent {
    pub(super) fn open(
        repository: &Repository,
        index: &Arc<LayeredIndex>,
        resource: &str,
        base: &StoredBase,
    ) -> Result<Parent, RepositoryError> {
        let snapshot = base.base.snapshot;
        let root = data_root(resource);
        let lacks = |what: &Path| {
            RepositoryError::invalid(
                format!("snapshot {}", snapshot.short()),
                format!("it does not hold {}", what.display()),
            )
        };
        let top = repository.snapshot(&snapshot)?.tree;
        let tree = repository.find_folder(&**index, &top, &root)?;
        let tree = tree.ok_or_else(|| lacks(&root))?;
        let files = repository.load_tree(&**index, &tree)?;
        let manifest = files.find(MANIFEST.as_bytes()).and_then(|node| node.content.as_ref());
        let manifest = manifest.ok_or_else(|| lacks(&root.join(MANIFEST)))?;
        let manifest = repository.load_blobs(&**index, BlobKind::Data, manifest)?.concat();
        Ok(Parent {
            repository: repository.clone(),
            index: Arc::clone(index),
            snapshot,
            since_full: base.since_full,
            manifest,
            tree,
            folder: None,
            files: HashMap::new(),
            failed: None,
        })
    }

    /// The file at `path` below the data folder, from what changed and what this backup has of it.
    pub(super) fn merge(&mut self, path: &Path, changes: Changes) -> Result<Merge, RepositoryError> {
        let refuse = |reason: String| RepositoryError::invalid(format!("the earlier {}", path.display()), reason);
        let folder = path.parent().unwrap_or(Path::new(""));
        if self.folder.as_deref() != Some(folder) {
            let tree = self.repository.find_folder(&*self.index, &self.tree, folder)?;
            let tree = tree.ok_or_else(|| refuse("its folder is not there".to_owned()))?;
            let nodes = self.repository.load_tree(&*self.index, &tree)?.nodes;
            self.files = nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
            self.folder = Some(folder.to_owned());
        }
        let node = path.file_name().and_then(|name| self.files.remove(name.as_bytes()));
        let node = node.filter(|node| node.kind == NodeKind::File);
        let node = node.ok_or_else(|| refuse("it is not there".to_owned()))?;
        let chunks = node.content.unwrap_or_default();
        Merge::new(changes, RELATION_CUT, chunks, node.size).map_err(refuse)
    }

    /// The bytes of chunks.
    pub(super) fn load(&self, ids: &[Id]) -> Result<Vec<Vec<u8>>, RepositoryError> {
        self.repository.load_blobs(&*self.index, BlobKind::Data, ids)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::super::log::windows::Base;
    use super::*;

    const SERVER: ServerState = ServerState {
        major: 18,
        summarizes: true,
        has_checksums: true,
        system: 7,
        timeline: 1,
        flushed: Lsn(500),
    };

    fn stored() -> StoredBase {
        StoredBase {
            base: Base {
                snapshot: Id([1; 32]),
                timeline: 1,
                start: Lsn(300),
                end: Lsn(400),
                ended_at: Timestamp::UNIX_EPOCH,
                has_log: true,
            },
            system: 7,
            major: 18,
            damaged_pages: 0,
            has_checksums: Some(true),
            since_full: MOST_INCREMENTS - 1,
        }
    }

    #[test]
    fn the_newest_base_backup_is_gone_on_from() {
        let (mut older, newest) = (stored(), stored());
        older.system = 8;
        let bases = [older, newest.clone()];
        assert_eq!(plan_parent(BaseKind::Incremental, &SERVER, &bases), Ok(&newest));
        let reason = plan_parent(BaseKind::Full, &SERVER, &bases);
        assert_eq!(reason, Err(FullReason::Asked));
        let reason = plan_parent(BaseKind::Incremental, &SERVER, &[]);
        assert_eq!(reason, Err(FullReason::First));
    }

    #[test]
    fn everything_is_read_where_the_server_cannot_tell_what_changed() {
        let bases = [stored()];
        let plan = |server: ServerState| plan_parent(BaseKind::Incremental, &server, &bases).unwrap_err();
        let old = ServerState { major: 16, ..SERVER };
        assert_eq!(plan(old), FullReason::Version { major: 16 });
        let off = ServerState {
            summarizes: false,
            ..SERVER
        };
        assert_eq!(plan(off), FullReason::NotSummarized);
        let other = ServerState { system: 8, ..SERVER };
        assert_eq!(plan(other), FullReason::OtherCluster);
        let promoted = ServerState { timeline: 2, ..SERVER };
        assert_eq!(plan(promoted), FullReason::OtherTimeline { server: 2, parent: 1 });
        let back = ServerState {
            flushed: Lsn(399),
            ..SERVER
        };
        let (flushed, end) = (Lsn(399), Lsn(400));
        assert_eq!(plan(back), FullReason::Behind { flushed, end });
        let off = ServerState {
            has_checksums: false,
            ..SERVER
        };
        assert_eq!(plan(off), FullReason::OtherChecksums);
    }

    #[test]
    fn everything_is_read_where_the_newest_base_backup_is_not_good_enough() {
        let plan = |change: fn(&mut StoredBase)| {
            let mut base = stored();
            change(&mut base);
            plan_parent(BaseKind::Incremental, &SERVER, &[base]).unwrap_err()
        };
        assert_eq!(plan(|base| base.damaged_pages = 1), FullReason::Damaged);
        assert_eq!(plan(|base| base.since_full = MOST_INCREMENTS), FullReason::Due);
        assert_eq!(plan(|base| base.has_checksums = None), FullReason::OtherChecksums);
    }
}
