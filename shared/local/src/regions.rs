//! Directories as Regions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_core::domain::{Failure, FailureKind, Region, ResourceId, Vault, VaultName};
use holdfast_repository::storage::{DiskStorage, Storage};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data_folder::DataFolder;
use crate::evidence::DirectoryEvidence;
use crate::failure::repository_failure;
use crate::files;

/// The layout of the registry and of the markers that this version knows.
const FILE_VERSION: u32 = 1;

/// Which Regions were ever made in this data folder, so that a lost one is noticed and never made again empty.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registry {
    version: u32,
    regions: BTreeSet<Region>,
}

/// Stands in every Region's folder. A mount point whose disk is missing does not have it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    region: Region,
}

/// The Regions of a data folder, each a directory of its own, which may be a mount point.
#[derive(Debug)]
pub struct Regions {
    registry: PathBuf,
    folders: BTreeMap<Region, Arc<RegionFolder>>,
    vaults: BTreeMap<VaultName, Region>,
}

/// One Region's directory.
#[derive(Debug)]
pub(crate) struct RegionFolder {
    pub(crate) region: Region,
    path: PathBuf,
}

impl RegionFolder {
    /// The folder, if it is the one that was made for this Region. A lost one is [`FailureKind::Transient`]: it may be put
    /// back.
    pub(crate) fn require(&self) -> Result<&Path, Failure> {
        let marker_path = self.marker();
        let Some(marker) = load::<Marker>(&marker_path)? else {
            let message = format!(
                "Region {} is lost: {} is missing; put the folder {} back, or its disk if it is a mount point",
                self.region,
                marker_path.display(),
                self.path.display()
            );
            return Err(Failure::new(FailureKind::Transient, message));
        };
        require_version(&marker_path, marker.version)?;
        if marker.region == self.region {
            return Ok(&self.path);
        }
        let message = format!(
            "{} belongs to Region {}, not to Region {}",
            self.path.display(),
            marker.region,
            self.region
        );
        Err(Failure::new(FailureKind::Integrity, message))
    }

    fn marker(&self) -> PathBuf {
        self.path.join("region.json")
    }

    fn create(&self) -> Result<(), Failure> {
        files::create_folder(&self.path)?;
        let region = self.region.clone();
        save(
            &self.marker(),
            &Marker {
                version: FILE_VERSION,
                region,
            },
        )
    }
}

impl Regions {
    /// Makes the Regions that the vaults name and that were never made before. A Region that was made before and is lost
    /// stays lost: every use of it fails with [`FailureKind::Transient`] until its folder is back, and the others work.
    /// In the folder of another process nothing is made.
    pub fn open(data: &DataFolder, vaults: &[Vault]) -> Result<Self, Failure> {
        let registry_path = data.path().join("holdfast.json");
        let mut registry = load_registry(&registry_path)?;
        let mut folders = BTreeMap::new();
        for region in vaults.iter().map(|vault| &vault.region) {
            let path = data.path().join("regions").join(region.as_str());
            let region = region.clone();
            let folder = Arc::new(RegionFolder {
                region: region.clone(),
                path,
            });
            // The marker comes before the registry, so a crash between them leaves a Region that is found here.
            if data.is_ours() && !registry.regions.contains(&region) {
                if !folder.marker().exists() {
                    folder.create()?;
                }
                registry.regions.insert(region.clone());
                save(&registry_path, &registry)?;
            }
            folders.insert(region, folder);
        }
        Ok(Self {
            registry: registry_path,
            folders,
            vaults: vaults
                .iter()
                .map(|vault| (vault.name.clone(), vault.region.clone()))
                .collect(),
        })
    }

    /// Makes a Region's folder again, empty, after a person has said that what was in it is gone for good. A Region that
    /// still stands is [`FailureKind::Conflict`] and stays as it is.
    pub fn make_again(&self, region: &Region) -> Result<(), Failure> {
        let folder = self.folder(region)?;
        if folder.marker().exists() {
            let message = format!("Region {region} stands at {}", folder.path.display());
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        folder.create()
    }

    /// Whether the Region's folder stands; the failure says what is wrong with it.
    pub fn require(&self, region: &Region) -> Result<(), Failure> {
        self.folder(region)?.require().map(|_| ())
    }

    /// The store of one repository, made where there is none.
    pub fn storage(&self, vault: &VaultName, resource: &ResourceId) -> Result<Arc<dyn Storage>, Failure> {
        let path = self.repository_path(vault, resource)?;
        Ok(Arc::new(DiskStorage::open_or_create(path).map_err(repository_failure)?))
    }

    /// The store of a repository that was made before; [`FailureKind::NotFound`] when there is none.
    pub fn existing_storage(&self, vault: &VaultName, resource: &ResourceId) -> Result<Arc<dyn Storage>, Failure> {
        let path = self.repository_path(vault, resource)?;
        Ok(Arc::new(DiskStorage::open(path).map_err(repository_failure)?))
    }

    /// The evidence store over all Regions.
    pub fn evidence(&self) -> Result<DirectoryEvidence, Failure> {
        DirectoryEvidence::open(self.folders.values().cloned().collect())
    }

    /// Where a repository is, or would be.
    pub fn repository_path(&self, vault: &VaultName, resource: &ResourceId) -> Result<PathBuf, Failure> {
        let unknown = || Failure::new(FailureKind::NotFound, format!("no vault is called {vault}"));
        let region = self.vaults.get(vault).ok_or_else(unknown)?;
        let folder = self.folder(region)?.require()?;
        Ok(folder.join("vaults").join(vault.as_str()).join(resource.as_str()))
    }

    fn folder(&self, region: &Region) -> Result<&RegionFolder, Failure> {
        self.folders.get(region).map(Arc::as_ref).ok_or_else(|| {
            let message = format!("no vault is in Region {region} ({})", self.registry.display());
            Failure::new(FailureKind::NotFound, message)
        })
    }
}

fn load_registry(path: &Path) -> Result<Registry, Failure> {
    let Some(registry) = load::<Registry>(path)? else {
        return Ok(Registry {
            version: FILE_VERSION,
            regions: BTreeSet::new(),
        });
    };
    require_version(path, registry.version)?;
    Ok(registry)
}

fn require_version(path: &Path, version: u32) -> Result<(), Failure> {
    if version == FILE_VERSION {
        return Ok(());
    }
    let message = format!(
        "{} has version {version}, and this Holdfast knows version {FILE_VERSION}: use a newer Holdfast",
        path.display()
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let Some(text) = files::read(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&text).map_err(|error| {
        let message = format!("{} is damaged ({error}): put back a copy of it", path.display());
        Failure::caused(FailureKind::Integrity, message, error)
    })?;
    Ok(Some(value))
}

fn save(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| {
        let message = format!("{} cannot be written", path.display());
        Failure::caused(FailureKind::Bug, message, error)
    })?;
    files::replace(path, &text)
}
