//! [`Store`]: what a restore needs of a repository.

use holdfast_repository::fetch::{self, BlobSink, FetchOptions, Wanted};
use holdfast_repository::index::Index;
use holdfast_repository::pack::BlobKind;
use holdfast_repository::{Id, Repository, Result, Tree};

use super::RestoreOptions;

/// Trees and data by id.
pub(super) trait Store: Sync {
    fn tree(&self, id: &Id) -> Result<Tree>;
    /// Plaintext length of a data blob; `None` where the index does not know it.
    fn length(&self, blob: &Id) -> Option<u64>;
    fn fetch(&self, wanted: Vec<Wanted>, sink: &dyn BlobSink) -> Result<()>;
}

pub(super) struct RepositoryStore<'a> {
    pub(super) repo: &'a Repository,
    pub(super) index: &'a Index,
    pub(super) options: &'a RestoreOptions<'a>,
}

impl Store for RepositoryStore<'_> {
    fn tree(&self, id: &Id) -> Result<Tree> {
        self.repo.load_tree(self.index, id)
    }

    fn length(&self, blob: &Id) -> Option<u64> {
        self.index
            .lookup(BlobKind::Data, blob)
            .map(|location| location.plaintext_length().into())
    }

    fn fetch(&self, wanted: Vec<Wanted>, sink: &dyn BlobSink) -> Result<()> {
        let RestoreOptions {
            workers,
            progress,
            cancel,
            ..
        } = *self.options;
        fetch::fetch(
            self.repo,
            self.index,
            wanted,
            sink,
            &FetchOptions {
                workers,
                progress,
                cancel,
            },
        )
    }
}
