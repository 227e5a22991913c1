//! Signed statements in every Region's folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::EvidenceStore;

use crate::failure::io_failure;
use crate::files::{self, Written};
use crate::regions::RegionFolder;

/// Write-once documents, each in every Region.
///
/// While a Region is lost, documents are kept in the others, so that a failover can leave its evidence; the Region gets
/// what it lacks when it is back. A document that differs between Regions is [`FailureKind::Integrity`].
#[derive(Debug)]
pub struct DirectoryEvidence {
    regions: Vec<Copies>,
}

/// The documents of one Region.
#[derive(Debug)]
struct Copies {
    region: Arc<RegionFolder>,
    /// Set when a document was written while the Region was lost, and until what it lacks was brought to it.
    behind: AtomicBool,
}

impl Copies {
    /// The folder of the documents; a lost Region is an error.
    fn folder(&self) -> Result<PathBuf, Failure> {
        Ok(self.region.require()?.join("evidence"))
    }

    fn names(&self) -> Result<BTreeSet<String>, Failure> {
        let folder = self.folder()?;
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(io_failure("list", &folder, error)),
        };
        let mut names = BTreeSet::new();
        for entry in listing {
            let entry = entry.map_err(|error| io_failure("list", &folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Files that are being written, and whatever else a system hides from view.
            if name.starts_with('.') {
                continue;
            }
            require_name(&name).map_err(|_| foreign(&entry.path()))?;
            names.insert(name);
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        files::read(&self.folder()?.join(name))
    }

    fn write(&self, name: &str, document: &[u8]) -> Result<(), Failure> {
        let folder = self.folder()?;
        files::create_folder(&folder)?;
        let path = folder.join(name);
        if files::write_once(&path, document)? == Written::Created || files::read(&path)?.as_deref() == Some(document) {
            return Ok(());
        }
        Err(differs(&path))
    }
}

impl DirectoryEvidence {
    /// Opens the store and brings to each Region what it lacks.
    pub(crate) fn open(regions: Vec<Arc<RegionFolder>>) -> Result<Self, Failure> {
        let copies = |region| Copies {
            region,
            behind: AtomicBool::new(true),
        };
        let store = Self {
            regions: regions.into_iter().map(copies).collect(),
        };
        let (standing, _lost) = store.standing()?;
        catch_up(&standing)?;
        Ok(store)
    }

    /// The Regions that can be used now, and why the first of the others cannot. A Region that is not what it should be
    /// is an error.
    fn standing(&self) -> Result<(Vec<&Copies>, Option<Failure>), Failure> {
        let mut standing = Vec::new();
        let mut lost = None;
        for copies in &self.regions {
            match copies.folder() {
                Ok(_) => standing.push(copies),
                Err(failure) if failure.kind == FailureKind::Transient => {
                    copies.behind.store(true, Ordering::Release);
                    lost.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok((standing, lost))
    }

    /// The Regions that can be used now; an error when none can.
    fn some_standing(&self) -> Result<Vec<&Copies>, Failure> {
        let (standing, lost) = self.standing()?;
        match lost {
            Some(failure) if standing.is_empty() => Err(failure),
            _ => Ok(standing),
        }
    }
}

/// Brings to each Region that is behind what the others have.
fn catch_up(standing: &[&Copies]) -> Result<(), Failure> {
    if !standing.iter().any(|copies| copies.behind.load(Ordering::Acquire)) {
        return Ok(());
    }
    let mut names = BTreeSet::new();
    for copies in standing {
        names.append(&mut copies.names()?);
    }
    for copies in standing.iter().filter(|copies| copies.behind.load(Ordering::Acquire)) {
        let present = copies.names()?;
        for name in names.difference(&present) {
            if let Some(document) = agreed(standing, name)? {
                copies.write(name, &document)?;
            }
        }
        copies.behind.store(false, Ordering::Release);
    }
    Ok(())
}

/// The document as every Region that has it has it.
fn agreed(standing: &[&Copies], name: &str) -> Result<Option<Vec<u8>>, Failure> {
    let mut found: Option<Vec<u8>> = None;
    for copies in standing {
        let Some(document) = copies.read(name)? else {
            continue;
        };
        if found.as_ref().is_some_and(|first| *first != document) {
            return Err(differs(&copies.folder()?.join(name)));
        }
        found = Some(document);
    }
    Ok(found)
}

#[async_trait]
impl EvidenceStore for DirectoryEvidence {
    async fn put(&self, name: &str, document: &[u8]) -> Result<(), Failure> {
        require_name(name)?;
        let standing = self.some_standing()?;
        catch_up(&standing)?;
        // Nothing is written anywhere before all agree.
        if agreed(&standing, name)?.is_some_and(|stored| stored != document) {
            return Err(differs(Path::new(name)));
        }
        for copies in standing {
            copies.write(name, document)?;
        }
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        require_name(name)?;
        agreed(&self.some_standing()?, name)
    }

    async fn list(&self) -> Result<Vec<String>, Failure> {
        let mut names = BTreeSet::new();
        for copies in self.some_standing()? {
            names.append(&mut copies.names()?);
        }
        Ok(names.into_iter().collect())
    }
}

/// A name must stay inside the folder and apart from files that are being written.
fn require_name(name: &str) -> Result<(), Failure> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(allowed) {
        return Ok(());
    }
    let message = format!("\"{}\" cannot name a document of evidence", name.escape_debug());
    Err(Failure::new(FailureKind::Invalid, message))
}

fn differs(path: &Path) -> Failure {
    let message = format!(
        "evidence {} exists with other bytes: somebody changed it, or two chains mix",
        path.display()
    );
    Failure::new(FailureKind::Integrity, message)
}

fn foreign(path: &Path) -> Failure {
    let message = format!("{} is no document of evidence: move it elsewhere", path.display());
    Failure::new(FailureKind::Integrity, message)
}
