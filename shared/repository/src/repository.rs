//! [`Repository`]: one opened repository, and reading and writing its files.

mod init;
mod open;
mod snapshots;
mod tree_nodes;

#[cfg(test)]
mod tests;

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::crypto::MasterKey;
use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::index::{
    Index, IndexOptions, IndexPack, LayeredIndex, Location, Lookup, decode_index, encode_index, indexed_packs,
    split_packs,
};
use crate::pack::{BlobKind, open_blob, open_blobs};
use crate::parallel;
use crate::reach::is_damage;
use crate::storage::{FileKind, FileName, Storage};
use crate::tree::{NodeKind, Tree};

pub use init::InitOptions;
pub use tree_nodes::TreeNodes;

/// Blobs being read at one time: enough to hide a store's latency.
const READERS: usize = 8;
/// Before the zstd frame of an index, snapshot or lock file.
const COMPRESSED_MARK: u8 = 2;
const LEVEL: i32 = 3;

/// What opens a repository.
pub enum Unlock<'a> {
    /// The password of one of its key files.
    Password(&'a str),
    /// The master key itself.
    MasterKey(MasterKey),
}

/// An opened repository. Clones share everything.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Arc<dyn Storage>,
    key: MasterKey,
    config: Config,
    ambient: Ambient,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Repository({} at {})",
            self.config().id.short(),
            self.storage().location()
        )
    }
}

impl Repository {
    fn assemble(storage: Arc<dyn Storage>, ambient: Ambient, key: MasterKey, config: Config) -> Repository {
        Repository {
            inner: Arc::new(Inner {
                storage,
                key,
                config,
                ambient,
            }),
        }
    }

