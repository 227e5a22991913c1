//! A deployment, what it protects, and whoever is on call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use holdfast_aws::Clients;
use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Job, JobKind, Order, Point, Span, Window};
use holdfast_core::workflow::{World, inventory, records};
use holdfast_tests::front::Front;
use holdfast_tests::lambda::provision::{Changes, catalog_table, make_table, make_topic, provision};
use holdfast_tests::lambda::wire::Wire;
use holdfast_tests::lambda::{Answer, LambdaService, Launch};
use holdfast_tests::moto::Moto;
use holdfast_tests::standin::{Durations, Standin};
use holdfast_tests::time::MovableTime;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::ground::{region, text};
use crate::lambda::{TABLE, programs, topic, until, wiring};
use crate::tools::{PASSWORD, Ran, restic_command};

pub const HOME: &str = "eu-central-1";
pub const RECOVERY: &str = "eu-west-1";
/// The bucket that is protected.
pub const SOURCE: &str = "photo-bucket";
/// The bucket that operators restore to.
pub const RESTORED: &str = "restored-bucket";

/// How much faster than in a deployment the timers fire: a minute in three seconds.
const FASTER: u32 = 20;

pub struct Scene {
    pub moto: Moto,
    pub standin: Arc<Standin>,
    /// Stand before S3 and before the catalog's table.
    pub s3: Front,
    pub dynamodb: Front,
    pub time: MovableTime,
    pub wire: Wire,
    pub service: LambdaService,
    pages: Arc<Mutex<Vec<Value>>>,
    _on_call: Front,
    pub clients: Arc<Clients>,
    pub world: World,
    pub runtime: Runtime,
}

/// Whoever is on call: takes what SNS posts.
fn on_call() -> (Front, Arc<Mutex<Vec<Value>>>) {
    let pages: Arc<Mutex<Vec<Value>>> = Arc::default();
    let told = pages.clone();
    let front = Front::before(Box::new(move |_, body| {
        let told = told.clone();
        Box::pin(async move {
            let notice: Value = serde_json::from_slice(&body).unwrap_or_default();
            if notice["Type"] == "Notification" {
                told.lock().unwrap().push(notice);
            }
            StatusCode::OK.into_response()
        })
    }));
    (front, pages)
}

/// What Terraform makes, as the parameters of the template.
fn infrastructure(moto: &Moto, standin: &Standin) -> BTreeMap<String, String> {
    let call = |service: &str, target: &str, body: &Value| moto.call(HOME, service, target, body);
    let key = |spec: &str, usage: &str| {
        let made = call(
            "kms",
            "TrentService.CreateKey",
            &json!({"KeySpec": spec, "KeyUsage": usage}),
        );
        text(&made["KeyMetadata"]["Arn"])
    };
    let vaults = [("primary", HOME), ("recovery", RECOVERY)].map(|(name, region)| {
        let bucket = format!("vault-{name}");
        moto.create_locked_bucket(region, &bucket);
        let key = standin.with(|state| {
            let key = state.add_key(region);
            state.add_vault(region, &format!("holdfast-{name}"), &key);
            key
        });
        json!({"name": name, "region": region, "bucket": bucket, "key": key, "backup_vault": format!("holdfast-{name}")})
    });
    let evidence = [HOME, RECOVERY].map(|region| {
        let bucket = format!("evidence-{region}");
        moto.create_locked_bucket(region, &bucket);
        json!({"region": region, "bucket": bucket, "lock_days": 30})
    });
    for bucket in [SOURCE, RESTORED, "drill-bucket"] {
        moto.create_locked_bucket(HOME, bucket);
    }
    let secret = json!({"Name": "holdfast/escrow-password", "SecretString": PASSWORD});
    let secret = text(&call("secretsmanager", "secretsmanager.CreateSecret", &secret)["ARN"]);
    let owned = |(name, value): (&str, String)| (name.to_owned(), value);
    BTreeMap::from(
        [
            ("Vaults", json!(vaults).to_string()),
            ("Evidence", json!(evidence).to_string()),
            ("WrappingKeyArn", key("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")),
            ("SigningKeyArn", key("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")),
            ("EscrowSecretArn", secret),
            ("DrillArea", "s3://drill-bucket/drills".to_owned()),
        ]
        .map(owned),
    )
}

