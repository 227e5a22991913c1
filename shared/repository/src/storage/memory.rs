//! A repository in memory, for tests and for work that leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{FileKind, FileName, Put, Storage, StorageError, quarantine_name, require_hash};
use crate::error::Result;
use crate::id::Id;

/// A repository in memory. Everything in it is durable as long as it lives.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    files: Mutex<BTreeMap<FileName, Vec<u8>>>,
}

impl MemoryStorage {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<FileName, Vec<u8>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_there(&self, file: &FileName) -> StorageError {
        StorageError::NotThere {
            location: self.location(),
            file: file.clone(),
        }
    }

    /// Everything that is stored now.
    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> BTreeMap<FileName, Vec<u8>> {
        self.files().clone()
    }

    /// A store that holds exactly `files`.
    #[cfg(test)]
    pub(crate) fn holding(files: BTreeMap<FileName, Vec<u8>>) -> Self {
        Self {
            files: Mutex::new(files),
        }
    }

    /// Puts any bytes under any name, as a failing disk would.
    #[cfg(test)]
    pub(crate) fn overwrite(&self, file: FileName, bytes: Vec<u8>) {
        self.files().insert(file, bytes);
    }
}

impl Storage for MemoryStorage {
    fn list(&self, kind: FileKind) -> Result<Vec<(Id, u64)>> {
        let of_kind = |(name, bytes): (&FileName, &Vec<u8>)| match name {
            FileName::Object(k, id) if *k == kind => Some((*id, bytes.len() as u64)),
            _ => None,
        };
        Ok(self.files().iter().filter_map(of_kind).collect())
    }

    fn list_sidecar(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let of_prefix = |(name, bytes): (&FileName, &Vec<u8>)| match name {
            FileName::Sidecar(name) if name.starts_with(prefix) => Some((name.clone(), bytes.len() as u64)),
            _ => None,
        };
        Ok(self.files().iter().filter_map(of_prefix).collect())
    }

    fn size(&self, file: &FileName) -> Result<Option<u64>> {
        file.path()?;
        Ok(self.files().get(file).map(|bytes| bytes.len() as u64))
    }

    fn read(&self, file: &FileName) -> Result<Vec<u8>> {
        file.path()?;
        self.files()
            .get(file)
            .cloned()
            .ok_or_else(|| self.not_there(file).into())
    }

    fn read_range(&self, file: &FileName, offset: u64, into: &mut [u8]) -> Result<()> {
        file.path()?;
        let files = self.files();
        let bytes = files.get(file).ok_or_else(|| self.not_there(file))?;
        let end = offset.saturating_add(into.len() as u64);
        match usize::try_from(offset)
            .ok()
            .and_then(|start| bytes.get(start..)?.get(..into.len()))
        {
            Some(range) => into.copy_from_slice(range),
            None => {
                return Err(StorageError::Short {
                    location: self.location(),
                    file: file.clone(),
                    end,
                }
                .into());
            }
        }
        Ok(())
    }

    fn put(&self, file: &FileName, bytes: &[u8]) -> Result<Put> {
        file.path()?;
        if let FileName::Object(kind, id) = file {
            require_hash(*kind, *id, bytes)?;
        }
        let mut files = self.files();
        let Some(there) = files.get(file) else {
            files.insert(file.clone(), bytes.to_vec());
            return Ok(Put::Created);
        };
        let (found, expected) = (there.len() as u64, bytes.len() as u64);
        match file {
            FileName::Object(..) if found != expected => Err(StorageError::OtherSize {
                location: self.location(),
                file: file.clone(),
                found,
                expected,
            }
            .into()),
            FileName::Config | FileName::Sidecar(_) if there != bytes => Err(StorageError::OtherContent {
                location: self.location(),
                file: file.clone(),
            }
            .into()),
            _ => Ok(Put::AlreadyThere),
        }
    }

    fn replace_damaged(&self, kind: FileKind, id: Id, bytes: &[u8]) -> Result<()> {
        require_hash(kind, id, bytes)?;
        let mut files = self.files();
        let damaged = files.insert(FileName::Object(kind, id), bytes.to_vec());
        if let Some(damaged) = damaged {
            let free = (0..u32::MAX)
                .map(|n| quarantine_name(kind, id, n))
                .find(|name| !files.contains_key(name));
            files.extend(free.map(|name| (name, damaged)));
        }
        Ok(())
    }

    fn delete(&self, file: &FileName) -> Result<()> {
        file.path()?;
        self.files().remove(file);
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::contract;

    #[test]
    fn memory_keeps_the_contract() {
        contract::all(&MemoryStorage::new);
    }
}
