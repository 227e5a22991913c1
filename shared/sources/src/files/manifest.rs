//! [`Manifest`]: what a folder holds, down to the last byte, as an independent witness.
//!
//! Nothing here comes from the repository code: a mistake there cannot hide itself in a comparison.

mod compare;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::attributes::Subject;

pub use compare::{Difference, compare};

/// Everything below one folder, by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format; 1.
    pub version: u32,
    /// The entries by their path from the folder (`.` is the folder itself). Bytes that are not UTF-8, control
    /// characters and backslashes are written as `\xNN`.
    pub entries: BTreeMap<String, Entry>,
}

/// What one entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharDevice,
}

/// One entry of a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Length of a regular file in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of a regular file, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Permissions with set-id and sticky bits (`0o7777`).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Last change of the content, in nanoseconds since 1970.
    pub mtime_ns: i128,
    /// What a symbolic link points to, written like a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_target: Option<String>,
    /// Extended attributes by name, values in hex.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, String>,
    /// The first path of the same file in this manifest, where it has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_link_of: Option<String>,
    /// Device number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u64>,
}

/// Something a manifest needs could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct ManifestError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

impl Manifest {
    /// Reads everything below `root`, which is not changed apart from access times. Links are not followed.
    pub fn of(root: &Path) -> Result<Manifest, ManifestError> {
        let mut entries = BTreeMap::new();
        let mut linked: BTreeMap<(u64, u64), Vec<String>> = BTreeMap::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(relative) = waiting.pop() {
            let path = if relative.as_os_str().is_empty() {
                root.to_owned()
            } else {
                root.join(&relative)
            };
            let metadata = path.symlink_metadata().map_err(failed("examine", &path))?;
            let entry = Entry::of(&path, &metadata)?;
            let key = if relative.as_os_str().is_empty() {
                ".".to_owned()
            } else {
                escaped(relative.as_os_str().as_bytes())
            };
            if entry.kind == Kind::Folder {
                for child in path.read_dir().map_err(failed("list", &path))? {
                    waiting.push(relative.join(child.map_err(failed("list", &path))?.file_name()));
                }
            } else if metadata.nlink() > 1 {
                linked
                    .entry((metadata.dev(), metadata.ino()))
                    .or_default()
                    .push(key.clone());
            }
            entries.insert(key, entry);
        }
        for mut group in linked.into_values().filter(|group| group.len() > 1) {
            group.sort_unstable();
            for path in &group {
                if let Some(entry) = entries.get_mut(path) {
                    entry.hard_link_of = Some(group[0].clone());
                }
            }
        }
        Ok(Manifest { version: 1, entries })
    }
}

impl Entry {
    fn of(path: &Path, metadata: &std::fs::Metadata) -> Result<Entry, ManifestError> {
        let kind = kind(metadata.file_type());
        let mut entry = Entry {
            kind,
            size: None,
            sha256: None,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            link_target: None,
            xattrs: xattrs(path)?,
            hard_link_of: None,
            device: None,
        };
        match kind {
            Kind::File => {
                let (size, sha256) = hashed(path).map_err(failed("read", path))?;
                (entry.size, entry.sha256) = (Some(size), Some(sha256));
            }
            Kind::Symlink => {
                let target = path.read_link().map_err(failed("read the link", path))?;
                entry.link_target = Some(escaped(target.as_os_str().as_bytes()));
            }
            Kind::BlockDevice | Kind::CharDevice => entry.device = Some(metadata.rdev()),
            Kind::Folder | Kind::Fifo | Kind::Socket => {}
        }
        Ok(entry)
    }
}

fn kind(kind: std::fs::FileType) -> Kind {
    match kind {
        _ if kind.is_dir() => Kind::Folder,
        _ if kind.is_symlink() => Kind::Symlink,
        _ if kind.is_fifo() => Kind::Fifo,
        _ if kind.is_socket() => Kind::Socket,
        _ if kind.is_block_device() => Kind::BlockDevice,
        _ if kind.is_char_device() => Kind::CharDevice,
        _ => Kind::File,
    }
}

fn hashed(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((size, hex(&hash.finalize()))),
            Ok(count) => {
                hash.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn xattrs(path: &Path) -> Result<BTreeMap<String, String>, ManifestError> {
    let subject = Subject::Entry(path.to_owned());
    let refused = |error: rustix::io::Errno| failed("read the extended attributes of", path)(error.into());
    let mut found = BTreeMap::new();
    for name in subject.names().map_err(refused)? {
        if let Some(value) = subject.value(&name).map_err(refused)? {
            found.insert(escaped(name.as_bytes()), hex(&value));
        }
    }
    Ok(found)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ManifestError {
    move |source| ManifestError {
        action,
        path: path.to_owned(),
        source,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text that stands for exactly these bytes.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' || character.is_ascii_control() {
                text.push_str(&format!("\\x{:02x}", u32::from(character)));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests;
