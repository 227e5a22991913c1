//! Cleaning after a drill: what its steps restored is removed, whatever became of the steps. A clean-up that fails leaves
//! the run in its cleaning state, with an alarm, until it succeeds. What a failover restored is production, and stays.

use async_trait::async_trait;
use holdfast_core::domain::{Failure, Job, JobState, Order, Outcome, Run, RunKind, StepAction, StepRecord};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::Stored;
use holdfast_core::workflow::{World, jobs};

use crate::restoring;

/// How cleaning jobs end: nothing but the job itself changes.
pub struct Cleanings;

#[async_trait]
impl Settle for Cleanings {
    async fn completed(&self, _world: &World, _job: &mut Stored<Job>, _outcome: &Outcome) -> Result<(), Failure> {
        Ok(())
    }
}

/// Asks for the removal of what a drill restored; true once it is gone. A restore that still works is waited for first: it would
/// write into what is being removed, or, of a failover, where the next one may restore to.
pub async fn is_done(world: &World, run: &mut Stored<Run>) -> Result<bool, Failure> {
    if run.value.kind == RunKind::Simulate {
        return Ok(true);
    }
    let restores = |step: &&StepRecord| matches!(step.step.action, StepAction::Restore { .. });
    let mut restored_anything = false;
    for step in run.value.steps.iter().filter(restores) {
        let jobs = restoring::recorded(world, &run.value, &step.step.name).await?;
        if jobs.iter().any(Job::may_be_at_work) {
            return Ok(false);
        }
        restored_anything |= !jobs.is_empty();
    }
    if !restored_anything || run.value.kind.touches_production() {
        return Ok(true);
    }
    let id = run.value.id.clone();
    let target = format!("{}/{id}", world.settings.drill_area);
    let order = Order::Clean {
        run: id.clone(),
        target,
    };
    let job = jobs::request_planned(world, &["clean", id.as_str()], order, "the drill is over".to_owned()).await?;
    Ok(job.is_some_and(|job| job.state == JobState::Completed))
}
