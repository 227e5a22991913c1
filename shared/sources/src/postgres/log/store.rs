//! [`LogArchive`]: a server's log in a repository, stored piece by piece, each piece a snapshot.

use std::fs::File;
use std::io::{self, Read, Take, Write};
use std::path::{Path, PathBuf};

use holdfast_repository::backup::{BackupOptions, Item, ItemContent, Stream, backup_stream};
use holdfast_repository::index::Lookup;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::{Id, Node, NodeKind, NodeTime, Repository};
use jiff::Timestamp;

use super::super::segment::{LogFile, SegmentSize};
use super::error::LogError;
use super::inspect::LogFileOnDisk;
use super::piece::{Piece, PieceContent, StoredPiece};
use super::receipts::{Hashed, Receipt};

/// Chunks of a file that are read together: some mebibytes, of which a store that is far away is asked once.
const READ_TOGETHER: usize = 4;

/// The log of one protected server, as it was when this was opened and with what was stored through this since.
pub struct LogArchive {
    repository: Repository,
    root: PathBuf,
    pieces: Vec<StoredPiece>,
}

/// What storing files came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Files that were stored now.
    pub new: Vec<LogFile>,
    /// Files that were there already, with the same content.
    pub known: Vec<LogFile>,
    /// The snapshots that hold the new ones.
    pub snapshots: Vec<Id>,
    /// Of each of them, but for partial segments.
    pub receipts: Vec<Receipt>,
}

/// A file of a stored log.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which file it is: the partial one where there is no full one.
    pub file: LogFile,
    /// The snapshot that holds it.
    pub snapshot: Id,
    /// Its length.
    pub length: u64,
    content: Vec<Id>,
}

impl LogArchive {
    /// Reads which pieces of the log of `resource` the repository holds: from the tags of snapshots alone.
    pub fn open(repository: &Repository, resource: &str) -> Result<LogArchive, LogError> {
        let root = Path::new("/").join(resource).join("wal");
        let mut pieces = Vec::new();
        for (snapshot, description) in repository.snapshots()? {
            if description.paths.len() == 1
                && Path::new(&description.paths[0]) == root
                && let Some(piece) = Piece::of(snapshot, &description)?
            {
                pieces.push(StoredPiece { snapshot, piece });
            }
        }
        let repository = repository.clone();
        Ok(LogArchive {
            repository,
            root,
            pieces,
        })
    }

    /// The repository that it is in.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// All pieces, oldest first.
    pub fn pieces(&self) -> &[StoredPiece] {
        &self.pieces
    }

    /// The system identifier of the server that this belongs to; `None` while no segment is stored.
    pub fn system(&self) -> Option<u64> {
        self.pieces.iter().find_map(|stored| stored.piece.system)
    }

    /// The length of the segments in it; `None` while nothing is stored.
    pub fn segment_size(&self) -> Option<SegmentSize> {
        self.pieces.first().map(|stored| stored.piece.segment_size)
    }

    /// Stores files that were looked through. Segments that follow one another become one snapshot, each other file one
    /// of its own. What is stored already with the same content is left alone; with other content it is an error, and
    /// nothing is stored. All of it is durable when this returns.
    ///
    /// `options` are those of the snapshots, but for the tags and the parent.
    pub fn store(
        &mut self,
        index: &dyn Lookup,
        files: Vec<LogFileOnDisk>,
        options: &BackupOptions<'_>,
    ) -> Result<Stored, LogError> {
        let mut stored = Stored::default();
        let mut runs: Vec<(Piece, Vec<LogFileOnDisk>)> = Vec::new();
        let mut system = self.system();
        for file in files {
            self.admit(&file, &mut system)?;
            if self.has_same(index, &file, &mut stored.receipts)? {
                stored.known.push(file.file);
                continue;
            }
            stored.new.push(file.file);
            let joined = runs.last().and_then(|(piece, _)| joined(piece, &file.piece));
            match (joined, runs.last_mut()) {
                (Some(longer), Some((piece, run))) => {
                    *piece = longer;
                    run.push(file);
                }
                _ => runs.push((file.piece.clone(), vec![file])),
            }
        }
        // Where timelines branch off is to be known before what is on them.
        runs.sort_by_key(|(piece, _)| !matches!(piece.content, PieceContent::History(_)));
        for (piece, files) in runs {
            let snapshot = self.store_run(&piece, files, options, &mut stored.receipts)?;
            stored.snapshots.push(snapshot);
            self.pieces.push(StoredPiece { snapshot, piece });
        }
        Ok(stored)
    }