    /// Where its files are.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.inner.storage
    }

    /// The master key.
    pub fn key(&self) -> &MasterKey {
        &self.inner.key
    }

    /// Its config file.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Time, identity and randomness.
    pub fn ambient(&self) -> &Ambient {
        &self.inner.ambient
    }

    /// All index files, and which packs are condemned.
    pub fn load_index(&self) -> Result<Index> {
        // Over a network each waits for its answers. A pack that is condemned in between is merely used for a while longer.
        let condemned = || crate::prune::condemned_packs(&**self.storage());
        let (condemned, packs) = parallel::join(condemned, || indexed_packs(self));
        Ok(Index::new(packs?, &condemned?))
    }

    /// The index, as far as possible through a sidecar: little is read and held however large it is. Whoever asks it holds a
    /// lock. An index file that no sidecar covers and that cannot be read is an error that names it.
    pub fn open_index(&self, options: IndexOptions) -> Result<LayeredIndex> {
        LayeredIndex::open(self, options)
    }

    /// The plaintext of a blob, verified against its id, from whichever pack gives it.
    pub fn load_blob(&self, index: &dyn Lookup, kind: BlobKind, id: &Id) -> Result<Vec<u8>> {
        let mut failures = Vec::new();
        for location in index.places(kind, id)? {
            let mut sealed = vec![0; location.length as usize];
            let file = FileName::Object(FileKind::Data, location.pack);
            let read = self.storage().read_range(&file, location.offset.into(), &mut sealed);
            match read.and_then(|()| open_blob(self.key(), &location.blob(kind, *id), &sealed)) {
                Ok(plaintext) => return Ok(plaintext),
                Err(error) if is_damage(&error) => failures.push(format!("pack {}: {error}", location.pack)),
                Err(error) => return Err(error),
            }
        }
        if failures.is_empty() {
            return Err(RepositoryError::BlobNotIndexed { kind, id: *id });
        }
        Err(RepositoryError::BlobUnreadable {
            kind,
            id: *id,
            reason: failures.join("; "),
        })
    }

    /// The plaintexts of several blobs, in their order, each as [`Repository::load_blob`] reads it. Those that follow one another
    /// in a pack take one request, and several requests are under way at one time.
    pub fn load_blobs(&self, index: &dyn Lookup, kind: BlobKind, ids: &[Id]) -> Result<Vec<Vec<u8>>> {
        let place = |id: &Id| match index.places(kind, id)?.first() {
            Some(location) => Ok((*id, *location)),
            None => Err(RepositoryError::BlobNotIndexed { kind, id: *id }),
        };
        let blobs = ids.iter().map(place).collect::<Result<Vec<_>>>()?;
        let gap = self.storage().worth_skipping() as u64;
        let runs: Vec<&[(Id, Location)]> = blobs.chunk_by(|(_, a), (_, b)| a.is_soon_followed_by(b, gap)).collect();
        let loaded = parallel::map(&runs, READERS, |run| self.load_run(index, kind, run))?;
        Ok(loaded.into_iter().flatten().collect())
    }

    /// Reads blobs that follow one another in a pack.
    fn load_run(&self, index: &dyn Lookup, kind: BlobKind, run: &[(Id, Location)]) -> Result<Vec<Vec<u8>>> {
        let [(_, first), ..] = run else { return Ok(Vec::new()) };
        let end = run
            .last()
            .map_or(0, |(_, last)| last.offset as usize + last.length as usize);
        let start = first.offset as usize;
        let mut sealed = vec![0; end - start];
        let file = FileName::Object(FileKind::Data, first.pack);
        match self.storage().read_range(&file, first.offset.into(), &mut sealed) {
            Ok(()) => {}
            // One bad spot must not take its neighbours along.
            Err(error) if is_damage(&error) => {
                return run.iter().map(|(id, _)| self.load_blob(index, kind, id)).collect();
            }
            Err(error) => return Err(error),
        }
        let part = |(id, location): &(Id, Location)| {
            let at = location.offset as usize - start;
            (location.blob(kind, *id), &sealed[at..at + location.length as usize])
        };
        let mut loaded = Vec::with_capacity(run.len());
        open_blobs(
            self.key(),
            &run.iter().map(part).collect::<Vec<_>>(),
            |number, opened| {
                loaded.push(match opened {
                    Err(error) if is_damage(&error) => self.load_blob(index, kind, &run[number].0)?,
                    opened => opened?,
                });
                Ok(())
            },
        )?;
        Ok(loaded)
    }

    /// One folder.
    pub fn load_tree(&self, index: &dyn Lookup, id: &Id) -> Result<Tree> {
        Tree::decode(&self.load_blob(index, BlobKind::Tree, id)?)
            .map_err(|error| RepositoryError::damaged(format!("tree blob {id}"), error))
    }

    /// The tree of the folder at an absolute path below the tree `top`; `None` where there is none.
    pub fn find_folder(&self, index: &dyn Lookup, top: &Id, path: &Path) -> Result<Option<Id>> {
        let mut found = *top;
        for part in path.strip_prefix("/").unwrap_or(path) {
            let tree = self.load_tree(index, &found)?;
            let node = tree.find(part.as_bytes()).filter(|node| node.kind == NodeKind::Dir);
            match node.and_then(|node| node.subtree) {
                Some(subtree) => found = subtree,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// The JSON of an index, snapshot or lock file; its bytes are checked against its name first.
    pub fn load_unpacked(&self, kind: FileKind, id: &Id) -> Result<Vec<u8>> {
        let file = FileName::Object(kind, *id);
        let damaged = |reason: &dyn ToString| RepositoryError::damaged(file.to_string(), reason.to_string());
        let sealed = self.storage().read(&file)?;
        let found = Id::of(&sealed);
        if found != *id {
            return Err(damaged(&format!("its bytes hash to {found}")));
        }
        let plaintext = self.key().open(&sealed).map_err(|error| damaged(&error))?;
        match plaintext.first() {
            Some(b'{' | b'[') => Ok(plaintext),
            Some(&COMPRESSED_MARK) => zstd::decode_all(&plaintext[1..]).map_err(|error| damaged(&error)),
            _ => Err(damaged(&"it has an encoding that is not supported")),
        }
    }

    /// Stores an index, snapshot or lock file.
    pub fn save_unpacked(&self, kind: FileKind, json: &[u8]) -> Result<Id> {
        let mut plaintext = vec![COMPRESSED_MARK];
        let mut encoder = zstd::Encoder::new(&mut plaintext, LEVEL).map_err(RepositoryError::io("compress a file"))?;
        std::io::Write::write_all(&mut encoder, json).map_err(RepositoryError::io("compress a file"))?;
        encoder.finish().map_err(RepositoryError::io("compress a file"))?;
        let mut sealed = Vec::new();
        self.key().seal(&plaintext, self.ambient().random(), &mut sealed);
        let id = Id::of(&sealed);
        self.storage().put(&FileName::Object(kind, id), &sealed)?;
        Ok(id)
    }

    /// Stores index files for these packs: at most 50,000 blobs in one, a pack never split. Each is read back and
    /// decoded before this returns, as one malformed index file stops every program that opens the repository.
    pub fn save_index(&self, packs: &[IndexPack]) -> Result<Vec<Id>> {
        let mut ids = Vec::new();
        for part in split_packs(packs) {
            let id = self.save_unpacked(FileKind::Index, &encode_index(part))?;
            if decode_index(&id, &self.load_unpacked(FileKind::Index, &id)?)? != part {
                return Err(RepositoryError::damaged(
                    format!("index file {id}"),
                    "it does not read back as written",
                ));
            }
            ids.push(id);
        }
        Ok(ids)
    }
}
