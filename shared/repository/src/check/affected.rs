//! Which files of which snapshots suffer from damage.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::check::Damage;
use crate::error::Result;
use crate::id::Id;
use crate::index::Index;
use crate::pack::BlobKind;
use crate::reach::is_damage;
use crate::repository::Repository;
use crate::storage::FileKind;

/// A file that cannot be restored whole, or a folder below which nothing can.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AffectedFile {
    /// The snapshot.
    pub snapshot: Id,
    /// Path in the snapshot; `/` when the snapshot itself cannot be read.
    pub path: PathBuf,
}

/// Names every file and folder that `damages` make unreadable, sorted by snapshot and path. A blob that another good
/// pack holds too harms nothing. Damage in packs that were not read (see [`crate::check::CheckOptions::read_data`])
/// counts for all their blobs.
pub fn affected_files(repo: &Repository, index: &Index, damages: &[Damage]) -> Result<Vec<AffectedFile>> {
    let mut search = Search {
        repo,
        index,
        lost: lost_blobs(index, damages),
        clean: HashSet::new(),
        found: Vec::new(),
    };
    for (id, _) in repo.storage().list(FileKind::Snapshot)? {
        match repo.snapshot(&id) {
            Ok(snapshot) => drop(search.tree(id, &snapshot.tree, Path::new("/"))?),
            Err(e) if is_damage(&e) => search.add(id, Path::new("/")),
            Err(e) => return Err(e),
        }
    }
    search.found.sort_unstable();
    Ok(search.found)
}

fn lost_blobs(index: &Index, damages: &[Damage]) -> HashSet<(BlobKind, Id)> {
    let mut lost = HashSet::new();
    let mut places = HashSet::new();
    let mut packs = HashSet::new();
    for damage in damages {
        match damage {
            Damage::BadTree { tree, .. } => drop(lost.insert((BlobKind::Tree, *tree))),
            Damage::MissingBlob { kind, blob } => drop(lost.insert((*kind, *blob))),
            Damage::BlobDamaged { pack, kind, blob, .. } => drop(places.insert((*pack, *kind, *blob))),
            Damage::MissingPack { pack } | Damage::PackSize { pack, .. } | Damage::PackUnreadable { pack, .. } => {
                packs.insert(*pack);
            }
            // Snapshots are looked at one by one; what a lost index file knew shows as missing blobs. A wrong hash or
            // header says nothing about the blobs, each of which was tried on its own.
            Damage::BadSnapshot { .. }
            | Damage::BadIndex { .. }
            | Damage::PackHash { .. }
            | Damage::PackHeader { .. } => {}
        }
    }
    // Packs whose blobs were tried one by one are lost only as far as those failed.
    let tried: HashSet<Id> = damages
        .iter()
        .filter(|d| tells_of_reading(d))
        .filter_map(Damage::pack)
        .collect();
    packs.retain(|pack| !tried.contains(pack));
    for (kind, id, location) in index.iter() {
        let bad = |pack: &Id| packs.contains(pack) || places.contains(&(*pack, kind, id));
        if bad(&location.pack) && index.lookup_all(kind, &id).all(|other| bad(&other.pack)) {
            lost.insert((kind, id));
        }
    }
    lost
}

/// Whether this damage can only be known from a pack that was read.
fn tells_of_reading(damage: &Damage) -> bool {
    matches!(damage, Damage::PackHash { .. } | Damage::BlobDamaged { .. })
}

struct Search<'a> {
    repo: &'a Repository,
    index: &'a Index,
    lost: HashSet<(BlobKind, Id)>,
    /// Trees below which nothing is lost.
    clean: HashSet<Id>,
    found: Vec<AffectedFile>,
}

impl Search<'_> {
    fn add(&mut self, snapshot: Id, path: &Path) {
        self.found.push(AffectedFile {
            snapshot,
            path: path.to_path_buf(),
        });
    }

    /// Looks through a tree; whether nothing below it is lost.
    fn tree(&mut self, snapshot: Id, id: &Id, path: &Path) -> Result<bool> {
        if self.clean.contains(id) {
            return Ok(true);
        }
        let tree = if self.lost.contains(&(BlobKind::Tree, *id)) {
            None
        } else {
            match self.repo.load_tree(self.index, id) {
                Ok(tree) => Some(tree),
                Err(e) if is_damage(&e) => None,
                Err(e) => return Err(e),
            }
        };
        let Some(tree) = tree else {
            self.add(snapshot, path);
            return Ok(false);
        };
        let mut clean = true;
        for node in &tree.nodes {
            let path = path.join(OsStr::from_bytes(&node.name));
            if let Some(subtree) = &node.subtree {
                clean &= self.tree(snapshot, subtree, &path)?;
            }
            if node
                .content
                .iter()
                .flatten()
                .any(|blob| self.lost.contains(&(BlobKind::Data, *blob)))
            {
                self.add(snapshot, &path);
                clean = false;
            }
        }
        if clean {
            self.clean.insert(*id);
        }
        Ok(clean)
    }
}
