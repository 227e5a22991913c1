//! What each function does, one sentence a test: the real handlers over the fakes, where nothing goes wrong by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{
    BackupKind, Check, CopyRule, CopyState, Detail, Event, Failure, FailureKind, FunctionName, Job, JobId, JobKind,
    JobState, Level, Objectives, Occurrence, OccurrenceState, Patterns, PlanId, Point, PointId, PointState,
    PolicyDraft, PolicyId, RecoveryPlan, Region, Resource, ResourceId, ResourceKind, Retention, Rule, RuleName, Run,
    RunId, RunKind, RunState, Selection, Span, Step, StepAction, StepName, StepState, UnreadEntry, Vault, VaultName,
    VerifyRule,
};
use holdfast_core::ports::{Clock, EvidenceStore, Keys, Queue, Severity, Signature};
use holdfast_core::workflow::records::{self, Record};
use holdfast_core::workflow::{Settings, World, apply, chain, inventory};
use holdfast_testkit::fakes::{
    FakeBus, FakeCatalog, FakeClock, FakeEngine, FakeEvidence, FakeIds, FakeKeys, FakePager, FakeQueue, ResourceModel,
};
use jiff::{SignedDuration, Timestamp};

const MIDNIGHT: &str = "2026-06-01T00:00:00Z";
const HOME: &str = "home";
const AWAY: &str = "away";
const DRILLS: &str = "/drills";

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn vault(name: &str) -> VaultName {
    VaultName::new(name).unwrap()
}

fn photos() -> ResourceId {
    ResourceId::new("photos").unwrap()
}

