//! Servers, traffic and services that do what they are told, in their own time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_core::domain::{
    Act, ActOrder, ActuatorName, Divergence, Failure, FailureKind, Region, RunId, Seen, Span, StepName,
};
use holdfast_core::ports::{Actuators, Clock};
use jiff::Timestamp;

use super::{FakeClock, locked};

/// What an actuator works on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thing {
    /// The newest generation that it has seen.
    pub generation: u64,
    /// Whether it takes writes.
    pub writable: bool,
    /// Whether it runs.
    pub running: bool,
    /// Percent of traffic that is led to it.
    pub share: u8,
    /// Whom it follows.
    pub leader: Option<ActuatorName>,
    /// How often it was called.
    pub calls: u32,
    /// How often it was promoted.
    pub promotions: u64,
}

/// A generation, and who may write under it.
type Record = (u64, Option<Region>);

/// The same order given twice is one.
type OrderKey = (RunId, StepName, String, Option<u64>);

#[derive(Debug, Default)]
struct State {
    things: BTreeMap<ActuatorName, Thing>,
    /// What is being done, and when it will stand.
    at_work: BTreeMap<OrderKey, Timestamp>,
    done: BTreeSet<OrderKey>,
    effects: usize,
    takes: Option<Span>,
    /// Regions that cannot be reached, and since when.
    cut: BTreeMap<Region, Timestamp>,
    broken: BTreeSet<(ActuatorName, &'static str)>,
    /// What things have of their own that they give up to follow another.
    own: BTreeMap<ActuatorName, Divergence>,
    /// Who may write, where a test says so: then servers have guards that look at it.
    record: Option<Record>,
    /// What the guards of a Region that is cut off have seen last.
    remembered: BTreeMap<Region, Option<Record>>,
    /// What was written on each server.
    rows: BTreeMap<ActuatorName, BTreeSet<u64>>,
    written: u64,
    violations: Vec<String>,
}

/// Actuators of a world in memory. A server that cannot be reached is fenced when its lease has run out, as by its guard.
#[derive(Debug)]
pub struct FakeActuators {
    clock: Arc<FakeClock>,
    state: Mutex<State>,
}

impl FakeActuators {
    /// How long a server that cannot be reached may still write.
    pub const LEASE: Span = Span::seconds(20);

    /// A world in which nothing stands.
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Puts a thing into the world.
    pub fn put(&self, name: &ActuatorName, thing: Thing) {
        locked(&self.state).things.insert(name.clone(), thing);
    }

    /// How a thing is now.
    pub fn thing(&self, name: &ActuatorName) -> Thing {
        locked(&self.state).things.get(name).cloned().unwrap_or_default()
    }

    /// From now on every act takes this long.
    pub fn set_takes(&self, takes: Span) {
        locked(&self.state).takes = Some(takes);
    }

    /// Cuts a Region off, or joins it again.
    pub fn set_cut(&self, region: &Region, cut: bool) {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        if cut {
            state.cut.entry(region.clone()).or_insert(now);
            let record = state.record.clone();
            state.remembered.entry(region.clone()).or_insert(record);
        } else {
            state.cut.remove(region);
            state.remembered.remove(region);
        }
    }

    /// Makes an act of a thing fail for good, or not any more.
    pub fn set_broken(&self, name: &ActuatorName, act: &'static str, broken: bool) {
        let mut state = locked(&self.state);
        if broken {
            state.broken.insert((name.clone(), act));
        } else {
            state.broken.remove(&(name.clone(), act));
        }
    }

    /// Gives a thing something of its own, which it gives up when it follows another.
    pub fn set_own(&self, name: &ActuatorName, own: Divergence) {
        locked(&self.state).own.insert(name.clone(), own);
    }

    /// Says who may write, under which generation. From now on servers take writes only while their guards see that.
    pub fn set_authority(&self, generation: u64, writer: Option<Region>) {
        locked(&self.state).record = Some((generation, writer));
    }

    /// Writes a row on a server in a Region, and gives its number; none where it takes no writes. Followers have it at once
    /// while no Region is cut off.
    pub fn write(&self, name: &ActuatorName, region: &Region) -> Option<u64> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        state.look_at_record(name, region);
        let thing = state.things.get(name)?;
        let has_right = (state.seen_record(region))
            .is_none_or(|(generation, writer)| *generation == thing.generation && writer.as_ref() == Some(region));
        let has_lease = (state.cut.get(region)).is_none_or(|since| now < Self::LEASE.after(*since));
        if !(thing.writable && has_right && has_lease) {
            return None;
        }
        state.written += 1;
        let row = state.written;
        state.rows.entry(name.clone()).or_default().insert(row);
        if state.cut.is_empty() {
            state.stream_from(name);
        }
        Some(row)
    }

    /// What a server holds of what was written.
    pub fn rows(&self, name: &ActuatorName) -> BTreeSet<u64> {
        locked(&self.state).rows.get(name).cloned().unwrap_or_default()
    }

    /// How many acts have taken effect.
    pub fn effects(&self) -> usize {
        locked(&self.state).effects
    }

    /// What went against the rules: two that took writes at once.
    pub fn violations(&self) -> Vec<String> {
        locked(&self.state).violations.clone()
    }
}

fn key(order: &ActOrder) -> OrderKey {
    let run = order.on.run().clone();
    (
        run,
        order.step.clone(),
        format!("{:?}", order.act),
        order.on.generation(),
    )
}