    /// Refuses what comes from another server.
    fn admit(&self, file: &LogFileOnDisk, system: &mut Option<u64>) -> Result<(), LogError> {
        let piece = &file.piece;
        let name = || file.file.name(piece.segment_size);
        if let Some(expected) = self.segment_size().filter(|size| *size != piece.segment_size) {
            let found = piece.segment_size;
            return Err(LogError::OtherSize {
                name: name(),
                found,
                expected,
            });
        }
        let Some(found) = piece.system else { return Ok(()) };
        match system.replace(found) {
            Some(expected) if expected != found => Err(LogError::OtherServer {
                name: name(),
                found,
                expected,
            }),
            _ => Ok(()),
        }
    }

    /// Whether a file need not be stored. Of one that is stored whole, there is a receipt then.
    fn has_same(
        &self,
        index: &dyn Lookup,
        file: &LogFileOnDisk,
        receipts: &mut Vec<Receipt>,
    ) -> Result<bool, LogError> {
        if let LogFile::Partial(segment) = file.file
            && self.place(LogFile::Segment(segment)).is_some()
        {
            return Ok(true);
        }
        let Some(found) = self.look_up(index, file.file)? else {
            return Ok(false);
        };
        let same = match found.length == file.length {
            true => same(index, &found, &file.path)?,
            false => None,
        };
        match (file.file, same) {
            (LogFile::Partial(_), same) => Ok(same.is_some()),
            (_, Some(sha256)) => {
                receipts.push(Receipt {
                    name: file.file.name(file.piece.segment_size),
                    length: found.length,
                    sha256,
                    snapshot: found.snapshot,
                });
                Ok(true)
            }
            (_, None) => Err(LogError::OtherContent {
                name: file.file.name(file.piece.segment_size),
                snapshot: found.snapshot,
            }),
        }
    }

    fn store_run(
        &self,
        piece: &Piece,
        files: Vec<LogFileOnDisk>,
        options: &BackupOptions<'_>,
        receipts: &mut Vec<Receipt>,
    ) -> Result<Id, LogError> {
        let options = BackupOptions {
            parent: None,
            tags: piece.tags(),
            ..options.clone()
        };
        let mut stream = FileStream {
            root: self.root.clone(),
            time: options.time,
            files: files.into_iter(),
            open: None,
            read: Vec::new(),
        };
        let snapshot = backup_stream(&self.repository, &mut stream, &options)?.snapshot;
        for (file, (length, sha256)) in stream.read {
            if !matches!(file, LogFile::Partial(_)) {
                receipts.push(Receipt {
                    name: file.name(piece.segment_size),
                    length,
                    sha256,
                    snapshot,
                });
            }
        }
        Ok(snapshot)
    }

    /// The newest snapshot that has exactly this file.
    fn place(&self, file: LogFile) -> Option<&StoredPiece> {
        self.pieces.iter().rev().find(|stored| stored.piece.holds(file))
    }

    /// Finds a file. Asked for a segment that is stored in part only, it gives the newest part.
    pub fn find(&self, index: &dyn Lookup, file: LogFile) -> Result<Option<Found>, LogError> {
        match (self.look_up(index, file)?, file) {
            (None, LogFile::Segment(segment)) => self.look_up(index, LogFile::Partial(segment)),
            (found, _) => Ok(found),
        }
    }

