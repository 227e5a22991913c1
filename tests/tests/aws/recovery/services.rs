//! ECS services, Auto Scaling groups and functions.

use holdfast_core::domain::{Act, Actuator, ActuatorKind, FailureKind, Seen};

use super::{AWAY, LATER, Scene, actuator, is_done, order_of};

fn service() -> Actuator {
    let settings = [("cluster", "shop"), ("service", "orders"), ("count", "3")];
    actuator(ActuatorKind::EcsService, &settings)
}

fn group(capacity: &str) -> Actuator {
    let settings = [("group", "workers"), ("capacity", capacity)];
    actuator(ActuatorKind::AutoScalingGroup, &settings)
}

fn function(concurrency: &[(&str, &str)]) -> Actuator {
    let settings = [&[("function", "orders")], concurrency].concat();
    actuator(ActuatorKind::LambdaFunction, &settings)
}

#[tokio::test]
async fn a_service_starts_stops_and_counts_as_fenced_once_nothing_runs() {
    let scene = Scene::new().await;
    scene
        .standin
        .with(|state| state.add_capacity(AWAY, "shop/orders", 0, (0, 9)));
    let start = order_of(&service(), Act::Start, Some(1));
    scene.keeps_the_promises(&start, "UpdateService").await;
    let fence = order_of(&service(), Act::Fence, Some(1));
    assert_eq!(scene.look(&fence).await, Seen::NotDone);
    scene.begin(&fence).await;
    assert!(matches!(scene.look(&fence).await, Seen::Working { .. }));
    scene.standin.advance(LATER);
    assert!(is_done(&scene.look(&fence).await));
}

#[tokio::test]
async fn a_group_starts_and_stops_within_its_limits() {
    let scene = Scene::new().await;
    scene
        .standin
        .with(|state| state.add_capacity(AWAY, "workers", 0, (0, 4)));
    let start = order_of(&group("2"), Act::Start, Some(1));
    scene.keeps_the_promises(&start, "SetDesiredCapacity").await;
    let refused = scene.refusal(&order_of(&group("5"), Act::Start, Some(1))).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("takes 0 to 4 instances, not 5"), "{refused}");
    let stop = order_of(&group("2"), Act::Stop, Some(1));
    scene.begin(&stop).await;
    scene.standin.advance(LATER);
    assert!(is_done(&scene.look(&stop).await));
}

#[tokio::test]
async fn what_is_missing_or_no_number_is_named() {
    let scene = Scene::new().await;
    let start = |actuator: &Actuator| order_of(actuator, Act::Start, Some(1));
    let refused = scene.refusal(&start(&service())).await;
    assert_eq!(refused.kind, FailureKind::NotFound);
    assert!(
        refused.message.contains("ECS service orders in cluster shop"),
        "{refused}"
    );
    let refused = scene.refusal(&start(&group("2"))).await;
    assert_eq!(refused.kind, FailureKind::NotFound);
    for bad in ["", "0", "-1", "many"] {
        let refused = scene.refusal(&start(&group(bad))).await;
        assert_eq!(refused.kind, FailureKind::Invalid, "{bad}");
        assert!(refused.message.contains("\"capacity\""), "{refused}");
    }
    let misspelt = actuator(ActuatorKind::EcsService, &[("cluster", "shop"), ("desired", "3")]);
    let refused = scene.refusal(&start(&misspelt)).await;
    assert!(
        refused
            .message
            .contains("\"desired\" is not known; known: cluster, service, count"),
        "{refused}"
    );
    let elsewhere = actuator(ActuatorKind::Postgres, &[("guard", "http://127.0.0.1:1")]);
    let refused = scene.refusal(&start(&elsewhere)).await;
    assert!(
        refused.message.contains("kind postgres cannot be worked on here"),
        "{refused}"
    );
    let refused = scene
        .refusal(&order_of(&service(), Act::Direct { share: 100 }, Some(1)))
        .await;
    assert!(refused.message.contains("ecs-service cannot direct"), "{refused}");
}

#[tokio::test]
async fn a_function_is_fenced_by_its_concurrency() {
    let scene = Scene::new().await;
    scene.standin.with(|state| state.add_function(AWAY, "orders"));
    let order = |act: Act, concurrency: &[(&str, &str)]| order_of(&function(concurrency), act, Some(1));
    let fence = order(Act::Fence, &[]);
    assert_eq!(scene.look(&fence).await, Seen::NotDone);
    scene.lose_answer_of("PutFunctionConcurrency");
    assert_eq!(scene.refusal(&fence).await.kind, FailureKind::Transient);
    assert!(is_done(&scene.look(&fence).await));
    scene.begin(&fence).await;
    assert_eq!(scene.calls_of("PutFunctionConcurrency"), 1);
    for unfence in [order(Act::Unfence, &[("concurrency", "7")]), order(Act::Unfence, &[])] {
        assert_eq!(scene.look(&unfence).await, Seen::NotDone);
        scene.begin(&unfence).await;
        assert!(is_done(&scene.look(&unfence).await));
    }
    assert_eq!(scene.look(&fence).await, Seen::NotDone);
}

#[tokio::test]
async fn a_function_is_called_with_what_the_step_says() {
    let scene = Scene::new().await;
    scene.standin.with(|state| state.add_function(AWAY, "orders"));
    let payload = "{\"warm\":true}".to_owned();
    let call = order_of(
        &function(&[]),
        Act::Invoke {
            payload: payload.clone(),
        },
        Some(1),
    );
    assert_eq!(scene.look(&call).await, Seen::NotDone);
    for _ in 0..2 {
        scene.begin(&call).await;
        assert!(is_done(&scene.look(&call).await));
    }
    assert_eq!(
        scene.standin.with(|state| state.calls_of_function(AWAY, "orders")),
        [payload]
    );
}
