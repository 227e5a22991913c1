//! Routing controls: five endpoints, of which some are away.

use holdfast_core::domain::{Act, ActOrder, ActuatorKind, FailureKind, Seen};
use holdfast_core::ports::Actuators;
use holdfast_tests::front::{Front, What};

use super::{AWAY, Scene, actuator, is_done, order_of};

const OWN: &str = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/away";
const OTHER: &str = "arn:aws:route53-recovery-control::123456789012:controlpanel/p/routingcontrol/home";

/// A cluster of five endpoints before the same stand-in, with traffic in the home Region.
struct Cluster {
    scene: Scene,
    endpoints: Vec<Front>,
}

impl Cluster {
    async fn new() -> Self {
        let scene = Scene::new().await;
        scene.standin.with(|state| {
            state.add_control(OWN, false);
            state.add_control(OTHER, true);
        });
        let standin = scene.standin.endpoint();
        let fronts = move || (0..5).map(|_| Front::before_endpoint(standin.clone())).collect();
        // Each brings a runtime of its own.
        let endpoints = tokio::task::spawn_blocking(fronts).await.unwrap();
        Self { scene, endpoints }
    }

    fn order(&self, share: u8, with_other: bool) -> ActOrder {
        let pairs: Vec<String> = self
            .endpoints
            .iter()
            .map(|front| format!("{AWAY}={}", front.endpoint()))
            .collect();
        let pairs = pairs.join(" ");
        let mut settings = vec![("routing-control", OWN), ("endpoints", pairs.as_str())];
        if with_other {
            settings.push(("other-routing-control", OTHER));
        }
        order_of(
            &actuator(ActuatorKind::ArcRoutingControl, &settings),
            Act::Direct { share },
            Some(1),
        )
    }

    fn lose(&self, endpoints: std::ops::Range<usize>) {
        for front in &self.endpoints[endpoints] {
            front.trouble("POST", 0, usize::MAX, What::Answered(503));
        }
    }

    fn is_on(&self, control: &str) -> bool {
        self.scene.standin.with(|state| state.is_on(control))
    }
}

#[tokio::test]
async fn traffic_moves_in_one_call_while_two_endpoints_are_away() {
    let cluster = Cluster::new().await;
    cluster.lose(0..2);
    let order = cluster.order(100, true);
    assert_eq!(cluster.scene.look(&order).await, Seen::NotDone);
    for _ in 0..2 {
        cluster.scene.begin(&order).await;
        assert!(is_done(&cluster.scene.look(&order).await));
    }
    assert!(cluster.is_on(OWN) && !cluster.is_on(OTHER));
    assert_eq!(cluster.scene.calls_of("UpdateRoutingControlStates"), 1);
    let back = cluster.order(0, true);
    cluster.scene.begin(&back).await;
    assert!(is_done(&cluster.scene.look(&back).await));
    assert!(!cluster.is_on(OWN) && cluster.is_on(OTHER));
}

#[tokio::test]
async fn without_a_quorum_nothing_is_believed_and_one_endpoint_is_enough_to_act() {
    let cluster = Cluster::new().await;
    cluster.lose(0..4);
    let order = cluster.order(100, true);
    let unknown = cluster.scene.actuators.look(&order).await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::Transient);
    cluster.scene.begin(&order).await;
    assert!(cluster.is_on(OWN));
    cluster.lose(4..5);
    assert_eq!(cluster.scene.refusal(&order).await.kind, FailureKind::Transient);
}

#[tokio::test]
async fn a_safety_rule_is_no_trouble_that_passes() {
    let cluster = Cluster::new().await;
    cluster.scene.begin(&cluster.order(100, true)).await;
    let refused = cluster.scene.refusal(&cluster.order(0, false)).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("other-routing-control"), "{refused}");
    let refused = cluster.scene.refusal(&cluster.order(50, true)).await;
    assert!(refused.message.contains("0 or 100 instead of 50"), "{refused}");
}

#[tokio::test]
async fn fewer_than_five_endpoints_are_no_cluster() {
    let mut cluster = Cluster::new().await;
    cluster.endpoints.truncate(3);
    let refused = cluster.scene.refusal(&cluster.order(100, true)).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("names 3 endpoints"), "{refused}");
}
