//! A repository in a folder, in exactly restic's layout.
//!
//! A file is written under a name that listings pass over, synced, and renamed into place without replacing anything,
//! so that no reader ever sees half a file. Folders are synced by [`Storage::barrier`], once for many files.

mod temporary;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::{
    FileKind, FileName, Put, Storage, StorageError, quarantine_name, require_hash, sidecar_name_is_valid,
    sidecar_part_is_valid,
};
use crate::error::Result;
use crate::id::Id;

use temporary::Temporary;

/// Bytes that are hashed and written at one time: they fit into a processor's own cache.
const PIECE: usize = 256 << 10;

/// A repository in a folder.
#[derive(Debug)]
pub struct DiskStorage {
    root: PathBuf,
    /// Folders whose names changed since the last barrier.
    dirty: Mutex<BTreeSet<PathBuf>>,
}

impl DiskStorage {
    /// Opens a folder, making it and restic's sub-folders where they are missing. Files that dead writers left half
    /// written are removed.
    pub fn open_or_create(root: impl Into<PathBuf>) -> Result<Self> {
        let storage = Self {
            root: root.into(),
            dirty: Mutex::default(),
        };
        storage.create_folder(&storage.root)?;
        for kind in FileKind::ALL {
            storage.create_folder(&storage.root.join(kind.folder()))?;
        }
        for folder in storage.data_folders() {
            storage.create_folder(&folder)?;
        }
        storage.barrier()?;
        storage.remove_leftovers()?;
        Ok(storage)
    }

