//! Read replicas of RDS instances: promotion, which makes a database of its own of one. Replication is asynchronous and RDS
//! does not tell how far it is, so that nothing can be promised about loss; and there is no way back but a new replica.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{Act, ActOrder, Failure, FailureKind, Seen};
use holdfast_core::ports::Actuators;

use super::{cannot, done, invalid, settings};
use crate::clients::Clients;
use crate::engines::{DatabaseState, database_state, rds_instance};
use crate::failure::failure;

/// Read replicas.
pub(super) struct RdsReplicas {
    pub clients: Arc<Clients>,
}

/// What a look at an instance tells.
struct Look {
    /// What it is a replica of, if it is one.
    source: Option<String>,
    state: DatabaseState,
    word: String,
}

impl RdsReplicas {
    fn check(order: &ActOrder) -> Result<&str, Failure> {
        let Act::Promote { .. } = order.act else {
            return Err(cannot(order, "promote: its source cannot be fenced through RDS"));
        };
        settings::required(order, "instance")
    }

    async fn find(&self, order: &ActOrder, name: &str) -> Result<Look, Failure> {
        let client = self.clients.of(order.on.region()).rds();
        let found = rds_instance(&client, name).await?.ok_or_else(|| {
            let message = format!("there is no RDS instance \"{name}\" in {}", order.on.region());
            Failure::new(FailureKind::NotFound, message)
        })?;
        let word = found.db_instance_status().unwrap_or_default().to_owned();
        let source = found.read_replica_source_db_instance_identifier();
        Ok(Look {
            source: source.filter(|source| !source.is_empty()).map(str::to_owned),
            state: database_state(&format!("RDS instance {name}"), &word)?,
            word,
        })
    }

    fn seen(order: &ActOrder, name: &str, look: &Look) -> Result<Seen, Failure> {
        let word = &look.word;
        Ok(match (&look.source, &look.state) {
            (_, DatabaseState::Failed) => {
                let why = format!("RDS instance {name} is {word}: it takes no promotion; mend or replace it");
                return Err(invalid(order, why));
            }
            (None, DatabaseState::Available) => done(format!(
                "RDS instance {name} stands by itself; what it had not received is lost, as the heartbeat tells"
            )),
            (None, DatabaseState::Busy | DatabaseState::Unfinished) => Seen::Working {
                note: format!("RDS instance {name} is no replica any more, and {word}"),
            },
            // The states of a promotion; the link to the source goes at its end.
            (Some(_), DatabaseState::Busy) if matches!(word.as_str(), "modifying" | "promoting" | "rebooting") => {
                Seen::Working {
                    note: format!("RDS instance {name} is {word}"),
                }
            }
            (Some(_), _) => Seen::NotDone,
        })
    }
}

#[async_trait]
impl Actuators for RdsReplicas {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let name = Self::check(order)?;
        let look = self.find(order, name).await?;
        if Self::seen(order, name, &look)? != Seen::NotDone {
            return Ok(());
        }
        if order.act == (Act::Promote { allow_loss: false }) {
            let source = look.source.unwrap_or_default();
            let why = format!(
                "RDS instance {name} follows {source} asynchronously, and RDS does not tell whether it has everything: only a \
                 disaster run, which allows loss, may promote it; for switchovers use an Aurora global database"
            );
            return Err(invalid(order, why));
        }
        let client = self.clients.of(order.on.region()).rds();
        let call = client.promote_read_replica().db_instance_identifier(name);
        let answer = call.send().await.map(|_| ());
        answer.map_err(|error| failure("RDS PromoteReadReplica", name, &error))
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let name = Self::check(order)?;
        Self::seen(order, name, &self.find(order, name).await?)
    }
}
