//! Aurora global databases: switchover, which loses nothing, and failover, which may. Both keep the topology: the old writer's
//! cluster follows when its Region is back. Calls go to the Region of the cluster that is to write.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{
    FailoverStatus, GlobalCluster, GlobalClusterMember, GlobalClusterMemberSynchronizationStatus,
};
use holdfast_core::domain::{Act, ActOrder, Failure, FailureKind, Seen};
use holdfast_core::ports::Actuators;

use super::{cannot, done, invalid, settings};
use crate::clients::Clients;
use crate::failure::{code, failure};

/// Global databases.
pub(super) struct AuroraGlobal {
    pub clients: Arc<Clients>,
}

/// What is wanted of the cluster that the order names.
#[derive(Clone, Copy)]
enum Wish {
    /// That it writes.
    Write { allow_loss: bool },
    /// That it follows the one that writes.
    Follow,
}

/// A cluster of a global database, as an order names it.
struct Member<'a> {
    client: Client,
    global: &'a str,
    /// The ARN of the cluster in the actuator's Region.
    cluster: &'a str,
    wish: Wish,
}

impl AuroraGlobal {
    fn member<'a>(&self, order: &'a ActOrder) -> Result<Member<'a>, Failure> {
        let wish = match order.act {
            Act::Promote { allow_loss } => Wish::Write { allow_loss },
            Act::Follow { .. } => Wish::Follow,
            _ => {
                return Err(cannot(
                    order,
                    "promote and follow: a switchover or failover fences the old writer itself",
                ));
            }
        };
        Ok(Member {
            client: self.clients.of(order.on.region()).rds(),
            global: settings::required(order, "global-cluster")?,
            cluster: settings::required(order, "cluster-arn")?,
            wish,
        })
    }
}

impl Member<'_> {
    async fn describe(&self) -> Result<GlobalCluster, Failure> {
        let call = self
            .client
            .describe_global_clusters()
            .global_cluster_identifier(self.global);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("RDS DescribeGlobalClusters", self.global, &error))?;
        let found = answer.global_clusters().first().cloned();
        found.ok_or_else(|| {
            let message = format!(
                "RDS DescribeGlobalClusters on {}: there is no such global cluster",
                self.global
            );
            Failure::new(FailureKind::NotFound, message)
        })
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let global = self.describe().await?;
        if let Some(moving) = moving(&global, order)? {
            return Ok(moving);
        }
        let members = global.global_cluster_members();
        let own = members
            .iter()
            .find(|member| member.db_cluster_arn() == Some(self.cluster));
        let Some(own) = own else {
            let why = format!("{} is no member of global cluster {}", self.cluster, self.global);
            return Err(invalid(order, why));
        };
        let word = global.status().unwrap_or_default();
        let settled = is_settled(order, word)?;
        Ok(match (self.wish, own.is_writer() == Some(true)) {
            (Wish::Write { .. }, false) => Seen::NotDone,
            (Wish::Follow, true) => Seen::NotDone,
            _ if !settled => working(format!("global cluster {} is {word}", self.global)),
            (Wish::Write { allow_loss }, true) => self.writes(allow_loss),
            (Wish::Follow, false) => follows(own),
        })
    }

    /// What a promotion that stands has cost: nothing where none was allowed; else RDS does not tell, and the heartbeat does.
    fn writes(&self, allow_loss: bool) -> Seen {
        Seen::Done {
            note: format!("{} is the writer of global cluster {}", self.cluster, self.global),
            lag_seconds: (!allow_loss).then_some(0.0),
            divergence: None,
        }
    }

    async fn promote(&self, allow_loss: bool) -> Result<(), Failure> {
        if allow_loss {
            let call = self
                .client
                .failover_global_cluster()
                .global_cluster_identifier(self.global)
                .target_db_cluster_identifier(self.cluster)
                .allow_data_loss(true);
            let answer = call.send().await.map(|_| ());
            return answer.map_err(|error| failure("RDS FailoverGlobalCluster", self.global, &error));
        }
        let call = self
            .client
            .switchover_global_cluster()
            .global_cluster_identifier(self.global)
            .target_db_cluster_identifier(self.cluster);
        match call.send().await {
            Ok(_) => Ok(()),
            // Nothing that waiting mends: a Region that is lost does not answer, and versions stay as they are.
            Err(error) if code(&error) == Some("InvalidGlobalClusterStateFault") => {
                let mut refused = failure("RDS SwitchoverGlobalCluster", self.global, &error);
                refused.message += ": every cluster of it must be healthy for a switchover; if the writer's Region is lost, order a failover";
                Err(refused)
            }
            Err(error) => Err(failure("RDS SwitchoverGlobalCluster", self.global, &error)),
        }
    }
}

/// A switchover or failover that is under way, whoever ordered it; one to another cluster is in the way of the order.
fn moving(global: &GlobalCluster, order: &ActOrder) -> Result<Option<Seen>, Failure> {
    let Some(state) = global.failover_state() else {
        return Ok(None);
    };
    let to = state.to_db_cluster_arn().unwrap_or_default();
    let word = match state.status() {
        Some(status @ (FailoverStatus::Pending | FailoverStatus::FailingOver | FailoverStatus::Cancelling)) => {
            status.as_str()
        }
        other => {
            let word = other.map_or("none", FailoverStatus::as_str);
            let why =
                format!("the state \"{word}\" of a failover is one that this version does not know; update Holdfast");
            return Err(invalid(order, why));
        }
    };
    Ok(Some(working(format!("a move of the writer to {to} is {word}"))))
}

/// Whether a global cluster in this state is at rest.
fn is_settled(order: &ActOrder, word: &str) -> Result<bool, Failure> {
    match word {
        "available" => Ok(true),
        "creating" | "failing-over" | "switching-over" | "modifying" | "upgrading" | "promoting" => Ok(false),
        other => {
            let other: String = other.chars().take(40).collect();
            Err(invalid(
                order,
                format!(
                    "the global cluster is \"{other}\", a word that this version does not know or that nothing good follows from"
                ),
            ))
        }
    }
}

fn follows(own: &GlobalClusterMember) -> Seen {
    match own.synchronization_status() {
        Some(GlobalClusterMemberSynchronizationStatus::Connected) => done("it follows the writer"),
        other => {
            let word = other.map_or("not told", |status| status.as_str());
            working(format!("it is no writer; its synchronization is {word}"))
        }
    }
}

fn working(note: String) -> Seen {
    Seen::Working { note }
}

#[async_trait]
impl Actuators for AuroraGlobal {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let member = self.member(order)?;
        match (member.look(order).await?, member.wish) {
            (Seen::Done { .. } | Seen::Working { .. }, _) => Ok(()),
            (Seen::NotDone, Wish::Write { allow_loss }) => member.promote(allow_loss).await,
            (Seen::NotDone, Wish::Follow) => {
                let why = "it is the writer: it follows once another cluster is promoted, without an order";
                Err(invalid(order, why))
            }
        }
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        self.member(order)?.look(order).await
    }
}
