//! The fakes obey the contracts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use holdfast_core::domain::{
    Act, ActOrder, Actuator, ActuatorKind, ActuatorName, BackupKind, Divergence, FailureKind, JobId, JobKind, Order,
    Patterns, Probe, ResourceId, Span, VaultName,
};
use holdfast_core::ports::{Actuators, Bus, Clock, Engine, Pager, Probes, Queue, Task};
use holdfast_testkit::contract::actuators::{ActuatorWorld, order_under};
use holdfast_testkit::contract::guards::{GuardWorld, Side};
use holdfast_testkit::contract::pager::{Heard, PagerWorld};
use holdfast_testkit::contract::probes::ProbeWorld;
use holdfast_testkit::contract::{self, engine::EngineWorld, queue::QueueWorld};
use holdfast_testkit::fakes::{
    FakeActuators, FakeBus, FakeCatalog, FakeClock, FakeEngine, FakeEvidence, FakeKeys, FakePager, FakeProbes,
    FakeQueue, Thing,
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

/// Two servers that guards watch over, in memory.
struct FakeGuards {
    clock: Arc<FakeClock>,
    actuators: Arc<FakeActuators>,
}

impl FakeGuards {
    fn new() -> Self {
        let clock = clock();
        let actuators = Arc::new(FakeActuators::new(clock.clone()));
        actuators.set_takes(Span::seconds(3));
        let world = Self { clock, actuators };
        let home = Thing {
            generation: 1,
            writable: true,
            ..Thing::default()
        };
        let away = Thing {
            generation: 1,
            leader: Some(world.name(Side::Home)),
            ..Thing::default()
        };
        world.actuators.put(&world.name(Side::Home), home);
        world.actuators.put(&world.name(Side::Away), away);
        world.set_authority(1, Some(Side::Home));
        world
    }
}

fn guarded(side: Side) -> Actuator {
    let (name, region) = match side {
        Side::Home => ("db-home", "home"),
        Side::Away => ("db-away", "away"),
    };
    Actuator {
        name: name.parse().expect("a name"),
        kind: ActuatorKind::Postgres,
        region: region.parse().expect("a Region"),
        workload: "shop".parse().expect("a workload"),
        production: Default::default(),
        drill: None,
    }
}

impl GuardWorld for FakeGuards {
    fn process(&self) -> Arc<dyn Actuators> {
        self.actuators.clone()
    }

    fn name(&self, side: Side) -> ActuatorName {
        guarded(side).name
    }

    fn order(&self, side: Side, act: Act, generation: u64) -> ActOrder {
        order_under(&guarded(side), act, generation)
    }

    fn set_authority(&self, generation: u64, writer: Option<Side>) {
        self.actuators
            .set_authority(generation, writer.map(|side| guarded(side).region));
    }

    fn set_cut(&self, side: Side, cut: bool) {
        self.actuators.set_cut(&guarded(side).region, cut);
    }

    fn kill(&self, side: Side) {
        self.set_cut(side, true);
    }

    fn start(&self, side: Side) {
        self.set_cut(side, false);
    }

    fn write(&self, side: Side) -> Option<u64> {
        let server = guarded(side);
        self.actuators.write(&server.name, &server.region)
    }

    fn rows(&self, side: Side) -> BTreeSet<u64> {
        self.actuators.rows(&self.name(side))
    }

    fn listed(&self, given_up: &Divergence) -> BTreeSet<u64> {
        let rows = given_up.records.split(' ');
        rows.map(|row| row.parse().expect("a row")).collect()
    }

    fn promotions(&self, side: Side) -> u64 {
        self.actuators.thing(&self.name(side)).promotions
    }

    fn now(&self) -> Duration {
        let now = self.clock.now().as_millisecond();
        Duration::from_millis(now.try_into().expect("a time after 1970"))
    }

    fn moment(&self) {
        self.clock.advance(Span::seconds(1));
    }

    fn stated(&self) -> Duration {
        let lease = FakeActuators::LEASE.as_seconds();
        Duration::from_secs(lease.try_into().expect("a length of time"))
    }
}

#[test]
fn fake_servers_obey_the_contract_of_guards() {
    in_one_poll(contract::guards::suite(async || FakeGuards::new()));
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