fn rule(name: &str, cron: &str, kind: BackupKind) -> Rule {
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
fn policy() -> PolicyDraft {
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

fn step(name: &str, after: &[&str], action: StepAction) -> Step {
    Step {
        name: StepName::new(name).unwrap(),
        after: after.iter().map(|name| StepName::new(*name).unwrap()).collect(),
        action,
        timeout: Span::hours(1),
    }
}

fn restore_step(name: &str) -> Step {
    step(
        name,
        &[],
        StepAction::Restore {
            resource: photos(),
            vault: vault(AWAY),
        },
    )
}

fn plan(steps: Vec<Step>) -> RecoveryPlan {
    RecoveryPlan {
        id: PlanId::new("evacuate").unwrap(),
        description: String::new(),
        objectives: Objectives {
            rpo: Span::hours(8),
            rto: Span::hours(1),
        },
        steps,
    }
}

/// The whole system over fakes.
struct System {
    world: World,
    clock: Arc<FakeClock>,
    catalog: Arc<FakeCatalog>,
    queue: Arc<FakeQueue>,
    engine: Arc<FakeEngine>,
    pager: Arc<FakePager>,
    evidence: Arc<FakeEvidence>,
    keys: Arc<FakeKeys>,
}

impl System {
    fn new(policy: PolicyDraft) -> Self {
        Self::with_plan(policy, plan(vec![restore_step("restore")]))
    }

    fn with_plan(policy: PolicyDraft, plan: RecoveryPlan) -> Self {
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
            clock: clock.clone(),
            ids: Arc::new(FakeIds::default()),
            settings: Settings {
                home: Region::new("eu-central-1").unwrap(),
                vaults: vaults.to_vec(),
                poll: SignedDuration::from_secs(30),
                lease: Span::minutes(10),
                reclaim_grace: Span::hours(1),
                drill_area: DRILLS.to_owned(),
            },
        };
        let resource = Resource {
            id: photos(),
            kind: ResourceKind::Files,
            path: "/srv/photos".to_owned(),
            tags: BTreeMap::new(),
            heartbeat: Some("heartbeat".to_owned()),
            registered_at: at(MIDNIGHT),
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

    fn tell(&self, function: FunctionName, detail: Detail) -> Result<(), Failure> {
        let (world, event) = (&self.world, &Event::new(detail, self.clock.now()));
        now(async {
            match function {
                FunctionName::Scheduler => holdfast_scheduler::handle(world, event).await,
                FunctionName::SnapshotTrigger => holdfast_snapshot_trigger::handle(world, event).await,
                FunctionName::Verifier => holdfast_verifier::handle(world, event).await,
                FunctionName::Replicator => holdfast_replicator::handle(world, event).await,
                FunctionName::Lifecycle => holdfast_lifecycle::handle(world, event).await,
                FunctionName::RestoreRunner => holdfast_restore_runner::handle(world, event).await,
                FunctionName::DrFailover => holdfast_dr_failover::handle(world, event).await,
            }
        })
    }

    fn wake(&self, function: FunctionName) {
        self.tell(function, Detail::WakeUp {}).unwrap();
    }

    /// Lets the time pass, with a wake-up of every function each minute.
    fn pass(&self, span: Span) {
        for _ in 0..span.as_seconds() / 60 {
            self.clock.advance(Span::minutes(1));
            FunctionName::ALL.into_iter().for_each(|function| self.wake(function));
        }
    }

    fn records<T: Record>(&self) -> Vec<T> {
        let entries = self.catalog.entries().into_iter();
        let of_kind = entries.filter(|entry| entry.body["kind"] == T::KIND);
        of_kind
            .map(|entry| records::decode::<T>(entry).unwrap().value)
            .collect()
    }

    fn points(&self) -> Vec<Point> {
        self.records()
    }

    fn jobs(&self, kind: JobKind) -> Vec<Job> {
        let jobs = self.records::<Job>().into_iter();
        jobs.filter(|job| job.order.kind() == kind).collect()
    }

    fn point(&self) -> Point {
        let points = self.points();
        assert_eq!(points.len(), 1, "{points:?}");
        points.into_iter().next().unwrap()
    }

    fn pages(&self, about: &str) -> usize {
        let pages = self.pager.pages();
        pages.iter().filter(|page| page.key.starts_with(about)).count()
    }

    fn damage(&self, point: &Point, name: &str) {
        let copy = point.copy_in(&vault(name)).unwrap();
        assert!(self.engine.damage(&vault(name), &photos(), &copy.artefact));
    }

    fn verify_now(&self, point: &Point, name: &str) {
        let detail = Detail::VerificationRequested {
            request: format!("look-{name}-{}", self.clock.now()),
            resource: photos(),
            point: point.id.clone(),
            vault: vault(name),
            requested_by: "ann".to_owned(),
        };
        self.tell(FunctionName::Verifier, detail).unwrap();
    }

    fn restore(&self, request: &str, point: Option<PointId>, target: &str) -> Result<(), Failure> {
        let detail = Detail::RestoreRequested {
            request: request.to_owned(),
            resource: photos(),
            point,
            vault: None,
            target: target.to_owned(),
            include: Vec::new(),
            overwrite: false,
            requested_by: "ann".to_owned(),
        };
        self.tell(FunctionName::RestoreRunner, detail)
    }

    fn ask_run(&self, kind: RunKind) {
        let detail = Detail::RunRequested {
            request: "r1".to_owned(),
            plan: PlanId::new("evacuate").unwrap(),
            kind,
            requested_by: "ann".to_owned(),
        };
        self.tell(FunctionName::DrFailover, detail).unwrap();
    }

    fn run(&self) -> Run {
        let key = records::run_key(&RunId::derive(&["run", "r1"]));
        now(records::require::<Run>(self.catalog.as_ref(), &key)).unwrap().value
    }

    fn statements(&self) -> Vec<holdfast_core::domain::Statement> {
        let names = now(self.evidence.list()).unwrap();
        let documents: Vec<(String, Vec<u8>)> = names
            .into_iter()
            .map(|name| (name.clone(), now(self.evidence.get(&name)).unwrap().unwrap()))
            .collect();
        let is_signed = |message: &[u8], signature: &Signature| now(self.keys.verify(message, signature)).unwrap();
        chain::verify(&documents, &is_signed).unwrap().statements
    }

    fn hold(&self, point: &Point, why: Option<&str>) {
        now(inventory::amend_point(&self.world, &point.reference(), |point| {
            point.legal_hold = why.map(str::to_owned);
            true
        }))
        .unwrap();
    }
}

/// A system after its first backup at midnight, which is copied and proven in both vaults.
fn settled() -> System {
    settled_under(policy())
}

fn settled_under(policy: PolicyDraft) -> System {
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

#[test]
fn one_occurrence_is_one_job_however_often_the_scheduler_is_told() {
    let system = System::new(policy());
    for _ in 0..3 {
        system.wake(FunctionName::Scheduler);
    }
    let jobs = system.jobs(JobKind::Backup);
    let occurrences: Vec<Occurrence> = system.records();
    assert_eq!((jobs.len(), occurrences.len()), (1, 1));
    assert_eq!(jobs[0].id, occurrences[0].key.job_id());
    assert_eq!(occurrences[0].state, OccurrenceState::Requested);
}

#[test]
fn a_completed_backup_completes_its_occurrence_and_is_one_artefact() {
    let system = settled();
    let occurrences: Vec<Occurrence> = system.records();
    assert_eq!(occurrences[0].state, OccurrenceState::Completed);
    assert_eq!(system.engine.effects(&occurrences[0].key.job_id()), 1);
    assert_eq!(system.jobs(JobKind::Backup)[0].state, JobState::Completed);
}

#[test]
fn missed_occurrences_are_reported_and_caught_up_by_one_backup() {
    let system = settled();
    system.clock.set(at("2026-06-01T17:30:00Z"));
    system.wake(FunctionName::Scheduler);
    let occurrences: Vec<Occurrence> = system.records();
    let told: Vec<(String, OccurrenceState, bool)> = occurrences[1..]
        .iter()
        .map(|one| (one.key.due_at.strftime("%H:%M").to_string(), one.state, one.catch_up))
        .collect();
    let expected = [
        ("04:00", OccurrenceState::Missed, false),
        ("08:00", OccurrenceState::Missed, false),
        ("12:00", OccurrenceState::Missed, false),
        ("16:00", OccurrenceState::Requested, true),
    ];
    assert_eq!(told, expected.map(|(due, state, late)| (due.to_owned(), state, late)));
    assert_eq!(system.jobs(JobKind::Backup).len(), 2);
    assert_eq!(system.pages("missed/"), 1);
}

#[test]
fn the_first_incremental_is_a_full_and_the_second_has_a_base() {
    let system = settled();
    system.pass(Span::hours(4));
    let points = system.points();
    assert_eq!(points.len(), 2);
    assert_eq!((points[0].kind, points[0].base.clone()), (BackupKind::Full, None));
    assert_eq!(
        (points[1].kind, points[1].base.clone()),
        (BackupKind::Incremental, Some(points[0].id.clone()))
    );
}

#[test]
fn a_differential_compares_with_the_last_full_and_not_with_what_came_between() {
    let rules = vec![
        rule("base", "0 0 * * *", BackupKind::Full),
        rule("steady", "0 4 * * *", BackupKind::Incremental),
        rule("noon", "0 12 * * *", BackupKind::Differential),
    ];
    let retention = Retention {
        keep_last: 9,
        ..Retention::default()
    };
    let system = settled_under(PolicyDraft {
        rules,
        retention,
        ..policy()
    });
    system.pass(Span::hours(12));
    let points = system.points();
    assert_eq!(points.len(), 3);
    assert_eq!(
        (points[2].kind, points[2].base.clone()),
        (BackupKind::Differential, Some(points[0].id.clone()))
    );
}

#[test]
fn a_partial_backup_pages_and_lists_what_it_could_not_read() {
    let system = System::new(policy());
    let unread = vec![UnreadEntry {
        path: "/srv/photos/locked".to_owned(),
        reason: "permission denied".to_owned(),
    }];
    system.engine.set_resource(
        &photos(),
        ResourceModel {
            unread: unread.clone(),
            ..ResourceModel::default()
        },
    );
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    assert_eq!(system.point().unread, unread);
    assert_eq!(system.jobs(JobKind::Backup)[0].state, JobState::Partial);
    let pages = system.pager.pages();
    let page = pages.iter().find(|page| page.key.starts_with("partial/")).unwrap();
    assert!(
        page.text.contains("/srv/photos/locked: permission denied"),
        "{}",
        page.text
    );
}

#[test]
fn a_backup_that_may_pass_is_tried_again_and_one_that_may_not_fails_its_occurrence() {
    for (kind, state, points) in [
        (FailureKind::Transient, OccurrenceState::Completed, 1),
        (FailureKind::Denied, OccurrenceState::Failed, 0),
    ] {
        let system = System::new(policy());
        system.engine.fail_next_task(JobKind::Backup, kind);
        system.wake(FunctionName::Scheduler);
        system.pass(Span::minutes(15));
        assert_eq!(system.records::<Occurrence>()[0].state, state, "{kind:?}");
        assert_eq!(system.points().len(), points, "{kind:?}");
        assert_eq!(system.pages("job/"), 1 - points, "{kind:?}");
    }
}

#[test]
fn a_resource_has_one_backup_at_a_time() {
    let system = System::new(policy());
    system.engine.set_duration(JobKind::Backup, Span::minutes(20));
    system.wake(FunctionName::Scheduler);
    let detail = Detail::BackupRequested {
        request: "b1".to_owned(),
        resource: photos(),
        requested_by: "ann".to_owned(),
    };
    system.tell(FunctionName::SnapshotTrigger, detail).unwrap();
    system.pass(Span::minutes(5));
    let states = |system: &System| {
        let mut states: Vec<JobState> = system.jobs(JobKind::Backup).iter().map(|job| job.state).collect();
        states.sort_by_key(|state| *state == JobState::Pending);
        states
    };
    assert_eq!(states(&system), [JobState::Running, JobState::Pending]);
    system.pass(Span::hours(1));
    assert_eq!(states(&system), [JobState::Completed, JobState::Completed]);
    assert_eq!(system.points().len(), 2);
}

#[test]
fn a_request_for_a_backup_of_nothing_known_is_refused() {
    let system = System::new(policy());
    let detail = Detail::BackupRequested {
        request: "b1".to_owned(),
        resource: ResourceId::new("sounds").unwrap(),
        requested_by: "ann".to_owned(),
    };
    let refusal = system.tell(FunctionName::SnapshotTrigger, detail).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::NotFound);
    assert!(refusal.message.contains("sounds"), "{refusal}");
    assert!(system.jobs(JobKind::Backup).is_empty());
}

#[test]
fn damage_is_found_paged_repaired_from_the_copy_and_proven_again() {
    let system = settled();
    let point = system.point();
    system.damage(&point, HOME);
    system.verify_now(&point, HOME);
    system.pass(Span::minutes(20));
    let point = system.point();
    assert_eq!(point.state, PointState::Repaired);
    let copy = point.copy_in(&vault(HOME)).unwrap();
    let verdicts: Vec<bool> = copy.proofs.iter().map(|proof| proof.passed).collect();
    assert_eq!(verdicts, [true, false, true]);
    assert!(copy.proven(Level::L2).is_some());
    assert_eq!((system.pages("damaged/"), system.jobs(JobKind::Repair).len()), (1, 1));
    assert!(
        system
            .engine
            .artefacts(&vault(HOME), &photos())
            .values()
            .all(|artefact| !artefact.damaged)
    );
}

#[test]
fn a_copy_that_went_missing_is_damage_and_is_put_back() {
    let system = settled();
    let point = system.point();
    let artefact = point.copy_in(&vault(AWAY)).unwrap().artefact.clone();
    assert!(system.engine.lose(&vault(AWAY), &photos(), &artefact));
    system.verify_now(&point, AWAY);
    system.pass(Span::minutes(20));
    assert!(system.engine.artefacts(&vault(AWAY), &photos()).contains_key(&artefact));
    assert!(
        system
            .point()
            .copy_in(&vault(AWAY))
            .unwrap()
            .proven(Level::L2)
            .is_some()
    );
}

#[test]
fn damage_in_every_copy_is_paged_once_and_never_called_repaired() {
    let system = settled();
    let point = system.point();
    for name in [HOME, AWAY] {
        system.damage(&point, name);
        system.verify_now(&point, name);
    }
    system.pass(Span::hours(1));
    assert_eq!(system.point().state, PointState::Corrupt);
    assert!(
        system
            .point()
            .copies
            .iter()
            .all(|copy| copy.state == CopyState::Corrupt)
    );
    assert_eq!(system.pages("no-good-copy/"), 2, "one for each copy");
    assert!(
        system
            .pager
            .pages()
            .iter()
            .any(|page| page.severity == Severity::Critical)
    );
}

#[test]
fn a_repair_whose_source_turns_out_damaged_is_done_once_a_good_source_is_found() {
    let third = "third";
    let copies = [AWAY, third]
        .map(|name| CopyRule {
            vault: vault(name),
            within: Span::hours(1),
        })
        .to_vec();
    let system = System::new(PolicyDraft { copies, ..policy() });
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(20));
    let point = system.point();
    for name in [HOME, AWAY] {
        system.damage(&point, name);
    }
    system.verify_now(&point, HOME);
    system.pass(Span::minutes(10));
    assert_eq!(
        system.jobs(JobKind::Repair)[0].state,
        JobState::Partial,
        "its source was damaged too"
    );
    system.verify_now(&point, AWAY);
    system.pass(Span::hours(2));
    assert!(
        system
            .point()
            .copies
            .iter()
            .all(|copy| copy.proven(Level::L2).is_some()),
        "{:?}",
        system.point()
    );
}

#[test]
fn a_late_copy_is_paged_once_and_made_when_its_vault_answers() {
    let system = System::new(policy());
    system.engine.set_reachable(&vault(AWAY), false);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::hours(3));
    assert_eq!(system.pages("copy-late/"), 1);
    system.engine.set_reachable(&vault(AWAY), true);
    system.pass(Span::hours(2));
    assert!(
        system.points()[0]
            .copy_in(&vault(AWAY))
            .unwrap()
            .proven(Level::L2)
            .is_some()
    );
    assert_eq!(system.pages("copy-late/"), 1);
}

#[test]
fn retention_marks_waits_deletes_and_reclaims() {
    let system = settled();
    let first = system.point();
    let state = |system: &System| system.points()[0].state;
    system.pass(Span::minutes(8 * 60 - 15));
    assert_eq!(state(&system), PointState::Available);
    system.pass(Span::minutes(30));
    assert_eq!(state(&system), PointState::Expiring);
    assert!(system.points()[0].expiry.as_ref().unwrap().reason.contains("2 last"));
    system.pass(Span::minutes(80));
    assert_eq!(state(&system), PointState::Expiring, "it waits two hours");
    system.pass(Span::minutes(60));
    assert_eq!(state(&system), PointState::Deleted);
    for copy in &first.copies {
        assert!(
            !system
                .engine
                .artefacts(&copy.vault, &photos())
                .contains_key(&copy.artefact)
        );
    }
    let freed = |system: &System| {
        let jobs = system.jobs(JobKind::Reclaim).into_iter();
        jobs.filter_map(|job| match job.result {
            Some(holdfast_core::domain::Outcome::Reclaim { freed_bytes, .. }) => Some(freed_bytes),
            _ => None,
        })
        .sum::<u64>()
    };
    assert_eq!(freed(&system), 0, "what was condemned waits as well");
    system.pass(Span::minutes(80));
    assert!(freed(&system) > 0);
}

#[test]
fn a_point_under_legal_hold_stays_until_the_hold_is_lifted() {
    let system = settled();
    let point = system.point();
    system.hold(&point, Some("case 7"));
    system.pass(Span::hours(24));
    assert_eq!(system.points()[0].state, PointState::Available);
    system.hold(&point, None);
    system.pass(Span::hours(3));
    assert_eq!(system.points()[0].state, PointState::Deleted);
}

#[test]
fn a_hold_that_comes_after_the_deletion_was_ordered_still_holds() {
    let system = settled();
    let point = system.point();
    system.pass(Span::hours(9));
    let set_reachable = |reachable| [HOME, AWAY].map(|name| system.engine.set_reachable(&vault(name), reachable));
    set_reachable(false);
    system.pass(Span::minutes(52));
    let ordered = system.jobs(JobKind::Delete);
    assert!(
        ordered.len() == 2 && ordered.iter().all(|job| !job.state.is_final()),
        "{ordered:?}"
    );
    set_reachable(true);
    system.hold(&point, Some("case 7"));
    system.pass(Span::hours(1));
    assert!(
        system
            .jobs(JobKind::Delete)
            .iter()
            .all(|job| job.state == JobState::Cancelled)
    );
    assert!(
        system
            .engine
            .artefacts(&vault(HOME), &photos())
            .contains_key(&point.copies[0].artefact)
    );
    assert_eq!(system.points()[0].state, PointState::Available);
}

#[test]
fn the_last_proven_point_stays_whatever_retention_says() {
    let retention = Retention {
        keep_last: 1,
        ..Retention::default()
    };
    let system = settled_under(PolicyDraft { retention, ..policy() });
    for _ in 0..200 {
        system.engine.fail_next_task(JobKind::Verify, FailureKind::Denied);
    }
    system.pass(Span::hours(24));
    let points = system.points();
    assert!(points.len() > 5);
    assert_eq!(points[0].state, PointState::Available, "no later point was ever proven");
    assert_eq!(points[1].state, PointState::Deleted);
}

#[test]
fn an_objective_is_paged_once_when_broken_and_once_when_it_holds_again() {
    let objectives = Some(Objectives {
        rpo: Span::hours(6),
        rto: Span::hours(1),
    });
    let system = settled_under(PolicyDraft { objectives, ..policy() });
    system.clock.set(at("2026-06-01T07:00:00Z"));
    system.wake(FunctionName::Scheduler);
    system.wake(FunctionName::Scheduler);
    assert_eq!(system.pages("rpo/"), 1);
    system.pass(Span::minutes(30));
    assert_eq!(system.pages("rpo/"), 2);
}

#[test]
fn a_restore_is_done_once_for_a_request_and_proves_its_point() {
    let system = settled();
    system.restore("x1", None, "/restored/x1").unwrap();
    system.restore("x1", None, "/restored/x1").unwrap();
    system.pass(Span::minutes(10));
    let jobs = system.jobs(JobKind::Restore);
    assert_eq!((jobs.len(), jobs[0].state), (1, JobState::Completed));
    assert!(system.engine.restored().contains_key("/restored/x1"));
    assert!(system.point().is_proven(Level::L4));
}

#[test]
fn a_restore_to_a_bad_target_or_of_an_unknown_point_is_refused_by_name() {
    let system = settled();
    for target in ["restored", "/", "//", "/restored/../etc", "/restored/\0"] {
        let refusal = system.restore("x1", None, target).unwrap_err();
        assert_eq!(refusal.kind, FailureKind::Invalid, "{target:?}");
        assert!(refusal.message.contains("target"), "{refusal}");
    }
    let unknown = PointId::derive(&["unknown"]);
    let refusal = system.restore("x1", Some(unknown.clone()), "/restored/x1").unwrap_err();
    assert_eq!(refusal.kind, FailureKind::NotFound);
    assert!(refusal.message.contains(unknown.as_str()), "{refusal}");
    assert!(system.jobs(JobKind::Restore).is_empty());
}

#[test]
fn a_drill_restores_compares_measures_states_and_cleans() {
    let restored_by = StepName::new("restore").unwrap();
    let steps = vec![
        step(
            "fresh",
            &[],
            StepAction::Check(Check::PointAge {
                resource: photos(),
                at_most: Span::hours(8),
            }),
        ),
        restore_step("restore"),
        step("compare", &[], StepAction::Verify { restored_by }),
        step("settle", &["compare"], StepAction::Wait { span: Span::minutes(5) }),
        step(
            "tell",
            &["settle"],
            StepAction::Notify {
                message: "done".to_owned(),
            },
        ),
    ];
    let system = System::with_plan(policy(), plan(steps));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(3));
    assert!(system.engine.restored().keys().all(|target| target.starts_with(DRILLS)));
    assert_eq!(system.engine.restored().len(), 1);
    system.pass(Span::minutes(20));
    let run = system.run();
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(run.steps.iter().all(|step| step.state == StepState::Succeeded));
    assert!(run.point_age_seconds.is_some() && run.data_loss_seconds.is_some() && run.recovered_at.is_some());
    assert!(system.engine.restored().is_empty(), "the drill cleans what it restored");
    let statements = system.statements();
    let stated = statements
        .iter()
        .filter(|statement| statement.origin == format!("{}/run", run.id));
    assert_eq!(
        stated
            .map(|statement| (statement.level, statement.passed))
            .collect::<Vec<_>>(),
        [(Level::L6, true)]
    );
}

