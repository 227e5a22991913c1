//! The whole system over fakes, and words to tell it what happens.

use std::collections::BTreeMap;
use std::future::Future;
pub use std::sync::Arc;

pub use async_trait::async_trait;
pub use futures::FutureExt;
pub use holdfast_cli::embedded::invoke;
pub use holdfast_core::domain::{
    BackupKind, Check, CopyRule, CopyState, Detail, Drills, Event, Failure, FailureKind, FunctionName, Job, JobId,
    JobKind, JobState, Level, LogState, Moment, Objectives, Occurrence, OccurrenceState, Order, Outcome, Patterns,
    PlanId, Point, PointId, PointState, Policy, PolicyDraft, PolicyId, RecoveryPlan, Region, Resource, ResourceId,
    ResourceKind, Retention, Rule, RuleName, Run, RunId, RunKind, RunState, Selection, ServerRecovery, Span, Step,
    StepAction, StepName, StepState, Stretch, UnreadEntry, Vault, VaultName, VerifyRule, Window,
};
pub use holdfast_core::ports::{Catalog, Draft, Entry, Inserted, Key};
pub use holdfast_core::ports::{Clock, EvidenceStore, Keys, Queue, Severity, Signature};
pub use holdfast_core::workflow::records::{self, Record};
pub use holdfast_core::workflow::{Settings, World, apply, chain, inventory};
pub use holdfast_testkit::fakes::{
    Elsewhere, FakeBus, FakeCatalog, FakeClock, FakeEngine, FakeEvidence, FakeIds, FakeKeys, FakePager, FakeQueue,
    ResourceModel,
};
pub use holdfast_testkit::faults::{Fault, FaultPlan, Faulty};
pub use jiff::{SignedDuration, Timestamp};

pub const MIDNIGHT: &str = "2026-06-01T00:00:00Z";
pub const HOME: &str = "home";
pub const AWAY: &str = "away";
pub const DRILLS: &str = "/drills";

pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

pub fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub fn vault(name: &str) -> VaultName {
    VaultName::new(name).unwrap()
}

pub fn photos() -> ResourceId {
    ResourceId::new("photos").unwrap()
}

pub fn rule(name: &str, cron: &str, kind: BackupKind) -> Rule {
    Rule {
        name: RuleName::new(name).unwrap(),
        cron: cron.to_owned(),
        zone: "UTC".to_owned(),
        kind,
        start_within: Span::hours(1),
        since: at(MIDNIGHT),
    }
}

/// Every four hours, copied within an hour, the last two kept, deleted two hours after they are marked.
pub fn policy() -> PolicyDraft {
    PolicyDraft {
        description: String::new(),
        selection: Selection {
            kinds: vec![ResourceKind::Files],
            ..Selection::default()
        },
        patterns: Patterns::default(),
        rules: vec![rule("steady", "0 */4 * * *", BackupKind::Incremental)],
        vault: vault(HOME),
        copies: vec![CopyRule {
            vault: vault(AWAY),
            within: Span::hours(1),
        }],
        retention: Retention {
            keep_last: 2,
            ..Retention::default()
        },
        zone: "UTC".to_owned(),
        delete_after: Span::hours(2),
        verify: VerifyRule { every: Span::days(7) },
        objectives: None,
        max_parallel: 2,
        bandwidth_limit: None,
    }
}

/// The same, with one backup at midnight and no other.
pub fn once() -> PolicyDraft {
    PolicyDraft {
        rules: vec![rule("once", "0 0 1 6 *", BackupKind::Full)],
        ..policy()
    }
}

pub fn step(name: &str, after: &[&str], action: StepAction) -> Step {
    Step {
        name: StepName::new(name).unwrap(),
        after: after.iter().map(|name| StepName::new(*name).unwrap()).collect(),
        action,
        timeout: Span::hours(1),
        graceful: false,
    }
}

pub fn restore_step(name: &str) -> Step {
    step(
        name,
        &[],
        StepAction::Restore {
            resource: photos(),
            vault: vault(AWAY),
            target: None,
        },
    )
}

pub fn plan(steps: Vec<Step>) -> RecoveryPlan {
    RecoveryPlan {
        id: PlanId::new("evacuate").unwrap(),
        moves: None,
        drills: Drills::default(),
        levels: Vec::new(),
        priority: None,
        at_once: None,
        description: String::new(),
        objectives: Objectives {
            rpo: Span::hours(8),
            rto: Span::hours(1),
        },
        steps,
    }
}

