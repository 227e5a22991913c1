//! The fakes obey the contracts.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use holdfast_core::domain::{
    Act, ActOrder, Actuator, ActuatorKind, BackupKind, FailureKind, JobId, JobKind, Order, Patterns, Probe, ResourceId,
    Span, VaultName,
};
use holdfast_core::ports::{Actuators, Bus, Engine, Pager, Probes, Queue, Task};
use holdfast_testkit::contract::actuators::{ActuatorWorld, order_under};
use holdfast_testkit::contract::pager::{Heard, PagerWorld};
use holdfast_testkit::contract::probes::ProbeWorld;
use holdfast_testkit::contract::{self, engine::EngineWorld, queue::QueueWorld};
use holdfast_testkit::fakes::{
    FakeActuators, FakeBus, FakeCatalog, FakeClock, FakeEngine, FakeEvidence, FakeKeys, FakePager, FakeProbes,
    FakeQueue,
};
use jiff::Timestamp;

/// Also proves that nothing in the fakes ever waits.
fn in_one_poll(suite: impl Future<Output = ()>) {
    suite.now_or_never().expect("fakes complete in one poll");
}

fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::at(Timestamp::from_second(1_800_000_000).expect("valid")))
}

#[test]
fn the_fake_catalog_obeys_the_contract() {
    in_one_poll(contract::catalog::suite(async || Arc::new(FakeCatalog::default()) as _));
}

struct Silenced(Arc<FakeProbes>);

/// One question of each kind, about a place of this name.
fn questions(name: &str) -> Vec<Probe> {
    vec![
        Probe::Http {
            url: format!("http://{name}/health"),
            status: 200,
            contains: None,
        },
        Probe::Tcp {
            address: format!("{name}:5432"),
        },
        Probe::Sql {
            server: format!("host={name}"),
            query: "SELECT 1".to_owned(),
            expects: "1".to_owned(),
        },
    ]
}

#[async_trait]
impl ProbeWorld for Silenced {
    fn probes(&self) -> Arc<dyn Probes> {
        self.0.clone()
    }

    async fn good(&self) -> Vec<Probe> {
        questions("orders")
    }

    async fn wrong(&self) -> Vec<Probe> {
        Vec::new()
    }

    async fn silent(&self) -> Vec<Probe> {
        for place in ["http://lost/health", "lost:5432", "host=lost"] {
            self.0.set_silent(place, true);
        }
        questions("lost")
    }
}

#[test]
fn the_fake_probes_obey_the_contract() {
    in_one_poll(contract::probes::suite(async || Silenced(Arc::default())));
}

struct FakeThing {
    clock: Arc<FakeClock>,
    actuators: Arc<FakeActuators>,
}

fn order_to(act: Act, generation: u64) -> ActOrder {
    let actuator = Actuator {
        name: "orders".parse().expect("a name"),
        kind: ActuatorKind::Command,
        region: "away".parse().expect("a Region"),
        workload: "shop".parse().expect("a workload"),
        production: Default::default(),
        drill: None,
    };
    order_under(&actuator, act, generation)
}

#[async_trait]
impl ActuatorWorld for FakeThing {
    fn process(&self) -> Arc<dyn Actuators> {
        self.actuators.clone()
    }

    fn order(&self, generation: u64) -> ActOrder {
        order_to(Act::Start, generation)
    }

    fn back(&self, generation: u64) -> Option<ActOrder> {
        Some(order_to(Act::Stop, generation))
    }

    fn changes(&self) -> usize {
        self.actuators.effects()
    }

    async fn pass(&self) {
        self.clock.advance(Span::minutes(10));
    }
}

#[test]
fn the_fake_actuators_obey_the_contract() {
    in_one_poll(contract::actuators::suite(async || {
        let clock = clock();
        let actuators = Arc::new(FakeActuators::new(clock.clone()));
        actuators.set_takes(Span::minutes(5));
        FakeThing { clock, actuators }
    }));
}

struct FakeQueues {
    clock: Arc<FakeClock>,
    queue: FakeQueue,
}

#[async_trait]
impl QueueWorld for FakeQueues {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    async fn pass(&self, span: Span) {
        self.clock.advance(span);
    }
}

#[test]
fn the_fake_queue_obeys_the_contract() {
    in_one_poll(contract::queue::suite(async || {
        let clock = clock();
        FakeQueues {
            queue: FakeQueue::new(clock.clone()),
            clock,
        }
    }));
}

#[test]
fn the_fake_bus_obeys_the_contract() {
    in_one_poll(contract::bus::suite(async || {
        let queue: Arc<dyn Queue> = Arc::new(FakeQueue::new(clock()));
        (Arc::new(FakeBus::new(queue.clone())) as Arc<dyn Bus>, queue)
    }));
}

#[derive(Default)]
struct FakePages(FakePager);

#[async_trait]
impl PagerWorld for FakePages {
    fn pager(&self) -> &dyn Pager {
        &self.0
    }

    async fn heard(&self) -> Vec<Heard> {
        self.0.pages().iter().map(Heard::from).collect()
    }
}

#[test]
fn the_fake_pager_obeys_the_contract() {
    in_one_poll(contract::pager::suite(async || FakePages::default()));
}

#[test]
fn the_fake_keys_obey_the_contract() {
    in_one_poll(contract::keys::suite(async |name| Arc::new(FakeKeys::named(name)) as _));
}

#[test]
fn the_fake_evidence_store_obeys_the_contract() {
    in_one_poll(contract::evidence::suite(async || {
        Arc::new(FakeEvidence::default()) as _
    }));
}

struct FakeEngines {
    clock: Arc<FakeClock>,
    engine: Arc<FakeEngine>,
}

fn resource() -> ResourceId {
    ResourceId::new("photos").expect("valid")
}

fn vault() -> VaultName {
    VaultName::new("local").expect("valid")
}

#[async_trait]
impl EngineWorld for FakeEngines {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn backup(&self, job: JobId, attempt: u32) -> Task {
        let order = Order::Backup {
            resource: resource(),
            path: "/photos".to_owned(),
            vault: vault(),
            kind: BackupKind::Full,
            base: None,
            patterns: Patterns::default(),
            bandwidth_limit: None,
            server: None,
        };
        Task { job, attempt, order }
    }

    async fn finish(&self) {
        self.clock.advance(Span::hours(1));
    }

    fn doom_next(&self) {
        self.engine.fail_next_task(JobKind::Backup, FailureKind::Transient);
    }

    async fn crash(&self) {
        self.engine.crash();
    }

    async fn forget(&self) {
        self.engine.crash();
    }

    fn set_reachable(&self, reachable: bool) {
        self.engine.set_reachable(&vault(), reachable);
    }

    async fn artefacts(&self) -> usize {
        self.engine.artefacts(&vault(), &resource()).len()
    }
}

#[test]
fn the_fake_engine_obeys_the_contract() {
    in_one_poll(contract::engine::suite(async || {
        let clock = clock();
        FakeEngines {
            engine: Arc::new(FakeEngine::new(clock.clone())),
            clock,
        }
    }));
}
