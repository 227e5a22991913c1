//! Payloads of the console: the samples in `events/restore-runner`, over fakes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{
    BackupKind, Copy, CopyState, Detail, Event, Failure, FailureKind, Job, JobId, JobState, Level, LogState, Moment,
    Order, Origin, Point, PointId, PointState, Proof, Resource, ResourceId, ResourceKind, Span, Stretch, VaultName,
    Window,
};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, Record};
use holdfast_restore_runner::{answer, handle};
use holdfast_testkit::fakes::{FakeCatalog, FakeClock, fake_world};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Every refused payload, and what its refusal must name.
const REFUSED: [(&str, &[&str]); 17] = [
    ("approves-herself", &["\"Ana\" asks already"]),
    ("dry-run-is-a-word", &["`dry_run` must be true or false"]),
    ("empty", &["`resource` is missing", "`target` is missing"]),
    (
        "moment-after-the-window",
        &["2026-11-20T09:15:00Z", "until 2026-11-20T01:58:00Z", "log is missing"],
    ),
    (
        "moment-in-a-gap",
        &["until 2026-11-19T08:00:00Z", "from 2026-11-19T12:01:00Z"],
    ),
    (
        "moment-of-a-database",
        &[
            "\"orders\" is of kind rds",
            "aws rds restore-db-instance-to-point-in-time",
            "--restore-time 2026-11-19T09:15:00Z",
            "leave out `to`",
        ],
    ),
    ("moment-of-a-part", &["a server recovers as a whole", "`include`"]),
    ("moment-of-files", &["\"photos\" is of kind s3", "leave out `to`"]),
    ("moment-without-zone", &["`to`", "is no moment", "with its zone"]),
    ("over-the-database", &["is the protected resource itself"]),
    ("part-of-a-database", &["a service restores all of it", "`include`"]),
    ("point-by-a-word", &["point \"latest\"", "write \"newest\""]),
    ("unapproved", &["`approved_by`: the name of somebody else"]),
    ("unknown-field", &["`force` is not known", "resource, target"]),
    (
        "unknown-resource",
        &["no resource is named \"fotos\"", "ledger, orders, photos"],
    ),
    ("unknown-vault", &["no vault is called \"attic\"", "home, offsite"]),
    ("whole-bucket", &["is a whole bucket"]),
];

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/restore-runner")
}

