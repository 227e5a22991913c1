//! Snapshots of databases, and their copies in other Regions.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::databases::{bool_word, tag_list, time};
use super::state::{ACCOUNT, State};
use super::xml::{element, text};

/// A manual snapshot.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub region: String,
    pub name: String,
    pub is_cluster: bool,
    /// The name of the database it was taken of.
    pub source: String,
    pub engine: String,
    pub gibibytes: u32,
    pub key: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// The ARN of what it is a copy of.
    pub origin: Option<String>,
    /// When the content was fixed; stays the same through copies.
    pub original_at: Timestamp,
    /// When work on it began; none while it waits for its turn.
    pub begun_at: Option<Timestamp>,
    pub available_at: Option<Timestamp>,
    pub is_doomed: bool,
    pub has_failed: bool,
}

impl Snapshot {
    pub(super) fn arn(&self) -> String {
        let kind = if self.is_cluster {
            "cluster-snapshot"
        } else {
            "snapshot"
        };
        format!("arn:aws:rds:{}:{ACCOUNT}:{kind}:{}", self.region, self.name)
    }

    fn is_copy(&self) -> bool {
        self.origin.is_some()
    }

    pub(super) fn is_in_progress(&self) -> bool {
        self.available_at.is_none() && !self.has_failed
    }

    fn state(&self) -> &'static str {
        match (self.has_failed, self.available_at) {
            (true, _) => "failed",
            (false, Some(_)) => "available",
            (false, None) if self.is_copy() => "copying",
            (false, None) => "creating",
        }
    }
}

/// Whether a database's next snapshot must wait for this one.
pub(super) fn keeps_busy(snapshot: &Snapshot, region: &str, is_cluster: bool, source: &str) -> bool {
    let same = snapshot.region == region && snapshot.is_cluster == is_cluster && snapshot.source == source;
    same && snapshot.is_in_progress() && !snapshot.is_copy()
}

impl State {
    /// Finishes what is done, and begins the copies whose turn has come: those of one source go one after another.
    pub(super) fn settle_snapshots(&mut self) {
        let (now, durations) = (self.now, self.durations);
        let mut ended = Vec::new();
        for (place, snapshot) in &mut self.snapshots {
            let takes = if snapshot.is_copy() {
                durations.copy
            } else {
                durations.snapshot
            };
            let due = snapshot.begun_at.and_then(|begun| begun.saturating_add(takes).ok());
            if snapshot.is_in_progress() && due.is_some_and(|due| due <= now) {
                if snapshot.is_doomed {
                    snapshot.has_failed = true;
                } else {
                    snapshot.available_at = Some(now);
                    ended.push(place.clone());
                }
            }
        }
        self.begin_copies();
        for place in ended {
            let snapshot = self.snapshots[&place].clone();
            let (id, message) = match (snapshot.is_copy(), snapshot.is_cluster) {
                (true, _) => ("RDS-EVENT-0060", "Finished copy of snapshot"),
                (false, false) => ("RDS-EVENT-0042", "Manual snapshot created"),
                (false, true) => ("RDS-EVENT-0075", "Manual cluster snapshot created"),
            };
            // There is no event for a snapshot that fails.
            self.emit_snapshot(
                &snapshot.region,
                snapshot.is_cluster,
                &snapshot.arn(),
                &snapshot.name,
                id,
                message,
            );
        }
    }

    fn begin_copies(&mut self) {
        let now = self.now;
        let key = |snapshot: &Snapshot| (snapshot.region.clone(), snapshot.is_cluster, snapshot.source.clone());
        let mut busy: Vec<_> = self
            .snapshots
            .values()
            .filter(|snapshot| snapshot.is_copy() && snapshot.is_in_progress() && snapshot.begun_at.is_some())
            .map(key)
            .collect();
        for snapshot in self.snapshots.values_mut() {
            let waits = snapshot.is_copy() && snapshot.is_in_progress() && snapshot.begun_at.is_none();
            if waits && !busy.contains(&key(snapshot)) {
                snapshot.begun_at = Some(now);
                busy.push(key(snapshot));
            }
        }
    }

    /// How many copies are in progress into a Region, the waiting ones among them.
    pub(super) fn copies_into(&self, region: &str) -> usize {
        let copies = self.snapshots.values().filter(|snapshot| snapshot.region == region);
        copies
            .filter(|snapshot| snapshot.is_copy() && snapshot.is_in_progress())
            .count()
    }

    /// A snapshot as the service describes it.
    pub(super) fn snapshot_xml(&self, snapshot: &Snapshot) -> String {
        let state = self.word.as_deref().unwrap_or_else(|| snapshot.state());
        let mut inside = String::new();
        inside += &text("Engine", &snapshot.engine);
        inside += &text("EngineVersion", "16.4");
        inside += &text("Status", state);
        inside += &text("SnapshotType", "manual");
        inside += &text("PercentProgress", &self.percent(snapshot).to_string());
        if let Some(at) = snapshot.available_at.or(snapshot.begun_at) {
            // The time of a copy is its own; that of an original is when its content was fixed.
            let at = if snapshot.is_copy() { at } else { snapshot.original_at };
            inside += &time("SnapshotCreateTime", at);
        }
        inside += &snapshot
            .key
            .as_deref()
            .map(|key| text("KmsKeyId", key))
            .unwrap_or_default();
        inside += &tag_list(&snapshot.tags);
        let encrypted = bool_word(snapshot.key.is_some());
        if snapshot.is_cluster {
            inside += &text("DBClusterSnapshotIdentifier", &snapshot.name);
            inside += &text("DBClusterIdentifier", &snapshot.source);
            inside += &text("DBClusterSnapshotArn", &snapshot.arn());
            inside += &text("StorageEncrypted", encrypted);
            // Aurora does not tell a size here.
            inside += &text("AllocatedStorage", "0");
            inside += &snapshot
                .origin
                .as_deref()
                .map(|arn| text("SourceDBClusterSnapshotArn", arn))
                .unwrap_or_default();
            return element("DBClusterSnapshot", &inside);
        }
        inside += &text("DBSnapshotIdentifier", &snapshot.name);
        inside += &text("DBInstanceIdentifier", &snapshot.source);
        inside += &text("DBSnapshotArn", &snapshot.arn());
        inside += &text("Encrypted", encrypted);
        inside += &text("AllocatedStorage", &snapshot.gibibytes.to_string());
        inside += &time("OriginalSnapshotCreateTime", snapshot.original_at);
        if let Some(origin) = &snapshot.origin {
            inside += &text("SourceDBSnapshotIdentifier", origin);
            inside += &text("SourceRegion", origin.split(':').nth(3).unwrap_or_default());
        }
        element("DBSnapshot", &inside)
    }

    fn percent(&self, snapshot: &Snapshot) -> i64 {
        let takes = if snapshot.is_copy() {
            self.durations.copy
        } else {
            self.durations.snapshot
        };
        match (snapshot.available_at, snapshot.begun_at) {
            (Some(_), _) => 100,
            (None, Some(begun)) => {
                let passed = self.now.duration_since(begun).as_secs();
                (passed * 100 / takes.as_secs().max(1)).clamp(0, 99)
            }
            (None, None) => 0,
        }
    }
}
