//! What every actuator promises, for those of AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use holdfast_aws::{AwsActuators, Clients};
use holdfast_core::domain::{Act, ActOrder, Actuator, ActuatorKind};
use holdfast_core::ports::Actuators;
use holdfast_testkit::contract::actuators::{ActuatorWorld, order_under, suite};
use holdfast_testkit::fakes::FakeCatalog;
use holdfast_tests::front::Front;
use holdfast_tests::standin::{Standin, State};

use super::{AWAY, HOME, LATER, actuator};
use crate::ground::{Ground, region};

/// A thing of AWS, over the stand-in.
struct Thing {
    standin: Standin,
    clients: Arc<Clients>,
    catalog: Arc<FakeCatalog>,
    actuator: Actuator,
    acts: (Act, Option<Act>),
    /// The calls that change it.
    changing: &'static [&'static str],
}

impl Thing {
    async fn new(
        kind: ActuatorKind,
        settings: &[(&str, &str)],
        acts: (Act, Option<Act>),
        changing: &'static [&'static str],
        make: impl FnOnce(&mut State),
    ) -> Self {
        let standin = Standin::start("2026-03-01T00:00:00Z".parse().unwrap());
        standin.with(make);
        let clients = Clients::of_emulator(HOME.parse().unwrap(), &standin.endpoint()).await;
        Self {
            standin,
            clients: Arc::new(clients),
            catalog: Arc::default(),
            actuator: actuator(kind, settings),
            acts,
            changing,
        }
    }
}

#[async_trait]
impl ActuatorWorld for Thing {
    fn process(&self) -> Arc<dyn Actuators> {
        Arc::new(AwsActuators::new(&self.clients, self.catalog.clone()))
    }

    fn order(&self, generation: u64) -> ActOrder {
        order_under(&self.actuator, self.acts.0.clone(), generation)
    }

    fn back(&self, generation: u64) -> Option<ActOrder> {
        let back = self.acts.1.clone()?;
        Some(order_under(&self.actuator, back, generation))
    }

    fn changes(&self) -> usize {
        let is_change = |call: &&String| call.split(' ').next().is_some_and(|name| self.changing.contains(&name));
        self.standin.with(|state| state.calls.iter().filter(is_change).count())
    }

    async fn pass(&self) {
        self.standin.advance(LATER);
    }
}

#[tokio::test]
async fn services_obey_the_contract() {
    let settings = [("cluster", "shop"), ("service", "orders"), ("count", "3")];
    let acts = || (Act::Start, Some(Act::Stop));
    let make = |state: &mut State| state.add_capacity(AWAY, "shop/orders", 0, (0, 9));
    suite(async || Thing::new(ActuatorKind::EcsService, &settings, acts(), &["UpdateService"], make).await).await;
}

#[tokio::test]
async fn groups_obey_the_contract() {
    let settings = [("group", "workers"), ("capacity", "2")];
    let acts = || (Act::Start, Some(Act::Stop));
    let make = |state: &mut State| state.add_capacity(AWAY, "workers", 0, (0, 4));
    let changing = &["SetDesiredCapacity"];
    suite(async || Thing::new(ActuatorKind::AutoScalingGroup, &settings, acts(), changing, make).await).await;
}

#[tokio::test]
async fn functions_obey_the_contract() {
    let settings = [("function", "orders"), ("concurrency", "7")];
    let acts = || (Act::Fence, Some(Act::Unfence));
    let make = |state: &mut State| state.add_function(AWAY, "orders");
    let changing = &["PutFunctionConcurrency"];
    suite(async || Thing::new(ActuatorKind::LambdaFunction, &settings, acts(), changing, make).await).await;
}

#[tokio::test]
async fn global_databases_obey_the_contract() {
    let cluster = "arn:aws:rds:eu-west-1:123456789012:cluster:orders";
    let settings = [("global-cluster", "orders"), ("cluster-arn", cluster)];
    let make = |state: &mut State| state.add_global("orders", &[HOME, AWAY]);
    let promote = || (Act::Promote { allow_loss: false }, None);
    let changing = &["SwitchoverGlobalCluster"];
    suite(async || Thing::new(ActuatorKind::AuroraGlobal, &settings, promote(), changing, make).await).await;
}

#[tokio::test]
async fn replicas_obey_the_contract() {
    let make = |state: &mut State| {
        state.add_database(HOME, "orders", false, 100, None);
        state.add_database(AWAY, "orders-replica", false, 100, None);
        let source = "arn:aws:rds:eu-central-1:123456789012:db:orders";
        state.make_replica(AWAY, "orders-replica", source);
    };
    let promote = || (Act::Promote { allow_loss: true }, None);
    let (settings, changing) = ([("instance", "orders-replica")], &["PromoteReadReplica"]);
    suite(async || Thing::new(ActuatorKind::RdsReplica, &settings, promote(), changing, make).await).await;
}

#[tokio::test]
async fn routing_controls_obey_the_contract() {
    const OWN: &str = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/away";
    const OTHER: &str = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/home";
    let settings = [("routing-control", OWN), ("other-routing-control", OTHER)];
    let acts = || (Act::Direct { share: 100 }, Some(Act::Direct { share: 0 }));
    let make = |state: &mut State| {
        state.add_control(OWN, false);
        state.add_control(OTHER, true);
    };
    let changing = &["UpdateRoutingControlStates"];
    suite(async || {
        let mut thing = Thing::new(ActuatorKind::ArcRoutingControl, &settings, acts(), changing, make).await;
        let endpoint = format!("{AWAY}={}", thing.standin.endpoint());
        let endpoints = [endpoint.as_str(); 5].join(" ");
        thing.actuator.production.insert("endpoints".to_owned(), endpoints);
        thing
    })
    .await;
}

/// A marker, over an emulated S3 that keeps conditions.
struct Marker {
    front: Front,
    changes: AtomicUsize,
    clients: Arc<Clients>,
    catalog: Arc<FakeCatalog>,
    actuator: Actuator,
    _ground: Ground,
}

impl Marker {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let bucket = ground.bucket(AWAY);
        let endpoint = ground.moto.endpoint().to_owned();
        // It brings a runtime of its own.
        let front = tokio::task::spawn_blocking(move || Front::before_endpoint(endpoint)).await;
        let front = front.unwrap();
        let clients = Clients::of_emulator(region(HOME), &front.endpoint()).await;
        Self {
            front,
            changes: AtomicUsize::new(0),
            clients: Arc::new(clients),
            catalog: Arc::default(),
            actuator: actuator(
                ActuatorKind::Route53Marker,
                &[("bucket", &bucket), ("key", "traffic/away")],
            ),
            _ground: ground,
        }
    }
}

#[async_trait]
impl ActuatorWorld for Marker {
    fn process(&self) -> Arc<dyn Actuators> {
        Arc::new(AwsActuators::new(&self.clients, self.catalog.clone()))
    }

    fn order(&self, generation: u64) -> ActOrder {
        order_under(&self.actuator, Act::Direct { share: 100 }, generation)
    }

    fn back(&self, generation: u64) -> Option<ActOrder> {
        Some(order_under(&self.actuator, Act::Direct { share: 0 }, generation))
    }

    fn changes(&self) -> usize {
        let asked = self.front.requests();
        let changing = asked.iter().filter(|request| !request.starts_with("GET "));
        self.changes.fetch_add(changing.count(), Ordering::SeqCst);
        self.changes.load(Ordering::SeqCst)
    }

    async fn pass(&self) {}
}

#[tokio::test]
async fn markers_obey_the_contract() {
    suite(Marker::new).await;
}