/// The whole system over fakes.
pub struct System {
    pub world: World,
    pub clock: Arc<FakeClock>,
    pub catalog: Arc<FakeCatalog>,
    pub queue: Arc<FakeQueue>,
    pub engine: Arc<FakeEngine>,
    pub pager: Arc<FakePager>,
    pub evidence: Arc<FakeEvidence>,
    pub keys: Arc<FakeKeys>,
}

impl System {
    pub fn new(policy: PolicyDraft) -> Self {
        Self::with_plan(policy, plan(vec![restore_step("restore")]))
    }

    pub fn with_plan(policy: PolicyDraft, plan: RecoveryPlan) -> Self {
        let clock = Arc::new(FakeClock::at(at(MIDNIGHT)));
        let queue = Arc::new(FakeQueue::new(clock.clone()));
        let engine = Arc::new(FakeEngine::new(clock.clone()));
        let (catalog, pager) = (Arc::<FakeCatalog>::default(), Arc::<FakePager>::default());
        let (evidence, keys) = (Arc::<FakeEvidence>::default(), Arc::<FakeKeys>::default());
        let vaults = [(HOME, "eu-central-1"), (AWAY, "eu-west-1")].map(|(name, region)| Vault {
            name: vault(name),
            region: Region::new(region).unwrap(),
        });
        let world = World {
            catalog: catalog.clone(),
            bus: Arc::new(FakeBus::new(queue.clone())),
            engine: engine.clone(),
            pager: pager.clone(),
            keys: keys.clone(),
            evidence: evidence.clone(),
            actuators: Arc::new(Elsewhere),
            probes: Arc::new(Elsewhere),
            clock: clock.clone(),
            ids: Arc::new(FakeIds::default()),
            settings: Settings {
                home: Region::new("eu-central-1").unwrap(),
                vaults: vaults.to_vec(),
                poll: SignedDuration::from_secs(30),
                lease: Span::minutes(10),
                reclaim_grace: Span::hours(1),
                drill_area: DRILLS.to_owned(),
                two_people: false,
            },
            remembered: Arc::default(),
        };
        let resource = Resource {
            id: photos(),
            kind: ResourceKind::Files,
            path: "/srv/photos".to_owned(),
            tags: BTreeMap::new(),
            heartbeat: Some("heartbeat".to_owned()),
            registered_at: at(MIDNIGHT),
            retired_at: None,
            trial: None,
            server: None,
        };
        let policies = [(PolicyId::new("main").unwrap(), policy)];
        now(apply::apply(&world, &[resource], &policies, &[plan])).unwrap();
        Self {
            world,
            clock,
            catalog,
            queue,
            engine,
            pager,
            evidence,
            keys,
        }
    }

    pub fn tell(&self, function: FunctionName, detail: Detail) -> Result<(), Failure> {
        let (world, event) = (&self.world, &Event::new(detail, self.clock.now()));
        now(invoke(world, function, event))
    }

    pub fn wake(&self, function: FunctionName) {
        self.tell(function, Detail::WakeUp {}).unwrap();
    }

    /// Lets the time pass, with a wake-up of every function each minute.
    pub fn pass(&self, span: Span) {
        for _ in 0..span.as_seconds() / 60 {
            self.clock.advance(Span::minutes(1));
            FunctionName::ALL.into_iter().for_each(|function| self.wake(function));
        }
    }

    /// The same world, with this catalog in place of its own.
    pub fn world_over(&self, catalog: Arc<dyn Catalog>) -> World {
        World {
            catalog,
            ..self.world.clone()
        }
    }

    /// The same world, and the plan that counts what its catalog is asked.
    pub fn counted(&self) -> (World, Arc<FaultPlan>) {
        let counted = FaultPlan::quiet();
        let catalog = Faulty::<dyn Catalog>::new(self.catalog.clone(), counted.clone());
        (self.world_over(Arc::new(catalog)), counted)
    }

    pub fn records<T: Record>(&self) -> Vec<T> {
        let entries = self.catalog.entries().into_iter();
        let of_kind = entries.filter(|entry| entry.body["kind"] == T::KIND);
        of_kind
            .map(|entry| records::decode::<T>(entry).unwrap().value)
            .collect()
    }

    pub fn points(&self) -> Vec<Point> {
        self.records()
    }

    pub fn jobs(&self, kind: JobKind) -> Vec<Job> {
        let jobs = self.records::<Job>().into_iter();
        jobs.filter(|job| job.order.kind() == kind).collect()
    }

    pub fn point(&self) -> Point {
        let points = self.points();
        assert_eq!(points.len(), 1, "{points:?}");
        points.into_iter().next().unwrap()
    }

