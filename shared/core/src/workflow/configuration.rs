//! Which configuration is in force. Every wake-up of every function asks for all policies and resources; a process that has
//! read them keeps them for as long as nothing was applied since.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::World;
use super::inventory;
use super::records::{self, ConfigurationState};
use crate::domain::{Failure, Policy, Resource, Span};

/// How long after a change the index by which policies and resources are found may still not tell all of them.
const SETTLES: Span = Span::minutes(10);
/// How long what was read is believed, whatever the state says.
const BELIEVED: Span = Span::hours(1);

/// What is in force.
#[derive(Debug)]
pub struct InForce {
    /// The version in force of every policy.
    pub policies: Vec<Policy>,
    /// Every resource, by name, those included that have left the configuration.
    pub resources: Vec<Resource>,
    generation: u64,
    read_at: Timestamp,
}

/// What this process read last.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Option<Arc<InForce>>>);

/// What is in force now.
pub async fn in_force(world: &World) -> Result<Arc<InForce>, Failure> {
    let state = records::read::<ConfigurationState>(world.catalog.as_ref(), &records::configuration_key()).await?;
    let state = state.map(|stored| stored.value).filter(|state| !state.is_being_applied);
    let now = world.now();
    if let Some(state) = &state
        && let Some(known) = world.remembered.get()
        && known.generation == state.generation
        && (known.read_at..=BELIEVED.after(known.read_at)).contains(&now)
    {
        return Ok(known);
    }
    let in_force = Arc::new(InForce {
        policies: inventory::policies(world).await?,
        resources: inventory::resources(world).await?,
        generation: state.as_ref().map_or(0, |state| state.generation),
        read_at: now,
    });
    if state.is_some_and(|state| now > SETTLES.after(state.changed_at)) {
        world.remembered.set(in_force.clone());
    }
    Ok(in_force)
}

impl Remembered {
    fn get(&self) -> Option<Arc<InForce>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, in_force: Arc<InForce>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(in_force);
    }
}

/// Says that a configuration begins to be applied: from now on nobody believes what was read before. Returns the
/// generation that this application goes by.
pub(super) async fn begin(world: &World) -> Result<u64, Failure> {
    let first = ConfigurationState {
        generation: 1,
        is_being_applied: true,
        changed_at: world.now(),
    };
    if records::insert(world.catalog.as_ref(), &first).await?.is_none() {
        return Ok(first.generation);
    }
    let begin = |state: &mut ConfigurationState| {
        state.generation += 1;
        state.is_being_applied = true;
        state.changed_at = first.changed_at;
        true
    };
    let begun = records::amend(world.catalog.as_ref(), &records::configuration_key(), begin).await?;
    Ok(begun.generation)
}

/// Says that it stands. Where another one was begun meanwhile, that one says so.
pub(super) async fn end(world: &World, generation: u64) -> Result<(), Failure> {
    let now = world.now();
    let end = |state: &mut ConfigurationState| {
        let is_ours = state.generation == generation;
        if is_ours {
            state.generation += 1;
            state.is_being_applied = false;
            state.changed_at = now;
        }
        is_ours
    };
    records::amend(world.catalog.as_ref(), &records::configuration_key(), end)
        .await
        .map(drop)
}