#[test]
fn a_drill_whose_check_does_not_hold_fails_skips_the_rest_and_pages() {
    let at_most = Span::minutes(1);
    let check = step(
        "fresh",
        &[],
        StepAction::Check(Check::PointAge {
            resource: photos(),
            at_most,
        }),
    );
    let mut restore = restore_step("restore");
    restore.after = vec![check.name.clone()];
    let system = System::with_plan(policy(), plan(vec![check, restore]));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(5));
    let run = system.run();
    let states: Vec<StepState> = run.steps.iter().map(|step| step.state).collect();
    assert_eq!(
        (run.state, states),
        (RunState::Failed, vec![StepState::Failed, StepState::Skipped])
    );
    assert_eq!((system.pages("run/"), system.jobs(JobKind::Restore).len()), (1, 0));
}

#[test]
fn a_drill_step_that_takes_too_long_fails_and_is_cleaned_once_its_restore_has_ended() {
    let mut restore = restore_step("restore");
    restore.timeout = Span::minutes(5);
    let system = System::with_plan(policy(), plan(vec![restore]));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system.engine.set_duration(JobKind::Restore, Span::minutes(30));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(10));
    let run = system.run();
    assert_eq!((run.state, run.steps[0].state), (RunState::Cleaning, StepState::Failed));
    assert!(run.steps[0].note.contains("timeout"), "{}", run.steps[0].note);
    system.pass(Span::minutes(40));
    assert_eq!(system.run().state, RunState::Failed);
    assert!(system.engine.restored().is_empty());
}

