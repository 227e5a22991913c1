//! The catalog: durable records under conditional writes.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::domain::Failure;

/// Where a record lives: a partition, and a place in its order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Records of one partition are listed together.
    pub partition: String,
    /// Their order inside the partition, by bytes.
    pub sort: String,
}

/// When a record must be looked at again, and under which word it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// The word, such as `job.backup`.
    pub status: String,
    /// The time.
    pub at: Timestamp,
}

/// A record as it is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Where.
    pub key: Key,
    /// What.
    pub body: Value,
    /// When to look again; none takes the record out of the index.
    pub wake: Option<Wake>,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where.
    pub key: Key,
    /// 1 when it was inserted, one more with each replacement.
    pub version: u64,
    /// What.
    pub body: Value,
    /// When to look again.
    pub wake: Option<Wake>,
}

/// What became of an insertion.
#[derive(Debug, Clone, PartialEq)]
pub enum Inserted {
    /// It is there now, at version 1.
    Created,
    /// A record was there already and stays as it was.
    Exists(Entry),
}

/// Durable records. There are no multi-record transactions: one aggregate is one record.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The record at `key`, as the last completed write left it.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure>;

    /// Writes a record only if none is there.
    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure>;

    /// Writes a record only if the stored one has version `expected`; the new version is `expected + 1`.
    /// A missing record or another version is [`FailureKind::Conflict`](crate::domain::FailureKind::Conflict) and changes nothing.
    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure>;

    /// All records of a partition whose order begins with `prefix`, ascending.
    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure>;

    /// The last record, in ascending order, of a partition whose order begins with `prefix`.
    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure>;

    /// All records that wait under `status` until `by` or earlier, the longest waiting first.
    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure>;
}