fn sample(name: &str) -> Value {
    let path = events().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn insert<T: Record>(world: &World, record: &T) {
    assert!(now(records::insert(world.catalog.as_ref(), record)).unwrap().is_none());
}

fn resource(name: &str, kind: ResourceKind, path: &str) -> Resource {
    Resource {
        id: ResourceId::new(name).unwrap(),
        kind,
        path: path.to_owned(),
        tags: BTreeMap::new(),
        heartbeat: None,
        registered_at: at("2026-01-01T00:00:00Z"),
        retired_at: None,
        trial: None,
        server: None,
    }
}

fn copy(vault: &str, proven: bool) -> Copy {
    let proof = Proof {
        level: Level::L2,
        passed: true,
        at: at("2026-11-19T03:00:00Z"),
        job: JobId::derive(&["proof", vault]),
        statement: 7,
    };
    Copy {
        vault: VaultName::new(vault).unwrap(),
        artefact: format!("artefact-{vault}"),
        state: CopyState::Available,
        created_at: at("2026-11-19T02:10:00Z"),
        proofs: proven.then_some(proof).into_iter().collect(),
    }
}

fn point(resource: &Resource, taken_at: &str) -> Point {
    let job = JobId::derive(&["backup", resource.id.as_str(), taken_at]);
    Point {
        id: PointId::derive(&[job.as_str()]),
        resource: resource.id.clone(),
        resource_kind: resource.kind,
        policy: None,
        job,
        kind: BackupKind::Full,
        base: None,
        taken_at: at(taken_at),
        created_at: at(taken_at),
        state: PointState::Available,
        size_bytes: 1000,
        files: 12,
        added_bytes: 10,
        unread: Vec::new(),
        changes: None,
        copies: vec![copy("home", false), copy("offsite", true)],
        legal_hold: None,
        expiry: None,
    }
}

struct Scene {
    world: World,
    catalog: Arc<FakeCatalog>,
    clock: Arc<FakeClock>,
}

/// A server with two base backups, between which log is missing.
fn insert_ledger(world: &World) {
    let ledger = resource("ledger", ResourceKind::Postgres, "host=db");
    insert(world, &ledger);
    let stretches = [
        ("2026-11-18T02:00:00Z", "2026-11-18T02:01:00Z", "2026-11-19T08:00:00Z"),
        ("2026-11-19T12:00:00Z", "2026-11-19T12:01:00Z", "2026-11-20T01:40:00Z"),
    ]
    .map(|(taken_at, earliest_at, latest_at)| {
        let mut base = point(&ledger, taken_at);
        base.copies[0].artefact = format!("base of {taken_at}");
        insert(world, &base);
        Stretch {
            timeline: 1,
            earliest_at: at(earliest_at),
            latest_at: at(latest_at),
            bases: vec![base.copies[0].artefact.clone()],
        }
    });
    let window = Window {
        resource: ledger.id,
        vault: VaultName::new("home").unwrap(),
        observed_at: at("2026-11-20T01:58:00Z"),
        state: LogState {
            stretches: stretches.to_vec(),
            gaps: vec!["from 0/5000000 to 0/7000000 on timeline 1".to_owned()],
            covered_at: Some(at("2026-11-20T01:58:00Z")),
            slot: None,
        },
    };
    insert(world, &window);
}

/// Photos with two recovery points, a database with one, and a server.
fn scene() -> Scene {
    let clock = Arc::new(FakeClock::at(at("2026-11-20T02:00:00Z")));
    let catalog = Arc::<FakeCatalog>::default();
    let vaults = [("home", "eu-central-1"), ("offsite", "eu-west-1")];
    let world = World {
        catalog: catalog.clone(),
        ..fake_world(clock.clone(), &vaults)
    };
    let photos = resource("photos", ResourceKind::S3, "s3://photos-original/library");
    let orders = resource("orders", ResourceKind::Rds, "orders-db");
    for known in [&photos, &orders] {
        insert(&world, known);
        insert(&world, &point(known, "2026-11-19T02:00:00Z"));
    }
    insert(&world, &point(&photos, "2026-11-18T02:00:00Z"));
    insert_ledger(&world);
    Scene { world, catalog, clock }
}

impl Scene {
    fn ask(&self, payload: &Value) -> Result<Value, Failure> {
        now(answer(&self.world, payload))
    }

    fn jobs(&self) -> Vec<Job> {
        let entries = self.catalog.entries().into_iter();
        let jobs = entries.filter(|entry| entry.body["kind"] == Job::KIND);
        jobs.map(|entry| records::decode::<Job>(entry).unwrap().value).collect()
    }
}

#[test]
fn without_being_told_otherwise_nothing_is_done_and_the_answer_says_what_would_be() {
    let scene = scene();
    let answered = scene.ask(&sample("console-dry-run")).unwrap();
    assert_eq!(answered["dry_run"], true);
    let will = &answered["would_restore"];
    assert_eq!(will["taken_at"], "2026-11-19T02:00:00Z");
    assert_eq!(will["age"], "1d");
    assert_eq!(will["from_vault"], "offsite");
    assert_eq!(will["from_region"], "eu-west-1");
    assert_eq!(will["proofs"][0]["level"], "L2");
    assert_eq!(will["target"], "s3://restored-photos/2026-11");
    assert_eq!(answered["needs"].as_array().unwrap().len(), 2);
    assert!(scene.jobs().is_empty());
}

#[test]
fn samples_that_only_try_are_answered() {
    for (name, vault) in [("console-part", "home"), ("console-database", "offsite")] {
        let answered = scene().ask(&sample(name)).unwrap();
        assert_eq!(answered["would_restore"]["from_vault"], vault, "{name}");
    }
}

#[test]
fn a_server_is_restored_to_a_moment_of_its_window() {
    let scene = scene();
    let mut payload = sample("console-moment");
    let answered = scene.ask(&payload).unwrap();
    let will = &answered["would_restore"];
    assert_eq!(will["taken_at"], "2026-11-19T12:00:00Z");
    assert_eq!(will["from_vault"], "home");
    assert_eq!(will["recovery"]["to"], "2026-11-19T20:15:00Z");
    assert_eq!(will["recovery"]["base"], will["point"]);
    let restorable = will["recovery"]["restorable"].as_str().unwrap();
    let stretch = "from 2026-11-19T12:01:00Z until 2026-11-20T01:58:00Z";
    assert!(restorable.contains(stretch), "{restorable}");
    let why = will["recovery"]["why_this_base"].as_str().unwrap();
    assert!(why.contains("the newest in vault home"), "{why}");
    assert!(scene.jobs().is_empty());

    payload["dry_run"] = false.into();
    payload["requested_by"] = "ana".into();
    payload["approved_by"] = "ben".into();
    let first = scene.ask(&payload).unwrap();
    assert_eq!(scene.ask(&payload).unwrap()["request"], first["request"]);
    // Another moment is another restore, or a conflict where it has the name of the first.
    payload["to"] = "2026-11-19T20:16:00Z".into();
    assert_ne!(scene.ask(&payload).unwrap()["request"], first["request"]);
    payload["request"] = first["request"].clone();
    assert_eq!(scene.ask(&payload).unwrap_err().kind, FailureKind::Conflict);
    let moments: BTreeSet<String> = scene
        .jobs()
        .into_iter()
        .map(|job| match job.order {
            Order::Restore {
                recovery: Some(recovery),
                ..
            } => recovery.to.to_string(),
            order => panic!("{order:?}"),
        })
        .collect();
    let expected = ["2026-11-19T20:15:00Z", "2026-11-19T20:16:00Z"];
    assert_eq!(moments, expected.map(str::to_owned).into());
}

#[test]
fn an_event_that_asks_for_a_moment_becomes_a_recovery_to_it() {
    let mut scene = scene();
    scene.world.settings.two_people = false;
    let event = Event::decode(&sample("restore-requested-moment").to_string()).unwrap();
    now(handle(&scene.world, &event)).unwrap();
    let Order::Restore {
        recovery: Some(recovery),
        ..
    } = &scene.jobs()[0].order
    else {
        panic!("{:?}", scene.jobs());
    };
    assert_eq!(recovery.to, Moment::At(at("2026-11-19T20:15:00Z")));
}

#[test]
fn two_people_make_it_happen_once_and_the_record_names_both() {
    let scene = scene();
    let first = scene.ask(&sample("console-approved")).unwrap();
    assert_eq!(first["accepted"], true);
    let again = scene.ask(&sample("console-approved")).unwrap();
    assert_eq!(first["request"], again["request"]);
    let jobs = scene.jobs();
    assert_eq!(jobs.len(), 1);
    let Origin::Request {
        requested_by,
        approved_by,
        ..
    } = &jobs[0].origin
    else {
        panic!("{:?}", jobs[0].origin);
    };
    assert_eq!((requested_by.as_str(), approved_by.as_deref()), ("ana", Some("ben")));

    let status = json!({ "status": first["request"] });
    assert_eq!(scene.ask(&status).unwrap()["state"], "pending");
    let wake_up = Event::new(Detail::WakeUp {}, scene.world.now());
    now(handle(&scene.world, &wake_up)).unwrap();
    let answered = scene.ask(&status).unwrap();
    assert_ne!(answered["state"], "pending", "{answered}");
    assert_eq!(answered["restore"]["from_vault"], "offsite");
}

#[test]
fn a_newer_point_or_another_name_makes_another_request() {
    let scene = scene();
    let mut payload = sample("console-approved");
    let first = scene.ask(&payload).unwrap()["request"].clone();
    scene.clock.advance(Span::hours(1));
    let photos = resource("photos", ResourceKind::S3, "s3://photos-original/library");
    insert(&scene.world, &point(&photos, "2026-11-20T02:00:00Z"));
    let second = scene.ask(&payload).unwrap()["request"].clone();
    assert_ne!(first, second);
    payload["request"] = "ticket-4711".into();
    assert_eq!(scene.ask(&payload).unwrap()["request"], "ticket-4711");
    assert_eq!(scene.ask(&sample("console-status")).unwrap()["state"], "pending");
    assert_eq!(scene.jobs().len(), 3);
}

#[test]
fn a_request_that_nobody_made_has_no_status() {
    let failure = scene().ask(&sample("console-status")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert!(failure.message.contains("ticket-4711"), "{failure}");
}

#[test]
fn refused_payloads_are_refused_by_the_name_of_what_is_wrong_and_do_nothing() {
    for (name, culprits) in REFUSED {
        let scene = scene();
        let failure = scene.ask(&sample(&format!("rejected/console-{name}"))).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid, "{name}");
        for culprit in culprits {
            assert!(
                failure.message.contains(culprit),
                "{name}: {failure} does not name {culprit}"
            );
        }
        assert!(scene.jobs().is_empty(), "{name}");
    }
}

#[test]
fn every_refused_payload_is_listed() {
    let listing = std::fs::read_dir(events().join("rejected")).unwrap();
    let mut found: Vec<String> = listing
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_prefix("console-")?.strip_suffix(".json")?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(found, REFUSED.map(|(name, _)| name.to_owned()));
}

fn restore_requested() -> Event {
    Event::decode(&sample("restore-requested").to_string()).unwrap()
}

#[test]
fn an_event_that_asks_for_a_restore_is_refused_where_two_people_are_needed() {
    let mut scene = scene();
    let refusal = now(handle(&scene.world, &restore_requested())).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::Invalid);
    assert!(refusal.message.contains("carries no approver"), "{refusal}");
    assert!(scene.jobs().is_empty());
    scene.world.settings.two_people = false;
    let refusal = now(handle(&scene.world, &restore_requested()));
    assert!(!refusal.is_err_and(|refusal| refusal.message.contains("approver")));
}