    fn look_up(&self, index: &dyn Lookup, file: LogFile) -> Result<Option<Found>, LogError> {
        let Some(StoredPiece { snapshot, piece }) = self.place(file) else {
            return Ok(None);
        };
        let name = file.name(piece.segment_size);
        let missing = || LogError::Missing {
            name: name.clone(),
            snapshot: *snapshot,
        };
        let top = self.repository.snapshot(snapshot)?.tree;
        let tree = self
            .repository
            .find_folder(index, &top, &self.root)?
            .ok_or_else(missing)?;
        let node = self.repository.load_tree(index, &tree)?.find(name.as_bytes()).cloned();
        let node = node.ok_or_else(missing)?;
        Ok(Some(Found {
            file,
            snapshot: *snapshot,
            length: node.size,
            content: node.content.ok_or_else(missing)?,
        }))
    }

    /// Writes the bytes of a file, each part checked against its hash.
    pub fn copy(&self, index: &dyn Lookup, found: &Found, target: &mut dyn Write) -> Result<io::Result<()>, LogError> {
        for ids in found.content.chunks(READ_TOGETHER) {
            for bytes in self.repository.load_blobs(index, BlobKind::Data, ids)? {
                if let Err(error) = target.write_all(&bytes) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// The SHA-256 of a file whose bytes are those that are stored. Compares by hashes: nothing is fetched.
fn same(index: &dyn Lookup, found: &Found, path: &Path) -> Result<Option<Id>, LogError> {
    let mut file = Hashed::new(File::open(path).map_err(LogError::io("open", path))?);
    let mut bytes = Vec::new();
    for id in &found.content {
        let places = index.places(BlobKind::Data, id)?;
        let length = places.first().map_or(0, |place| u64::from(place.plaintext_length()));
        bytes.clear();
        let mut part = (&mut file).take(length);
        part.read_to_end(&mut bytes).map_err(LogError::io("read", path))?;
        if Id::of(&bytes) != *id {
            return Ok(None);
        }
    }
    let (length, sha256) = file.finish();
    Ok((length == found.length).then_some(sha256))
}

/// Two pieces as one, where the second follows the first.
fn joined(piece: &Piece, next: &Piece) -> Option<Piece> {
    let same_log = piece.timeline == next.timeline && piece.system == next.system;
    match (&piece.content, &next.content) {
        (PieceContent::Segments(start, end), PieceContent::Segments(next_start, next_end))
            if same_log && end == next_start =>
        {
            Some(Piece {
                content: PieceContent::Segments(*start, *next_end),
                last_commit: piece.last_commit.max(next.last_commit),
                ..piece.clone()
            })
        }
        _ => None,
    }
}

/// Files of a log on their way into the repository.
struct FileStream {
    root: PathBuf,
    time: Timestamp,
    files: std::vec::IntoIter<LogFileOnDisk>,
    open: Option<(LogFile, Hashed<Take<File>>)>,
    /// What was read of those before, with its length and SHA-256.
    read: Vec<(LogFile, (u64, Id))>,
}

impl Stream for FileStream {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        let before = self.open.take().map(|(file, read)| (file, read.finish()));
        self.read.extend(before);
        let Some(file) = self.files.next() else {
            return Ok(None);
        };
        let mut node = Node::new(Vec::new(), NodeKind::File);
        (node.mode, node.size) = (0o600, file.length);
        let time = NodeTime::from(self.time);
        (node.mtime, node.atime, node.ctime) = (time, time, time);
        // A partial segment may grow meanwhile.
        let content = Hashed::new(File::open(&file.path)?.take(file.length));
        let (_, content) = self.open.insert((file.file, content));
        Ok(Some(Item {
            path: self.root.join(file.file.name(file.piece.segment_size)),
            node,
            content: Some(ItemContent::Bytes(content)),
        }))
    }
}
