//! The operations of RDS on databases themselves.

use jiff::Timestamp;

use super::databases::Database;
use super::rds::{CLUSTER, Call, INSTANCE, Refusal, page, refuse};
use super::state::State;

impl State {
    fn insert_database(&mut self, call: &Call<'_>, mut database: Database) -> Result<String, Refusal> {
        let place = (call.region.to_owned(), database.is_cluster, database.name.clone());
        if self.databases.contains_key(&place) {
            let codes = if database.is_cluster { &CLUSTER } else { &INSTANCE };
            return refuse(codes.target_exists, format!("{} already exists.", database.name));
        }
        for (group, code) in [
            ("DBSubnetGroupName", "DBSubnetGroupNotFoundFault"),
            ("DBParameterGroupName", "DBParameterGroupNotFound"),
        ] {
            if let Some(name) = call.get(group).filter(|name| *name == "missing") {
                return refuse(code, format!("{group} {name} does not exist."));
            }
        }
        database.tags = call.tags();
        database.made_at = self.now;
        database.ready_at = self.after(self.durations.restore);
        database.word = None;
        if let Some(class) = call.get("DBInstanceClass") {
            database.class = class.to_owned();
        }
        let answer = self.database_xml(&database);
        self.databases.insert(place, database);
        Ok(answer)
    }

    pub(super) fn restore(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let target = call.named("DBInstanceIdentifier", "DBClusterIdentifier")?;
        let from = call.named("DBSnapshotIdentifier", "SnapshotIdentifier")?;
        let Some(snapshot) = self.snapshots.get(&call.place(&from)) else {
            return refuse(call.codes().snapshot_missing, format!("{from} not found."));
        };
        if snapshot.available_at.is_none() {
            return refuse(call.codes().snapshot_state, format!("{from} is not available."));
        }
        let is_cluster = call.is_cluster();
        let (size, key) = (snapshot.gibibytes, snapshot.key.as_deref());
        let database = Database::standing(call.region, &target, is_cluster, size, key, self.now);
        self.insert_database(call, database)
    }

    pub(super) fn restore_to_time(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let source = call.named("SourceDBInstanceIdentifier", "SourceDBClusterIdentifier")?;
        let target = call.named("TargetDBInstanceIdentifier", "DBClusterIdentifier")?;
        let Some(database) = self.databases.get(&call.place(&source)).cloned() else {
            return refuse(call.codes().source_missing, format!("{source} not found."));
        };
        let at = call.get("RestoreTime").or(call.get("RestoreToTime"));
        let Some((first, latest)) = self.restorable(&database) else {
            return refuse("InvalidRestoreFault", format!("{source} has no automated backups."));
        };
        let wanted = match at.map(str::parse::<Timestamp>) {
            Some(Ok(at)) => at,
            Some(Err(_)) => return refuse("InvalidParameterValue", "The restore time is not a time."),
            None => latest,
        };
        if wanted > latest || wanted < first {
            let message = format!("The restore time must lie between {first} and {latest}.");
            return refuse("InvalidParameterValue", message);
        }
        self.insert_database(
            call,
            Database {
                name: target,
                ..database
            },
        )
    }

    pub(super) fn create_instance(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.named("DBInstanceIdentifier", "")?;
        let cluster = call.get("DBClusterIdentifier").map(str::to_lowercase);
        if let Some(cluster) = &cluster
            && !self
                .databases
                .contains_key(&(call.region.to_owned(), true, cluster.clone()))
        {
            return refuse("DBClusterNotFoundFault", format!("{cluster} not found."));
        }
        let size = call
            .get("AllocatedStorage")
            .and_then(|size| size.parse().ok())
            .unwrap_or(20);
        let mut database = Database::standing(call.region, &name, false, size, None, self.now);
        database.cluster = cluster;
        self.insert_database(call, database)
    }

    pub(super) fn describe_databases(&self, call: &Call<'_>) -> Result<String, Refusal> {
        let (parameter, list) = match call.is_cluster() {
            true => ("DBClusterIdentifier", "DBClusters"),
            false => ("DBInstanceIdentifier", "DBInstances"),
        };
        let name = call.get(parameter).map(str::to_lowercase);
        if let Some(name) = &name
            && !self.databases.contains_key(&call.place(name))
        {
            return refuse(call.codes().source_missing, format!("{name} not found."));
        }
        let found: Vec<&Database> = self
            .databases
            .iter()
            .filter(|((region, is_cluster, id), _)| {
                region == call.region && *is_cluster == call.is_cluster() && name.as_ref().is_none_or(|name| name == id)
            })
            .map(|(_, database)| database)
            .collect();
        page(call, list, &found, |database| self.database_xml(database))
    }

    pub(super) fn describe_automated_backups(&self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.named("DBInstanceIdentifier", "DBClusterIdentifier")?;
        let Some(database) = self.databases.get(&call.place(&name)) else {
            return refuse(call.codes().source_missing, format!("{name} not found."));
        };
        let found: Vec<&Database> = Some(database)
            .filter(|database| database.is_backed_up)
            .into_iter()
            .collect();
        page(call, "DBInstanceAutomatedBackups", &found, |database| {
            self.automated_backup_xml(database)
        })
    }

    pub(super) fn delete_database(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.named("DBInstanceIdentifier", "DBClusterIdentifier")?;
        let skips = call.get("SkipFinalSnapshot") == Some("true");
        if !skips && call.get("FinalDBSnapshotIdentifier").is_none() {
            return refuse(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            );
        }
        match self.databases.remove(&call.place(&name)) {
            Some(database) => Ok(self.database_xml(&database)),
            None => refuse(call.codes().source_missing, format!("{name} not found.")),
        }
    }
}
