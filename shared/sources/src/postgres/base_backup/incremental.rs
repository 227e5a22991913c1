//! [`Changes`]: which pages come of a file that changed in part. This is how PostgreSQL's incremental backups, from version 17
//! on, send files of relations: under another name, a header first, then the pages.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::super::connection::{Connection, Reply};
use super::super::error::{PostgresError, Result};
use super::super::manifest::{Manifest, Replaced};
use super::super::pages::{PageCheck, segment_of};
use super::{BaseBackup, Member, MemberKind};

/// What the names of such files begin with.
const PREFIX: &str = "INCREMENTAL.";
/// What their headers begin with.
const MAGIC: u32 = 0xD3AE_1F0D;
/// Bytes of a header without the numbers of pages.
const FIXED: usize = 12;
/// The file that says where replay starts.
const LABEL: &str = "backup_label";
/// A label has some 300 bytes.
const LONGEST_LABEL: u64 = 64 << 10;
/// Bytes of the manifest that are sent in one message.
const MANIFEST_PART: usize = 64 << 10;

/// What is given of a file that changed in part: some pages, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Bytes of a page.
    pub page: usize,
    /// The numbers within the file of the pages that are given, ascending.
    pub pages: Vec<u32>,
    /// Every page below this one that is not given is as it was in the earlier backup, or zeroes where that had none. From it on
    /// pages that are not given are zeroes.
    pub kept_below: u32,
}

impl Changes {
    /// Bytes of the whole file.
    pub fn length(&self) -> u64 {
        let behind_last = self.pages.last().map_or(0, |last| u64::from(*last) + 1);
        behind_last.max(self.kept_below.into()) * self.page as u64
    }

    /// How many pages a file gives whose header begins so.
    fn count(fixed: [u8; FIXED], most: u32) -> Result<u32, String> {
        let [magic, count, kept_below] = words(fixed);
        if magic != MAGIC {
            return Err(format!("it begins with {magic:#010x}"));
        }
        match count.max(kept_below) > most {
            true => Err(format!(
                "it has {count} pages of {kept_below} where a file has {most} at most"
            )),
            false => Ok(count),
        }
    }

    /// Bytes of the header of a file that gives so many pages: pages begin where one would begin in any file.
    fn header(count: u32, page: usize) -> usize {
        let length = FIXED + 4 * count as usize;
        match count {
            0 => length,
            _ => length.next_multiple_of(page),
        }
    }

    /// Reads a whole header. `page` is the size of pages in bytes, `most` how many of them a file has at most. An error says
    /// what is wrong.
    fn parse(header: &[u8], page: usize, most: u32) -> Result<Changes, String> {
        let (fixed, rest) = header.split_first_chunk().ok_or("it has no header")?;
        let count = Changes::count(*fixed, most)? as usize;
        let (numbers, _) = rest.as_chunks::<4>();
        let numbers = numbers.get(..count).ok_or("its header breaks off")?;
        let pages: Vec<u32> = numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        if !pages.is_sorted_by(|a, b| a < b) || pages.last().is_some_and(|last| *last >= most) {
            return Err("the numbers of its pages make no sense".to_owned());
        }
        let [.., kept_below] = words(*fixed);
        Ok(Changes {
            page,
            pages,
            kept_below,
        })
    }
}

fn words(fixed: [u8; FIXED]) -> [u32; 3] {
    let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    [word(0), word(4), word(8)]
}

/// The path of the whole file, where `path` is that of changed pages of a relation.
fn whole(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
    let whole = path.with_file_name(name);
    segment_of(&whole).map(|_| whole)
}

/// A label without the lines that forbid a server to start over it as over a whole backup.
fn whole_label(label: &[u8]) -> Vec<u8> {
    let lines = label.split_inclusive(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"INCREMENTAL FROM "))
        .flatten()
        .copied()
        .collect()
}

/// What is needed to make whole files of changed pages.
pub(super) struct Incremental {
    page: usize,
    /// Pages of a file at most.
    most: u32,
    replaced: BTreeMap<Vec<u8>, Replaced>,
}

