//! Instances and clusters.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{ACCOUNT, State};
use super::topologies::promotion_word;
use super::xml::{element, text};

/// An instance or cluster.
#[derive(Debug, Clone)]
pub(super) struct Database {
    pub region: String,
    pub name: String,
    pub is_cluster: bool,
    pub gibibytes: u32,
    pub key: Option<String>,
    pub class: String,
    pub engine: String,
    pub subnet_group: String,
    pub parameter_group: String,
    pub tags: BTreeMap<String, String>,
    /// The cluster of an instance.
    pub cluster: Option<String>,
    /// What it is a read replica of.
    pub source: Option<String>,
    /// When its promotion ends.
    pub promoted_at: Option<Timestamp>,
    pub made_at: Timestamp,
    /// From here on it is available.
    pub ready_at: Timestamp,
    /// A word that stands for its state, if a test gave one.
    pub word: Option<String>,
    /// Whether automated backups are made, with log that leads on from them. A cluster cannot be without.
    pub is_backed_up: bool,
}

impl Database {
    pub(super) fn standing(
        region: &str,
        name: &str,
        is_cluster: bool,
        gibibytes: u32,
        key: Option<&str>,
        made_at: Timestamp,
    ) -> Self {
        Self {
            region: region.to_owned(),
            name: name.to_owned(),
            is_cluster,
            gibibytes,
            key: key.map(str::to_owned),
            class: "db.t4g.medium".to_owned(),
            engine: if is_cluster { "aurora-postgresql" } else { "postgres" }.to_owned(),
            subnet_group: "private".to_owned(),
            parameter_group: "tuned".to_owned(),
            tags: BTreeMap::new(),
            cluster: None,
            source: None,
            promoted_at: None,
            made_at,
            ready_at: made_at,
            word: None,
            is_backed_up: true,
        }
    }

    pub(super) fn arn(&self) -> String {
        let kind = if self.is_cluster { "cluster" } else { "db" };
        format!("arn:aws:rds:{}:{ACCOUNT}:{kind}:{}", self.region, self.name)
    }

    pub(super) fn state(&self, now: Timestamp) -> &str {
        match (&self.word, self.promoted_at) {
            (Some(word), _) => word,
            (None, Some(at)) if at > now => promotion_word(at, now),
            _ if self.ready_at > now => "creating",
            _ => "available",
        }
    }
}

/// Tags as the service tells them.
pub(super) fn tag_list(tags: &BTreeMap<String, String>) -> String {
    let tags: String = tags
        .iter()
        .map(|(name, value)| element("Tag", &format!("{}{}", text("Key", name), text("Value", value))))
        .collect();
    element("TagList", &tags)
}

/// A time as XML has it.
pub(super) fn time(name: &str, at: Timestamp) -> String {
    text(name, &at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

impl State {
    /// A database as the service describes it.
    pub(super) fn database_xml(&self, database: &Database) -> String {
        if database.is_cluster {
            return self.cluster_xml(database);
        }
        let subnet = element("DBSubnetGroup", &text("DBSubnetGroupName", &database.subnet_group));
        let parameter = element(
            "DBParameterGroup",
            &text("DBParameterGroupName", &database.parameter_group),
        );
        let mut inside = String::new();
        inside += &text("DBInstanceIdentifier", &database.name);
        inside += &text("DBInstanceClass", &database.class);
        inside += &text("Engine", &database.engine);
        inside += &text("DBInstanceStatus", database.state(self.now));
        inside += &text("AllocatedStorage", &database.gibibytes.to_string());
        inside += &time("InstanceCreateTime", database.made_at);
        if let Some((_, latest)) = self.restorable(database) {
            inside += &time("LatestRestorableTime", latest);
        }
        inside += &subnet;
        inside += &element("DBParameterGroups", &parameter);
        inside += &element("VpcSecurityGroups", &group_xml());
        inside += &text("StorageEncrypted", bool_word(database.key.is_some()));
        inside += &database
            .key
            .as_deref()
            .map(|key| text("KmsKeyId", key))
            .unwrap_or_default();
        inside += &database
            .cluster
            .as_deref()
            .map(|name| text("DBClusterIdentifier", name))
            .unwrap_or_default();
        inside += &database
            .source
            .as_deref()
            .map(|name| text("ReadReplicaSourceDBInstanceIdentifier", name))
            .unwrap_or_default();
        inside += &text("DBInstanceArn", &database.arn());
        inside += &tag_list(&database.tags);
        element("DBInstance", &inside)
    }

    fn cluster_xml(&self, cluster: &Database) -> String {
        let members: String = self
            .databases
            .values()
            .filter(|member| member.region == cluster.region && member.cluster.as_ref() == Some(&cluster.name))
            .map(|member| {
                let inside = format!(
                    "{}{}",
                    text("DBInstanceIdentifier", &member.name),
                    text("IsClusterWriter", "true")
                );
                element("DBClusterMember", &inside)
            })
            .collect();
        let mut inside = String::new();
        inside += &text("DBClusterIdentifier", &cluster.name);
        inside += &text("Engine", &cluster.engine);
        inside += &text("EngineVersion", "16.4");
        inside += &text("Status", cluster.state(self.now));
        inside += &text("AllocatedStorage", "1");
        inside += &text("DBSubnetGroup", &cluster.subnet_group);
        inside += &text("DBClusterParameterGroup", &cluster.parameter_group);
        inside += &time("ClusterCreateTime", cluster.made_at);
        if let Some((first, latest)) = self.restorable(cluster) {
            inside += &time("EarliestRestorableTime", first);
            inside += &time("LatestRestorableTime", latest);
        }
        inside += &element("VpcSecurityGroups", &group_xml());
        inside += &element("DBClusterMembers", &members);
        inside += &text("StorageEncrypted", bool_word(cluster.key.is_some()));
        inside += &cluster
            .key
            .as_deref()
            .map(|key| text("KmsKeyId", key))
            .unwrap_or_default();
        inside += &text("DBClusterArn", &cluster.arn());
        inside += &tag_list(&cluster.tags);
        element("DBCluster", &inside)
    }

    /// The automated backups of an instance, as the service describes them.
    pub(super) fn automated_backup_xml(&self, database: &Database) -> String {
        let window = self.restorable(database);
        let mut inside = text("DBInstanceIdentifier", &database.name);
        inside += &text("DBInstanceArn", &database.arn());
        inside += &text("Status", if window.is_some() { "active" } else { "creating" });
        inside += &element(
            "RestoreWindow",
            &window.map_or_else(String::new, |(first, latest)| {
                time("EarliestTime", first) + &time("LatestTime", latest)
            }),
        );
        element("DBInstanceAutomatedBackup", &inside)
    }

    /// From when until when a database can be restored to any moment: within a week, once the first backup is made.
    pub(super) fn restorable(&self, database: &Database) -> Option<(Timestamp, Timestamp)> {
        let latest = self.latest_restorable();
        let week = jiff::SignedDuration::from_hours(7 * 24);
        let first = latest.saturating_sub(week).unwrap_or(latest).max(database.made_at);
        (database.is_backed_up && first <= latest).then_some((first, latest))
    }

    /// Logs reach the archive every five minutes.
    pub(super) fn latest_restorable(&self) -> Timestamp {
        self.now
            .saturating_sub(jiff::SignedDuration::from_mins(5))
            .unwrap_or(self.now)
    }
}

fn group_xml() -> String {
    element("VpcSecurityGroupMembership", &text("VpcSecurityGroupId", "sg-0123"))
}

/// A truth value as XML has it.
pub(super) fn bool_word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
