//! Databases that follow others: Aurora global databases and read replicas of RDS instances.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::databases::bool_word;
use super::rds::{Call, Refusal, refuse};
use super::state::{ACCOUNT, State};
use super::xml::{element, text};

/// An Aurora global database.
#[derive(Debug, Clone)]
pub(super) struct GlobalDatabase {
    /// The ARNs of its clusters.
    members: Vec<String>,
    writer: String,
    moving: Option<Move>,
}

/// A writer's move to another cluster.
#[derive(Debug, Clone)]
struct Move {
    to: String,
    allow_loss: bool,
    until: Timestamp,
}

fn region_of(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

impl GlobalDatabase {
    fn xml(&self, name: &str, lost: &BTreeSet<String>) -> String {
        let member = |arn: &String| {
            let synchronization = match lost.contains(region_of(arn)) {
                true => "pending-resync",
                false => "connected",
            };
            let inside = text("DBClusterArn", arn)
                + &text("IsWriter", bool_word(*arn == self.writer))
                + &text("SynchronizationStatus", synchronization);
            element("GlobalClusterMember", &inside)
        };
        let members: String = self.members.iter().map(member).collect();
        let status = match &self.moving {
            None => "available",
            Some(Move { allow_loss: true, .. }) => "failing-over",
            Some(_) => "switching-over",
        };
        let state = self.moving.as_ref().map(|moving| {
            let inside = text("Status", "failing-over")
                + &text("FromDbClusterArn", &self.writer)
                + &text("ToDbClusterArn", &moving.to)
                + &text("IsDataLossAllowed", bool_word(moving.allow_loss));
            element("FailoverState", &inside)
        });
        text("GlobalClusterIdentifier", name)
            + &text("Engine", "aurora-postgresql")
            + &text("Status", status)
            + &element("GlobalClusterMembers", &members)
            + &state.unwrap_or_default()
    }
}

impl State {
    /// Makes a global database of a cluster of the same name in each of these Regions; the first one writes.
    pub fn add_global(&mut self, name: &str, regions: &[&str]) {
        let arn = |region: &&str| format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:{name}");
        let members: Vec<String> = regions.iter().map(arn).collect();
        for region in regions {
            self.add_database(region, name, true, 100, None);
        }
        let database = GlobalDatabase {
            writer: members.first().cloned().unwrap_or_default(),
            members,
            moving: None,
        };
        self.globals.insert(name.to_owned(), database);
    }

    /// The Region in which a global database is written.
    pub fn writer_of(&self, global: &str) -> Option<&str> {
        self.globals.get(global).map(|database| region_of(&database.writer))
    }

    /// Makes an instance a read replica of another.
    pub fn make_replica(&mut self, region: &str, name: &str, source: &str) {
        let place = (region.to_owned(), false, name.to_owned());
        if let Some(database) = self.databases.get_mut(&place) {
            database.source = Some(source.to_owned());
        }
    }

    pub(super) fn settle_moves(&mut self) {
        let now = self.now;
        for database in self.globals.values_mut() {
            if let Some(moved) = database.moving.take_if(|moving| moving.until <= now) {
                database.writer = moved.to;
            }
        }
        for database in self.databases.values_mut() {
            if database.promoted_at.take_if(|at| *at <= now).is_some() {
                database.source = None;
            }
        }
    }

    pub(super) fn describe_globals(&self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.get("GlobalClusterIdentifier").unwrap_or_default();
        match self.globals.get(name) {
            Some(database) => Ok(element(
                "GlobalClusters",
                &element("GlobalClusterMember", &database.xml(name, &self.lost_regions)),
            )),
            None => refuse("GlobalClusterNotFoundFault", format!("{name} not found.")),
        }
    }

    pub(super) fn move_global(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.get("GlobalClusterIdentifier").unwrap_or_default();
        let to = call.get("TargetDbClusterIdentifier").unwrap_or_default();
        let allow_loss = call.operation == "FailoverGlobalCluster" && call.get("AllowDataLoss") == Some("true");
        let until = self.after(self.move_takes);
        let lost = &self.lost_regions;
        let Some(database) = self.globals.get_mut(name) else {
            return refuse("GlobalClusterNotFoundFault", format!("{name} not found."));
        };
        if !database.members.iter().any(|member| member == to) {
            return refuse("DBClusterNotFoundFault", format!("{to} is not in {name}."));
        }
        if to == database.writer || database.moving.is_some() {
            return refuse(
                "InvalidGlobalClusterStateFault",
                format!("{name} cannot be moved to {to} now."),
            );
        }
        // Nothing is lost in a switchover, so that both sides must be there.
        let is_away = database.members.iter().any(|member| lost.contains(region_of(member)));
        if !allow_loss && is_away {
            return refuse(
                "InvalidGlobalClusterStateFault",
                format!("A cluster of {name} is not available."),
            );
        }
        database.moving = Some(Move {
            to: to.to_owned(),
            allow_loss,
            until,
        });
        Ok(element("GlobalCluster", &database.xml(name, lost)))
    }

    pub(super) fn promote_replica(&mut self, call: &Call<'_>) -> Result<String, Refusal> {
        let name = call.named("DBInstanceIdentifier", "DBClusterIdentifier")?;
        let (now, until) = (self.now, self.after(self.move_takes));
        let Some(database) = self.databases.get_mut(&call.place(&name)) else {
            return refuse("DBInstanceNotFound", format!("{name} not found."));
        };
        if database.source.is_none() {
            return refuse("InvalidDBInstanceState", format!("{name} is not a read replica."));
        }
        let word = database.state(now).to_owned();
        if word != "available" {
            return refuse("InvalidDBInstanceState", format!("{name} is {word}."));
        }
        database.promoted_at = Some(until);
        let answer = database.clone();
        Ok(self.database_xml(&answer))
    }
}

/// What an instance that is being promoted is doing: it restarts in the last half minute.
pub(super) fn promotion_word(promoted_at: Timestamp, now: Timestamp) -> &'static str {
    let left = promoted_at.duration_since(now);
    if left > SignedDuration::from_secs(30) {
        "modifying"
    } else {
        "rebooting"
    }
}
