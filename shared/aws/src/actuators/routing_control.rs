//! Routing controls of Application Recovery Controller: one a Region, on or off, in a cluster of five Regional endpoints of
//! which any may be away. Only that data plane is called; where the endpoints are stands in the configuration, since the
//! service that would tell them is in one Region.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_route53recoverycluster::Client;
use aws_sdk_route53recoverycluster::types::{RoutingControlState, UpdateRoutingControlStateEntry};
use futures::future::join_all;
use holdfast_core::domain::{Act, ActOrder, Failure, FailureKind, Region, Seen};
use holdfast_core::ports::Actuators;
use sha2::{Digest, Sha256};

use super::{cannot, done, invalid, settings};
use crate::clients::Clients;
use crate::failure::{code, failure};

/// How many endpoints a cluster has.
const ENDPOINTS: usize = 5;
/// How many of them must say the same before it is believed.
const QUORUM: usize = 3;

/// Routing controls.
pub(super) struct RoutingControls {
    pub clients: Arc<Clients>,
}

/// A cluster, and what an order wants of it.
struct Switch<'a> {
    /// The endpoints, in an order that differs from order to order.
    endpoints: Vec<(&'a str, Client)>,
    /// The control and the state that is wanted.
    own: (&'a str, RoutingControlState),
    /// The control of the other Region, which is set the other way in the same call.
    other: Option<(&'a str, RoutingControlState)>,
}

impl RoutingControls {
    fn switch<'a>(&self, order: &'a ActOrder) -> Result<Switch<'a>, Failure> {
        let (own, other) = match order.act {
            Act::Direct { share: 100 } => (RoutingControlState::On, RoutingControlState::Off),
            Act::Direct { share: 0 } => (RoutingControlState::Off, RoutingControlState::On),
            Act::Direct { share } => {
                let why = format!("a routing control is on or off: write a share of 0 or 100 instead of {share}");
                return Err(invalid(order, why));
            }
            _ => return Err(cannot(order, "direct")),
        };
        Ok(Switch {
            endpoints: self.endpoints(order)?,
            own: (settings::required(order, "routing-control")?, own),
            other: settings::optional(order, "other-routing-control").map(|control| (control, other)),
        })
    }

    /// The endpoints as the configuration tells them: `region=url`, separated by spaces.
    fn endpoints<'a>(&self, order: &'a ActOrder) -> Result<Vec<(&'a str, Client)>, Failure> {
        let told = settings::required(order, "endpoints")?;
        let mut endpoints = Vec::new();
        for pair in told.split_whitespace() {
            let parsed = pair
                .split_once('=')
                .and_then(|(region, url)| Some((region.parse::<Region>().ok()?, url)));
            let Some((region, url)) = parsed else {
                return Err(invalid(
                    order,
                    "the setting \"endpoints\" is written region=url, five of them with spaces between",
                ));
            };
            endpoints.push((url, self.clients.of(&region).routing_control_at(url)));
        }
        if endpoints.len() != ENDPOINTS {
            let why = format!(
                "the setting \"endpoints\" names {} endpoints; a cluster has {ENDPOINTS}: aws route53-recovery-control-config \
                 describe-cluster tells them",
                endpoints.len()
            );
            return Err(invalid(order, why));
        }
        endpoints.sort_by_key(|(url, _)| Sha256::digest(format!("{}/{}/{url}", order.on.run(), order.step)).to_vec());
        Ok(endpoints)
    }
}

/// Whether another endpoint may still carry out what this one did not.
fn is_away(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Transient | FailureKind::Throttled)
}

impl Switch<'_> {
    /// Sets the states in one call, at the first endpoint that carries it out.
    async fn set(&self) -> Result<(), Failure> {
        let mut last = None;
        for (url, client) in &self.endpoints {
            let mut call = client.update_routing_control_states();
            for (arn, state) in [Some(&self.own), self.other.as_ref()].into_iter().flatten() {
                let entry = UpdateRoutingControlStateEntry::builder()
                    .routing_control_arn(*arn)
                    .routing_control_state(state.clone())
                    .build();
                let entry = entry.map_err(|error| {
                    Failure::caused(FailureKind::Bug, "a change of a routing control lacks something", error)
                })?;
                call = call.update_routing_control_state_entries(entry);
            }
            match call.send().await {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let conflicts = code(&error) == Some("ConflictException");
                    let mut refused = failure(
                        "ARC UpdateRoutingControlStates",
                        format!("{} at {url}", self.own.0),
                        &error,
                    );
                    if conflicts {
                        refused.kind = FailureKind::Invalid;
                        refused.message += ": a safety rule forbids it; name the control of the other Region as \"other-routing-control\"";
                    }
                    if !is_away(&refused) {
                        return Err(refused);
                    }
                    last = Some(refused);
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::new(FailureKind::Bug, "a cluster without endpoints")))
    }

    /// The states as each endpoint tells them.
    async fn told_by(&self, url: &str, client: &Client) -> Result<bool, Failure> {
        for (arn, wanted) in [Some(&self.own), self.other.as_ref()].into_iter().flatten() {
            let call = client.get_routing_control_state().routing_control_arn(*arn);
            let answer = call.send().await;
            let answer =
                answer.map_err(|error| failure("ARC GetRoutingControlState", format!("{arn} at {url}"), &error))?;
            if answer.routing_control_state() != wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many endpoints say that the states are as wanted, and how many that they are not. Fewer answers than a quorum are
    /// none.
    async fn votes(&self) -> Result<(usize, usize), Failure> {
        let asked: Vec<_> = self
            .endpoints
            .iter()
            .map(|(url, client)| self.told_by(url, client))
            .collect();
        let (mut yes, mut no, mut last) = (0, 0, None);
        for answer in join_all(asked).await {
            match answer {
                Ok(true) => yes += 1,
                Ok(false) => no += 1,
                Err(away) if is_away(&away) => last = Some(away),
                Err(refused) => return Err(refused),
            }
        }
        match last {
            Some(away) if yes + no < QUORUM => Err(away),
            _ => Ok((yes, no)),
        }
    }
}

#[async_trait]
impl Actuators for RoutingControls {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let switch = self.switch(order)?;
        // An endpoint that lags tells the old state: setting the same again does no harm, so nothing less than all is believed.
        match switch.votes().await {
            Ok((yes, 0)) if yes >= QUORUM => Ok(()),
            Err(failure) if !is_away(&failure) => Err(failure),
            _ => switch.set().await,
        }
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let switch = self.switch(order)?;
        let (yes, no) = switch.votes().await?;
        Ok(match yes >= QUORUM {
            true => done(format!(
                "routing control {} is {}, as {yes} of {} endpoints tell",
                switch.own.0,
                switch.own.1.as_str(),
                yes + no
            )),
            false => Seen::NotDone,
        })
    }
}