#[test]
fn a_restore_that_nobody_else_agreed_to_is_called_off_before_it_begins() {
    for approved_by in [None, Some(" Ana ".to_owned())] {
        let scene = scene();
        let answered = scene.ask(&sample("console-approved")).unwrap();
        let mut job = scene.jobs().remove(0);
        job.id = JobId::derive(&["slipped in"]);
        if let Origin::Request {
            approved_by: agreed, ..
        } = &mut job.origin
        {
            *agreed = approved_by;
        }
        insert(&scene.world, &job);
        let wake_up = Event::new(Detail::WakeUp {}, scene.world.now());
        now(handle(&scene.world, &wake_up)).unwrap();
        let of = |id: &JobId| scene.jobs().into_iter().find(|job| &job.id == id).unwrap();
        assert_eq!(of(&job.id).state, JobState::Cancelled);
        let agreed = JobId::try_from(answered["job"].as_str().unwrap().to_owned()).unwrap();
        assert_eq!(of(&agreed).state, JobState::Running);
    }
}

#[test]
fn a_name_that_another_restore_has_is_a_conflict() {
    let scene = scene();
    let mut payload = sample("console-approved");
    payload["request"] = "ticket-4711".into();
    scene.ask(&payload).unwrap();
    for (field, other) in [("target", "s3://restored-photos/elsewhere"), ("approved_by", "carl")] {
        let mut payload = payload.clone();
        payload[field] = other.into();
        let refusal = scene.ask(&payload).unwrap_err();
        assert_eq!(refusal.kind, FailureKind::Conflict, "{field}");
        assert!(refusal.message.contains("ticket-4711"), "{refusal}");
    }
    assert_eq!(scene.jobs().len(), 1);
}

#[test]
fn a_request_that_is_over_is_not_accepted_again() {
    let scene = scene();
    let payload = sample("console-approved");
    scene.ask(&payload).unwrap();
    for _ in 0..10 {
        scene.clock.advance(Span::minutes(5));
        let wake_up = Event::new(Detail::WakeUp {}, scene.world.now());
        now(handle(&scene.world, &wake_up)).unwrap();
    }
    let answered = scene.ask(&payload).unwrap();
    assert_eq!(answered["accepted"], false, "{answered}");
    assert!(
        answered["next"].as_str().unwrap().contains("another `request`"),
        "{answered}"
    );
    assert_ne!(answered["state"], "pending");
}
