//! The operations of RDS.

use std::collections::BTreeMap;

use super::databases::tag_list;
use super::services;
use super::snapshots::{Snapshot, keeps_busy};
use super::state::State;
use super::xml::{element, text};

/// A refused call: code, message, HTTP status.
pub(super) struct Refusal(pub &'static str, pub String, pub u16);

pub(super) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    let status = if code.contains("NotFound") { 404 } else { 400 };
    Err(Refusal(code, message.into(), status))
}

/// The parameters of a call.
pub(super) type Parameters = BTreeMap<String, String>;

/// One call.
pub(super) struct Call<'a> {
    pub region: &'a str,
    pub operation: &'a str,
    pub parameters: &'a Parameters,
}

/// The error codes of the two kinds, which AWS spells differently.
pub(super) struct Codes {
    pub snapshot_exists: &'static str,
    pub snapshot_missing: &'static str,
    pub snapshot_state: &'static str,
    pub source_missing: &'static str,
    pub source_state: &'static str,
    pub target_exists: &'static str,
}

pub(super) const INSTANCE: Codes = Codes {
    snapshot_exists: "DBSnapshotAlreadyExists",
    snapshot_missing: "DBSnapshotNotFound",
    snapshot_state: "InvalidDBSnapshotState",
    source_missing: "DBInstanceNotFound",
    source_state: "InvalidDBInstanceState",
    target_exists: "DBInstanceAlreadyExists",
};
pub(super) const CLUSTER: Codes = Codes {
    snapshot_exists: "DBClusterSnapshotAlreadyExistsFault",
    snapshot_missing: "DBClusterSnapshotNotFoundFault",
    snapshot_state: "InvalidDBClusterSnapshotStateFault",
    source_missing: "DBClusterNotFoundFault",
    source_state: "InvalidDBClusterStateFault",
    target_exists: "DBClusterAlreadyExistsFault",
};

