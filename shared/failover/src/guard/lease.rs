//! [`Shared`]: what the guard's threads know together; and the threads that ask who has authority and how the server is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_core::domain::{AuthorityRecord, Failure, FailureKind};
use holdfast_sources::postgres::Address;

use super::api::{FinalLog, GuardOrder, GuardState, Role};
use super::decide::{Lease, Sighting, lease};
use super::facts::{self, Facts};
use super::intent::{Divergence, Intent, Store};
use super::settings::Settings;
use super::supervisor::Surroundings;
use crate::http::Client;
use crate::system::{pause, uptime};
use crate::token::Token;

/// How often the server and the authority endpoint are asked.
const ASK: Duration = Duration::from_millis(700);
/// How long an authority endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of a guard and its server.
#[derive(Debug)]
pub struct Known {
    /// What it was told.
    pub intent: Intent,
    /// What the authority endpoint said last.
    pub seen: Option<Sighting>,
    /// What the server said last; none where it is down or starting.
    pub facts: Option<Facts>,
    /// Whether it may be able to write.
    pub may_write: bool,
    /// Whether it runs.
    pub is_running: bool,
    /// Whether a checkpoint is due after a promotion.
    pub wants_checkpoint: bool,
    /// The end of its log.
    pub final_log: Option<FinalLog>,
    /// What went wrong last.
    pub trouble: Option<String>,
}

/// What the guard's threads share.
#[derive(Debug)]
pub struct Shared {
    pub settings: Arc<Settings>,
    store: Store,
    known: Mutex<Known>,
}

impl Shared {
    /// Starts from what the guard's folder holds, or else from what the data folder is: that of a standby alone does not say
    /// whom it follows.
    pub fn open(settings: Arc<Settings>, otherwise: impl FnOnce() -> Result<Intent, Failure>) -> Result<Self, Failure> {
        let store = Store::of(&settings.folder);
        let intent = store.read()?.map_or_else(otherwise, Ok)?;
        store.write(&intent)?;
        let known = Mutex::new(Known {
            intent,
            seen: None,
            facts: None,
            may_write: false,
            is_running: false,
            wants_checkpoint: false,
            final_log: None,
            trouble: None,
        });
        Ok(Self { settings, store, known })
    }

    /// What is known.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what was told; it is on disk before anything follows from it.
    pub fn intend(&self, known: &mut Known, intent: Intent) -> Result<(), Failure> {
        if known.intent != intent {
            self.store.write(&intent)?;
            known.intent = intent;
        }
        Ok(())
    }

    /// The right to be written to, at this time.
    pub fn lease(&self, known: &Known, now: Duration) -> Lease {
        let settings = &self.settings;
        lease(
            &known.intent,
            known.seen.as_ref(),
            &settings.region,
            settings.lease(),
            now,
        )
    }

    /// Takes what an endpoint said. An older generation than is known comes from a record that was set back.
    fn note(&self, asked_at: Duration, record: &AuthorityRecord) -> Result<(), Failure> {
        if record.workload != self.settings.workload {
            let message = format!("an authority endpoint told of {}, and was not asked", record.workload);
            return Err(Failure::new(FailureKind::Integrity, message));
        }
        let mut known = self.known();
        if record.generation < known.intent.generation {
            let message = format!(
                "an authority endpoint tells generation {}, but {} was seen: its catalog was set back",
                record.generation, known.intent.generation
            );
            return Err(Failure::new(FailureKind::Integrity, message));
        }
        if let Some(intent) = known.intent.after_seeing(record.generation) {
            self.intend(&mut known, intent)?;
        }
        if known.seen.as_ref().is_none_or(|seen| seen.asked_at <= asked_at) {
            known.seen = Some(Sighting {
                asked_at,
                generation: record.generation,
                writer: record.writer.clone(),
            });
        }
        Ok(())
    }

    /// Takes an order.
    pub fn order(&self, order: &GuardOrder) -> Result<(), Failure> {
        let mut known = self.known();
        let intent = known.intent.after_order(order.generation, &order.mode)?;
        self.intend(&mut known, intent)
    }

    /// Notes what a rewinding is about to give up.
    pub fn begin_rewinding(&self, given_up: Divergence) -> Result<(), Failure> {
        let mut known = self.known();
        let intent = Intent {
            rewinding: Some(given_up),
            ..known.intent.clone()
        };
        self.intend(&mut known, intent)
    }

    /// What is told of it.
    pub fn state(&self) -> GuardState {
        let now = uptime();
        let known = self.known();
        let facts = known.facts.as_ref().filter(|_| known.is_running);
        let role = match (known.is_running, facts) {
            (false, _) => Role::Down,
            (true, None) => Role::Starting,
            (true, Some(facts)) if facts.is_in_recovery => Role::Standby,
            (true, Some(_)) => Role::Writer,
        };
        let lease_left_ms = match self.lease(&known, now) {
            Lease::Until(until) => u64::try_from((until - now).as_millis()).ok(),
            Lease::Withheld | Lease::RunOut => None,
        };
        GuardState {
            workload: self.settings.workload.clone(),
            region: self.settings.region.clone(),
            generation: known.intent.generation,
            mode: known.intent.mode.clone(),
            role,
            may_write: known.may_write,
            lease_left_ms,
            timeline: facts.and_then(|facts| facts.timeline),
            position: facts.and_then(|facts| facts.position).map(|lsn| lsn.to_string()),
            received: facts.and_then(|facts| facts.received).map(|lsn| lsn.to_string()),
            is_streaming: facts.is_some_and(|facts| facts.is_streaming),
            lag_seconds: facts.and_then(|facts| facts.lag_seconds),
            final_log: known.final_log.clone(),
            promotion: known.intent.promotion.clone(),
            divergence: known.intent.divergence.clone(),
            trouble: known.trouble.clone(),
        }
    }
}

/// Asks one endpoint who has authority, until the guard ends.
pub fn ask_authority(shared: &Shared, endpoint: &str, token: &Token, surroundings: &Surroundings) {
    let client = Client::new(token.clone(), PATIENCE);
    let url = format!(
        "{}/authority/{}",
        endpoint.trim_end_matches('/'),
        shared.settings.workload
    );
    while !surroundings.stop.load(Ordering::SeqCst) {
        let asked_at = uptime();
        let told = client.get::<AuthorityRecord>(&url);
        if let Err(failure) = told.and_then(|record| shared.note(asked_at, &record)) {
            tracing::warn!(endpoint, "{failure}");
        }
        pause(ASK);
    }
}

/// Asks the server how it is, until the guard ends.
pub fn ask_server(shared: &Shared, surroundings: &Surroundings) {
    let Ok(address) = Address::parse(&shared.settings.server) else {
        return;
    };
    let options = facts::client(surroundings.now, &surroundings.stop);
    while !surroundings.stop.load(Ordering::SeqCst) {
        pause(ASK / 4);
        let (is_running, wants_checkpoint) = {
            let known = shared.known();
            (known.is_running, known.wants_checkpoint)
        };
        let facts = match is_running {
            true => facts::ask(&address, &options).ok(),
            false => None,
        };
        let is_writer = facts.as_ref().is_some_and(|facts| !facts.is_in_recovery);
        shared.known().facts = facts;
        if wants_checkpoint && is_writer && facts::checkpoint(&address, &options).is_ok() {
            shared.known().wants_checkpoint = false;
        }
    }
}