impl Incremental {
    /// Tells the server from which backup to go on, by its manifest as it is stored.
    pub(super) fn prepare(connection: &mut Connection, manifest: &[u8]) -> Result<Incremental> {
        let unusable = |differences| PostgresError::Manifest {
            place: connection.place().to_owned(),
            differences: vec![differences],
        };
        let manifest = Manifest::parse(manifest).map_err(unusable)?;
        let manifest = manifest.without_visibility_maps();
        let manifest = manifest.map_err(|error| unusable(error.to_string()))?;
        let (page, segment) = (
            connection.show_size("block_size")?,
            connection.show_size("segment_size")?,
        );
        let most = u32::try_from(segment / page.max(1));
        let (Ok(page), Ok(most)) = (usize::try_from(page), most) else {
            return Err(connection.protocol(format!("pages of {page} bytes")));
        };
        upload(connection, &manifest)?;
        Ok(Incremental {
            page,
            most,
            replaced: BTreeMap::new(),
        })
    }

    /// Files that are stored as others, by their names in the server's manifest.
    pub(super) fn replaced(&self) -> &BTreeMap<Vec<u8>, Replaced> {
        &self.replaced
    }

    fn replace(&mut self, sent_as: &Path, path: &Path, size: u64, sha256: Option<[u8; 32]>) {
        let by = Replaced {
            path: path.to_string_lossy().into_owned(),
            size,
            sha256,
        };
        self.replaced.insert(sent_as.as_os_str().as_bytes().to_vec(), by);
    }
}

fn upload(connection: &mut Connection, manifest: &[u8]) -> Result<()> {
    connection.begin("telling the server from which base backup to go on");
    connection.send_query("UPLOAD_MANIFEST")?;
    match connection.receive()? {
        Reply::CopyIn => {}
        Reply::Error(report) => return Err(connection.fail(report)),
        _ => return Err(connection.protocol("no wish for a manifest")),
    }
    for part in manifest.chunks(MANIFEST_PART) {
        connection.send_copy_data(part)?;
    }
    connection.send_copy_done()?;
    loop {
        match connection.receive()? {
            Reply::Done => {}
            Reply::Ready => return Ok(()),
            Reply::Error(report) => return Err(connection.fail(report)),
            _ => return Err(connection.protocol("something behind a manifest")),
        }
    }
}

impl BaseBackup {
    /// Reads the beginning of a file that is to be stored as another than it comes, in an incremental backup.
    pub(super) fn open_incremental(&mut self, member: &mut Member) -> Result<()> {
        let Some(incremental) = &self.incremental else {
            return Ok(());
        };
        let (page, most) = (incremental.page, incremental.most);
        if let Some(path) = whole(&member.path) {
            self.open_changes(member, path, page, most)
        } else if member.path == Path::new(LABEL) {
            self.open_label(member)
        } else {
            Ok(())
        }
    }

    fn open_changes(&mut self, member: &mut Member, path: PathBuf, page: usize, most: u32) -> Result<()> {
        let wrong = |backup: &BaseBackup, what: String| backup.wrong(format!("{}: {what}", path.display()));
        let mut header = vec![0; FIXED];
        self.read_header(&mut header)?;
        let fixed = header.first_chunk().copied().unwrap_or_default();
        let count = Changes::count(fixed, most).map_err(|what| wrong(self, what))?;
        header.resize(Changes::header(count, page), 0);
        self.read_header(&mut header[FIXED..])?;
        let changes = Changes::parse(&header, page, most).map_err(|what| wrong(self, what))?;
        let MemberKind::File { size } = member.kind else {
            return Ok(());
        };
        if size != header.len() as u64 + u64::from(count) * page as u64 {
            return Err(wrong(self, format!("{size} bytes with {count} pages")));
        }
        let pages = self.layout.zip(segment_of(&path));
        let start = self.start.lsn;
        let pages = pages.map(|(layout, segment)| PageCheck::of(layout, segment, start, changes.pages.clone()));
        let length = changes.length();
        if let (Some(file), Some(incremental)) = (&mut self.file, &mut self.incremental) {
            (file.path, file.whole, file.pages) = (path.clone(), length, pages);
            incremental.replace(&file.sent_as, &path, length, None);
        }
        (member.path, member.kind, member.changes) = (path, MemberKind::File { size: length }, Some(changes));
        Ok(())
    }

    fn read_header(&mut self, mut header: &mut [u8]) -> Result<()> {
        while !header.is_empty() {
            match self.read_content(header)? {
                0 => return Err(self.wrong("a file of changed pages that breaks off")),
                count => header = &mut header[count..],
            }
        }
        Ok(())
    }

