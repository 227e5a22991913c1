//! Kind `postgres`: orders to the guard of a server. Settings: `guard`, `token_file`, `server` (how others follow it),
//! `peers` (guards of the servers that it may take over from), `lease_seconds` (as those guards have it).

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use holdfast_core::domain::{Act, ActOrder, Bound, Divergence, Failure, FailureKind, Seen};

use super::settings::{number_or, required};
use super::{EmbeddedActuators, blocking, unknown_act};
use crate::guard::{GuardOrder, GuardState, Mode, Promotion, Role};
use crate::http::Client;
use crate::system::uptime;
use crate::token::Token;

/// How long a guard may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is waited for beyond a lease: the guard's watchdog looks at the time twenty times a second, and ending a server takes
/// well under a second.
const MARGIN: Duration = Duration::from_secs(3);
/// A guard's lease, where settings say nothing else.
const LEASE_SECONDS: u32 = 10;

impl EmbeddedActuators {
    pub(super) async fn begin_postgres(&self, order: &ActOrder) -> Result<(), Failure> {
        let generation = generation(order)?;
        let guard = Guard::of(&order.on)?;
        let mode = match &order.act {
            Act::Fence => Mode::Fenced,
            Act::Unfence | Act::Promote { allow_loss: true } => Mode::Writer { through: None },
            Act::Promote { allow_loss: false } => Mode::Writer {
                through: Some(end_of_peers(order).await?),
            },
            Act::Follow { .. } => Mode::Standby { leader: leader(order)? },
            _ => return Err(unknown_act(order, "fence, unfence, promote and follow")),
        };
        if matches!(order.act, Act::Fence) {
            self.waited_since(order, generation);
        }
        let is_fence = mode == Mode::Fenced;
        match blocking(move || guard.tell(&GuardOrder { generation, mode })).await {
            // A guard that cannot be reached cannot renew its lease either: waiting does it.
            Err(failure) if is_fence && failure.kind == FailureKind::Transient => {
                tracing::warn!("{failure}");
                Ok(())
            }
            told => told.map(drop),
        }
    }

