//! [`ClusterStream`]: a base backup on its way into a repository.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use holdfast_repository::backup::{Chunk, Chunks, Item, ItemContent, Stream};
use holdfast_repository::tree::mode;
use holdfast_repository::{Id, Node, NodeKind, NodeTime, RepositoryError};
use jiff::Timestamp;

use super::super::base_backup::{BaseBackup, BaseBackupReport, Changes, Member, MemberKind};
use super::super::error::PostgresError;
use super::super::pages::segment_of;
use super::base;
use super::base::Origin;
use super::merge::{Merge, Merged};
use super::parent::Parent;

/// Relation files are cut at every multiple of four pages: pages are changed in place, so what stands at another place is
/// other content, and what did not change is found again. Fewer pages would cost more in the lists of chunks than they save.
pub(super) const RELATION_CUT: usize = 32 << 10;

/// A base backup as a stream of files.
pub(super) struct ClusterStream {
    root: PathBuf,
    place: String,
    origin: Origin,
    now: fn() -> Timestamp,
    /// Whether the folder itself was told.
    began: bool,
    content: Content,
    ended: Option<(BaseBackupReport, Timestamp)>,
}

/// The bytes of the file that came last, and what went wrong when it was read.
struct Content {
    backup: Option<BaseBackup>,
    failed: Option<PostgresError>,
    /// Where what did not change comes from.
    parent: Option<Parent>,
    /// The file that came last, where only its changes did.
    merge: Option<Merge>,
    /// The last chunk of a file that came whole.
    chunk: Vec<u8>,
}

/// How a stream ended that did not come to its end.
pub(super) enum Broken {
    /// By the server.
    Server(PostgresError),
    /// By what the earlier base backup lacks.
    Parent(RepositoryError),
    /// By whoever took it.
    Elsewhere,
}

impl Content {
    fn fail(&mut self, error: PostgresError) -> io::Error {
        keep(&mut self.failed, error)
    }

    /// Makes ready to put a file together.
    fn begin_merge(&mut self, path: &Path, changes: Changes) -> io::Result<()> {
        let Some(parent) = &mut self.parent else {
            return Err(io::Error::other("only changes came where everything was asked for"));
        };
        let merge = parent
            .merge(path, changes)
            .map_err(|error| keep(&mut parent.failed, error))?;
        self.merge = Some(merge);
        Ok(())
    }
}

/// Keeps an error for whoever asks in the end; the stream carries its text.
fn keep<E: std::error::Error>(failed: &mut Option<E>, error: E) -> io::Error {
    let text = error.to_string();
    failed.get_or_insert(error);
    io::Error::other(text)
}

impl Read for Content {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.backup.as_mut().map(|backup| backup.read_content(buf)) {
            Some(Err(error)) => Err(self.fail(error)),
            Some(Ok(count)) => Ok(count),
            None => Ok(0),
        }
    }
}

/// The pages that come.
struct Given<'a> {
    backup: &'a mut BaseBackup,
    failed: &'a mut Option<PostgresError>,
}

impl Read for Given<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.backup.read_content(buf);
        read.map_err(|error| keep(self.failed, error))
    }
}

impl Chunks for Content {
    fn next_chunk(&mut self) -> io::Result<Option<Chunk<'_>>> {
        let Some(backup) = &mut self.backup else {
            return Ok(None);
        };
        let (Some(merge), Some(parent)) = (&mut self.merge, &mut self.parent) else {
            let hash = backup.read_chunk(RELATION_CUT, &mut self.chunk);
            let hash = hash.map_err(|error| keep(&mut self.failed, error))?;
            let bytes = Some(self.chunk.as_slice()).filter(|bytes| !bytes.is_empty());
            return Ok(bytes.map(|bytes| match hash {
                Some(id) => Chunk::Hashed(id, bytes),
                None => Chunk::Bytes(bytes),
            }));
        };
        let mut given = Given {
            backup,
            failed: &mut self.failed,
        };
        let mut load = |ids: &[Id]| parent.load(ids).map_err(|error| keep(&mut parent.failed, error));
        Ok(merge.next(&mut given, &mut load)?.map(|merged| match merged {
            Merged::Same(id, length) => Chunk::Stored(id, length),
            Merged::Made(bytes) => Chunk::Bytes(bytes),
        }))
    }
}

