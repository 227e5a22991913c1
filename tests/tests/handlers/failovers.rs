//! Failovers that restore: the other Region has no copy that follows.

use std::collections::BTreeMap;

use holdfast_core::domain::{
    Act, Actuator, ActuatorKind, ActuatorName, AuthorityRecord, Instruction, Move, Undo, WorkloadName,
};
use holdfast_testkit::fakes::{FakeActuators, Thing};

use crate::scene::*;

/// Where production is restored to.
const TARGET: &str = "/srv/recovered/photos";

/// A plan that restores, compares, and tells people; `first` comes before.
fn evacuation(first: Option<Step>, actuators: Vec<Actuator>) -> RecoveryPlan {
    let mut restore = restore_step("restore");
    restore.after = first.iter().map(|step| step.name.clone()).collect();
    if let StepAction::Restore { target, .. } = &mut restore.action {
        *target = Some(TARGET.to_owned());
    }
    let restored_by = restore.name.clone();
    let mut steps: Vec<Step> = first.into_iter().collect();
    steps.extend([restore, step("compare", &[], StepAction::Verify { restored_by })]);
    let (home, away) = (Region::new("eu-central-1").unwrap(), Region::new("eu-west-1").unwrap());
    RecoveryPlan {
        moves: Some(Move {
            workload: WorkloadName::new("album").unwrap(),
            home: home.clone(),
            from: home,
            to: away,
            actuators,
            deactivate: Vec::new(),
            post_recovery: Vec::new(),
            approvers: Vec::new(),
            automatic: None,
        }),
        ..plan(steps)
    }
}

/// The system once its first point is proven in the other Region.
fn copied(plan: RecoveryPlan) -> System {
    let system = System::with_plan(policy(), plan);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(15));
    system
}

#[test]
fn a_failover_restores_to_where_the_workload_expects_it_and_leaves_it_there() {
    let system = copied(evacuation(None, Vec::new()));
    system.ask_run(RunKind::Disaster);
    system.pass(Span::minutes(30));
    let run = system.run();
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    assert!(
        system.engine.restored().keys().eq([TARGET]),
        "{:?}",
        system.engine.restored()
    );
    assert!(
        system.jobs(JobKind::Clean).is_empty(),
        "what a failover restored is production"
    );
    assert_eq!(
        run.conduct.generation,
        Some(2),
        "it changed production under an authority of its own"
    );
    assert!(run.point_age_seconds.is_some_and(|age| age > 0), "{run:?}");
    let authority = &system.records::<AuthorityRecord>()[0];
    let west = Region::new("eu-west-1").unwrap();
    assert_eq!(authority.writer, Some(west), "the other side writes now");
}

#[test]
fn a_drill_of_the_same_plan_restores_into_its_own_area_and_takes_no_authority() {
    let system = copied(evacuation(None, Vec::new()));
    system.ask_run(RunKind::Drill);
    system.pass(Span::minutes(3));
    assert!(system.engine.restored().keys().all(|target| target.starts_with(DRILLS)));
    system.pass(Span::minutes(30));
    let run = system.run();
    assert_eq!(
        (run.state, run.conduct.generation),
        (RunState::Succeeded, None),
        "{run:?}"
    );
    assert!(system.engine.restored().is_empty());
}

#[test]
fn a_switchover_that_would_lose_what_was_written_since_is_refused() {
    let system = copied(evacuation(None, Vec::new()));
    let detail = Detail::RunRequested {
        request: "r1".to_owned(),
        plan: PlanId::new("evacuate").unwrap(),
        kind: RunKind::Planned,
        level: None,
        requested_by: "ann".to_owned(),
    };
    let refusal = system.tell(FunctionName::DrFailover, detail).unwrap_err();
    assert_eq!(refusal.kind, FailureKind::Invalid);
    assert!(refusal.message.contains("order a failover"), "{refusal}");
    assert!(system.records::<Run>().is_empty());
}

#[test]
fn a_failover_does_not_end_while_its_restore_may_still_write() {
    let mut plan = evacuation(None, Vec::new());
    plan.steps[0].timeout = Span::minutes(5);
    let system = copied(plan);
    system.engine.set_duration(JobKind::Restore, Span::minutes(30));
    system.ask_run(RunKind::Disaster);
    system.pass(Span::minutes(20));
    assert_eq!(system.run().state, RunState::Cleaning, "{:?}", system.run());
    system.pass(Span::minutes(30));
    assert_eq!(system.run().state, RunState::Failed);
    assert!(
        system.engine.restored().contains_key(TARGET),
        "nothing of production is removed"
    );
    let authority = &system.records::<AuthorityRecord>()[0];
    let home = Region::new("eu-central-1").unwrap();
    assert_eq!(authority.writer, Some(home), "it was taken back");
}

#[test]
fn a_restore_that_failed_beyond_return_is_ordered_anew_when_the_run_is_resumed() {
    let name = ActuatorName::new("album-west").unwrap();
    let start = StepAction::Act {
        actuator: name.clone(),
        act: Act::Start,
        undo: Undo::NoReturn,
    };
    let actuator = Actuator {
        name: name.clone(),
        kind: ActuatorKind::Command,
        region: Region::new("eu-west-1").unwrap(),
        workload: WorkloadName::new("album").unwrap(),
        production: BTreeMap::from([("program".to_owned(), "/usr/bin/album".to_owned())]),
        drill: None,
    };
    let mut system = copied(evacuation(Some(step("start", &[], start)), vec![actuator]));
    let actuators = Arc::new(FakeActuators::new(system.clock.clone()));
    actuators.put(&name, Thing::default());
    system.world.actuators = actuators;
    system.engine.fail_next_task(JobKind::Restore, FailureKind::Invalid);
    system.ask_run(RunKind::Disaster);
    system.pass(Span::minutes(20));
    assert_eq!(system.run().state, RunState::Stuck, "{:?}", system.run());
    let resume = Detail::RunInstructed {
        run: system.run().id,
        instruction: Instruction::Resume,
        by: "ann".to_owned(),
    };
    system.tell(FunctionName::DrFailover, resume).unwrap();
    system.pass(Span::minutes(30));
    assert_eq!(system.run().state, RunState::Succeeded, "{:?}", system.run());
    let ended: Vec<JobState> = system.jobs(JobKind::Restore).iter().map(|job| job.state).collect();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(
        ended.contains(&JobState::Failed) && ended.contains(&JobState::Completed),
        "{ended:?}"
    );
}