impl Call<'_> {
    pub(super) fn is_cluster(&self) -> bool {
        self.operation.contains("Cluster")
    }

    pub(super) fn codes(&self) -> &'static Codes {
        if self.is_cluster() { &CLUSTER } else { &INSTANCE }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A parameter whose name says the kind: `DB%Identifier` is `DBInstanceIdentifier` or `DBClusterIdentifier`.
    pub(super) fn named(&self, instance: &str, cluster: &str) -> Result<String, Refusal> {
        let name = if self.is_cluster() { cluster } else { instance };
        match self.get(name) {
            Some(value) if !value.is_empty() => Ok(value.to_lowercase()),
            _ => refuse(
                "MissingParameter",
                format!("The request must contain the parameter {name}."),
            ),
        }
    }

    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let pairs = (1..=50).map_while(|n| {
            let name = self.get(&format!("Tags.Tag.{n}.Key"))?;
            let value = self.get(&format!("Tags.Tag.{n}.Value")).unwrap_or_default();
            Some((name.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }

    pub(super) fn place(&self, name: &str) -> (String, bool, String) {
        (self.region.to_owned(), self.is_cluster(), name.to_owned())
    }
}

/// Snapshot names: letters, digits and single hyphens, a letter first; those of clusters have at most 63 characters.
fn check_name(call: &Call<'_>, name: &str) -> Result<(), Refusal> {
    let most = if call.is_cluster() { 63 } else { 255 };
    let is_good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= most
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !name.contains("--")
        && !name.ends_with('-');
    if is_good {
        return Ok(());
    }
    refuse("InvalidParameterValue", format!("Invalid snapshot identifier: {name}"))
}

/// Carries out a call of RDS, and gives what stands inside its answer.
pub(super) fn carry_out(state: &mut State, call: &Call<'_>) -> Result<String, Refusal> {
    match call.operation {
        "CreateDBSnapshot" | "CreateDBClusterSnapshot" => state.create_snapshot(call),
        "CopyDBSnapshot" | "CopyDBClusterSnapshot" => state.copy_snapshot(call),
        "DescribeDBSnapshots" | "DescribeDBClusterSnapshots" => state.describe_snapshots(call),
        "DeleteDBSnapshot" | "DeleteDBClusterSnapshot" => state.delete_snapshot(call),
        "RestoreDBInstanceFromDBSnapshot" | "RestoreDBClusterFromSnapshot" => state.restore(call),
        "RestoreDBInstanceToPointInTime" | "RestoreDBClusterToPointInTime" => state.restore_to_time(call),
        "CreateDBInstance" => state.create_instance(call),
        "DescribeDBInstances" | "DescribeDBClusters" => state.describe_databases(call),
        "DescribeDBInstanceAutomatedBackups" => state.describe_automated_backups(call),
        "DeleteDBInstance" | "DeleteDBCluster" => state.delete_database(call),
        "DescribeAccountAttributes" => Ok(state.account_attributes(call)),
        "DescribeGlobalClusters" => state.describe_globals(call),
        "SwitchoverGlobalCluster" | "FailoverGlobalCluster" => state.move_global(call),
        "PromoteReadReplica" => state.promote_replica(call),
        "DescribeAutoScalingGroups" | "SetDesiredCapacity" => services::auto_scaling(state, call),
        "ListTagsForResource" => state.list_tags(call),
        other => refuse(
            "InvalidAction",
            format!("The action {other} is not one that the stand-in knows."),
        ),
    }
}

impl State {
    fn manual_snapshots(&self, region: &str, is_cluster: bool) -> usize {
        let places = self.snapshots.keys();
        places
            .filter(|(at, cluster, _)| at == region && *cluster == is_cluster)
            .count()
    }

    fn check_quota(&self, call: &Call<'_>) -> Result<(), Refusal> {
        if self.manual_snapshots(call.region, call.is_cluster()) < self.snapshot_quota {
            return Ok(());
        }
        refuse(
            "SnapshotQuotaExceeded",
            format!("Cannot create more than {} manual snapshots", self.snapshot_quota),
        )
    }

    fn check_key(&self, call: &Call<'_>, key: &str) -> Result<(), Refusal> {
        let is_here = key.split(':').nth(3) == Some(call.region);
        if is_here && self.keys.contains(key) {
            return Ok(());
        }
        refuse(
            "KMSKeyNotAccessibleFault",
            format!("The KMS key {key} does not exist or is not accessible."),
        )
    }

    fn create_snapshot(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let codes = call.codes();
        let name = call.named("DBSnapshotIdentifier", "DBClusterSnapshotIdentifier")?;
        let source = call.named("DBInstanceIdentifier", "DBClusterIdentifier")?;
        check_name(call, &name)?;
        let Some(database) = self.databases.get(&call.place(&source)).cloned() else {
            return refuse(codes.source_missing, format!("{source} not found."));
        };
        if self.snapshots.contains_key(&call.place(&name)) {
            return refuse(
                codes.snapshot_exists,
                format!("Cannot create the snapshot because one with the identifier {name} already exists."),
            );
        }
        let busy = self.snapshots.values();
        let is_busy = busy
            .into_iter()
            .any(|other| keeps_busy(other, call.region, call.is_cluster(), &source));
        let word = database.state(self.now);
        if is_busy || !matches!(word, "available" | "storage-optimization") {
            let word = if is_busy { "backing-up" } else { word };
            return refuse(
                codes.source_state,
                format!("{source} is not in the available state, but {word}."),
            );
        }
        self.check_quota(call)?;
        let snapshot = Snapshot {
            region: call.region.to_owned(),
            name: name.clone(),
            is_cluster: call.is_cluster(),
            source,
            engine: database.engine,
            gibibytes: database.gibibytes,
            key: database.key,
            tags: call.tags(),
            origin: None,
            original_at: self.now,
            begun_at: Some(self.now),
            available_at: None,
            is_doomed: self.takes_doom(),
            has_failed: false,
        };
        let arn = snapshot.arn();
        let id = if call.is_cluster() {
            "RDS-EVENT-0074"
        } else {
            "RDS-EVENT-0040"
        };
        self.emit_snapshot(
            call.region,
            call.is_cluster(),
            &arn,
            &name,
            id,
            "Creating manual snapshot",
        );
        let answer = self.snapshot_xml(&snapshot);
        self.snapshots.insert(call.place(&name), snapshot);
        Ok(answer)
    }

    /// What RDS asks of a copy: a key where one is needed, and a place.
    fn check_copy(&self, call: &Call<'_>, source: &Snapshot, region: &str) -> Result<(), Refusal> {
        match call.get("KmsKeyId") {
            Some(_) if call.is_cluster() && source.key.is_none() => {
                return refuse(
                    "InvalidParameterCombination",
                    "A copy of an unencrypted DB cluster snapshot cannot be encrypted.",
                );
            }
            Some(key) => self.check_key(call, key)?,
            None if source.key.is_some() && region != call.region => {
                return refuse(
                    "InvalidParameterCombination",
                    "A KMS key must be given to copy an encrypted snapshot to another Region.",
                );
            }
            None => {}
        }
        if self.copies_into(call.region) >= self.copy_quota {
            return refuse(
                "SnapshotQuotaExceeded",
                format!(
                    "Cannot have more than {} snapshot copies in progress to {}",
                    self.copy_quota, call.region
                ),
            );
        }
        self.check_quota(call)
    }

    fn copy_snapshot(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let codes = call.codes();
        let from = call.named("SourceDBSnapshotIdentifier", "SourceDBClusterSnapshotIdentifier")?;
        let name = call.named("TargetDBSnapshotIdentifier", "TargetDBClusterSnapshotIdentifier")?;
        check_name(call, &name)?;
        let mut parts = from.splitn(7, ':');
        let (region, id) = match (parts.nth(3), parts.nth(2)) {
            (Some(region), Some(id)) => (region.to_owned(), id.to_owned()),
            _ => (call.region.to_owned(), from.clone()),
        };
        let place = (region.clone(), call.is_cluster(), id);
        let Some(source) = self.snapshots.get(&place).cloned() else {
            return refuse(codes.snapshot_missing, format!("{from} not found."));
        };
        if self.snapshots.contains_key(&call.place(&name)) {
            return refuse(
                codes.snapshot_exists,
                format!("A snapshot with the identifier {name} already exists."),
            );
        }
        if source.available_at.is_none() {
            return refuse(codes.snapshot_state, format!("{from} is not available."));
        }
        self.check_copy(call, &source, &region)?;
        let mut tags = call.tags();
        if tags.is_empty() && call.get("CopyTags") == Some("true") {
            tags = source.tags.clone();
        }
        let copy = Snapshot {
            region: call.region.to_owned(),
            name: name.clone(),
            key: call.get("KmsKeyId").map(str::to_owned).or(source.key.clone()),
            tags,
            origin: Some(source.arn()),
            begun_at: None,
            available_at: None,
            is_doomed: self.takes_doom(),
            has_failed: false,
            ..source
        };
        let arn = copy.arn();
        self.emit_snapshot(
            call.region,
            call.is_cluster(),
            &arn,
            &name,
            "RDS-EVENT-0059",
            "Started copy of snapshot",
        );
        let answer = self.snapshot_xml(&copy);
        self.snapshots.insert(call.place(&name), copy);
        let now_copying = self.copies_into(call.region);
        let most = self.most_copies.entry(call.region.to_owned()).or_default();
        *most = now_copying.max(*most);
        Ok(answer)
    }

    fn describe_snapshots(&self, call: &Call<'_>) -> Result<String, Refusal> {
        let named = |parameter: &str| call.get(parameter).map(str::to_lowercase);
        let (name, source, list) = match call.is_cluster() {
            true => (
                named("DBClusterSnapshotIdentifier"),
                named("DBClusterIdentifier"),
                "DBClusterSnapshots",
            ),
            false => (
                named("DBSnapshotIdentifier"),
                named("DBInstanceIdentifier"),
                "DBSnapshots",
            ),
        };
        if let Some(name) = &name
            && !self.snapshots.contains_key(&call.place(name))
        {
            return refuse(call.codes().snapshot_missing, format!("{name} not found."));
        }
        let kind = call.get("SnapshotType");
        let found: Vec<&Snapshot> = self
            .snapshots
            .iter()
            .filter(|((region, is_cluster, id), snapshot)| {
                region == call.region
                    && *is_cluster == call.is_cluster()
                    && name.as_ref().is_none_or(|name| name == id)
                    && source.as_ref().is_none_or(|source| source == &snapshot.source)
                    && kind.is_none_or(|kind| kind == "manual")
            })
            .map(|(_, snapshot)| snapshot)
            .collect();
        page(call, list, &found, |snapshot| self.snapshot_xml(snapshot))
    }

    fn delete_snapshot(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.named("DBSnapshotIdentifier", "DBClusterSnapshotIdentifier")?;
        let Some(snapshot) = self.snapshots.get(&call.place(&name)).cloned() else {
            return refuse(call.codes().snapshot_missing, format!("{name} not found."));
        };
        // A copy in progress is cancelled by deleting it.
        if snapshot.is_in_progress() && snapshot.origin.is_none() {
            return refuse(call.codes().snapshot_state, format!("{name} is being created."));
        }
        self.snapshots.remove(&call.place(&name));
        self.emit_snapshot(
            call.region,
            call.is_cluster(),
            &snapshot.arn(),
            &name,
            "RDS-EVENT-0041",
            "Deleted manual snapshot",
        );
        Ok(self.snapshot_xml(&snapshot))
    }

    fn account_attributes(&self, call: &Call<'_>) -> String {
        let quota = |name: &str, is_cluster: bool| {
            let used = self.manual_snapshots(call.region, is_cluster).to_string();
            let most = self.snapshot_quota.to_string();
            let inside = text("AccountQuotaName", name) + &text("Used", &used) + &text("Max", &most);
            element("AccountQuota", &inside)
        };
        let quotas = quota("ManualSnapshots", false) + &quota("ManualClusterSnapshots", true);
        element("AccountQuotas", &quotas)
    }

    fn list_tags(&self, call: &Call<'_>) -> Result<String, Refusal> {
        let arn = call.get("ResourceName").unwrap_or_default();
        let snapshot = self.snapshots.values().find(|snapshot| snapshot.arn() == arn);
        let database = self.databases.values().find(|database| database.arn() == arn);
        match (snapshot, database) {
            (Some(snapshot), _) => Ok(tag_list(&snapshot.tags)),
            (None, Some(database)) => Ok(tag_list(&database.tags)),
            (None, None) => refuse("InvalidParameterValue", format!("{arn} does not exist.")),
        }
    }
}

/// One page of a list, of 20 to 100 entries.
pub(super) fn page<T>(
    call: &Call<'_>,
    list: &str,
    found: &[&T],
    write: impl Fn(&T) -> String,
) -> Result<String, Refusal> {
    let size = call.get("MaxRecords").map_or(Ok(100), str::parse::<usize>).unwrap_or(0);
    if !(20..=100).contains(&size) {
        return refuse("InvalidParameterValue", "MaxRecords must be between 20 and 100.");
    }
    let start = call.get("Marker").map_or(Ok(0), str::parse::<usize>);
    let Ok(start) = start else {
        return refuse("InvalidParameterValue", "The marker is not one that was given.");
    };
    let shown: String = found.iter().skip(start).take(size).map(|one| write(one)).collect();
    let next = start + size;
    let marker = if next < found.len() {
        text("Marker", &next.to_string())
    } else {
        String::new()
    };
    Ok(format!("{marker}{}", element(list, &shown)))
}
