//! Evidence in the buckets of two Regions: the contract, a Region that is lost and comes back, and who may delete.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use holdfast_aws::{Clients, EvidenceRegion, S3Evidence};
use holdfast_core::domain::FailureKind;
use holdfast_core::ports::EvidenceStore;
use holdfast_testkit::contract;
use holdfast_testkit::fakes::FakeClock;
use holdfast_tests::front::{Front, What};
use jiff::Timestamp;

use crate::ground::{Ground, HOME, region};

const AWAY: &str = "eu-west-1";
const LOCK_DAYS: u32 = 30;

/// The clock of the emulator starts with the machine's.
#[expect(clippy::disallowed_methods, reason = "the tests are the edge")]
fn clock() -> Arc<FakeClock> {
    Arc::new(FakeClock::at(Timestamp::now()))
}

fn at(clients: &Clients, name: &str, bucket: &str) -> EvidenceRegion {
    EvidenceRegion {
        client: clients.of(&region(name)).s3(),
        region: region(name),
        bucket: bucket.to_owned(),
        lock_days: LOCK_DAYS,
    }
}

fn store(regions: Vec<EvidenceRegion>) -> S3Evidence {
    S3Evidence::new(regions, clock())
}

struct Buckets {
    ground: Ground,
    home: String,
    away: String,
    /// Clients of a Region that does not answer.
    lost: Clients,
}

impl Buckets {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let (home, away) = (ground.bucket(HOME), ground.bucket(AWAY));
        let lost = Clients::of_emulator(region(HOME), "http://127.0.0.1:9").await;
        Self {
            ground,
            home,
            away,
            lost,
        }
    }

    fn both(&self) -> S3Evidence {
        let clients = &self.ground.clients;
        store(vec![at(clients, HOME, &self.home), at(clients, AWAY, &self.away)])
    }

    fn only_away(&self) -> S3Evidence {
        store(vec![at(&self.ground.clients, AWAY, &self.away)])
    }

    fn only_home(&self) -> S3Evidence {
        store(vec![at(&self.ground.clients, HOME, &self.home)])
    }

    fn home_lost(&self) -> S3Evidence {
        self.home_by(&self.lost)
    }

    /// Both Regions, and the home Region as these clients see it.
    fn home_by(&self, clients: &Clients) -> S3Evidence {
        let away = at(&self.ground.clients, AWAY, &self.away);
        store(vec![at(clients, HOME, &self.home), away])
    }

    /// Both Regions, and a front before the home Region.
    async fn home_behind_a_front(&self) -> (Front, S3Evidence) {
        let endpoint = self.ground.moto.endpoint().to_owned();
        // It has a runtime of its own, which is not started inside another.
        let front = tokio::task::spawn_blocking(|| Front::before_endpoint(endpoint));
        let front = front.await.unwrap();
        let clients = Clients::of_emulator(region(HOME), &front.endpoint()).await;
        let store = self.home_by(&clients);
        (front, store)
    }
}

#[tokio::test]
async fn the_s3_evidence_store_obeys_the_contract() {
    let ground = Ground::new().await;
    contract::evidence::suite(async || {
        let regions = [HOME, AWAY].map(|name| at(&ground.clients, name, &ground.bucket(name)));
        Arc::new(S3Evidence::new(regions.to_vec(), clock())) as _
    })
    .await;
}

#[tokio::test]
async fn a_region_that_was_lost_gets_what_it_lacks() {
    let buckets = Buckets::new().await;
    buckets.both().put("1.json", b"one").await.unwrap();
    let failing_over = buckets.home_lost();
    for (name, document) in [("2.json", b"two"), ("3.json", b"333")] {
        failing_over.put(name, document).await.unwrap();
        assert_eq!(failing_over.get(name).await.unwrap().as_deref(), Some(&document[..]));
    }
    assert_eq!(buckets.only_home().list().await.unwrap(), ["1.json"]);
    let back = buckets.both();
    assert_eq!(back.list().await.unwrap(), ["1.json", "2.json", "3.json"]);
    back.put("4.json", b"four").await.unwrap();
    for one in [buckets.only_home(), buckets.only_away()] {
        assert_eq!(one.list().await.unwrap(), ["1.json", "2.json", "3.json", "4.json"]);
        assert_eq!(one.get("3.json").await.unwrap().as_deref(), Some(&b"333"[..]));
    }
}

#[tokio::test]
async fn a_region_that_refused_what_it_lacks_is_brought_it_again() {
    let buckets = Buckets::new().await;
    buckets.only_away().put("1.json", b"one").await.unwrap();
    let (front, both) = buckets.home_behind_a_front().await;
    front.trouble("1.json", 1, 1, What::Answered(403));
    let refused = both.put("2.json", b"two").await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Denied, "{refused}");
    both.put("2.json", b"two").await.unwrap();
    assert_eq!(buckets.only_home().list().await.unwrap(), ["1.json", "2.json"]);
}

