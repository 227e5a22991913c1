//! Cleaning after a drill: what its steps restored is removed, whatever became of the steps. A clean-up that fails leaves
//! the run in its cleaning state, with an alarm, until it succeeds.

use async_trait::async_trait;
use holdfast_core::domain::{Failure, Job, JobState, Order, Outcome, Run, RunKind, StepAction, StepRecord};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, jobs};

use crate::steps;

/// How cleaning jobs end: nothing but the job itself changes.
pub struct Cleanings;

#[async_trait]
impl Settle for Cleanings {
    async fn completed(&self, _world: &World, _job: &mut Stored<Job>, _outcome: &Outcome) -> Result<(), Failure> {
        Ok(())
    }
}

/// Asks for the removal of what the run restored; true once it is gone. A restore that still works is waited for first:
/// it would write into what is being removed.
pub async fn is_done(world: &World, run: &mut Stored<Run>) -> Result<bool, Failure> {
    if run.value.kind == RunKind::Simulate {
        return Ok(true);
    }
    let restores = |step: &&StepRecord| matches!(step.step.action, StepAction::Restore { .. });
    let mut restored_anything = false;
    for step in run.value.steps.iter().filter(restores) {
        // Not the job that the step claims: a job may have been recorded by an execution that the run did not wait for.
        let job = steps::restore_job(&run.value, &step.step.name);
        let restore = records::read::<Job>(world.catalog.as_ref(), &records::job_key(&job)).await?;
        if restore.as_ref().is_some_and(|job| job.value.may_be_at_work()) {
            return Ok(false);
        }
        restored_anything |= restore.is_some();
    }
    if !restored_anything {
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