    pub(super) async fn look_postgres(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let generation = generation(order)?;
        let guard = Guard::of(&order.on)?;
        let state = blocking(move || guard.state()).await;
        if let (Act::Fence, Err(failure)) = (&order.act, &state)
            && failure.kind == FailureKind::Transient
        {
            return self.outwaited(order, generation, failure).await;
        }
        let state = state?;
        if state.region != *order.on.region() || state.workload != *order.on.workload() {
            let message = format!(
                "actuator {}: its guard answers for workload {} in {}: mend the setting guard",
                order.on.name(),
                state.workload,
                state.region
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        if state.generation > generation {
            let message = format!("{} has seen generation {}", order.on.name(), state.generation);
            return Err(Failure::new(FailureKind::Fenced, message));
        }
        if state.generation < generation {
            return Ok(Seen::NotDone);
        }
        match &order.act {
            Act::Fence => Ok(fenced(&state)),
            Act::Unfence => Ok(writing(&state)),
            Act::Promote { allow_loss } => Ok(promoted(&state, *allow_loss)),
            Act::Follow { .. } => Ok(following(&state, &leader(order)?)),
            _ => Err(unknown_act(order, "fence, unfence, promote and follow")),
        }
    }

    /// Since when this process has known the generation to be in force.
    fn waited_since(&self, order: &ActOrder, generation: u64) -> Duration {
        let mut first_seen = self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        *first_seen
            .entry((order.on.workload().clone(), generation))
            .or_insert_with(uptime)
    }

    /// Whether the longest lease that a guard may hold which does not answer has surely run out. It can only renew it from
    /// the record of authority, which must name another side by now.
    async fn outwaited(&self, order: &ActOrder, generation: u64, failure: &Failure) -> Result<Seen, Failure> {
        let record = self.authorities.read(order.on.workload()).await?;
        let record = record.ok_or_else(|| {
            let message = format!("no authority over {} is recorded", order.on.workload());
            Failure::new(FailureKind::NotFound, message)
        })?;
        if record.generation != generation || record.writer.as_ref() == Some(order.on.region()) {
            let message = format!(
                "authority over {} is with {} under generation {}: the guard of {} may renew its lease",
                record.workload,
                record.writer.as_ref().map_or("nobody", |region| region.as_str()),
                record.generation,
                order.on.name()
            );
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let lease = Duration::from_secs(number_or(&order.on, "lease_seconds", LEASE_SECONDS)?.into()) + MARGIN;
        let waited = uptime().saturating_sub(self.waited_since(order, generation));
        if waited < lease {
            let left = (lease - waited).as_secs() + 1;
            let note = format!("its guard does not answer; its lease has run out in {left} s at the latest");
            return Ok(Seen::Working { note });
        }
        let note = format!(
            "its guard does not answer ({failure}); its lease has run out: {} s without renewal",
            waited.as_secs()
        );
        Ok(done(note))
    }
}

fn generation(order: &ActOrder) -> Result<u64, Failure> {
    order.on.generation().ok_or_else(|| {
        let message = format!(
            "actuator {}: a guard takes no orders from a drill: restore a recovery point for it instead",
            order.on.name()
        );
        Failure::new(FailureKind::Invalid, message)
    })
}

/// How the leader of a follow order is followed.
fn leader(order: &ActOrder) -> Result<String, Failure> {
    let Act::Follow { leader } = &order.act else {
        return Err(Failure::new(FailureKind::Bug, "no order to follow has no leader"));
    };
    let bound = order
        .others
        .iter()
        .find(|other| other.name() == leader)
        .ok_or_else(|| {
            let message = format!(
                "step {}: the order to follow {leader} came without {leader}",
                order.step
            );
            Failure::new(FailureKind::Bug, message)
        })?;
    required(bound, "server", "host=10.2.0.4 port=5432 user=replicator").map(str::to_owned)
}

/// The last record of the one that was written to before: of the only peer that was stopped in order and has one.
async fn end_of_peers(order: &ActOrder) -> Result<String, Failure> {
    let mut ends = Vec::new();
    for url in required(&order.on, "peers", "http://10.1.0.4:7070")?.split_whitespace() {
        let guard = Guard::at(&order.on, url)?;
        let state = blocking(move || guard.state()).await?;
        ends.extend(state.final_log.filter(|_| !state.may_write));
    }
    match <[_; 1]>::try_from(ends) {
        Ok([end]) => Ok(end.position),
        Err(ends) => {
            let message = format!(
                "{} peers of actuator {} were stopped in order and tell where their log ends, not one: without that, \
                 no promotion is without loss",
                ends.len(),
                order.on.name()
            );
            Err(Failure::new(FailureKind::Conflict, message))
        }
    }
}

fn done(note: String) -> Seen {
    Seen::Done {
        note,
        lag_seconds: None,
        divergence: None,
    }
}

fn working(state: &GuardState, what: &str) -> Seen {
    let trouble = state
        .trouble
        .as_ref()
        .map(|trouble| format!("; {trouble}"))
        .unwrap_or_default();
    Seen::Working {
        note: format!("{what}{trouble}"),
    }
}

fn fenced(state: &GuardState) -> Seen {
    if state.may_write {
        return working(state, "the server stops");
    }
    if matches!(state.mode, Mode::Writer { .. }) {
        return Seen::NotDone;
    }
    let end = state.final_log.as_ref().map_or_else(
        || "it was not stopped in order".to_owned(),
        |end| format!("its log ends at {} on timeline {}", end.position, end.timeline),
    );
    done(format!(
        "nothing can be written under generation {}; {end}",
        state.generation
    ))
}

/// The last promotion, if it was under the generation that is in force.
fn promotion(state: &GuardState) -> Option<&Promotion> {
    let last = state.promotion.as_ref();
    last.filter(|last| last.generation == state.generation)
}

fn writing(state: &GuardState) -> Seen {
    if !matches!(state.mode, Mode::Writer { .. }) {
        return Seen::NotDone;
    }
    if state.role != Role::Writer || state.lease_left_ms.is_none() {
        let position = state.position.as_deref().unwrap_or("nowhere yet");
        return working(state, &format!("it does not take writes yet; its log is at {position}"));
    }
    let from = promotion(state).map_or_else(String::new, |last| format!(", from {} on", last.replayed));
    let timeline = state.timeline.unwrap_or_default();
    done(format!("it takes writes on timeline {timeline}{from}"))
}

/// The age of the last commit bounds what is lost; one that had to have everything has lost nothing, however old that is.
fn promoted(state: &GuardState, allow_loss: bool) -> Seen {
    let lag = match allow_loss {
        true => promotion(state).and_then(|last| last.lag_seconds),
        false => Some(0.0),
    };
    match writing(state) {
        Seen::Done { note, divergence, .. } => Seen::Done {
            note,
            lag_seconds: lag,
            divergence,
        },
        seen => seen,
    }
}

fn following(state: &GuardState, leader: &str) -> Seen {
    match &state.mode {
        Mode::Standby { leader: own } if own == leader => {}
        _ => return Seen::NotDone,
    }
    if state.role != Role::Standby || !state.is_streaming {
        return working(state, "it does not receive yet");
    }
    let given_up = state
        .divergence
        .as_ref()
        .filter(|own| own.generation == state.generation);
    let note = given_up.map_or_else(
        || "it receives".to_owned(),
        |own| {
            format!(
                "it receives; it gave up {} transactions of its own between {} and {}, listed in {} on its host",
                own.committed,
                own.from,
                own.to,
                own.records.display()
            )
        },
    );
    Seen::Done {
        note,
        lag_seconds: None,
        divergence: given_up.map(|own| Divergence {
            transactions: own.committed,
            from: own.from.clone(),
            to: own.to.clone(),
            records: own.records.display().to_string(),
        }),
    }
}

/// A guard as one calls it.
struct Guard {
    client: Client,
    url: String,
}

impl Guard {
    fn of(on: &Bound) -> Result<Self, Failure> {
        let url = required(on, "guard", "http://10.1.0.4:7070")?.to_owned();
        Self::at(on, &url)
    }

    fn at(on: &Bound, url: &str) -> Result<Self, Failure> {
        let token = Token::read(Path::new(required(on, "token_file", "/etc/holdfast/guard.token")?))?;
        Ok(Self {
            client: Client::new(token, PATIENCE),
            url: url.trim_end_matches('/').to_owned(),
        })
    }

    fn state(&self) -> Result<GuardState, Failure> {
        self.client.get(&format!("{}/state", self.url))
    }

    fn tell(&self, order: &GuardOrder) -> Result<GuardState, Failure> {
        self.client.post(&format!("{}/orders", self.url), order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A guard whose server was promoted under generation 3, or follows after it gave up something under that.
    fn state(mode: &serde_json::Value, role: &str) -> GuardState {
        serde_json::from_value(json!({
            "workload": "orders", "region": "west", "generation": 3, "mode": mode, "role": role,
            "may_write": role == "writer", "lease_left_ms": 4000, "timeline": 2, "position": "0/4000000",
            "received": null, "is_streaming": true, "lag_seconds": null, "final_log": null,
            "promotion": {"generation": 3, "replayed": "0/3000A50", "lag_seconds": 12.5},
            "divergence": {"generation": 3, "timeline": 1, "from": "0/3000A50", "to": "0/3000B60", "committed": 7,
                "records": "/guard/divergence-3.txt"},
            "trouble": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_promotion_that_had_to_have_everything_lost_nothing_however_old_the_last_commit_was() {
        let state = state(&json!({"mode": "writer", "through": null}), "writer");
        let lag = |allow_loss| match promoted(&state, allow_loss) {
            Seen::Done { lag_seconds, .. } => lag_seconds,
            seen => panic!("{seen:?}"),
        };
        assert_eq!((lag(true), lag(false)), (Some(12.5), Some(0.0)));
    }

    #[test]
    fn what_a_follower_gave_up_is_told_with_it_and_what_it_gave_up_earlier_is_not() {
        let mut state = state(&json!({"mode": "standby", "leader": "host=east"}), "standby");
        let given_up = |state: &GuardState| match following(state, "host=east") {
            Seen::Done { divergence, .. } => divergence,
            seen => panic!("{seen:?}"),
        };
        assert_eq!(given_up(&state).map(|own| own.transactions), Some(7));
        state.generation = 4;
        assert_eq!(given_up(&state), None);
        assert_eq!(following(&state, "host=west"), Seen::NotDone);
    }
}
