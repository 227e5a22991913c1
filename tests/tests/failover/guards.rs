//! What must not be possible, whoever tries: guards that are frozen or dead, and executors that come too late.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{
    Act, ActOrder, Authority, AuthorityRecord, Bound, Failure, FailureKind, Run, StepName, WorkloadName,
};
use holdfast_core::ports::Actuators;
use holdfast_failover::actuators::EmbeddedActuators;
use holdfast_failover::authority::Authorities;
use holdfast_failover::guard::Role;
use holdfast_local::SystemClock;
use rustix::process::Signal;

use crate::engine::authority;
use crate::network::Machine;
use crate::server::wait_until;
use crate::world::{A, B, World, is};

#[test]
fn a_frozen_guard_is_ended_by_its_watchdog_and_a_dead_one_takes_its_server_along() {
    let Some(mut world) = World::build("g", "1m") else {
        return;
    };
    world.regions[A].signal_guard(Signal::STOP);
    wait_until("the watchdog has ended the server", || {
        world.regions[A].processes().is_empty()
    });
    world.regions[A].signal_guard(Signal::CONT);
    // Authority is still here: the server comes back by itself.
    wait_until("the server takes writes again", || {
        is(&world.regions[A], &world.network, Role::Writer)
    });
    world.regions[A].signal_guard(Signal::KILL);
    wait_until("the server has ended with its guard", || {
        world.regions[A].processes().is_empty()
    });
    world.regions[A].kill();
}

/// The record of authority as an executor remembers it that has slept since.
struct Remembered(AuthorityRecord);

#[async_trait]
impl Authorities for Remembered {
    async fn read(&self, _: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        Ok(Some(self.0.clone()))
    }
}

#[test]
fn an_executor_of_an_earlier_generation_is_refused_by_guards_and_by_the_dns_server() {
    let Some(world) = World::build("e", "1m") else { return };
    let there = world.switch_over(B);
    world.switch_over(A);
    // It had begun the way there, and goes on when the workload is back.
    let remembered = AuthorityRecord {
        generation: there.conduct.generation.unwrap(),
        claimed_by: Some(there.id.clone()),
        ..authority(&world.network)
    };
    for (name, act) in [
        ("db-a", Act::Fence),
        ("db-b", Act::Unfence),
        ("dns-b", Act::Direct { share: 100 }),
    ] {
        let refused = late(&world, &there, &remembered, name, act).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Fenced, "{name}: {refused}");
    }
    assert!(is(&world.regions[A], &world.network, Role::Writer));
    let leads = world
        .network
        .on(Machine::ClientB, || crate::names::ask(crate::names::NAME));
    assert_eq!(leads, Machine::RegionA.address().parse().ok());
}

/// An order of a run under authority that has passed.
fn late(world: &World, run: &Run, remembered: &AuthorityRecord, name: &str, act: Act) -> Result<(), Failure> {
    let authority = Authority::of(remembered, run).unwrap();
    let actuators = &run.plan.moves.as_ref().unwrap().actuators;
    let actuator = actuators.iter().find(|known| known.name.as_str() == name).unwrap();
    let order = ActOrder {
        step: StepName::new("late").unwrap(),
        act,
        on: Bound::for_production(actuator, &authority).unwrap(),
        others: Vec::new(),
    };
    let actuators = EmbeddedActuators::new(Arc::new(Remembered(remembered.clone())), Arc::new(SystemClock));
    world.network.on(Machine::Control, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(actuators.begin(&order))
    })
}
