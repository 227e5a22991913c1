//! The marker of Route 53, over an emulated S3 that keeps conditions.

use std::sync::Arc;

use holdfast_aws::AwsActuators;
use holdfast_core::domain::{Act, ActOrder, ActuatorKind, FailureKind, Seen};
use holdfast_core::ports::Actuators;
use holdfast_testkit::fakes::FakeCatalog;

use super::{AWAY, actuator, is_done, order_of};
use crate::ground::Ground;

struct Marked {
    ground: Ground,
    bucket: String,
    actuators: AwsActuators,
}

impl Marked {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let bucket = ground.bucket(AWAY);
        let actuators = Self::executor(&ground);
        Self {
            ground,
            bucket,
            actuators,
        }
    }

    /// One that shares no catalog with others, as if it had read it before them.
    fn executor(ground: &Ground) -> AwsActuators {
        AwsActuators::new(&ground.clients, Arc::new(FakeCatalog::default()))
    }

    fn order(&self, share: u8, generation: u64) -> ActOrder {
        let settings = [("bucket", self.bucket.as_str()), ("key", "failover")];
        order_of(
            &actuator(ActuatorKind::Route53Marker, &settings),
            Act::Direct { share },
            Some(generation),
        )
    }

    async fn stands(&self) -> bool {
        let s3 = self.ground.clients.of(&AWAY.parse().unwrap()).s3();
        s3.head_object()
            .bucket(&self.bucket)
            .key("failover")
            .send()
            .await
            .is_ok()
    }

    async fn begin(&self, order: &ActOrder) {
        self.actuators.begin(order).await.unwrap();
    }

    async fn look(&self, order: &ActOrder) -> Seen {
        self.actuators.look(order).await.unwrap()
    }
}

#[tokio::test]
async fn a_marker_leads_traffic_away_and_its_removal_back() {
    let marked = Marked::new().await;
    let (away, back) = (marked.order(100, 1), marked.order(0, 2));
    assert_eq!(marked.look(&away).await, Seen::NotDone);
    for _ in 0..2 {
        marked.begin(&away).await;
        assert!(is_done(&marked.look(&away).await) && marked.stands().await);
    }
    assert_eq!(marked.look(&back).await, Seen::NotDone);
    for _ in 0..2 {
        marked.begin(&back).await;
        assert!(is_done(&marked.look(&back).await) && !marked.stands().await);
    }
    let refused = marked.actuators.begin(&marked.order(30, 2)).await.unwrap_err();
    assert!(refused.message.contains("0 or 100 instead of 30"), "{refused}");
}

#[tokio::test]
async fn a_stale_executor_neither_puts_nor_removes_the_marker_of_a_later_one() {
    let marked = Marked::new().await;
    marked.begin(&marked.order(100, 1)).await;
    marked.begin(&marked.order(100, 3)).await;
    let stale = Marked::executor(&marked.ground);
    for order in [marked.order(100, 2), marked.order(0, 2)] {
        for refused in [
            stale.begin(&order).await.unwrap_err(),
            stale.look(&order).await.unwrap_err(),
        ] {
            assert_eq!(refused.kind, FailureKind::Fenced, "{refused}");
        }
    }
    assert!(marked.stands().await);
    assert!(is_done(&marked.look(&marked.order(100, 3)).await));
}

#[tokio::test]
async fn what_somebody_else_put_there_is_left_alone() {
    let marked = Marked::new().await;
    let s3 = marked.ground.clients.of(&AWAY.parse().unwrap()).s3();
    let put = s3.put_object().bucket(&marked.bucket).key("failover");
    put.body(b"go".to_vec().into()).send().await.unwrap();
    let refused = marked.actuators.begin(&marked.order(0, 1)).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Integrity);
    assert!(
        refused.message.contains("failover is no marker of Holdfast's"),
        "{refused}"
    );
    assert!(marked.stands().await);
}