impl ClusterStream {
    /// The files of a base backup as those below `root`.
    pub(super) fn new(
        backup: BaseBackup,
        root: PathBuf,
        place: String,
        parent: Option<Parent>,
        (major, now): (u32, fn() -> Timestamp),
    ) -> ClusterStream {
        let origin = Origin {
            major,
            has_checksums: backup.has_checksums(),
            since_full: parent.as_ref().map_or(0, |parent| parent.since_full + 1),
        };
        ClusterStream {
            root,
            place,
            origin,
            now,
            began: false,
            content: Content {
                backup: Some(backup),
                failed: None,
                parent,
                merge: None,
                chunk: Vec::new(),
            },
            ended: None,
        }
    }

    /// What came; or what ended it before.
    pub(super) fn into_outcome(self) -> Result<BaseBackupReport, Broken> {
        let Content { failed, parent, .. } = self.content;
        let lacking = parent.and_then(|parent| parent.failed);
        match (self.ended, failed, lacking) {
            (Some((report, _)), ..) => Ok(report),
            (None, Some(error), _) => Err(Broken::Server(error)),
            (None, None, Some(error)) => Err(Broken::Parent(error)),
            (None, None, None) => Err(Broken::Elsewhere),
        }
    }

    fn member(&mut self) -> io::Result<Option<Member>> {
        let Some(backup) = &mut self.content.backup else {
            return Ok(None);
        };
        match backup.next_member() {
            Ok(Some(member)) => Ok(Some(member)),
            Ok(None) => {
                let ended = self.content.backup.take().map(BaseBackup::finish).transpose();
                let report = ended.map_err(|error| self.content.fail(error))?;
                self.ended = report.map(|report| (report, (self.now)()));
                Ok(None)
            }
            Err(error) => Err(self.content.fail(error)),
        }
    }
}

impl Stream for ClusterStream {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn host(&self) -> Option<String> {
        Some(self.place.clone())
    }

    fn tags(&self) -> Vec<String> {
        let ended = self.ended.as_ref();
        ended.map_or_else(Vec::new, |(report, at)| base::tags(report, self.origin, *at))
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        if !self.began {
            self.began = true;
            return Ok(Some(Item {
                path: self.root.clone(),
                node: node(MemberKind::Folder, 0o700, (self.now)()),
                content: None,
            }));
        }
        let Some(member) = self.member()? else {
            return Ok(None);
        };
        let node = node(member.kind, member.mode, member.modified_at);
        let content = match (member.kind, member.changes) {
            (MemberKind::Folder, _) => None,
            (MemberKind::File { .. }, Some(changes)) => {
                self.content.begin_merge(&member.path, changes)?;
                Some(ItemContent::Chunks(&mut self.content))
            }
            (MemberKind::File { .. }, None) => {
                self.content.merge = None;
                match segment_of(&member.path) {
                    Some(_) => Some(ItemContent::Chunks(&mut self.content)),
                    None => Some(ItemContent::Bytes(&mut self.content)),
                }
            }
        };
        Ok(Some(Item {
            path: self.root.join(member.path),
            node,
            content,
        }))
    }
}

/// The metadata of an entry; whom it belongs to is for a restore to say.
fn node(kind: MemberKind, permissions: u32, modified_at: Timestamp) -> Node {
    let (kind, bits, size) = match kind {
        MemberKind::Folder => (NodeKind::Dir, mode::DIR, 0),
        MemberKind::File { size } => (NodeKind::File, 0, size),
    };
    let mut node = Node::new(Vec::new(), kind);
    (node.mode, node.size) = (bits | (permissions & 0o777), size);
    let time = NodeTime::from(modified_at);
    (node.mtime, node.atime, node.ctime) = (time, time, time);
    node
}