    fn open_label(&mut self, member: &mut Member) -> Result<()> {
        let mut label = Vec::new();
        let most = LONGEST_LABEL;
        let read = self.by_ref().take(most + 1).read_to_end(&mut label);
        read.map_err(|error| self.wrong(error.to_string()))?;
        if label.len() as u64 > most {
            return Err(self.wrong(format!("a {LABEL} of more than {most} bytes")));
        }
        let stored = whole_label(&label);
        let size = stored.len() as u64;
        if let (Some(file), Some(incremental)) = (&mut self.file, &mut self.incremental) {
            file.whole = size;
            incremental.replace(&file.sent_as, &file.path, size, Some(Sha256::digest(&stored).into()));
        }
        self.instead = Some(Bytes::from(stored));
        member.kind = MemberKind::File { size };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 8192;
    const MOST: u32 = 131_072;

    fn header(count: u32, kept_below: u32, pages: &[u32]) -> Vec<u8> {
        let fixed = [MAGIC, count, kept_below];
        let mut bytes: Vec<u8> = fixed.iter().chain(pages).flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(Changes::header(count, PAGE), 0);
        bytes
    }

    #[test]
    fn headers_are_read_as_they_are_written() {
        for (pages, kept_below, length, of_header) in [
            (&[][..], 7, 7, 12),
            (&[0, 3, 6], 7, 7, 8192),
            (&[9], 7, 10, 8192),
            (&[], 0, 0, 12),
        ] {
            let bytes = header(pages.len() as u32, kept_below, pages);
            let changes = Changes::parse(&bytes, PAGE, MOST).unwrap();
            assert_eq!((&changes.pages[..], changes.kept_below), (pages, kept_below));
            assert_eq!((changes.length(), bytes.len()), (length * 8192, of_header));
        }
        let many: Vec<u32> = (0..2046).collect();
        assert_eq!(header(2045, 0, &many[..2045]).len(), 8192);
        assert_eq!(header(2046, 0, &many).len(), 16_384);
    }

    #[test]
    fn headers_that_make_no_sense_are_refused() {
        let mut other = header(0, 7, &[]);
        other[0] ^= 1;
        for (bytes, said) in [
            (other, "begins with"),
            (header(MOST + 1, 7, &[]), "at most"),
            (header(0, MOST + 1, &[]), "at most"),
            (header(2, 7, &[5, 5]), "no sense"),
            (header(2, 7, &[5, 4]), "no sense"),
            (header(1, 7, &[MOST]), "no sense"),
            (header(3, 7, &[1, 2, 3])[..20].to_vec(), "breaks off"),
            (vec![1; 11], "no header"),
        ] {
            let reason = Changes::parse(&bytes, PAGE, MOST).unwrap_err();
            assert!(reason.contains(said), "{reason}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), is_magic: bool) {
            if is_magic && bytes.len() >= 8 {
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
                bytes[5..8].fill(0);
            }
            if let Ok(changes) = Changes::parse(&bytes, PAGE, MOST) {
                prop_assert!(changes.pages.is_sorted_by(|a, b| a < b));
                prop_assert!(changes.length() <= u64::from(MOST) * PAGE as u64);
            }
        }
    }

    #[test]
    fn only_files_of_relations_are_put_together() {
        for (path, expected) in [
            ("base/5/INCREMENTAL.16384", Some("base/5/16384")),
            ("base/5/INCREMENTAL.16384_vm.3", Some("base/5/16384_vm.3")),
            ("global/INCREMENTAL.1262", Some("global/1262")),
            (
                "pg_tblspc/1/PG_18_202506291/5/INCREMENTAL.7",
                Some("pg_tblspc/1/PG_18_202506291/5/7"),
            ),
            ("base/5/16384", None),
            ("base/5/INCREMENTAL.PG_VERSION", None),
            ("INCREMENTAL.16384", None),
        ] {
            assert_eq!(whole(Path::new(path)), expected.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn a_label_loses_what_forbids_a_start() {
        let label = b"START WAL LOCATION: 0/5000028 (file 000000010000000000000005)\nINCREMENTAL FROM LSN: 0/2000028\n\
            INCREMENTAL FROM TLI: 1\nLABEL: INCREMENTAL FROM here\n";
        let whole = whole_label(label);
        assert_eq!(
            String::from_utf8(whole).unwrap(),
            "START WAL LOCATION: 0/5000028 (file 000000010000000000000005)\nLABEL: INCREMENTAL FROM here\n"
        );
    }
}
