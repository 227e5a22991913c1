//! A whole deployment, connected: what a function is given works, and nothing is called before it is used.

use std::sync::Arc;

use holdfast_aws::{Clients, Secret, connect_by};
use holdfast_core::config::deployment::{DeployedVault, Deployment, EvidenceBucket};
use holdfast_core::domain::{Detail, FailureKind, ResourceId, VaultName};
use holdfast_core::ports::{Draft, Inserted, Key, Page, Severity};
use serde_json::{Value, json};

use crate::ground::{Ground, HOME, fresh, region, text};

fn deployment(ground: &Ground, topic: &str, bus: &str) -> Deployment {
    let vault = DeployedVault {
        name: VaultName::new("home").unwrap(),
        region: region(HOME),
        bucket: ground.bucket(HOME),
        key: ground.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        backup_vault: "home".to_owned(),
    };
    let evidence = EvidenceBucket {
        region: region(HOME),
        bucket: ground.bucket(HOME),
        lock_days: 1,
    };
    Deployment {
        region: region(HOME),
        table: ground.table(),
        bus: bus.to_owned(),
        alert_topic: topic.to_owned(),
        vaults: vec![vault],
        evidence: vec![evidence],
        wrapping_key: ground.key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT"),
        signing_key: ground.key("ECC_NIST_P256", "SIGN_VERIFY"),
        escrow_secret: escrow(ground, &json!({"SecretString": "correct horse\n"})),
        backup_role: "arn:aws:iam::123456789012:role/backup".to_owned(),
        drill_area: "s3://drills/area".to_owned(),
    }
}

fn escrow(ground: &Ground, secret: &Value) -> String {
    let mut body = secret.clone();
    body["Name"] = json!(fresh("escrow"));
    text(&ground.call("secretsmanager", "secretsmanager.CreateSecret", &body)["ARN"])
}

/// A bus all of whose events reach one queue, whose URL is given too.
fn bus_with_ear(ground: &Ground) -> (String, String) {
    let bus = fresh("bus");
    let (url, arn) = ground.sqs(&json!({}));
    ground.call("events", "AWSEvents.CreateEventBus", &json!({"Name": bus}));
    let pattern = json!({"source": ["holdfast"]}).to_string();
    let rule = json!({"Name": "ear", "EventBusName": bus, "EventPattern": pattern});
    ground.call("events", "AWSEvents.PutRule", &rule);
    let targets = json!({"Rule": "ear", "EventBusName": bus, "Targets": [{"Id": "ear", "Arn": arn}]});
    ground.call("events", "AWSEvents.PutTargets", &targets);
    (bus, url)
}

#[tokio::test]
async fn a_connected_deployment_reaches_everything_that_it_names() {
    let ground = Ground::new().await;
    let (topic, listener) = ground.topic();
    let (bus, ear) = bus_with_ear(&ground);
    let deployment = deployment(&ground, &topic, &bus);
    let aws = connect_by(ground.clients.clone(), &deployment).await.unwrap();
    let world = &aws.world;

    let draft = Draft {
        key: Key {
            partition: "P".to_owned(),
            sort: "a".to_owned(),
        },
        body: json!(1),
        wake: None,
    };
    assert_eq!(world.catalog.insert(draft).await.unwrap(), Inserted::Created);
    let breached = Detail::ObjectiveBreached {
        resource: ResourceId::new("photos").unwrap(),
        age_seconds: 2,
        rpo_seconds: 1,
    };
    world.publish(breached).await.unwrap();
    let heard: Value = serde_json::from_str(&ground.drain(&ear)[0]).unwrap();
    assert_eq!(
        (&heard["detail-type"], &heard["detail"]["resource"]),
        (&json!("Objective Breached"), &json!("photos"))
    );
    let page = Page {
        key: "k".to_owned(),
        severity: Severity::Info,
        subject: "s".to_owned(),
        text: "t".to_owned(),
    };
    world.pager.page(&page).await.unwrap();
    assert_eq!(ground.drain(&listener).len(), 1);
    let signature = world.keys.sign(b"m").await.unwrap();
    assert!(world.keys.verify(b"m", &signature).await.unwrap());
    world.evidence.put("1.json", b"{}").await.unwrap();
    assert_eq!(world.evidence.list().await.unwrap(), ["1.json"]);
    assert_eq!(aws.workers.working(), 0);
    assert_eq!(world.settings.vaults, deployment.vaults());
}

#[tokio::test]
async fn the_escrow_password_is_read_from_its_secret() {
    let ground = Ground::new().await;
    let client = || ground.clients.home().secretsmanager();
    let secret = escrow(&ground, &json!({"SecretString": "correct horse\n"}));
    let password = Secret::new(client(), &secret);
    for _ in 0..2 {
        assert_eq!(password.read().await.unwrap(), "correct horse");
    }
    assert!(!format!("{password:?}").contains("horse"));
    for (wrong, kind) in [
        (escrow(&ground, &json!({"SecretBinary": "AAAA"})), FailureKind::Invalid),
        (
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:nothing".to_owned(),
            FailureKind::NotFound,
        ),
    ] {
        let failure = Secret::new(client(), &wrong).read().await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(&wrong), "{failure}");
    }
}

#[tokio::test]
async fn what_does_not_exist_or_does_not_answer_is_told_by_its_kind_and_name() {
    let ground = Ground::new().await;
    let (topic, _) = ground.topic();
    let mut wrong = deployment(&ground, &topic, "bus");
    wrong.table = "nothing".to_owned();
    let catalog = connect_by(ground.clients.clone(), &wrong).await.unwrap().world.catalog;
    let missing = catalog.list("P", "").await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound, "{missing}");
    assert!(missing.message.contains("table nothing"), "{missing}");
    let nowhere = Clients::of_emulator(region(HOME), "http://127.0.0.1:9").await;
    let catalog = connect_by(Arc::new(nowhere), &wrong).await.unwrap().world.catalog;
    let lost = catalog.list("P", "").await.unwrap_err();
    assert_eq!(lost.kind, FailureKind::Transient, "{lost}");
}
