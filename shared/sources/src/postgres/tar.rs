//! [`entry`]: the members of the archives that a server sends.
//!
//! A server writes plain ustar headers, without the extensions for long names: it refuses names that would need them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use tar::{EntryType, Header};

/// Bytes of a header, and what every file is filled up to.
pub(super) const BLOCK: usize = 512;

/// A member of an archive: its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Below the archive's root.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub modified: i64,
    /// What it is.
    pub kind: EntryKind,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// A file of this many bytes, which follow.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link, which leads to a tablespace.
    Link(PathBuf),
}

/// The member that a header describes; `None` for the zeros at an archive's end. An error says what is wrong.
pub(super) fn entry(block: &[u8; BLOCK]) -> Result<Option<Entry>, String> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let header = Header::from_byte_slice(block);
    let number = |value: std::io::Result<u64>| value.map_err(|error| format!("a bad header in an archive: {error}"));
    let expected = header
        .cksum()
        .map_err(|error| format!("a bad header in an archive: {error}"))?;
    if checksum(block) != expected {
        return Err("a header in an archive fails its checksum".to_owned());
    }
    let raw = header.path_bytes();
    let path = safe(Path::new(OsStr::from_bytes(&raw))).ok_or_else(|| {
        format!(
            "the path {:?} in an archive leads out of it",
            String::from_utf8_lossy(&raw)
        )
    })?;
    let kind = match header.entry_type() {
        EntryType::Regular => EntryKind::File(number(header.entry_size())?),
        EntryType::Directory => EntryKind::Folder,
        EntryType::Symlink => {
            let target = header.link_name_bytes().ok_or("a link in an archive has no target")?;
            EntryKind::Link(PathBuf::from(OsStr::from_bytes(&target)))
        }
        other => return Err(format!("{} in an archive is of type {other:?}", path.display())),
    };
    let modified = i64::try_from(number(header.mtime())?).map_err(|error| error.to_string())?;
    let mode = header
        .mode()
        .map_err(|error| format!("a bad header in an archive: {error}"))?;
    Ok(Some(Entry {
        path,
        mode: mode & 0o7777,
        modified,
        kind,
    }))
}

/// The sum of a header's bytes, where those of the sum itself count as spaces.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let (before, rest) = block.split_at(148);
    let (_, after) = rest.split_at(8);
    before.iter().chain(after).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * u32::from(b' ')
}

/// The path without `.` parts; `None` where it is absolute or climbs.
pub(super) fn safe(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// Bytes that fill the last block of a file.
pub(super) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(path: &[u8], kind: EntryType, change: impl FnOnce(&mut Header)) -> [u8; BLOCK] {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_mode(0o100_600);
        header.set_mtime(1_700_000_000);
        header.set_size(0);
        change(&mut header);
        header.set_cksum();
        *header.as_bytes()
    }

    #[test]
    fn members_are_read() {
        let file = entry(&block(b"base/1/1259", EntryType::Regular, |header| {
            header.set_size(8192);
        }))
        .unwrap()
        .unwrap();
        assert_eq!(file.path, Path::new("base/1/1259"));
        assert_eq!((file.mode, file.modified), (0o600, 1_700_000_000));
        assert_eq!(file.kind, EntryKind::File(8192));
        let folder = entry(&block(b"./base/", EntryType::Directory, |_| {}))
            .unwrap()
            .unwrap();
        assert_eq!(
            (folder.path.as_path(), folder.kind),
            (Path::new("base"), EntryKind::Folder)
        );
        let link = block(b"pg_tblspc/16384", EntryType::Symlink, |header| {
            header.set_link_name("/srv/side").unwrap();
        });
        assert_eq!(
            entry(&link).unwrap().unwrap().kind,
            EntryKind::Link(PathBuf::from("/srv/side"))
        );
        let huge = block(b"huge", EntryType::Regular, |header| {
            header.set_size(1 << 40);
        });
        assert_eq!(entry(&huge).unwrap().unwrap().kind, EntryKind::File(1 << 40));
        assert_eq!(entry(&[0; BLOCK]), Ok(None));
    }

    #[test]
    fn what_leads_out_or_was_changed_is_refused() {
        for path in [&b"/etc/passwd"[..], b"../up", b"base/../../up"] {
            assert!(
                entry(&block(path, EntryType::Regular, |_| {}))
                    .unwrap_err()
                    .contains("leads out")
            );
        }
        let mut changed = block(b"a", EntryType::Regular, |_| {});
        changed[0] = b'b';
        assert!(entry(&changed).unwrap_err().contains("checksum"));
        let device = entry(&block(b"a", EntryType::Char, |_| {})).unwrap_err();
        assert!(device.contains("of type"), "{device}");
    }

    #[test]
    fn files_are_filled_up_to_whole_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