    /// Opens a folder that holds a repository; makes nothing. [`crate::error::ErrorKind::NotFound`] when there is none.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let storage = Self {
            root: root.into(),
            dirty: Mutex::default(),
        };
        if storage.size(&FileName::Config)?.is_none() {
            return Err(storage.not_there(&FileName::Config).into());
        }
        Ok(storage)
    }

    fn data_folders(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..=u8::MAX).map(|n| self.root.join(format!("data/{n:02x}")))
    }

    fn full_path(&self, file: &FileName) -> Result<PathBuf> {
        Ok(self.root.join(file.path()?))
    }

    fn not_there(&self, file: &FileName) -> StorageError {
        StorageError::NotThere {
            location: self.location(),
            file: file.clone(),
        }
    }

    /// Path below the root, for messages.
    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    fn io(&self, action: &'static str, path: &Path, source: io::Error) -> StorageError {
        StorageError::Io {
            location: self.location(),
            action,
            path: self.relative(path),
            source,
        }
    }

    fn write_failed(&self, path: &Path, source: io::Error) -> StorageError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full {
                location: self.location(),
                file: self.relative(path),
            },
            _ => self.io("write", path, source),
        }
    }

    fn mark_dirty(&self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.dirty
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(parent.to_path_buf());
        }
    }

    /// Makes a folder and what is missing above it.
    fn create_folder(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent()
            && !parent.as_os_str().is_empty()
        {
            self.create_folder(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => self.mark_dirty(folder),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(e) => return Err(self.io("create the folder", folder, e).into()),
        }
        Ok(())
    }

    /// Every entry of a folder that is there; `None` when the folder is not.
    fn entries(&self, folder: &Path) -> Result<Option<Vec<fs::DirEntry>>> {
        let listing = match fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(self.io("list", folder, e).into()),
        };
        let entries: io::Result<Vec<_>> = listing.collect();
        entries.map(Some).map_err(|e| self.io("list", folder, e).into())
    }

    /// Size of a listed entry; `None` when it was deleted meanwhile.
    fn entry_size(&self, entry: &fs::DirEntry) -> Result<Option<u64>> {
        match entry.metadata() {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Err(StorageError::NotAFile {
                location: self.location(),
                path: self.relative(&entry.path()),
            }
            .into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io("list", &entry.path(), e).into()),
        }
    }

    fn list_objects(&self, folder: &Path, found: &mut Vec<(Id, u64)>) -> Result<()> {
        let Some(entries) = self.entries(folder)? else {
            let error = io::Error::from(io::ErrorKind::NotFound);
            return Err(self.io("list", folder, error).into());
        };
        for entry in entries {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<Id>().ok()) else {
                continue;
            };
            if let Some(size) = self.entry_size(&entry)? {
                found.push((id, size));
            }
        }
        Ok(())
    }

    fn list_sidecars_below(&self, folder: &Path, name: &str, found: &mut Vec<(String, u64)>) -> Result<()> {
        for entry in self.entries(folder)?.unwrap_or_default() {
            let part = entry.file_name();
            let Some(part) = part.to_str().filter(|part| sidecar_part_is_valid(part)) else {
                continue;
            };
            let name = if name.is_empty() {
                part.to_owned()
            } else {
                format!("{name}/{part}")
            };
            let kind = entry.file_type().map_err(|e| self.io("list", &entry.path(), e))?;
            if kind.is_dir() {
                self.list_sidecars_below(&entry.path(), &name, found)?;
            } else if let Some(size) = self.entry_size(&entry)? {
                found.push((name, size));
            }
        }
        Ok(())
    }

    fn open_file(&self, file: &FileName) -> Result<(File, PathBuf)> {
        let path = self.full_path(file)?;
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits().cast_signed();
        match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(open) => Ok((open, path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(self.not_there(file).into()),
            Err(e) if Errno::from_io_error(&e) == Some(Errno::LOOP) => Err(StorageError::NotAFile {
                location: self.location(),
                path: self.relative(&path),
            }
            .into()),
            Err(e) => Err(self.io("read", &path, e).into()),
        }
    }

    /// Gives a written file its name, unless the name is taken.
    fn name(&self, temporary: Temporary, file: &FileName, path: &Path, bytes: &[u8]) -> Result<Put> {
        match temporary.rename_new(path) {
            Ok(()) => {
                self.mark_dirty(path);
                Ok(Put::Created)
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => self.compare(file, path, bytes),
            Err(e) => Err(self.write_failed(path, e).into()),
        }
    }

    /// Has a file written in the folder of `path`, and syncs it. It is gone again unless it is renamed away.
    fn write_beside(&self, path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<Temporary> {
        let folder = path.parent().unwrap_or(&self.root);
        self.create_folder(folder)?;
        let mut temporary = Temporary::create(folder).map_err(|e| self.write_failed(path, e))?;
        let written = write(&mut temporary.file).and_then(|()| temporary.file.sync_all());
        written.map_err(|e| self.write_failed(path, e))?;
        Ok(temporary)
    }

    /// What a put finds when the name is taken.
    fn compare(&self, file: &FileName, path: &Path, bytes: &[u8]) -> Result<Put> {
        // The other writer may not have synced the folder yet, and this caller will rely on the name being durable.
        self.mark_dirty(path);
        if let FileName::Object(..) = file {
            let found = self.size(file)?.ok_or_else(|| self.not_there(file))?;
            let expected = bytes.len() as u64;
            if found == expected {
                return Ok(Put::AlreadyThere);
            }
            return Err(StorageError::OtherSize {
                location: self.location(),
                file: file.clone(),
                found,
                expected,
            }
            .into());
        }
        if self.read(file)? == bytes {
            return Ok(Put::AlreadyThere);
        }
        Err(StorageError::OtherContent {
            location: self.location(),
            file: file.clone(),
        }
        .into())
    }

    /// Keeps the present bytes of a damaged file under a second name; the file itself stays until it is renamed over.
    fn quarantine(&self, kind: FileKind, id: Id, path: &Path) -> Result<()> {
        for n in 0..u32::MAX {
            let kept = self.full_path(&quarantine_name(kind, id, n))?;
            self.create_folder(kept.parent().unwrap_or(&self.root))?;
            match fs::hard_link(path, &kept) {
                Ok(()) => {
                    self.mark_dirty(&kept);
                    return self.barrier();
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => {
                    let damaged = fs::read(path).map_err(|e| self.io("read", path, e))?;
                    match self.put(&quarantine_name(kind, id, n), &damaged) {
                        Ok(_) => return self.barrier(),
                        Err(e) if e.kind() == crate::error::ErrorKind::Conflict => {}
                        Err(e) => return Err(e),
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes what writers that no longer run left behind. A living writer holds a lock on its file.
    fn remove_leftovers(&self) -> Result<()> {
        let kinds = FileKind::ALL.map(|kind| self.root.join(kind.folder()));
        let sidecars = self.entries(&self.root.join("holdfast"))?.unwrap_or_default();
        let sidecars = sidecars.iter().map(fs::DirEntry::path).filter(|path| path.is_dir());
        for folder in self
            .data_folders()
            .chain(kinds)
            .chain(sidecars)
            .chain([self.root.clone()])
        {
            for entry in self.entries(&folder)?.unwrap_or_default() {
                let path = entry.path();
                if !entry.file_name().to_string_lossy().starts_with(temporary::PREFIX) {
                    continue;
                }
                let Ok(file) = File::open(&path) else { continue };
                if file.try_lock().is_ok() {
                    remove(&path).map_err(|e| self.io("remove", &path, e))?;
                }
            }
        }
        Ok(())
    }
}

impl Storage for DiskStorage {
    fn list(&self, kind: FileKind) -> Result<Vec<(Id, u64)>> {
        let mut found = Vec::new();
        if kind == FileKind::Data {
            let folder = self.root.join("data");
            for entry in self
                .entries(&folder)?
                .ok_or_else(|| self.io("list", &folder, not_found()))?
            {
                let name = entry.file_name();
                if name
                    .to_str()
                    .is_some_and(|name| name.len() == 2 && hex::decode(name).is_ok())
                {
                    self.list_objects(&entry.path(), &mut found)?;
                }
            }
        } else {
            self.list_objects(&self.root.join(kind.folder()), &mut found)?;
        }
        found.sort_unstable();
        Ok(found)
    }

    fn list_sidecar(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !folder.is_empty() && !sidecar_name_is_valid(folder) {
            return Err(StorageError::BadSidecarName {
                name: prefix.to_owned(),
            }
            .into());
        }
        let mut found = Vec::new();
        self.list_sidecars_below(&self.root.join("holdfast").join(folder), folder, &mut found)?;
        found.retain(|(name, _)| name.starts_with(prefix));
        found.sort_unstable();
        Ok(found)
    }

    fn size(&self, file: &FileName) -> Result<Option<u64>> {
        let path = self.full_path(file)?;
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Err(StorageError::NotAFile {
                location: self.location(),
                path: self.relative(&path),
            }
            .into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io("look at", &path, e).into()),
        }
    }

    fn read(&self, file: &FileName) -> Result<Vec<u8>> {
        let (mut open, path) = self.open_file(file)?;
        let mut bytes = Vec::new();
        open.read_to_end(&mut bytes).map_err(|e| self.io("read", &path, e))?;
        Ok(bytes)
    }

    fn read_range(&self, file: &FileName, offset: u64, into: &mut [u8]) -> Result<()> {
        let (open, path) = self.open_file(file)?;
        let end = offset.saturating_add(into.len() as u64);
        let read = if end > i64::MAX as u64 {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        } else {
            open.read_exact_at(into, offset)
        };
        match read {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(StorageError::Short {
                location: self.location(),
                file: file.clone(),
                end,
            }
            .into()),
            read => read.map_err(|e| self.io("read", &path, e).into()),
        }
    }

    fn put(&self, file: &FileName, bytes: &[u8]) -> Result<Put> {
        if let FileName::Object(kind, id) = file
            && cfg!(debug_assertions)
        {
            require_hash(*kind, *id, bytes)?;
        }
        let path = self.full_path(file)?;
        if self.size(file)?.is_some() {
            return self.compare(file, &path, bytes);
        }
        let temporary = self.write_beside(&path, |file| file.write_all(bytes))?;
        self.name(temporary, file, &path, bytes)
    }

    /// Hashes and writes piece by piece, so that each is in the processor's cache when it is written.
    fn put_unnamed(&self, kind: FileKind, buffer: Vec<u8>) -> Result<(Id, Vec<u8>)> {
        let mut hash = Sha256::new();
        let unnamed = self.root.join(kind.folder()).join("a new file");
        let temporary = self.write_beside(&unnamed, |file| {
            buffer.chunks(PIECE).try_for_each(|piece| {
                hash.update(piece);
                file.write_all(piece)
            })
        })?;
        let id = Id(hash.finalize().into());
        let file = FileName::Object(kind, id);
        let path = self.full_path(&file)?;
        self.create_folder(path.parent().unwrap_or(&self.root))?;
        if self.size(&file)?.is_some() {
            self.compare(&file, &path, &buffer)?;
        } else {
            self.name(temporary, &file, &path, &buffer)?;
        }
        Ok((id, buffer))
    }

    fn replace_damaged(&self, kind: FileKind, id: Id, bytes: &[u8]) -> Result<()> {
        require_hash(kind, id, bytes)?;
        let file = FileName::Object(kind, id);
        let path = self.full_path(&file)?;
        if self.size(&file)?.is_some() {
            self.quarantine(kind, id, &path)?;
        }
        let temporary = self.write_beside(&path, |file| file.write_all(bytes))?;
        temporary.rename_over(&path).map_err(|e| self.write_failed(&path, e))?;
        self.mark_dirty(&path);
        self.barrier()
    }

    fn delete(&self, file: &FileName) -> Result<()> {
        let path = self.full_path(file)?;
        remove(&path).map_err(|e| self.io("delete", &path, e))?;
        self.mark_dirty(&path);
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        let dirty = std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        for folder in &dirty {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder.as_path()
            };
            let synced = File::open(folder).and_then(|open| open.sync_all());
            if let Err(e) = synced {
                self.dirty
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(dirty.iter().cloned());
                return Err(self.io("sync", folder, e).into());
            }
        }
        Ok(())
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests;
