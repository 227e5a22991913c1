//! Members of a base backup and their content, in the order of the server.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use crc32c::crc32c_append;
use holdfast_repository::{Id, PartsHasher};
use jiff::Timestamp;

use super::super::connection::{Connection, Reply};
use super::super::error::{PostgresError, Result};
use super::super::manifest::{Manifest, Sum};
use super::super::pages::{PageCheck, segment_of};
use super::super::tar::{self, BLOCK, EntryKind};
use super::framing::Piece;
use super::incremental::Incremental;
use super::open::{OpenFile, position};
use super::{BaseBackup, MANIFEST, Member, MemberKind};

/// A manifest has some 200 bytes for a file.
const LARGEST_MANIFEST: usize = 1 << 30;
/// The server found damaged pages; it says so when everything is sent.
const DATA_CORRUPTED: &str = "XX001";

impl BaseBackup {
    /// The next file or folder; `None` when everything came and agrees with the manifest.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        self.leave_file()?;
        while self.end.is_none() {
            let Some(block) = self.block()? else {
                return self.conclude().map(Some);
            };
            let entry = tar::entry(&block).map_err(|what| self.wrong(what))?;
            let Some(entry) = entry else { continue };
            let modified_at = Timestamp::from_second(entry.modified);
            let modified_at = modified_at.map_err(|error| self.wrong(error.to_string()))?;
            let path = self.below.join(entry.path);
            let mut member = Member {
                path,
                // A link leads to a tablespace, which comes as a folder in the link's place.
                kind: MemberKind::Folder,
                mode: entry.mode,
                modified_at,
                changes: None,
            };
            if let EntryKind::File(size) = entry.kind {
                member.kind = MemberKind::File { size };
                self.open(member.path.clone(), size);
                self.open_incremental(&mut member)?;
            }
            return Ok(Some(member));
        }
        Ok(None)
    }

    fn open(&mut self, path: PathBuf, size: u64) {
        let pages = self.layout.zip(segment_of(&path));
        let pages = pages.map(|(layout, segment)| PageCheck::new(layout, segment, self.start.lsn));
        self.file = Some(OpenFile {
            sent_as: path.clone(),
            path,
            size,
            whole: size,
            left: size,
            digest: PartsHasher::new(),
            crc32c: 0,
            pages,
        });
    }

    /// Reads the current file's content; 0 at its end.
    pub fn read_content(&mut self, buf: &mut [u8]) -> Result<usize> {
        if let Some(instead) = &mut self.instead {
            let count = buf.len().min(instead.len());
            instead.copy_to_slice(&mut buf[..count]);
            return Ok(count);
        }
        let part = self.part(buf.len())?;
        buf[..part.len()].copy_from_slice(&part);
        self.look_at(&part, PartsHasher::pass);
        Ok(part.len())
    }

    /// Reads the current file's next bytes into `chunk`, in place of what is in it: `length` of them, fewer at the end of the file.
    /// Their hash, where it is to be had for little.
    pub fn read_chunk(&mut self, length: usize, chunk: &mut Vec<u8>) -> Result<Option<Id>> {
        let is_hashed = PartsHasher::is_worthwhile();
        let hash = if is_hashed {
            PartsHasher::update
        } else {
            PartsHasher::pass
        };
        chunk.clear();
        loop {
            let part = self.part(length - chunk.len())?;
            if part.is_empty() {
                break;
            }
            chunk.extend_from_slice(&part);
            self.look_at(&part, hash);
        }
        let file = self.file.as_mut().filter(|_| is_hashed);
        Ok(file.map(|file| file.digest.end_part()))
    }

    /// The next bytes of the current file: `most` of them at most, and none at its end.
    fn part(&mut self, most: usize) -> Result<Bytes> {
        let left = self.file.as_ref().map_or(0, |file| file.left);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        if most > 0 && self.pending.is_empty() {
            self.refill()?;
        }
        Ok(self.pending.split_to(most.min(self.pending.len())))
    }

    /// Counts, hashes and checks what passes.
    fn look_at(&mut self, part: &[u8], hash: fn(&mut PartsHasher, &[u8])) {
        let Some(file) = &mut self.file else { return };
        file.left -= part.len() as u64;
        hash(&mut file.digest, part);
        file.crc32c = crc32c_append(file.crc32c, part);
        if let Some(pages) = &mut file.pages {
            let (damaged, path) = (&mut self.damaged, &file.path);
            pages.take(part, |mismatch| damaged.add(path, mismatch));
        }
    }

    /// Passes over what was not read of the current file, and notes its sum.
    fn leave_file(&mut self) -> Result<()> {
        loop {
            let part = self.part(usize::MAX)?;
            if part.is_empty() {
                break;
            }
            self.look_at(&part, PartsHasher::pass);
        }
        self.instead = None;
        let Some(file) = self.file.take() else { return Ok(()) };
        self.files += 1;
        self.bytes += file.whole;
        self.received += file.size;
        if self.end.is_some() {
            // The manifest, which is in no archive.
            return Ok(());
        }
        let sum = Sum {
            size: file.size,
            crc32c: file.crc32c,
            sha256: file.digest.finish(),
        };
        if self
            .sums
            .insert(file.sent_as.as_os_str().as_bytes().to_vec(), sum)
            .is_some()
        {
            return Err(self.wrong(format!("{} comes twice", file.sent_as.display())));
        }
        let mut padding = tar::padding(file.size);
        while padding > 0 {
            if self.pending.is_empty() {
                self.refill()?;
            }
            let count = self.pending.len().min(usize::try_from(padding).unwrap_or(BLOCK));
            self.pending.advance(count);
            padding -= count as u64;
        }
        Ok(())
    }

    /// More bytes of the current archive, which may not end now.
    fn refill(&mut self) -> Result<()> {
        while self.pending.is_empty() {
            match self.incoming.next() {
                Some(Piece::Data(data)) => self.pending = data,
                _ => return Err(self.broken_off()),
            }
        }
        Ok(())
    }

    /// The next header, in whatever archive it is; `None` when all archives and the manifest are here.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        let mut in_manifest = false;
        while filled < BLOCK {
            if self.pending.is_empty() {
                match self.incoming.next() {
                    Some(Piece::Data(data)) if in_manifest => self.add_to_manifest(&data)?,
                    Some(Piece::Data(data)) => self.pending = data,
                    _ if filled > 0 => return Err(self.broken_off()),
                    Some(Piece::Archive(below)) => self.below = below,
                    Some(Piece::Manifest) => in_manifest = true,
                    None => return Ok(None),
                }
                continue;
            }
            let count = self.pending.len().min(BLOCK - filled);
            self.pending.copy_to_slice(&mut block[filled..filled + count]);
            filled += count;
        }
        Ok(Some(block))
    }

    /// Why no more of an archive comes.
    fn broken_off(&mut self) -> PostgresError {
        match self.incoming.end() {
            Some(Err(error)) => error,
            _ => self.wrong("an archive that breaks off"),
        }
    }

    fn add_to_manifest(&mut self, data: &[u8]) -> Result<()> {
        if self.manifest.len() + data.len() > LARGEST_MANIFEST {
            return Err(self.wrong("a manifest without end"));
        }
        self.manifest.extend_from_slice(data);
        Ok(())
    }

    /// Compares what came with the manifest, which is the last member.
    fn conclude(&mut self) -> Result<Member> {
        let connection = self.incoming.end();
        let mut connection = connection.ok_or_else(|| self.wrong("a second end of a base backup"))??;
        self.end = Some(position(&mut connection)?);
        self.await_verdict(&mut connection)?;
        self.warnings = connection.take_warnings();
        let wrong = |differences| PostgresError::Manifest {
            place: self.place.clone(),
            differences,
        };
        let manifest = Manifest::parse(&self.manifest).map_err(|why| wrong(vec![why]))?;
        if manifest
            .system_identifier
            .is_some_and(|system| system != self.system_identifier)
        {
            return Err(wrong(vec!["it is of another cluster".to_owned()]));
        }
        let differences = manifest.differences(&self.sums);
        if !differences.is_empty() {
            return Err(wrong(differences));
        }
        let replaced = self.incremental.as_ref().map(Incremental::replaced);
        let stored = manifest
            .stored(&self.sums, replaced.unwrap_or(&BTreeMap::new()))
            .map_err(|error| self.wrong(error.to_string()))?;
        self.pending = Bytes::from(stored);
        let size = self.pending.len() as u64;
        self.open(PathBuf::from(MANIFEST), size);
        Ok(Member {
            path: PathBuf::from(MANIFEST),
            kind: MemberKind::File { size },
            mode: 0o600,
            modified_at: connection.now(),
            changes: None,
        })
    }

    /// The end of the command. Damage that the server found ends it with an error, though everything is here.
    fn await_verdict(&mut self, connection: &mut Connection) -> Result<()> {
        loop {
            match connection.receive()? {
                Reply::Ready => return Ok(()),
                Reply::Done => {}
                Reply::Error(report) if report.code == DATA_CORRUPTED => self.damaged.confirmed = true,
                Reply::Error(report) => return Err(connection.fail(report)),
                _ => return Err(connection.protocol("something behind the end of a base backup")),
            }
        }
    }
}

impl Read for BaseBackup {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.read_content(buf).map_err(io::Error::other)
    }
}
