//! Comparing files on disk with a snapshot, entry by entry: every byte of every file is read and hashed again, and all
//! metadata that a restore sets is looked at. This is what proves a restore (level L4).

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_repository::backup::{Source, Unread};
use holdfast_repository::index::Index;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::tree::{ExtendedAttribute, Node, NodeKind};
use holdfast_repository::{Id, Repository, RepositoryError};

use super::patterns::{Patterns, Verdict};
use super::source::FileTree;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries that were compared.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Bytes that were read and hashed.
    pub bytes: u64,
    /// Each entry that differs, and how.
    pub differences: Vec<(PathBuf, String)>,
}

/// Compares the folder `target` with the tree `tree`, which stands at `place` in a snapshot, for the entries that
/// `patterns` select. Entries that stand in the folder and not in the tree are not looked at. Ends with
/// [`RepositoryError::Cancelled`] once `cancel` is set.
pub fn compare(
    repository: &Repository,
    index: &Index,
    tree: &Id,
    place: &Path,
    target: &Path,
    patterns: &Patterns,
    cancel: &AtomicBool,
) -> Result<Comparison, RepositoryError> {
    let source = FileTree::new(vec![target.to_path_buf()], Patterns::all())
        .map_err(|error| RepositoryError::invalid(target.display().to_string(), error))?;
    let mut walk = Walk {
        repository,
        index,
        source,
        patterns,
        cancel,
        found: Comparison::default(),
    };
    walk.folder(tree, target, place.strip_prefix("/").unwrap_or(place))?;
    Ok(walk.found)
}

struct Walk<'a> {
    repository: &'a Repository,
    index: &'a Index,
    source: FileTree,
    patterns: &'a Patterns,
    cancel: &'a AtomicBool,
    found: Comparison,
}

impl Walk<'_> {
    fn go_on(&self) -> Result<(), RepositoryError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(RepositoryError::Cancelled);
        }
        Ok(())
    }

    fn folder(&mut self, tree: &Id, target: &Path, relative: &Path) -> Result<(), RepositoryError> {
        for node in self.repository.load_tree(self.index, tree)?.nodes {
            let name = Path::new(std::ffi::OsStr::from_bytes(&node.name));
            let (path, relative) = (target.join(name), relative.join(name));
            let verdict = self.patterns.verdict(&relative, node.kind == NodeKind::Dir);
            if verdict == Verdict::Selected {
                self.entry(&node, &path)?;
            }
            if let (Some(subtree), Verdict::Selected | Verdict::Leading) = (&node.subtree, verdict) {
                self.folder(subtree, &path, &relative)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, node: &Node, path: &Path) -> Result<(), RepositoryError> {
        self.go_on()?;
        self.found.entries += 1;
        match self.source.stat(path) {
            Ok(stands) => {
                let differs = metadata_differences(node, &stands);
                self.found
                    .differences
                    .extend(differs.into_iter().map(|what| (path.to_path_buf(), what)));
                if node.kind == NodeKind::File && stands.kind == NodeKind::File {
                    self.content(node, path)?;
                }
            }
            Err(Unread { reason, .. }) => self.differ(path, format!("cannot be read: {reason}")),
        }
        Ok(())
    }

    fn differ(&mut self, path: &Path, what: String) {
        self.found.differences.push((path.to_path_buf(), what));
    }

    fn content(&mut self, node: &Node, path: &Path) -> Result<(), RepositoryError> {
        self.found.files += 1;
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.differ(path, format!("cannot be opened: {error}"));
                return Ok(());
            }
        };
        let mut offset = 0_u64;
        for id in node.content.iter().flatten() {
            self.go_on()?;
            if let Err(what) = self.blob(&mut file, id, &mut offset) {
                self.differ(path, what);
                return Ok(());
            }
        }
        if offset != node.size {
            self.differ(
                path,
                format!("the snapshot holds {offset} bytes of a file of {}", node.size),
            );
        }
        Ok(())
    }

    /// Compares the next bytes of a file with the blob that belongs there; what differs, if they do.
    fn blob(&mut self, file: &mut File, id: &Id, offset: &mut u64) -> Result<(), String> {
        let location = self.index.lookup(BlobKind::Data, id);
        let location = location.ok_or_else(|| format!("blob {id} is in no index"))?;
        let mut bytes = vec![0; location.plaintext_length() as usize];
        file.read_exact(&mut bytes)
            .map_err(|error| format!("cannot be read at byte {offset}: {error}"))?;
        if Id::of(&bytes) != *id {
            return Err(format!(
                "content differs in the {} bytes from byte {offset}",
                bytes.len()
            ));
        }
        *offset += bytes.len() as u64;
        self.found.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn metadata_differences(wanted: &Node, stands: &Node) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, wanted: String, stands: String| {
        if wanted != stands {
            differences.push(format!("{what} is {stands}, was {wanted}"));
        }
    };
    compare("kind", wanted.kind.word().to_owned(), stands.kind.word().to_owned());
    compare("owner", wanted.uid.to_string(), stands.uid.to_string());
    compare("group", wanted.gid.to_string(), stands.gid.to_string());
    compare(
        "modification time",
        wanted.mtime.timestamp().to_string(),
        stands.mtime.timestamp().to_string(),
    );
    match wanted.kind {
        NodeKind::Symlink => compare("link target", shown(&wanted.link_target), shown(&stands.link_target)),
        NodeKind::File => compare("size", wanted.size.to_string(), stands.size.to_string()),
        NodeKind::Dev | NodeKind::CharDev => compare("device", wanted.device.to_string(), stands.device.to_string()),
        NodeKind::Dir | NodeKind::Fifo | NodeKind::Socket => {}
    }
    if wanted.kind != NodeKind::Symlink {
        compare("mode", format!("{:o}", wanted.mode), format!("{:o}", stands.mode));
    }
    compare(
        "extended attributes",
        attributes(&wanted.extended_attributes),
        attributes(&stands.extended_attributes),
    );
    differences
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn attributes(attributes: &[ExtendedAttribute]) -> String {
    let mut shown: Vec<String> = attributes
        .iter()
        .map(|attribute| format!("{}={}", attribute.name, attribute.value.escape_ascii()))
        .collect();
    shown.sort();
    shown.join(",")
}
