//! What both directions begin with.

use std::path::PathBuf;

use crate::tools::everything;

pub struct Setup {
    _folder: tempfile::TempDir,
    pub source: PathBuf,
    pub repo: PathBuf,
    pub out: PathBuf,
}

impl Setup {
    /// A source with everything, and places for a repository and for what comes out of it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let setup = Self {
            source: at("source"),
            repo: at("repo"),
            out: at("out"),
            _folder: folder,
        };
        everything(&setup.source);
        setup
    }
}
