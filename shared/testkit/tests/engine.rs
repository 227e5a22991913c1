//! The simulated engine's world: what each order does, and what faults do to it.

use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{
    BackupKind, Failure, FailureKind, JobId, JobKind, Level, Location, Order, Outcome, Patterns, PointId, PointRef,
    ResourceId, RunId, Span, UnreadEntry, VaultName, Verdict,
};
use holdfast_core::ports::{Clock, Engine, Observation, Task};
use holdfast_testkit::fakes::{FakeClock, FakeEngine, ResourceModel};
use jiff::Timestamp;

struct Scene {
    clock: Arc<FakeClock>,
    engine: FakeEngine,
}

fn photos() -> ResourceId {
    ResourceId::new("photos").expect("valid")
}

fn vault(name: &str) -> VaultName {
    VaultName::new(name).expect("valid")
}

fn job(name: &str) -> JobId {
    JobId::derive(&[name])
}

fn point() -> PointRef {
    PointRef {
        resource: photos(),
        taken_at: Timestamp::UNIX_EPOCH,
        id: PointId::derive(&["point"]),
    }
}

fn at(vault_name: &str, artefact: &str) -> Location {
    Location {
        vault: vault(vault_name),
        resource: photos(),
        artefact: artefact.to_owned(),
    }
}

fn backup(kind: BackupKind, base: Option<&str>) -> Order {
    Order::Backup {
        resource: photos(),
        path: "/photos".to_owned(),
        vault: vault("here"),
        kind,
        base: base.map(|artefact| (PointId::derive(&["base"]), artefact.to_owned())),
        patterns: Patterns::default(),
        bandwidth_limit: None,
        server: None,
    }
}

fn copy(artefact: &str) -> Order {
    Order::Copy {
        point: point(),
        from: at("here", artefact),
        to: vault("there"),
    }
}

fn verify(at: Location) -> Order {
    let (point, level) = (point(), Level::L2);
    Order::Verify {
        point,
        at,
        level,
        trial: None,
    }
}

fn restore(from: Location, target: &str) -> Order {
    Order::Restore {
        point: point(),
        from,
        target: target.to_owned(),
        include: Vec::new(),
        overwrite: false,
        heartbeat: Some("heartbeat".to_owned()),
        recovery: None,
    }
}

