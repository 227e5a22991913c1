//! Aurora global databases and read replicas.

use holdfast_core::domain::{Act, ActOrder, Actuator, ActuatorKind, FailureKind, Seen};
use holdfast_core::ports::Actuators;
use holdfast_tests::standin::{Fault, Trouble};

use super::{AWAY, HOME, LATER, Scene, actuator, is_done, order_of};

const CLUSTER: &str = "arn:aws:rds:eu-west-1:123456789012:cluster:orders";
const AT_HOME: &str = "arn:aws:rds:eu-central-1:123456789012:cluster:orders";

fn global(cluster: &str) -> Actuator {
    let settings = [("global-cluster", "orders"), ("cluster-arn", cluster)];
    actuator(ActuatorKind::AuroraGlobal, &settings)
}

fn promote(actuator: &Actuator, allow_loss: bool) -> ActOrder {
    order_of(actuator, Act::Promote { allow_loss }, Some(2))
}

fn replica() -> Actuator {
    actuator(ActuatorKind::RdsReplica, &[("instance", "orders-replica")])
}

async fn with_global() -> Scene {
    let scene = Scene::new().await;
    scene.standin.with(|state| state.add_global("orders", &[HOME, AWAY]));
    scene
}

async fn with_replica() -> Scene {
    let scene = Scene::new().await;
    scene.standin.with(|state| {
        state.add_database(HOME, "orders", false, 100, None);
        state.add_database(AWAY, "orders-replica", false, 100, None);
        state.make_replica(
            AWAY,
            "orders-replica",
            "arn:aws:rds:eu-central-1:123456789012:db:orders",
        );
    });
    scene
}

#[tokio::test]
async fn a_switchover_moves_the_writer_once_and_loses_nothing() {
    let scene = with_global().await;
    let order = promote(&global(CLUSTER), false);
    scene.keeps_the_promises(&order, "SwitchoverGlobalCluster").await;
    assert_eq!(
        scene
            .standin
            .with(|state| state.writer_of("orders").map(str::to_owned))
            .as_deref(),
        Some(AWAY)
    );
    match scene.look(&order).await {
        Seen::Done { lag_seconds, .. } => assert_eq!(lag_seconds, Some(0.0)),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.calls_of("FailoverGlobalCluster"), 0);
}

#[tokio::test]
async fn a_failover_needs_leave_to_lose_and_works_while_the_writers_region_is_lost() {
    let scene = with_global().await;
    scene.standin.with(|state| state.lost_regions.insert(HOME.to_owned()));
    let refused = scene.refusal(&promote(&global(CLUSTER), false)).await;
    assert_eq!(refused.kind, FailureKind::Deferred);
    assert!(refused.message.contains("order a failover"), "{refused}");
    let order = promote(&global(CLUSTER), true);
    scene.keeps_the_promises(&order, "FailoverGlobalCluster").await;
    match scene.look(&order).await {
        Seen::Done { lag_seconds, .. } => assert_eq!(lag_seconds, None),
        other => panic!("{other:?}"),
    }
    // The old writer's cluster follows once its Region is back, by itself.
    let follow = Act::Follow {
        leader: "aurora-global".parse().unwrap(),
    };
    let follow = order_of(&global(AT_HOME), follow, Some(2));
    assert!(matches!(scene.look(&follow).await, Seen::Working { .. }));
    scene.standin.with(|state| state.lost_regions.clear());
    assert!(is_done(&scene.look(&follow).await));
}

#[tokio::test]
async fn a_cluster_of_another_database_is_named() {
    let scene = with_global().await;
    let stranger = global("arn:aws:rds:eu-west-1:123456789012:cluster:customers");
    let refused = scene.refusal(&promote(&stranger, true)).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(
        refused
            .message
            .contains("customers is no member of global cluster orders"),
        "{refused}"
    );
    let fence = order_of(&global(CLUSTER), Act::Fence, Some(2));
    let refused = scene.refusal(&fence).await;
    assert!(refused.message.contains("fences the old writer itself"), "{refused}");
}

#[tokio::test]
async fn an_older_generation_changes_nothing_any_more() {
    let scene = with_global().await;
    let newer = order_of(&global(AT_HOME), Act::Promote { allow_loss: false }, Some(3));
    scene.begin(&newer).await;
    let older = promote(&global(CLUSTER), true);
    let refused = scene.refusal(&older).await;
    assert_eq!(refused.kind, FailureKind::Fenced);
    assert!(refused.message.contains("has seen generation 3"), "{refused}");
    assert_eq!(scene.calls_of("FailoverGlobalCluster"), 0);
}

#[tokio::test]
async fn what_a_drill_promotes_is_what_stands_for_it() {
    let scene = with_global().await;
    let drill = order_of(&global(CLUSTER), Act::Promote { allow_loss: true }, None);
    assert_eq!(drill.on.settings()["global-cluster"], "stand-in-orders");
    let refused = scene.refusal(&drill).await;
    assert_eq!(refused.kind, FailureKind::NotFound);
    assert!(refused.message.contains("stand-in-orders"), "{refused}");
    assert_eq!(scene.calls_of("FailoverGlobalCluster"), 0);
}

#[tokio::test]
async fn a_replica_is_promoted_once_and_only_where_loss_is_allowed() {
    let scene = with_replica().await;
    let refused = scene.refusal(&promote(&replica(), false)).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("asynchronously"), "{refused}");
    let order = promote(&replica(), true);
    scene.keeps_the_promises(&order, "PromoteReadReplica").await;
    // What stands is told whatever is asked.
    assert!(is_done(&scene.look(&promote(&replica(), false)).await));
}

#[tokio::test]
async fn a_replica_that_is_backed_up_is_promoted_afterwards_and_a_broken_one_never() {
    let scene = with_replica().await;
    let order = promote(&replica(), true);
    let word = |word: Option<&str>| {
        scene
            .standin
            .with(|state| state.set_database_word(AWAY, "orders-replica", false, word));
    };
    word(Some("backing-up"));
    assert_eq!(scene.look(&order).await, Seen::NotDone);
    assert_eq!(scene.refusal(&order).await.kind, FailureKind::Deferred);
    word(Some("storage-full"));
    let refused = scene.actuators.look(&order).await.unwrap_err();
    assert!(refused.message.contains("storage-full"), "{refused}");
    word(None);
    let throttled = Fault::next("PromoteReadReplica", Trouble::Throttle, 1);
    scene.standin.with(|state| state.faults.push(throttled));
    assert_eq!(scene.refusal(&order).await.kind, FailureKind::Throttled);
    scene.begin(&order).await;
    scene.standin.advance(LATER);
    assert!(is_done(&scene.look(&order).await));
}
