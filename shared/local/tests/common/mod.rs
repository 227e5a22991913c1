//! What several tests need.

use std::path::Path;

use holdfast_core::domain::{Region, Vault, VaultName};
use holdfast_local::{DataFolder, system_ambient};

pub fn data_folder(path: &Path) -> DataFolder {
    DataFolder::open(path, &system_ambient()).expect("a data folder")
}

pub fn region(name: &str) -> Region {
    Region::new(name).expect("a name")
}

pub fn vault(name: &str, region_name: &str) -> Vault {
    Vault {
        name: VaultName::new(name).expect("a name"),
        region: region(region_name),
    }
}