#[test]
fn a_simulation_answers_every_step_and_changes_nothing() {
    let restored_by = StepName::new("restore").unwrap();
    let steps = vec![
        step(
            "proven",
            &[],
            StepAction::Check(Check::ProvenPoint {
                resource: photos(),
                vault: vault(AWAY),
            }),
        ),
        restore_step("restore"),
        step("compare", &[], StepAction::Verify { restored_by }),
        step("settle", &[], StepAction::Wait { span: Span::hours(9) }),
        step(
            "tell",
            &[],
            StepAction::Notify {
                message: "done".to_owned(),
            },
        ),
    ];
    let system = System::with_plan(policy(), plan(steps));
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    let (jobs, pages) = (system.records::<Job>().len(), system.pager.pages().len());
    system.ask_run(RunKind::Simulate);
    system.pass(Span::minutes(2));
    let run = system.run();
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(run.steps[1].note.starts_with("would restore"), "{}", run.steps[1].note);
    assert_eq!(
        (system.records::<Job>().len(), system.pager.pages().len()),
        (jobs, pages)
    );
    assert!(system.engine.restored().is_empty());
    assert_eq!(
        system.statements().last().map(|statement| statement.level),
        Some(Level::L0)
    );
}

#[test]
fn a_run_of_an_unknown_plan_is_refused_by_name() {
    let system = System::new(policy());
    let detail = Detail::RunRequested {
        request: "r1".to_owned(),
        plan: PlanId::new("nowhere").unwrap(),
        kind: RunKind::Drill,
        requested_by: "ann".to_owned(),
    };
    let refusal = system.tell(FunctionName::DrFailover, detail).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::NotFound);
    assert!(refusal.message.contains("nowhere"), "{refusal}");
    assert!(system.records::<Run>().is_empty());
}

