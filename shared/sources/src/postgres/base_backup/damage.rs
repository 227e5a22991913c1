//! [`DamagedPages`]: what is damaged on the server itself.

use std::path::{Path, PathBuf};

use super::super::pages::Mismatch;

/// Pages that are named. More of them say no more.
const MOST_LISTED: usize = 100;

/// A page whose checksum is not that of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPage {
    /// The file, below the data folder.
    pub path: PathBuf,
    /// The page's number in the file, from 0.
    pub page: u32,
    /// The checksum that the page holds.
    pub stored: u16,
    /// The checksum of its content.
    pub computed: u16,
}

/// Damaged pages of a base backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamagedPages {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub listed: Vec<DamagedPage>,
    /// Whether the server found damage too. It reads a page again before it says so, hence a page that it was just writing
    /// is no damage to it.
    pub confirmed: bool,
}

impl DamagedPages {
    pub(in super::super) fn add(&mut self, path: &Path, mismatch: Mismatch) {
        self.count += 1;
        if self.listed.len() < MOST_LISTED {
            self.listed.push(DamagedPage {
                path: path.to_owned(),
                page: mismatch.page,
                stored: mismatch.stored,
                computed: mismatch.computed,
            });
        }
    }
}
