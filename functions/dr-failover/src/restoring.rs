//! Steps that restore: a failover to where the workload expects its content, where nothing may stand, and a drill into an area
//! of its own.

use holdfast_core::domain::{
    Failure, FailureKind, Job, JobId, JobState, Moment, Order, Origin, Outcome, Point, ResourceId, Run, RunKind,
    ServerRecovery, Span, StepAction, StepName, VaultName, total,
};
use holdfast_core::planning::choose_recovery_start;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory, jobs};
use jiff::Timestamp;

use crate::acts;
use crate::steps::{end, proven};

/// The ids of the jobs of a restore step, in order: a step that is tried again after one that did not succeed orders the next.
fn job_ids(run: &Run, step: &StepName) -> impl Iterator<Item = JobId> {
    let first = JobId::derive(&["run", run.id.as_str(), step.as_str()]);
    std::iter::successors(Some(first), |last| Some(JobId::derive(&["after", last.as_str()])))
}

/// The jobs of a restore step that were ever recorded, also by an execution that the run did not wait for.
pub async fn recorded(world: &World, run: &Run, step: &StepName) -> Result<Vec<Job>, Failure> {
    let mut found = Vec::new();
    for id in job_ids(run, step) {
        match records::read::<Job>(world.catalog.as_ref(), &records::job_key(&id)).await? {
            Some(job) => found.push(job.value),
            None => break,
        }
    }
    Ok(found)
}

/// The job of a restore step: the one that is under way or has restored, or else the next.
async fn next_job(world: &World, run: &Run, step: &StepName) -> Result<JobId, Failure> {
    let known = recorded(world, run, step).await?;
    let failed = known.iter().take_while(|job| has_failed(job)).count();
    let mut ids = job_ids(run, step).skip(failed);
    ids.next()
        .ok_or_else(|| Failure::new(FailureKind::Bug, "there is always a next job"))
}

/// Where a step restores to: a drill into the area of drills, whatever its plan says of production.
fn target_of(world: &World, run: &Run, step: &StepName, target: Option<&String>) -> String {
    match target {
        Some(target) if run.kind != RunKind::Drill => target.clone(),
        _ => format!("{}/{}/{step}", world.settings.drill_area, run.id),
    }
}

/// What a restore step reads.
struct Source {
    point: Point,
    recovery: Option<ServerRecovery>,
    /// What it holds is as of then.
    as_of: Timestamp,
}

/// The newest proven point in a vault; of a server whose log stands there the proven base backup from which that leads furthest.
/// Log can only be laid beside a data folder: in a bucket no server runs.
async fn source(
    world: &World,
    resource: &ResourceId,
    vault: &VaultName,
    target: &str,
) -> Result<Option<Source>, Failure> {
    let mut points = proven(world, resource, vault).await?;
    if target.starts_with('/') {
        let windows = inventory::windows(world, resource).await?;
        if let Ok(start) = choose_recovery_start(&windows, &points, Moment::Latest, Some(vault), None) {
            return Ok(Some(Source {
                recovery: Some(ServerRecovery {
                    to: Moment::Latest,
                    timeline: start.stretch.timeline,
                }),
                as_of: start.until,
                point: start.point.clone(),
            }));
        }
    }
    Ok(points.pop().map(|point| Source {
        as_of: point.taken_at,
        recovery: None,
        point,
    }))
}

/// Orders the restore, or finds that it was ordered.
pub async fn begin(world: &World, run: &mut Stored<Run>, place: usize) -> Result<(), Failure> {
    let step = run.value.steps[place].step.clone();
    let StepAction::Restore {
        resource,
        vault,
        target,
    } = &step.action
    else {
        return Err(Failure::new(FailureKind::Bug, "this step restores nothing"));
    };
    let target = target_of(world, &run.value, &step.name, target.as_ref());
    let Some(Source { point, recovery, as_of }) = source(world, resource, vault, &target).await? else {
        let note = format!("no point of {resource} in vault {vault} is proven at level L2 or above");
        end(world, &mut run.value, place, false, note);
        return Ok(());
    };
    let Some(copy) = point.copy_in(vault) else {
        return Ok(());
    };
    if !acts::take_over(world, run, place).await? {
        return Ok(());
    }
    let order = Order::Restore {
        point: point.reference(),
        from: point.location(copy),
        target,
        include: Vec::new(),
        overwrite: false,
        heartbeat: inventory::resource(world, resource).await?.heartbeat,
        recovery,
    };
    let id = next_job(world, &run.value, &step.name).await?;
    let age = Span::between(as_of, run.value.declared_at).as_seconds();
    run.value.point_age_seconds = Some(run.value.point_age_seconds.map_or(age, |known| known.max(age)));
    run.value.steps[place].job = Some(id.clone());
    let log = recovery.map_or_else(String::new, |_| format!(", with log until {as_of}"));
    run.value.steps[place].note = format!("restoring point {} of {}{log}", point.id.short(), point.taken_at);
    records::update(world.catalog.as_ref(), run).await?;
    let origin = Origin::Run {
        run: run.value.id.clone(),
    };
    jobs::request(world, Job::pending(id, order, origin, world.now()))
        .await
        .map(|_| ())
}

/// Whether a job is over and restored nothing that can be used.
fn has_failed(job: &Job) -> bool {
    job.state.is_final() && !matches!(job.state, JobState::Completed | JobState::Partial)
}

/// Looks at the job that the step waits for.
pub async fn watch(world: &World, run: &mut Run, place: usize, job: &JobId) -> Result<(), Failure> {
    let Some(job) = records::read::<Job>(world.catalog.as_ref(), &records::job_key(job)).await? else {
        // The run stopped between claiming the job's id and recording the job: claim it anew.
        run.steps[place].job = None;
        return Ok(());
    };
    let job = job.value;
    if !job.state.is_final() {
        return Ok(());
    }
    if let Some(Outcome::Restore {
        files,
        bytes,
        differences,
        heartbeat_at,
    }) = &job.result
    {
        if let Some(beat) = heartbeat_at {
            let loss = Span::between(*beat, run.declared_at).as_seconds();
            run.data_loss_seconds = Some(run.data_loss_seconds.map_or(loss, |known| known.max(loss)));
        }
        let held = matches!(job.state, JobState::Completed | JobState::Partial);
        let restored = format!("restored {files} files, {bytes} bytes");
        if differences.is_empty() || is_judged(run, place) {
            end(world, run, place, held, restored);
        } else {
            let note = format!("{restored}, of which {} entries differ", total(differences));
            end(world, run, place, false, note);
        }
    } else {
        let why = job
            .failure
            .map_or_else(|| "it gave no reason".to_owned(), |failure| failure.message);
        end(
            world,
            run,
            place,
            false,
            format!("restore job {} did not succeed: {why}", job.id.short()),
        );
    }
    Ok(())
}

/// Whether a step of the run judges what the restore at this place differs in.
fn is_judged(run: &Run, place: usize) -> bool {
    let name = &run.steps[place].step.name;
    let judges = |action: &StepAction| matches!(action, StepAction::Verify { restored_by } if restored_by == name);
    run.steps.iter().any(|record| judges(&record.step.action))
}