#[test]
fn every_verdict_is_stated_once_and_each_proof_names_its_statement() {
    let system = settled();
    let point = system.point();
    system.damage(&point, AWAY);
    system.verify_now(&point, AWAY);
    system.restore("x1", None, "/restored/x1").unwrap();
    system.pass(Span::minutes(30));
    let statements = system.statements();
    let proofs: Vec<_> = system.point().copies.into_iter().flat_map(|copy| copy.proofs).collect();
    assert_eq!(statements.len(), proofs.len());
    for proof in proofs {
        let statement = &statements[proof.statement as usize - 1];
        assert!(statement.origin.starts_with(proof.job.as_str()), "{statement:?}");
        assert_eq!((statement.level, statement.passed), (proof.level, proof.passed));
    }
}

#[test]
fn what_is_published_reaches_the_queues_of_those_who_listen() {
    let system = System::new(policy());
    system.wake(FunctionName::Scheduler);
    let waiting = |function| now(system.queue.receive(function, 10, Span::minutes(1))).unwrap().len();
    assert_eq!(waiting(FunctionName::SnapshotTrigger), 1, "the requested job");
    assert_eq!(waiting(FunctionName::Verifier), 0);
    assert_eq!(
        system.jobs(JobKind::Backup)[0].id,
        system.records::<Occurrence>()[0].key.job_id()
    );
    let unknown = JobId::derive(&["unknown"]);
    assert_eq!(
        now(records::read::<Job>(
            system.catalog.as_ref(),
            &records::job_key(&unknown)
        ))
        .unwrap()
        .map(|_| ()),
        None
    );
}
