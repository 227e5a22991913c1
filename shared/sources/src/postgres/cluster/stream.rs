//! [`ClusterStream`]: a base backup on its way into a repository.

use std::io::{self, Read};
use std::path::PathBuf;

use holdfast_repository::backup::{Cut, Item, Stream};
use holdfast_repository::tree::mode;
use holdfast_repository::{Node, NodeKind, NodeTime};
use jiff::Timestamp;

use super::super::base_backup::{BaseBackup, BaseBackupReport, Member, MemberKind};
use super::super::error::PostgresError;
use super::super::pages::segment_of;
use super::base;

/// Relation files are cut at every multiple of four pages: pages are changed in place, so what stands at another place is
/// other content, and what did not change is found again. Fewer pages would cost more in the lists of chunks than they save.
const RELATION_CUT: usize = 32 << 10;

/// A base backup as a stream of files.
pub(super) struct ClusterStream {
    root: PathBuf,
    place: String,
    major: u32,
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
}

impl Content {
    /// Keeps an error for whoever asks in the end; the stream carries its text.
    fn fail(&mut self, error: PostgresError) -> io::Error {
        let text = error.to_string();
        self.failed.get_or_insert(error);
        io::Error::other(text)
    }
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

impl ClusterStream {
    /// The files of a base backup as those below `root`.
    pub(super) fn new(
        backup: BaseBackup,
        root: PathBuf,
        place: String,
        major: u32,
        now: fn() -> Timestamp,
    ) -> ClusterStream {
        ClusterStream {
            root,
            place,
            major,
            now,
            began: false,
            content: Content {
                backup: Some(backup),
                failed: None,
            },
            ended: None,
        }
    }

    /// What came; or what went wrong with the server, if that is what ended it.
    pub(super) fn into_outcome(self) -> Result<BaseBackupReport, Option<PostgresError>> {
        match self.ended {
            Some((report, _)) => Ok(report),
            None => Err(self.content.failed),
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
        ended.map_or_else(Vec::new, |(report, at)| base::tags(report, self.major, *at))
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        if !self.began {
            self.began = true;
            return Ok(Some(Item {
                path: self.root.clone(),
                node: node(MemberKind::Folder, 0o700, (self.now)()),
                content: None,
                cut: Cut::ByContent,
            }));
        }
        let Some(member) = self.member()? else {
            return Ok(None);
        };
        let cut = match segment_of(&member.path) {
            Some(_) => Cut::Every(RELATION_CUT),
            None => Cut::ByContent,
        };
        let node = node(member.kind, member.mode, member.modified_at);
        Ok(Some(Item {
            path: self.root.join(member.path),
            node,
            content: match member.kind {
                MemberKind::File { .. } => Some(&mut self.content),
                MemberKind::Folder => None,
            },
            cut,
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