impl Scene {
    fn new() -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::from_second(1_800_000_015).expect("valid")));
        Self {
            engine: FakeEngine::new(clock.clone()),
            clock,
        }
    }

    fn start(&self, name: &str, order: &Order) -> Result<Task, Failure> {
        let task = Task {
            job: job(name),
            attempt: 1,
            order: order.clone(),
        };
        self.engine.start(&task).now_or_never().expect("one poll")?;
        Ok(task)
    }

    fn observe(&self, task: &Task) -> Observation {
        let observation = self.engine.observe(task).now_or_never().expect("one poll");
        observation.expect("observe")
    }

    fn run(&self, name: &str, order: &Order) -> Observation {
        let task = self.start(name, order).expect("start");
        self.clock.advance(Span::minutes(1));
        self.observe(&task)
    }

    fn completed(&self, name: &str, order: &Order) -> Outcome {
        match self.run(name, order) {
            Observation::Completed(outcome) => outcome,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn failed(&self, name: &str, order: &Order) -> FailureKind {
        match self.run(name, order) {
            Observation::Failed { kind, .. } => kind,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn backed_up(&self, name: &str) -> String {
        match self.completed(name, &backup(BackupKind::Incremental, None)) {
            Outcome::Backup { artefact, .. } => artefact,
            other => panic!("{other:?}"),
        }
    }

    fn copied(&self, artefact: &str) -> String {
        match self.completed("copy", &copy(artefact)) {
            Outcome::Copy { artefact, .. } => artefact,
            other => panic!("{other:?}"),
        }
    }

    fn verdict(&self, name: &str, at: Location) -> Verdict {
        match self.completed(name, &verify(at)) {
            Outcome::Verify(verdict) => verdict,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn work_runs_until_its_time_has_passed_and_counts_once() {
    let scene = Scene::new();
    scene.engine.set_duration(JobKind::Backup, Span::minutes(10));
    let order = backup(BackupKind::Full, None);
    let task = scene.start("backup", &order).expect("start");
    scene.clock.advance(Span::minutes(5));
    let Observation::Running(progress) = scene.observe(&task) else {
        panic!("half way");
    };
    assert_eq!(progress.done_bytes, progress.expected_bytes / 2);
    assert_eq!(scene.engine.effects(&task.job), 0);
    scene.clock.advance(Span::minutes(5));
    assert!(matches!(scene.observe(&task), Observation::Completed(_)));
    scene.start("backup", &order).expect("start again");
    assert_eq!(
        (scene.engine.starts(&task.job, 1), scene.engine.effects(&task.job)),
        (1, 1)
    );
}

#[test]
fn a_backup_adds_what_its_base_lacks_and_lists_what_it_could_not_read() {
    let scene = Scene::new();
    let unread = vec![UnreadEntry {
        path: "secret".to_owned(),
        reason: "permission denied".to_owned(),
    }];
    let model = ResourceModel {
        bytes: 500,
        files: 5,
        changed_bytes: 20,
        unread: unread.clone(),
    };
    scene.engine.set_resource(&photos(), model);
    let first = scene.backed_up("first");
    let order = backup(BackupKind::Incremental, Some(&first));
    let taken = scene.clock.now();
    let Outcome::Backup {
        size_bytes,
        added_bytes,
        taken_at,
        unread: missing,
        ..
    } = scene.completed("second", &order)
    else {
        panic!("a backup");
    };
    assert_eq!((size_bytes, added_bytes, taken_at), (500, 20, taken));
    assert_eq!(missing, unread);
}

#[test]
fn damage_is_copied_by_nobody_found_by_verify_and_healed_from_a_good_copy() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    let there = scene.copied(&here);
    assert_ne!(here, there);
    assert_eq!(scene.verdict("sound", at("here", &here)).damages, Vec::<String>::new());
    assert!(scene.engine.damage(&vault("here"), &photos(), &here));
    let verdict = scene.verdict("damaged", at("here", &here));
    assert_eq!((verdict.damages.len(), verdict.affected.len()), (1, 1));
    let elsewhere = Order::Copy {
        point: point(),
        from: at("here", &here),
        to: vault("third"),
    };
    assert_eq!(scene.failed("copy of damage", &elsewhere), FailureKind::Integrity);
    assert_eq!(
        scene.failed("restore", &restore(at("here", &here), "/r")),
        FailureKind::Integrity
    );
    let repair = Order::Repair {
        point: point(),
        damaged: at("here", &here),
        from: at("there", &there),
    };
    let Outcome::Repair { repaired, unrepairable } = scene.completed("repair", &repair) else {
        panic!("a repair");
    };
    assert_eq!((repaired.len(), unrepairable.len()), (1, 0));
    assert_eq!(scene.verdict("healed", at("here", &here)).damages, Vec::<String>::new());
}

#[test]
fn what_no_copy_can_give_back_is_named() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    let there = scene.copied(&here);
    scene.engine.damage(&vault("here"), &photos(), &here);
    scene.engine.damage(&vault("there"), &photos(), &there);
    let repair = Order::Repair {
        point: point(),
        damaged: at("here", &here),
        from: at("there", &there),
    };
    let Outcome::Repair { repaired, unrepairable } = scene.completed("repair", &repair) else {
        panic!("a repair");
    };
    assert_eq!((repaired.len(), unrepairable.len()), (0, 1));
}

#[test]
fn a_lost_artefact_is_a_bad_verdict_and_nothing_to_restore() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    assert!(scene.engine.lose(&vault("here"), &photos(), &here));
    assert_eq!(scene.verdict("verify", at("here", &here)).damages.len(), 1);
    assert_eq!(
        scene.failed("restore", &restore(at("here", &here), "/r")),
        FailureKind::NotFound
    );
}

#[test]
fn a_restore_gives_files_and_the_last_heartbeat_and_is_cleaned_up() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    let Outcome::Restore {
        files,
        heartbeat_at,
        differences,
        ..
    } = scene.completed("restore", &restore(at("here", &here), "/r"))
    else {
        panic!("a restore");
    };
    assert_eq!((files, differences.len()), (100, 0));
    assert_eq!(
        heartbeat_at,
        Timestamp::from_second(1_800_000_000).ok(),
        "15 s before the backup"
    );
    assert_eq!(scene.engine.restored().len(), 1);
    let clean = Order::Clean {
        run: RunId::derive(&["run"]),
        target: "/r".to_owned(),
    };
    assert_eq!(scene.completed("clean", &clean), Outcome::Clean);
    assert!(scene.engine.restored().is_empty());
}

#[test]
fn space_is_reclaimed_in_two_passes_with_the_grace_between() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    let delete = Order::Delete {
        point: point(),
        at: at("here", &here),
    };
    assert_eq!(scene.completed("delete", &delete), Outcome::Delete);
    assert!(scene.engine.artefacts(&vault("here"), &photos()).is_empty());
    let reclaim = Order::Reclaim {
        resource: photos(),
        vault: vault("here"),
        grace_seconds: 3600,
    };
    let pass = |name: &str| match scene.completed(name, &reclaim) {
        Outcome::Reclaim { condemned, deleted, .. } => (condemned, deleted),
        other => panic!("{other:?}"),
    };
    assert_eq!(pass("first"), (1, 0));
    assert_eq!(pass("too early"), (0, 0));
    scene.clock.advance(Span::hours(1));
    assert_eq!(pass("later"), (0, 1));
}

#[test]
fn a_crash_loses_running_work_and_verdicts_but_no_artefacts() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    let verified = scene.start("verify", &verify(at("here", &here))).expect("start");
    scene.clock.advance(Span::minutes(1));
    assert!(matches!(scene.observe(&verified), Observation::Completed(_)));
    let running = scene.start("second", &backup(BackupKind::Full, None)).expect("start");
    scene.engine.crash();
    assert_eq!(scene.observe(&verified), Observation::NotStarted);
    assert_eq!(scene.observe(&running), Observation::NotStarted);
    scene.clock.advance(Span::hours(1));
    assert_eq!(scene.engine.artefacts(&vault("here"), &photos()).len(), 1);
}

