//! Tables: an intent before the restore, tags after it.

use holdfast_core::domain::{FailureKind, Outcome, ResourceKind};
use holdfast_core::ports::Observation;
use holdfast_testkit::contract::engine::EngineWorld as _;
use holdfast_tests::standin::{Fault, Trouble};

use super::{HOME, HOUR, Scene, copy, delete, restore};

#[tokio::test]
async fn a_point_of_a_table_lives_in_its_region() {
    let scene = Scene::new(ResourceKind::Dynamodb).await;
    let original = scene.made("backup").await;
    assert!(scene.damages(&original).await.is_empty());
    let refused = scene.refusal(&copy("copy", &original)).await;
    assert_eq!(refused.kind, FailureKind::Invalid);
    assert!(refused.message.contains("aws_backup"), "{refused}");
    // A table that is being made tells no tags and takes none: it is tagged when it is usable.
    let task = restore("restore", &original, "orders-2");
    scene.engine().start(&task).await.unwrap();
    let seen = scene.observe(&task).await;
    assert!(matches!(seen, Observation::Running(_)), "{seen:?}");
    scene.engine().start(&task).await.unwrap();
    assert_eq!(scene.calls_of("TagResource"), 0);
    scene.standin.advance(HOUR * 5);
    scene.fault(Fault::next("TagResource", Trouble::ServerError, 1));
    assert_eq!(scene.observe(&task).await, Observation::NotStarted);
    assert_eq!(scene.refusal(&task).await.kind, FailureKind::Transient);
    let outcome = scene.carry_out(&task).await;
    assert!(matches!(outcome, Outcome::Restore { bytes: 4096, .. }), "{outcome:?}");
    assert_eq!(scene.calls_of("RestoreTableFromBackup"), 1);
    // Its tags tell whose it is when the catalog has forgotten.
    scene.forget().await;
    assert_eq!(scene.observe(&task).await, Observation::Completed(outcome));
    assert_eq!(scene.carry_out(&delete(&original)).await, Outcome::Delete);
    assert_eq!(scene.artefacts().await, 0);
}

#[tokio::test]
async fn a_restored_table_is_known_by_its_intent() {
    let scene = Scene::new(ResourceKind::Dynamodb).await;
    let original = scene.made("backup").await;
    scene.standin.advance(HOUR * 48);
    // The answer to the start is lost: the table is the job's own, however old its backup is.
    scene.fault(Fault::next("RestoreTableFromBackup", Trouble::LoseAnswer, 1));
    let task = restore("restore", &original, "orders-2");
    assert_eq!(scene.refusal(&task).await.kind, FailureKind::Transient);
    assert!(matches!(scene.observe(&task).await, Observation::Running(_)));
    scene.carry_out(&task).await;
    // Another job did not make it, though it is made from the same backup; nor a table that nobody restored.
    for (job, target) in [("another", "orders-2"), ("third", "orders")] {
        let other = restore(job, &original, target);
        assert!(
            matches!(scene.observe(&other).await, Observation::Failed { .. }),
            "{job}"
        );
        assert_eq!(scene.refusal(&other).await.kind, FailureKind::Invalid, "{job}");
    }
    assert_eq!(scene.calls_of("RestoreTableFromBackup"), 1);
}

#[tokio::test]
async fn two_executions_that_restore_at_once_make_one_table() {
    let scene = Scene::new(ResourceKind::Dynamodb).await;
    let original = scene.made("backup").await;
    let task = restore("restore", &original, "orders-2");
    scene.engine().start(&task).await.unwrap();
    // The second one looked before the first one made it.
    scene.fault(Fault::next("DescribeTable", Trouble::Overlook, 1));
    scene.engine().start(&task).await.unwrap();
    assert_eq!(scene.calls_of("RestoreTableFromBackup"), 2);
    scene.carry_out(&task).await;
    // Somebody else's table is found out even so.
    scene.fault(Fault::next("DescribeTable", Trouble::Overlook, 1));
    let other = scene.refusal(&restore("another", &original, "orders")).await;
    assert_eq!(other.kind, FailureKind::Invalid);
    assert!(other.message.contains("exists already"), "{other}");
    assert!(scene.standin.with(|state| state.has_table(HOME, "orders-2")));
}
