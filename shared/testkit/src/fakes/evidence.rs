//! Evidence in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::EvidenceStore;

use super::locked;

/// Write-once documents in memory.
#[derive(Debug, Default)]
pub struct FakeEvidence {
    documents: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl FakeEvidence {
    /// Does what an attacker with access to the store would do: puts other bytes in place.
    pub fn tamper(&self, name: &str, document: &[u8]) {
        locked(&self.documents).insert(name.to_owned(), document.to_vec());
    }

    /// Does what an attacker with access to the store would do: takes a document away.
    pub fn remove(&self, name: &str) {
        locked(&self.documents).remove(name);
    }
}

#[async_trait]
impl EvidenceStore for FakeEvidence {
    async fn put(&self, name: &str, document: &[u8]) -> Result<(), Failure> {
        let mut documents = locked(&self.documents);
        let stored = documents.entry(name.to_owned()).or_insert_with(|| document.to_vec());
        if stored == document {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::Integrity,
            format!("evidence {name} exists with other bytes"),
        ))
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        Ok(locked(&self.documents).get(name).cloned())
    }

    async fn list(&self) -> Result<Vec<String>, Failure> {
        Ok(locked(&self.documents).keys().cloned().collect())
    }
}
