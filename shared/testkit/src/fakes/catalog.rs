//! The catalog in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Catalog, Draft, Entry, Inserted, Key};
use jiff::Timestamp;

use super::locked;

/// A record is no larger than an item of DynamoDB.
const MOST_BYTES: usize = 400_000;

/// The catalog in memory.
#[derive(Debug, Default)]
pub struct FakeCatalog {
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    entries: BTreeMap<Key, Entry>,
    /// By word, time and key, as `waking` lists them.
    waking: BTreeSet<(String, Timestamp, Key)>,
}

impl Records {
    fn store(&mut self, draft: Draft, version: u64) -> Result<(), Failure> {
        let bytes = draft.body.to_string().len();
        if bytes > MOST_BYTES {
            let Key { partition, sort } = &draft.key;
            let message = format!("record {partition}/{sort} has {bytes} bytes, more than {MOST_BYTES}");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let entry = Entry {
            key: draft.key,
            version,
            body: draft.body,
            wake: draft.wake,
        };
        if let Some(wake) = &entry.wake {
            self.waking.insert((wake.status.clone(), wake.at, entry.key.clone()));
        }
        let before = self.entries.insert(entry.key.clone(), entry.clone());
        if let Some(wake) = before.and_then(|before| before.wake)
            && entry.wake.as_ref() != Some(&wake)
        {
            self.waking.remove(&(wake.status, wake.at, entry.key));
        }
        Ok(())
    }

    fn with_prefix<'a>(&'a self, partition: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a Entry> {
        let first = Key {
            partition: partition.to_owned(),
            sort: prefix.to_owned(),
        };
        self.entries
            .range(first..)
            .map(|(_, entry)| entry)
            .take_while(move |entry| entry.key.partition == partition && entry.key.sort.starts_with(prefix))
    }
}

impl FakeCatalog {
    /// Every record, in ascending order of keys, for checks over the whole.
    pub fn entries(&self) -> Vec<Entry> {
        locked(&self.records).entries.values().cloned().collect()
    }
}

#[async_trait]
impl Catalog for FakeCatalog {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        Ok(locked(&self.records).entries.get(key).cloned())
    }

    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure> {
        let mut records = locked(&self.records);
        if let Some(there) = records.entries.get(&draft.key) {
            return Ok(Inserted::Exists(there.clone()));
        }
        records.store(draft, 1)?;
        Ok(Inserted::Created)
    }

    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure> {
        let mut records = locked(&self.records);
        let stored = records.entries.get(&draft.key).map(|entry| entry.version);
        if stored != Some(expected) {
            let Key { partition, sort } = &draft.key;
            let found = stored.map_or("no record".to_owned(), |version| format!("version {version}"));
            return Err(Failure::new(
                FailureKind::Conflict,
                format!("record {partition}/{sort}: expected version {expected}, found {found}"),
            ));
        }
        records.store(draft, expected + 1)
    }

    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
        Ok(locked(&self.records).with_prefix(partition, prefix).cloned().collect())
    }

    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure> {
        Ok(locked(&self.records).with_prefix(partition, prefix).last().cloned())
    }

    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure> {
        let records = locked(&self.records);
        let first = Key {
            partition: String::new(),
            sort: String::new(),
        };
        records
            .waking
            .range((status.to_owned(), Timestamp::MIN, first)..)
            .take_while(|(word, at, _)| word == status && *at <= by)
            .map(|(_, _, key)| {
                let missing = || Failure::new(FailureKind::Bug, format!("the index names {key:?}, which is not there"));
                records.entries.get(key).cloned().ok_or_else(missing)
            })
            .collect()
    }
}
