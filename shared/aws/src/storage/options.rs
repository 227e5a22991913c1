//! How a repository is kept on S3.

use std::fmt;
use std::sync::Arc;

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ObjectLockMode;
use jiff::Timestamp;

/// Where a repository is, and how its files are written.
#[derive(Debug, Clone, Default)]
pub struct S3StorageOptions {
    /// The bucket.
    pub bucket: String,
    /// The prefix that the repository lies below; empty for the bucket's root.
    pub prefix: String,
    /// The account that must own the bucket: S3 refuses every call to a bucket of somebody else.
    pub owner: Option<String>,
    /// The KMS key that encrypts what is written; the bucket's own default without one.
    pub kms_key: Option<String>,
    /// The storage class of packs, as S3 spells it (`STANDARD_IA`); S3 Standard without one.
    pub storage_class: Option<String>,
    /// The Object Lock of packs. The bucket must have been made with Object Lock.
    pub lock: Option<Lock>,
    /// Whether packs are put under legal hold.
    pub legal_hold: bool,
}

/// Who may lift an Object Lock before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has the right to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

/// The Object Lock that a pack is written with.
#[derive(Clone)]
pub struct Lock {
    /// Who may lift it.
    pub mode: LockMode,
    /// Until when a pack that is written now is locked.
    pub until: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Lock {
    pub(super) fn header(&self) -> (ObjectLockMode, DateTime) {
        let mode = match self.mode {
            LockMode::Governance => ObjectLockMode::Governance,
            LockMode::Compliance => ObjectLockMode::Compliance,
        };
        (mode, DateTime::from_secs((self.until)().as_second()))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("mode", &self.mode).finish_non_exhaustive()
    }
}
