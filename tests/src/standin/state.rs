//! All that the stand-in knows, and what a test may change of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::backup::{Backup, Protected, Vault};
use super::databases::Database;
use super::dynamodb::Dynamo;
use super::events::Delivery;
use super::faults::Fault;
use super::services::Services;
use super::snapshots::Snapshot;
use super::topologies::GlobalDatabase;

/// The account that everything belongs to.
pub const ACCOUNT: &str = "123456789012";

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Durations {
    /// A snapshot of a database.
    pub snapshot: SignedDuration,
    /// A copy of a snapshot, from when its turn comes.
    pub copy: SignedDuration,
    /// A new database.
    pub restore: SignedDuration,
    /// A job of AWS Backup, of which the first tenth is waiting.
    pub job: SignedDuration,
    /// A backup of a table.
    pub table_backup: SignedDuration,
}

/// The key of a database or snapshot: Region, whether it is (of) a cluster, name.
pub(super) type Place = (String, bool, String);

/// All that the stand-in knows.
pub struct State {
    /// The time.
    pub now: Timestamp,
    /// How long things take.
    pub durations: Durations,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How events arrive.
    pub delivery: Delivery,
    /// Manual snapshots of each kind that a Region may hold.
    pub snapshot_quota: usize,
    /// Copies that may be in progress into a Region.
    pub copy_quota: usize,
    /// So many of the next snapshots, copies and jobs fail after they were accepted.
    pub doomed: u32,
    /// Every snapshot and job is told to be in this state, if one is given.
    pub word: Option<String>,
    /// Every call, as `Operation Region`.
    pub calls: Vec<String>,
    /// The most copies that were ever in progress into a Region.
    pub most_copies: BTreeMap<String, usize>,
    /// How long a writer's move, a promotion or a change of capacity takes.
    pub move_takes: SignedDuration,
    /// Regions that other Regions cannot reach.
    pub lost_regions: BTreeSet<String>,
    /// Regions whose services take connections and never answer.
    pub silent_regions: BTreeSet<String>,
    /// Every call that was not answered for that, as the Region.
    pub unanswered: Vec<String>,
    pub(super) globals: BTreeMap<String, GlobalDatabase>,
    pub(super) services: Services,
    pub(super) keys: BTreeSet<String>,
    pub(super) databases: BTreeMap<Place, Database>,
    pub(super) snapshots: BTreeMap<Place, Snapshot>,
    pub(super) backup: Backup,
    pub(super) dynamo: Dynamo,
    pub(super) events: Vec<(Timestamp, Value)>,
    ids: u64,
}

