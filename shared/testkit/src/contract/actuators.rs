//! What all actuators promise.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{
    Act, ActOrder, Actuator, Authority, AuthorityRecord, Bound, FailureKind, Run, RunId, RunKind, Seen, StepName,
};
use holdfast_core::ports::Actuators;
use jiff::Timestamp;
use serde_json::json;

/// One thing in the world, and those who change it.
#[async_trait]
pub trait ActuatorWorld: Send + Sync {
    /// The actuators of a process that has just started.
    fn process(&self) -> Arc<dyn Actuators>;

    /// The order that changes the thing, by a run that claimed this generation: none before it counts any more.
    fn order(&self, generation: u64) -> ActOrder;

    /// The order that takes it back, likewise; none where nothing does.
    fn back(&self, generation: u64) -> Option<ActOrder>;

    /// How often the thing was really changed.
    fn changes(&self) -> usize;

    /// Lets so much time pass that whatever was begun is done.
    async fn pass(&self);
}

/// An order to production by a run that claimed this generation.
pub fn order_under(actuator: &Actuator, act: Act, generation: u64) -> ActOrder {
    let at = Timestamp::UNIX_EPOCH;
    let id = RunId::derive(&["contract", &generation.to_string()]);
    let run: Run = serde_json::from_value(json!({
        "id": id, "kind": RunKind::Disaster, "requested_by": "mia", "state": "running",
        "plan": {
            "id": "orders", "description": "", "steps": [],
            "objectives": { "rpo": "1m", "rto": "1m" },
        },
        "declared_at": at, "steps": [], "next_action_at": at,
    }))
    .expect("a run");
    let record = AuthorityRecord {
        workload: actuator.workload.clone(),
        generation,
        writer: None,
        claimed_by: Some(id),
        since: at,
    };
    let authority = Authority::of(&record, &run).expect("authority");
    ActOrder {
        step: StepName::new("step").expect("a name"),
        act,
        on: Bound::for_production(actuator, &authority).expect("bound"),
        others: Vec::new(),
    }
}

/// Runs every promise, each in a fresh world.
pub async fn suite<W: ActuatorWorld>(fresh: impl AsyncFn() -> W) {
    what_nobody_began_is_not_done(&fresh().await).await;
    what_is_begun_again_is_done_once(&fresh().await).await;
    who_did_not_begin_it_sees_that_it_stands(&fresh().await).await;
    an_earlier_generation_is_refused_and_changes_nothing(&fresh().await).await;
    what_was_taken_back_is_not_done_and_can_be_done_again(&fresh().await).await;
}

async fn stands(actuators: &dyn Actuators, order: &ActOrder) -> bool {
    match actuators.look(order).await.expect("a look") {
        Seen::Done { .. } => true,
        Seen::NotDone => false,
        Seen::Working { note } => panic!("it is still worked on: {note}"),
    }
}

async fn carry_out(world: &impl ActuatorWorld, actuators: &dyn Actuators, order: &ActOrder) {
    actuators.begin(order).await.expect("begin");
    world.pass().await;
    assert!(stands(actuators, order).await, "{:?} does not stand", order.act);
}

/// Looking changes nothing.
pub async fn what_nobody_began_is_not_done(world: &impl ActuatorWorld) {
    let order = world.order(1);
    assert!(!stands(world.process().as_ref(), &order).await);
    assert_eq!(world.changes(), 0);
}

/// While it is worked on, and when it stands.
pub async fn what_is_begun_again_is_done_once(world: &impl ActuatorWorld) {
    let (actuators, order) = (world.process(), world.order(1));
    actuators.begin(&order).await.expect("begin");
    carry_out(world, actuators.as_ref(), &order).await;
    carry_out(world, actuators.as_ref(), &order).await;
    assert_eq!(world.changes(), 1);
}

/// Memory is no proof: the world is looked at.
pub async fn who_did_not_begin_it_sees_that_it_stands(world: &impl ActuatorWorld) {
    let order = world.order(1);
    carry_out(world, world.process().as_ref(), &order).await;
    assert!(stands(world.process().as_ref(), &order).await);
}

/// Whoever comes with authority that has moved on is told so, also by a process that has just started.
pub async fn an_earlier_generation_is_refused_and_changes_nothing(world: &impl ActuatorWorld) {
    let stale = world.order(1);
    let newer = world.order(2);
    carry_out(world, world.process().as_ref(), &newer).await;
    let changes = world.changes();
    for order in std::iter::once(stale).chain(world.back(1)) {
        let refused = world.process().begin(&order).await.expect_err("a refusal");
        assert_eq!(refused.kind, FailureKind::Fenced, "{refused}");
    }
    world.pass().await;
    assert_eq!(world.changes(), changes);
}

/// An act and its opposite are two orders, also under one step and one run.
pub async fn what_was_taken_back_is_not_done_and_can_be_done_again(world: &impl ActuatorWorld) {
    let actuators = world.process();
    let order = world.order(1);
    let Some(back) = world.back(1) else { return };
    carry_out(world, actuators.as_ref(), &order).await;
    assert!(
        !stands(actuators.as_ref(), &back).await,
        "it is taken back before it was"
    );
    carry_out(world, actuators.as_ref(), &back).await;
    let again = world.order(2);
    assert!(!stands(actuators.as_ref(), &again).await, "what was taken back stands");
    carry_out(world, actuators.as_ref(), &again).await;
    assert_eq!(world.changes(), 3);
}
