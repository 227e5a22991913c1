//! Where signed statements are kept.

use async_trait::async_trait;

use crate::domain::Failure;

/// Write-once documents, kept in every Region.
#[async_trait]
pub trait EvidenceStore: Send + Sync {
    /// Writes the document. The same bytes again are fine; other bytes under a name that exists are
    /// [`FailureKind::Integrity`](crate::domain::FailureKind::Integrity) and change nothing.
    async fn put(&self, name: &str, document: &[u8]) -> Result<(), Failure>;

    /// The document, if it exists.
    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure>;

    /// The names of all documents, ascending.
    async fn list(&self) -> Result<Vec<String>, Failure>;
}