impl State {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            durations: Durations {
                snapshot: SignedDuration::from_mins(5),
                copy: SignedDuration::from_mins(30),
                restore: SignedDuration::from_mins(15),
                job: SignedDuration::from_mins(20),
                table_backup: SignedDuration::from_mins(1),
            },
            faults: Vec::new(),
            delivery: Delivery::Prompt,
            snapshot_quota: 100,
            copy_quota: 20,
            doomed: 0,
            word: None,
            calls: Vec::new(),
            most_copies: BTreeMap::new(),
            move_takes: SignedDuration::from_mins(2),
            lost_regions: BTreeSet::new(),
            silent_regions: BTreeSet::new(),
            unanswered: Vec::new(),
            globals: BTreeMap::new(),
            services: Services::default(),
            keys: BTreeSet::new(),
            databases: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            backup: Backup::default(),
            dynamo: Dynamo::default(),
            events: Vec::new(),
            ids: 0,
        }
    }

    /// An id that was never given before, in the form of a UUID.
    pub(super) fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.ids)
    }

    /// Whether the thing that is made now is to fail.
    pub(super) fn takes_doom(&mut self) -> bool {
        let is_doomed = self.doomed > 0;
        self.doomed = self.doomed.saturating_sub(1);
        is_doomed
    }

    /// Whether a call to this Region is never answered; it is remembered.
    pub(super) fn hears_nothing_from(&mut self, region: &str) -> bool {
        let is_silent = self.silent_regions.contains(region);
        if is_silent {
            self.unanswered.push(region.to_owned());
        }
        is_silent
    }

    /// The time that lies `by` after now.
    pub(super) fn after(&self, by: SignedDuration) -> Timestamp {
        self.now.saturating_add(by).unwrap_or(Timestamp::MAX)
    }

    /// Lets everything happen that is due. Databases and tables become usable by the clock alone.
    pub(super) fn settle(&mut self) {
        self.settle_snapshots();
        self.settle_jobs();
        self.settle_moves();
    }

    /// Makes a KMS key known in a Region, and gives its ARN.
    pub fn add_key(&mut self, region: &str) -> String {
        let arn = format!("arn:aws:kms:{region}:{ACCOUNT}:key/{}", self.next_id());
        self.keys.insert(arn.clone());
        arn
    }

    /// Makes a database that has stood for a day: an instance, or a cluster of one instance.
    pub fn add_database(&mut self, region: &str, name: &str, is_cluster: bool, gibibytes: u32, key: Option<&str>) {
        let made_at = self
            .now
            .saturating_sub(SignedDuration::from_hours(24))
            .unwrap_or(self.now);
        let database = Database::standing(region, name, is_cluster, gibibytes, key, made_at);
        self.databases
            .insert((region.to_owned(), is_cluster, name.to_owned()), database);
        if is_cluster {
            let member = format!("{name}-1");
            let mut instance = Database::standing(region, &member, false, gibibytes, key, made_at);
            instance.cluster = Some(name.to_owned());
            self.databases.insert((region.to_owned(), false, member), instance);
        }
    }

    /// Makes an instance just now.
    pub fn add_new_database(&mut self, region: &str, name: &str) {
        let database = Database::standing(region, name, false, 20, None, self.now);
        self.databases
            .insert((region.to_owned(), false, name.to_owned()), database);
    }

    /// Switches the automated backups of a database off, or on again.
    pub fn set_backed_up(&mut self, region: &str, name: &str, is_backed_up: bool) {
        let place = (region.to_owned(), false, name.to_owned());
        if let Some(database) = self.databases.get_mut(&place) {
            database.is_backed_up = is_backed_up;
        }
    }

    /// Makes an AWS Backup vault, whose copies are encrypted with `key`.
    pub fn add_vault(&mut self, region: &str, name: &str, key: &str) {
        let vault = Vault {
            key: key.to_owned(),
            is_locked: false,
        };
        self.backup.vaults.insert((region.to_owned(), name.to_owned()), vault);
    }

    /// Locks or unlocks an AWS Backup vault.
    pub fn lock_vault(&mut self, region: &str, name: &str, is_locked: bool) {
        if let Some(vault) = self.backup.vaults.get_mut(&(region.to_owned(), name.to_owned())) {
            vault.is_locked = is_locked;
        }
    }

    /// Makes a resource that AWS Backup can protect, of a type such as `RDS` or `EFS`.
    pub fn add_protected(&mut self, arn: &str, kind: &str, bytes: u64) {
        let protected = Protected {
            kind: kind.to_owned(),
            bytes,
            is_encrypted: true,
        };
        self.backup.protected.insert(arn.to_owned(), protected);
    }

    /// Makes a resource that AWS Backup can protect one that is not encrypted.
    pub fn leave_plain(&mut self, arn: &str) {
        if let Some(protected) = self.backup.protected.get_mut(arn) {
            protected.is_encrypted = false;
        }
    }

    /// Gives a database another state word, such as `modifying`.
    pub fn set_database_word(&mut self, region: &str, name: &str, is_cluster: bool, word: Option<&str>) {
        if let Some(database) = self
            .databases
            .get_mut(&(region.to_owned(), is_cluster, name.to_owned()))
        {
            database.word = word.map(str::to_owned);
        }
    }

    /// Takes a snapshot away, as if nobody had asked.
    pub fn lose_snapshot(&mut self, region: &str, name: &str, is_cluster: bool) -> bool {
        let place = (region.to_owned(), is_cluster, name.to_owned());
        self.snapshots.remove(&place).is_some()
    }

    /// The snapshots in a Region that have not failed: name, and whether it is available.
    pub fn snapshots_in(&self, region: &str) -> Vec<(String, bool)> {
        let here = self.snapshots.iter().filter(|((at, ..), _)| at == region);
        here.filter(|(_, snapshot)| !snapshot.has_failed)
            .map(|((.., name), snapshot)| (name.clone(), snapshot.available_at.is_some()))
            .collect()
    }

    /// The recovery points in a Region's vaults that can be restored.
    pub fn points_in(&self, region: &str) -> Vec<String> {
        let here = self.backup.points.values().filter(|point| point.region == region);
        here.filter(|point| point.is_completed)
            .map(|point| point.arn.clone())
            .collect()
    }

    /// The backups of tables in a Region.
    pub fn table_backups_in(&self, region: &str) -> usize {
        self.dynamo
            .backups
            .values()
            .filter(|backup| backup.region == region)
            .count()
    }
}