    pub fn pages(&self, about: &str) -> usize {
        let pages = self.pager.pages();
        pages.iter().filter(|page| page.key.starts_with(about)).count()
    }

    pub fn damage(&self, point: &Point, name: &str) {
        let copy = point.copy_in(&vault(name)).unwrap();
        assert!(self.engine.damage(&vault(name), &photos(), &copy.artefact));
    }

    pub fn verify_now(&self, point: &Point, name: &str) {
        let detail = Detail::VerificationRequested {
            request: format!("look-{name}-{}", self.clock.now()),
            resource: photos(),
            point: point.id.clone(),
            vault: vault(name),
            requested_by: "ann".to_owned(),
        };
        self.tell(FunctionName::Verifier, detail).unwrap();
    }

    pub fn restore(&self, request: &str, point: Option<PointId>, target: &str) -> Result<(), Failure> {
        let detail = Detail::RestoreRequested {
            request: request.to_owned(),
            resource: photos(),
            point,
            vault: None,
            target: target.to_owned(),
            include: Vec::new(),
            overwrite: false,
            to: None,
            requested_by: "ann".to_owned(),
        };
        self.tell(FunctionName::RestoreRunner, detail)
    }

    pub fn ask_run(&self, kind: RunKind) {
        let detail = Detail::RunRequested {
            request: "r1".to_owned(),
            plan: PlanId::new("evacuate").unwrap(),
            kind,
            level: None,
            requested_by: "ann".to_owned(),
        };
        self.tell(FunctionName::DrFailover, detail).unwrap();
    }

    pub fn run(&self) -> Run {
        let key = records::run_key(&RunId::derive(&["run", "r1"]));
        now(records::require::<Run>(self.catalog.as_ref(), &key)).unwrap().value
    }

    pub fn statements(&self) -> Vec<holdfast_core::domain::Statement> {
        let names = now(self.evidence.list()).unwrap();
        let documents: Vec<(String, Vec<u8>)> = names
            .into_iter()
            .map(|name| (name.clone(), now(self.evidence.get(&name)).unwrap().unwrap()))
            .collect();
        let is_signed = |message: &[u8], signature: &Signature| now(self.keys.verify(message, signature)).unwrap();
        chain::verify(&documents, &is_signed).unwrap().statements
    }

    pub fn hold(&self, point: &Point, why: Option<&str>) {
        now(inventory::amend_point(&self.world, &point.reference(), |point| {
            point.legal_hold = why.map(str::to_owned);
            true
        }))
        .unwrap();
    }
}

/// A system after its first backup at midnight, which is copied and proven in both vaults.
/// What is answered of a partition in place of the truth; nothing where the truth is told.
pub type Instead = fn(&str) -> Option<Result<Option<Entry>, Failure>>;

/// A catalog that answers what is last of a partition otherwise.
pub struct OtherLast {
    pub catalog: Arc<FakeCatalog>,
    pub last: Instead,
}

#[async_trait]
impl Catalog for OtherLast {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        self.catalog.get(key).await
    }
    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure> {
        self.catalog.insert(draft).await
    }
    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure> {
        self.catalog.replace(draft, expected).await
    }
    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
        self.catalog.list(partition, prefix).await
    }
    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure> {
        match (self.last)(partition) {
            Some(answer) => answer,
            None => self.catalog.last(partition, prefix).await,
        }
    }
    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure> {
        self.catalog.waking(status, by).await
    }
}

pub fn settled() -> System {
    settled_under(policy())
}

/// A system after its first backup, which backs up no more, and whose resource is a server from then on.
pub fn settled_server() -> System {
    let policy = PolicyDraft {
        selection: Selection {
            resources: vec![photos()],
            ..Selection::default()
        },
        ..once()
    };
    let system = settled_under(policy.clone());
    let resource = Resource {
        kind: ResourceKind::Postgres,
        ..now(inventory::resource(&system.world, &photos())).unwrap()
    };
    let policies = [(PolicyId::new("main").unwrap(), policy)];
    let plans = [plan(vec![restore_step("restore")])];
    now(apply::apply(&system.world, &[resource], &policies, &plans)).unwrap();
    system
}

pub fn settled_under(policy: PolicyDraft) -> System {
    let system = System::new(policy);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    assert!(
        system
            .point()
            .copies
            .iter()
            .all(|copy| copy.proven(Level::L2).is_some())
    );
    assert_eq!(system.point().copies.len(), 2);
    system
}