#[test]
fn injected_failures_come_once_and_start_nothing() {
    let scene = Scene::new();
    let order = backup(BackupKind::Full, None);
    scene.engine.fail_next_start(FailureKind::Deferred);
    let deferred = scene.start("backup", &order).expect_err("injected");
    assert!(deferred.retry_at.is_some());
    assert_eq!(scene.engine.starts(&job("backup"), 1), 0);
    let task = scene.start("backup", &order).expect("start");
    scene.engine.fail_next_observe(FailureKind::Throttled);
    let throttled = scene.engine.observe(&task).now_or_never().expect("one poll");
    assert_eq!(throttled.expect_err("injected").kind, FailureKind::Throttled);
    assert!(matches!(scene.observe(&task), Observation::Running(_)));
}

#[test]
fn an_unreachable_vault_starts_nothing_and_fails_what_runs_in_it() {
    let scene = Scene::new();
    let here = scene.backed_up("backup");
    let task = scene.start("copy", &copy(&here)).expect("start");
    scene.engine.set_reachable(&vault("there"), false);
    scene.clock.advance(Span::minutes(1));
    assert!(matches!(
        scene.observe(&task),
        Observation::Failed {
            kind: FailureKind::Transient,
            ..
        }
    ));
    let refused = scene.start("another copy", &copy(&here)).expect_err("unreachable");
    assert_eq!(refused.kind, FailureKind::Transient);
    scene.engine.set_reachable(&vault("there"), true);
    scene.completed("a third copy", &copy(&here));
}

#[test]
fn an_attempt_that_was_replaced_is_fenced() {
    let scene = Scene::new();
    let order = backup(BackupKind::Full, None);
    scene.engine.fail_next_task(JobKind::Backup, FailureKind::Transient);
    assert_eq!(scene.failed("backup", &order), FailureKind::Transient);
    let attempt = |attempt| Task {
        job: job("backup"),
        attempt,
        order: order.clone(),
    };
    let start = |task: Task| scene.engine.start(&task).now_or_never().expect("one poll");
    start(attempt(2)).expect("the next attempt");
    assert_eq!(start(attempt(1)).expect_err("stale").kind, FailureKind::Fenced);
    scene.clock.advance(Span::minutes(1));
    assert_eq!(scene.engine.artefacts(&vault("here"), &photos()).len(), 1);
}