impl Scene {
    /// A deployment that protects nothing yet.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// One that gives a function only so much time.
    pub fn with_budget(function: &str, budget: Duration) -> Self {
        Self::with(|launch| {
            if launch.name == function {
                launch.timeout = budget;
            }
        })
    }

    fn with(change: impl Fn(&mut Launch)) -> Self {
        let (moto, time) = (Moto::start(), MovableTime::new());
        let standin = Arc::new(Standin::start_following(time.clone()));
        let moment = SignedDuration::from_secs(2);
        standin.with(|state| {
            state.durations = Durations {
                snapshot: moment,
                copy: moment,
                restore: moment,
                job: moment,
                table_backup: moment,
            };
        });
        let wire = Wire::new(moto.endpoint(), HOME);
        let wiring = wiring(&infrastructure(&moto, &standin));
        for name in ["alerts", "signals"] {
            make_topic(&wire, name).unwrap();
        }
        provision(&wire, &wiring, &Changes::default()).unwrap();
        make_table(&wire, &catalog_table(TABLE)).unwrap();
        let (on_call, pages) = on_call();
        let (alerts, endpoint) = (topic("alerts"), format!("{}/pages", on_call.endpoint()));
        let subscribe = [
            ("TopicArn", alerts.as_str()),
            ("Protocol", "http"),
            ("Endpoint", endpoint.as_str()),
        ];
        wire.sns("Subscribe", &subscribe).unwrap();
        hear_events(&standin, &wire);

        let s3 = Front::before_endpoint(moto.endpoint().to_owned());
        let dynamodb = Front::before_endpoint(moto.endpoint().to_owned());
        let endpoints = BTreeMap::from([
            ("AWS_ENDPOINT_URL".to_owned(), moto.endpoint().to_owned()),
            ("AWS_ENDPOINT_URL_S3".to_owned(), s3.endpoint()),
            ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), dynamodb.endpoint()),
            ("AWS_ENDPOINT_URL_RDS".to_owned(), standin.endpoint()),
            ("AWS_ENDPOINT_URL_BACKUP".to_owned(), standin.endpoint()),
            ("AWS_ENDPOINT_URL_ECS".to_owned(), standin.endpoint()),
            ("AWS_ENDPOINT_URL_AUTO_SCALING".to_owned(), standin.endpoint()),
            ("AWS_ENDPOINT_URL_LAMBDA".to_owned(), standin.endpoint()),
        ]);
        let mut variables = wiring.functions[0].environment.clone();
        variables.insert("AWS_REGION".to_owned(), HOME.to_owned());
        let deployment = Deployment::read(&variables).unwrap();
        let launches = wiring.functions.iter().map(|function| {
            let mut launch = Launch::of(function, HOME, &programs(), &endpoints);
            launch.time = time.clone();
            change(&mut launch);
            launch
        });
        let service = LambdaService::start(launches.collect(), wiring.clone(), wire.clone()).unwrap();

        let runtime = Runtime::new().unwrap();
        let clients = Arc::new(runtime.block_on(Clients::of_emulator(region(HOME), moto.endpoint())));
        let aws = runtime.block_on(holdfast_aws::connect_by(clients.clone(), &deployment));
        let scene = Self {
            moto,
            standin,
            s3,
            dynamodb,
            time,
            wire,
            service,
            pages,
            _on_call: on_call,
            clients,
            world: aws.unwrap().world,
            runtime,
        };
        // Whatever time of day it is, no rule of a test is due before the test says so.
        scene.advance_to(0, 30);
        scene
    }

    /// Puts a configuration into force, as a person does, and lets queues and timers deliver.
    pub fn go(&self, configuration: &str) {
        let payload = json!({ "configuration": configuration });
        let answer = self
            .invoke("scheduler", &payload)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer["applied"], true, "{answer}");
        self.service.poll_queues();
        self.service.run_schedules(FASTER);
    }

    /// What a function answers to a payload, or its error's message.
    pub fn invoke(&self, function: &str, payload: &Value) -> Result<Value, String> {
        let invoked = self
            .service
            .invoke(&format!("holdfast-{function}"), &payload.to_string());
        match invoked.unwrap().answer {
            Answer::Done(answer) => Ok(serde_json::from_str(&answer).unwrap()),
            Answer::Failed(error) => {
                let error: Value = serde_json::from_str(&error).unwrap();
                Err(text(&error["errorMessage"]))
            }
        }
    }

    /// Lets time pass at once, everywhere.
    pub fn advance(&self, seconds: i64) {
        self.time.advance(seconds);
        self.moto.advance(seconds);
    }

    /// Lets time pass until the next time of day, in UTC.
    pub fn advance_to(&self, hour: i8, minute: i8) {
        let now = self.time.now().to_zoned(jiff::tz::TimeZone::UTC);
        let mut then = now.with().hour(hour).minute(minute).second(5).build().unwrap();
        if then <= now {
            then = then.tomorrow().unwrap();
        }
        self.advance(then.timestamp().duration_since(now.timestamp()).as_secs());
    }

    /// Publishes an event on the bus of the deployment.
    pub fn publish(&self, detail_type: &str, detail: &Value) {
        let entry = json!({ "EventBusName": "holdfast", "Source": "holdfast", "DetailType": detail_type, "Detail": detail.to_string() });
        let answer = self.wire.events("PutEvents", &json!({ "Entries": [entry] })).unwrap();
        assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    }

    /// All recovery points of a resource, oldest first.
    pub fn points(&self, resource: &str) -> Vec<Point> {
        let id = resource.parse().unwrap();
        self.runtime.block_on(inventory::points(&self.world, &id)).unwrap()
    }

    /// What can be restored of a resource by its log, as it is known in a vault.
    pub fn window(&self, resource: &str, vault: &str) -> Option<Window> {
        let id = resource.parse().unwrap();
        let windows = self.runtime.block_on(inventory::windows(&self.world, &id)).unwrap();
        windows.into_iter().find(|window| window.vault.as_str() == vault)
    }

    /// Up to when that leads.
    pub fn covered_at(&self, resource: &str, vault: &str) -> Option<Timestamp> {
        self.window(resource, vault).and_then(|window| window.state.covered_at)
    }

    /// Waits until a resource has so many points, the newest of which stands in so many vaults and is proven in each.
    pub fn until_protected(&self, resource: &str, points: usize, vaults: usize) -> Point {
        let what = format!("{resource} is backed up, copied and proven");
        self.until(&what, || self.is_protected(resource, points, vaults));
        self.points(resource).pop().unwrap()
    }

    /// Whether a resource has so many points, the newest of which stands in so many vaults and is proven in each.
    pub fn is_protected(&self, resource: &str, points: usize, vaults: usize) -> bool {
        let all = self.points(resource);
        let proven = |point: &Point| {
            let copies = point.copies.iter();
            copies.filter(|copy| point.routine_proof(copy).is_some()).count()
        };
        all.len() == points && all.last().is_some_and(|point| proven(point) == vaults)
    }

    /// Waits as [`Scene::until`] does, while half a minute passes with each second: for what is tried again after a while.
    pub fn until_tried_again(&self, what: &str, mut holds: impl FnMut() -> bool) {
        self.until(what, || {
            rest(Duration::from_secs(1));
            self.advance(30);
            holds()
        });
    }

    /// Waits until something holds; when it does not come to that, shows what the functions wrote.
    pub fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until(what, holds)));
        if let Err(panic) = waited {
            self.tell();
            std::panic::resume_unwind(panic);
        }
    }

    /// Shows what the functions wrote that was no success.
    pub fn tell(&self) {
        for function in self.service.functions() {
            let log = self.service.log(function);
            let lines: Vec<&str> = log
                .lines()
                .filter(|line| !line.contains("\"_aws\"") && !line.contains("\"outcome\":\"handled\""))
                .collect();
            for line in &lines[lines.len().saturating_sub(25)..] {
                eprintln!("{function}: {line}");
            }
        }
        eprintln!("pages: {:?}", self.subjects());
    }

    /// What whoever is on call was told.
    pub fn pages(&self) -> Vec<Value> {
        self.pages.lock().unwrap().clone()
    }

    pub fn subjects(&self) -> Vec<String> {
        self.pages().iter().map(|page| text(&page["Subject"])).collect()
    }

    /// The jobs of a kind that have not ended.
    pub fn open_jobs(&self, kind: JobKind) -> Vec<Job> {
        let status = records::job_status(kind);
        let entries = self
            .runtime
            .block_on(self.world.catalog.waking(&status, Timestamp::MAX))
            .unwrap();
        let job = |entry| records::decode::<Job>(entry).unwrap().value;
        entries.into_iter().map(job).collect()
    }

    /// The vaults in which space is waiting to be freed; none while it is still looked for what can be.
    pub fn vaults_with_condemned(&self) -> BTreeSet<String> {
        let later = Span::hours(1).after(self.time.now());
        let jobs = self.open_jobs(JobKind::Reclaim);
        if jobs.iter().any(|job| job.next_action_at < later) {
            return BTreeSet::new();
        }
        let vault = |job: &Job| match &job.order {
            Order::Reclaim { vault, .. } => vault.to_string(),
            other => panic!("{other:?} reclaims nothing"),
        };
        jobs.iter().map(vault).collect()
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let call = self.clients.home().s3().put_object().bucket(bucket).key(key);
        self.runtime.block_on(call.body(bytes.to_vec().into()).send()).unwrap();
    }

    /// The object; none where there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        let call = self.clients.home().s3().get_object().bucket(bucket).key(key);
        self.runtime.block_on(async {
            let answer = call.send().await.ok()?;
            Some(answer.body.collect().await.unwrap().to_vec())
        })
    }

    /// Keys and sizes of what stands below a prefix.
    pub fn list(&self, bucket: &str, prefix: &str) -> Vec<(String, i64)> {
        let s3 = self.clients.home().s3();
        let mut pages = s3
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .into_paginator()
            .send();
        self.runtime.block_on(async {
            let mut found = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                found.extend(page.contents().iter().map(|object| {
                    (
                        object.key().unwrap_or_default().to_owned(),
                        object.size().unwrap_or_default(),
                    )
                }));
            }
            found
        })
    }

    /// Runs restic on the repository of a resource in a vault's bucket; it must succeed. From then on the deployment stands
    /// still: restic takes no lock, so that nothing else would keep a sweep from deleting what it is about to read.
    pub fn restic(&self, bucket: &str, resource: &str, arguments: &[&str]) -> Ran {
        self.service.stand_still();
        let repository = format!("s3:{}/{bucket}/repositories/{resource}", self.moto.endpoint());
        let mut command: Command = restic_command(Path::new(&repository));
        command
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing");
        // Locks are of a time to come, as restic sees it: it has the machine's own clock.
        Ran::of(command.arg("--no-lock").args(arguments)).ends(0)
    }
}

/// Lets real time pass.
#[expect(clippy::disallowed_methods, reason = "real programs take real time")]
pub fn rest(time: Duration) {
    std::thread::sleep(time);
}

/// What RDS and AWS Backup tell goes to the account's own bus.
fn hear_events(standin: &Standin, wire: &Wire) {
    let wire = wire.clone();
    standin.on_event(move |event| {
        let entry = json!({
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": event["detail"].to_string(),
            "Resources": event["resources"],
        });
        wire.events("PutEvents", &json!({ "Entries": [entry] })).unwrap();
    });
}