impl State {
    fn reach(&mut self, order: &ActOrder, now: Timestamp) -> Result<(), Failure> {
        let Some(since) = self.cut.get(order.on.region()).copied() else {
            return Ok(());
        };
        // The guard over there stops the writes when its lease is over; nobody here needs to reach it for that.
        if order.act == Act::Fence && FakeActuators::LEASE.after(since) <= now {
            let thing = self.things.entry(order.on.name().clone()).or_default();
            thing.writable = false;
            thing.generation = thing.generation.max(order.on.generation().unwrap_or(0));
            return Ok(());
        }
        let message = format!("{} does not answer", order.on.name());
        Err(Failure::new(FailureKind::Transient, message))
    }

    /// What the guards of a Region know of who may write.
    fn seen_record(&self, region: &Region) -> Option<&Record> {
        let remembered = self.remembered.get(region).map(Option::as_ref);
        remembered.unwrap_or(self.record.as_ref())
    }

    /// A later generation than a guard was told of ends writes, until it is told to write under that one.
    fn look_at_record(&mut self, name: &ActuatorName, region: &Region) {
        let Some(generation) = self.seen_record(region).map(|(generation, _)| *generation) else {
            return;
        };
        let thing = self.things.entry(name.clone()).or_default();
        if generation > thing.generation {
            thing.generation = generation;
            thing.writable = false;
        }
    }

    /// Those who follow a server hold what it holds.
    fn stream_from(&mut self, leader: &ActuatorName) {
        let held = self.rows.get(leader).cloned().unwrap_or_default();
        let follows = |(_, thing): &(&ActuatorName, &Thing)| thing.leader.as_ref() == Some(leader);
        let followers = self.things.iter().filter(follows).map(|(name, _)| name.clone());
        self.rows.extend(followers.map(|name| (name, held.clone())));
    }

    /// What only a follower holds is given up, and listed.
    fn give_up(&mut self, name: &ActuatorName, leader: &ActuatorName) {
        let held = self.rows.get(leader).cloned().unwrap_or_default();
        let Some(rows) = self.rows.insert(name.clone(), held.clone()) else {
            return;
        };
        let own: Vec<u64> = rows.difference(&held).copied().collect();
        let listed: Vec<String> = own.iter().map(u64::to_string).collect();
        if let (Some(from), Some(to)) = (listed.first(), listed.last()) {
            let given_up = Divergence {
                transactions: own.len() as u64,
                from: from.clone(),
                to: to.clone(),
                records: listed.join(" "),
            };
            self.own.insert(name.clone(), given_up);
        }
    }

    fn take_effect(&mut self, order: &ActOrder) {
        self.effects += 1;
        if let Act::Follow { leader } = &order.act {
            self.give_up(order.on.name(), leader);
        }
        let thing = self.things.entry(order.on.name().clone()).or_default();
        match &order.act {
            Act::Fence => thing.writable = false,
            Act::Unfence | Act::Promote { .. } => {
                thing.promotions += u64::from(order.act != Act::Unfence && !thing.writable);
                thing.writable = true;
                thing.leader = None;
            }
            Act::Follow { leader } => {
                thing.writable = false;
                thing.leader = Some(leader.clone());
            }
            Act::Start => thing.running = true,
            Act::Stop => thing.running = false,
            Act::Direct { share } => thing.share = *share,
            Act::Invoke { .. } => thing.calls += 1,
        }
        let writers: Vec<&str> = self
            .things
            .iter()
            .filter(|(_, thing)| thing.writable)
            .map(|(name, _)| name.as_str())
            .collect();
        if writers.len() > 1 {
            self.violations
                .push(format!("{} take writes at once", writers.join(" and ")));
        }
    }

    fn stands(&self, order: &ActOrder) -> bool {
        let Some(thing) = self.things.get(order.on.name()) else {
            return false;
        };
        let is_so = match &order.act {
            Act::Fence => !thing.writable,
            Act::Unfence | Act::Promote { .. } => thing.writable,
            Act::Follow { leader } => thing.leader.as_ref() == Some(leader),
            Act::Start => thing.running,
            Act::Stop => !thing.running,
            Act::Direct { share } => thing.share == *share,
            Act::Invoke { .. } => self.done.contains(&key(order)),
        };
        is_so && thing.generation >= order.on.generation().unwrap_or(0)
    }
}

#[async_trait]
impl Actuators for FakeActuators {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        state.reach(order, now)?;
        let thing = state.things.entry(order.on.name().clone()).or_default();
        if let Some(generation) = order.on.generation() {
            if generation < thing.generation {
                let message = format!("{} has seen generation {}", order.on.name(), thing.generation);
                return Err(Failure::new(FailureKind::Fenced, message));
            }
            thing.generation = generation;
        }
        if state.broken.contains(&(order.on.name().clone(), order.act.as_str())) {
            let message = format!("{} cannot {}", order.on.name(), order.act.as_str());
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        if !state.done.contains(&key(order)) {
            let ready_at = state.takes.map_or(now, |takes| takes.after(now));
            state.at_work.entry(key(order)).or_insert(ready_at);
        }
        Ok(())
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        state.reach(order, now)?;
        match state.at_work.get(&key(order)).copied() {
            Some(ready_at) if ready_at > now => {
                return Ok(Seen::Working {
                    note: format!("stands at {ready_at}"),
                });
            }
            Some(_) => {
                state.at_work.remove(&key(order));
                state.done.insert(key(order));
                state.take_effect(order);
            }
            None => {}
        }
        if !state.stands(order) {
            return Ok(Seen::NotDone);
        }
        Ok(Seen::Done {
            note: format!("{} stands", order.act.as_str()),
            lag_seconds: matches!(order.act, Act::Promote { allow_loss: true }).then_some(0.5),
            divergence: match order.act {
                Act::Follow { .. } => state.own.get(order.on.name()).cloned(),
                _ => None,
            },
        })
    }
}