#[tokio::test]
async fn a_region_that_throttles_is_as_one_that_does_not_answer() {
    let buckets = Buckets::new().await;
    let (front, both) = buckets.home_behind_a_front().await;
    front.trouble("", 0, usize::MAX, What::Answered(429));
    both.put("1.json", b"one").await.unwrap();
    front.no_more_trouble();
    assert!(buckets.only_home().list().await.unwrap().is_empty());
    both.put("2.json", b"two").await.unwrap();
    assert_eq!(buckets.only_home().list().await.unwrap(), ["1.json", "2.json"]);
}

#[tokio::test]
async fn a_bucket_of_another_region_is_no_lost_region() {
    let buckets = Buckets::new().await;
    let (front, both) = buckets.home_behind_a_front().await;
    front.trouble("", 0, usize::MAX, What::Answered(301));
    let refused = both.put("1.json", b"one").await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Invalid, "{refused}");
    assert!(buckets.only_away().list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_region_that_takes_connections_and_says_nothing_is_lost_within_seconds() {
    let buckets = Buckets::new().await;
    buckets.only_away().put("1.json", b"one").await.unwrap();
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let hung = Clients::of_emulator(region(HOME), &endpoint).await;
    let both = buckets.home_by(&hung);
    let listed = tokio::time::timeout(Duration::from_secs(15), both.list()).await;
    assert_eq!(listed.expect("an answer in time").unwrap(), ["1.json"]);
}

#[tokio::test]
async fn with_every_region_lost_nothing_is_pretended() {
    let buckets = Buckets::new().await;
    let nowhere = store(vec![at(&buckets.lost, HOME, &buckets.home)]);
    for failure in [
        nowhere.put("1.json", b"one").await.unwrap_err(),
        nowhere.get("1.json").await.unwrap_err(),
        nowhere.list().await.unwrap_err(),
    ] {
        assert_eq!(failure.kind, FailureKind::Transient);
        assert!(failure.message.contains(&buckets.home), "{failure}");
    }
}

/// The state machines keep the histories of their executions below the statements.
#[tokio::test]
async fn what_stands_below_a_folder_is_no_statement() {
    let buckets = Buckets::new().await;
    let s3 = buckets.ground.clients.home().s3();
    let history = s3.put_object().bucket(&buckets.home).key("histories/run/1.json");
    history.body(b"[]".to_vec().into()).send().await.unwrap();
    let store = buckets.both();
    store.put("1.json", b"{}").await.unwrap();
    assert_eq!(store.list().await.unwrap(), ["1.json"]);
}

#[tokio::test]
async fn a_document_that_differs_between_regions_is_told() {
    let buckets = Buckets::new().await;
    buckets.only_home().put("1.json", b"one").await.unwrap();
    buckets.only_away().put("1.json", b"another").await.unwrap();
    let both = buckets.both();
    for failure in [
        both.get("1.json").await.unwrap_err(),
        both.put("1.json", b"one").await.unwrap_err(),
    ] {
        assert_eq!(failure.kind, FailureKind::Integrity);
        assert!(failure.message.contains("1.json"), "{failure}");
    }
}

#[tokio::test]
async fn nobody_deletes_a_statement_before_its_time() {
    let buckets = Buckets::new().await;
    buckets.both().put("1.json", b"one").await.unwrap();
    for (name, bucket) in [(HOME, &buckets.home), (AWAY, &buckets.away)] {
        let told = buckets.ground.moto.head(name, &format!("{bucket}/1.json"));
        let header = |name: &str| told.get(name).cloned().unwrap_or_default();
        assert_eq!(header("x-amz-object-lock-mode"), "COMPLIANCE");
        assert!(!header("x-amz-object-lock-retain-until-date").is_empty());
        let version = format!("{bucket}/1.json?versionId={}", header("x-amz-version-id"));
        assert_eq!(buckets.ground.moto.delete(name, &version), 403);
        assert_eq!(
            buckets.both().get("1.json").await.unwrap().as_deref(),
            Some(&b"one"[..])
        );
    }
    buckets.ground.moto.advance(i64::from(LOCK_DAYS) * 86_400 + 60);
    let told = buckets.ground.moto.head(HOME, &format!("{}/1.json", buckets.home));
    let version = format!("{}/1.json?versionId={}", buckets.home, told["x-amz-version-id"]);
    assert_eq!(buckets.ground.moto.delete(HOME, &version), 204, "the lock has ended");
}
