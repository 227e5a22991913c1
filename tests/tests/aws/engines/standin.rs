//! What the stand-in itself does.

use std::sync::{Arc, Mutex};

use holdfast_core::domain::ResourceKind;
use holdfast_tests::standin::Delivery;
use jiff::SignedDuration;

use super::{AWAY, HOME, HOUR, Scene, rds_call};

#[tokio::test]
async fn events_of_the_stand_in_come_late_twice_or_never() {
    let scene = Scene::new(ResourceKind::Rds).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    scene.standin.on_event(move |event| ear.lock().unwrap().push(event));
    let told = |id: &str| {
        let heard = heard.lock().unwrap();
        heard.iter().filter(|event| event["detail"]["EventID"] == id).count()
    };
    scene.made("prompt").await;
    assert_eq!((told("RDS-EVENT-0040"), told("RDS-EVENT-0042")), (1, 1));
    scene.standin.with(|state| state.delivery = Delivery::Doubled);
    scene.made("doubled").await;
    assert_eq!(told("RDS-EVENT-0042"), 3);
    scene.standin.with(|state| state.delivery = Delivery::Missing);
    scene.made("missing").await;
    assert_eq!(told("RDS-EVENT-0042"), 3);
    scene
        .standin
        .with(|state| state.delivery = Delivery::Late(SignedDuration::from_hours(5)));
    scene.made("late").await;
    assert_eq!(told("RDS-EVENT-0042"), 3);
    scene.standin.advance(HOUR * 6);
    assert_eq!(told("RDS-EVENT-0042"), 4);
}

#[tokio::test]
async fn the_stand_in_refuses_what_rds_refuses() {
    let scene = Scene::new(ResourceKind::Rds).await;
    for n in 0..25 {
        scene.made(&format!("backup {n}")).await;
    }
    let (status, body) = rds_call(&scene, HOME, &[("Action", "DescribeDBSnapshots"), ("MaxRecords", "20")]);
    assert_eq!((status, body.matches("<DBSnapshot>").count()), (200, 20));
    assert!(body.contains("<Marker>20</Marker>"), "{body}");
    let rest = [
        ("Action", "DescribeDBSnapshots"),
        ("MaxRecords", "20"),
        ("Marker", "20"),
    ];
    assert_eq!(rds_call(&scene, HOME, &rest).1.matches("<DBSnapshot>").count(), 5);
    let original = scene.made("backup 0").await.artefact;
    let arn = format!("arn:aws:rds:{HOME}:123456789012:snapshot:{original}");
    let refused = [
        (
            AWAY,
            "InvalidParameterCombination",
            vec![
                ("Action", "CopyDBSnapshot"),
                ("SourceDBSnapshotIdentifier", arn.as_str()),
                ("TargetDBSnapshotIdentifier", "without-key"),
            ],
        ),
        (
            HOME,
            "DBSnapshotAlreadyExists",
            vec![
                ("Action", "CreateDBSnapshot"),
                ("DBSnapshotIdentifier", original.as_str()),
                ("DBInstanceIdentifier", "orders"),
            ],
        ),
        (
            HOME,
            "InvalidParameterValue",
            vec![
                ("Action", "RestoreDBInstanceToPointInTime"),
                ("SourceDBInstanceIdentifier", "orders"),
                ("TargetDBInstanceIdentifier", "too-late"),
                ("RestoreTime", "2030-01-01T00:00:00Z"),
            ],
        ),
        (
            HOME,
            "InvalidParameterCombination",
            vec![("Action", "DeleteDBInstance"), ("DBInstanceIdentifier", "orders")],
        ),
        (
            HOME,
            "InvalidParameterValue",
            vec![("Action", "DescribeDBSnapshots"), ("MaxRecords", "7")],
        ),
    ];
    for (region, code, form) in refused {
        let (status, body) = rds_call(&scene, region, &form);
        assert_eq!(status, 400, "{body}");
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
    }
    let in_time = [
        ("Action", "RestoreDBInstanceToPointInTime"),
        ("SourceDBInstanceIdentifier", "orders"),
        ("TargetDBInstanceIdentifier", "in-time"),
        ("UseLatestRestorableTime", "true"),
    ];
    assert_eq!(rds_call(&scene, HOME, &in_time).0, 200);
}
