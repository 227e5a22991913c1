//! The steps of a run: what each does, and when it has held.

use holdfast_core::domain::{
    Check, Failure, Job, JobId, Outcome, Point, ResourceId, Run, RunKind, Span, StepAction, StepState, VaultName, total,
};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory};

use crate::{acts, restoring};

/// Begins a step whose record says that it runs.
pub async fn begin(world: &World, run: &mut Stored<Run>, place: usize) -> Result<(), Failure> {
    let action = run.value.steps[place].step.action.clone();
    match action {
        StepAction::Check(check) => {
            let (holds, note) = evaluate(world, &check).await?;
            // The world outside may answer a little later, until the step's time is over.
            if holds || !matches!(check, Check::Answers(_)) {
                end(world, &mut run.value, place, holds, note);
            } else {
                run.value.steps[place].note = note;
            }
        }
        _ if run.value.kind == RunKind::Simulate => end(world, &mut run.value, place, true, would_do(&action)),
        StepAction::Restore { .. } => restoring::begin(world, run, place).await?,
        StepAction::Notify { message } => notify(world, &mut run.value, place, &message).await?,
        StepAction::Act { .. } => acts::begin(world, run, place).await?,
        StepAction::Approve { people } => ask_for_approval(world, &run.value, place, people).await?,
        StepAction::Verify { .. } | StepAction::Wait { .. } => {}
    }
    Ok(())
}

/// Looks at a step that runs. True when it has ended.
pub async fn watch(world: &World, run: &mut Stored<Run>, place: usize) -> Result<bool, Failure> {
    let record = &run.value.steps[place];
    let started_at = record.started_at.unwrap_or(run.value.declared_at);
    let timeout = record.step.timeout;
    match record.step.action.clone() {
        // The run stopped between recording the step and its answer: a simulation answers again, and never acts.
        _ if run.value.kind == RunKind::Simulate => begin(world, run, place).await?,
        StepAction::Wait { span } if span.after(started_at) <= world.now() => {
            end(world, &mut run.value, place, true, format!("waited {span}"));
        }
        StepAction::Restore { .. } => match record.job.clone() {
            Some(job) => restoring::watch(world, &mut run.value, place, &job).await?,
            // The run stopped between recording the step and its job.
            None => restoring::begin(world, run, place).await?,
        },
        StepAction::Verify { restored_by } => {
            let restored = run
                .value
                .steps
                .iter()
                .find(|step| step.step.name == restored_by)
                .and_then(|step| step.job.clone());
            let (holds, note) = compare(world, restored.as_ref()).await?;
            end(world, &mut run.value, place, holds, note);
        }
        StepAction::Check(_) | StepAction::Notify { .. } => begin(world, run, place).await?,
        StepAction::Act { .. } => acts::begin(world, run, place).await?,
        StepAction::Approve { people } => count_approvals(world, &mut run.value, place, people),
        StepAction::Wait { .. } => {}
    }
    let still_runs = run.value.steps[place].state == StepState::Running;
    if still_runs && timeout.after(started_at) <= world.now() {
        let note = match run.value.steps[place].note.as_str() {
            "" => format!("took longer than its timeout of {timeout}"),
            last => format!("took longer than its timeout of {timeout}; last seen: {last}"),
        };
        end(world, &mut run.value, place, false, note);
        return Ok(true);
    }
    Ok(!still_runs)
}

/// Ends a step.
pub fn end(world: &World, run: &mut Run, place: usize, holds: bool, note: String) {
    let record = &mut run.steps[place];
    record.state = if holds { StepState::Succeeded } else { StepState::Failed };
    record.finished_at = Some(world.now());
    record.note = note;
}

async fn evaluate(world: &World, check: &Check) -> Result<(bool, String), Failure> {
    match check {
        Check::ProvenPoint { resource, vault } => {
            let found = proven(world, resource, vault).await?.pop();
            Ok(match found {
                Some(point) => (
                    true,
                    format!(
                        "point {} of {} is proven in vault {vault}",
                        point.id.short(),
                        point.taken_at
                    ),
                ),
                None => (
                    false,
                    format!("no point of {resource} in vault {vault} is proven at level L2 or above"),
                ),
            })
        }
        Check::PointAge { resource, at_most } => {
            let points = inventory::points(world, resource).await?;
            let newest = points.iter().rev().find(|point| point.is_restorable());
            let age = newest.map(|point| Span::between(point.taken_at, world.now()));
            Ok(match age {
                Some(age) if age <= *at_most => (true, format!("the newest point of {resource} is {age} old")),
                Some(age) => (
                    false,
                    format!("the newest point of {resource} is {age} old, more than {at_most}"),
                ),
                None => (false, format!("{resource} has no point that can be restored")),
            })
        }
        Check::Answers(probe) => Ok(match world.probes.ask(probe).await {
            Ok(answer) => (answer.holds, answer.note),
            Err(failure) => (false, failure.message),
        }),
    }
}

/// The proven points of a resource in a vault, oldest first.
pub async fn proven(world: &World, resource: &ResourceId, vault: &VaultName) -> Result<Vec<Point>, Failure> {
    let mut points = inventory::points(world, resource).await?;
    let is_proven = |point: &Point| {
        let copy = point.copy_in(vault);
        copy.is_some_and(|copy| point.routine_proof(copy).is_some())
    };
    points.retain(is_proven);
    Ok(points)
}

async fn compare(world: &World, restored: Option<&JobId>) -> Result<(bool, String), Failure> {
    let Some(job) = restored else {
        return Ok((false, "the step that it compares with restored nothing".to_owned()));
    };
    let job: Stored<Job> = records::require(world.catalog.as_ref(), &records::job_key(job)).await?;
    Ok(match &job.value.result {
        Some(Outcome::Restore { files, differences, .. }) if differences.is_empty() => {
            (true, format!("all {files} files compare with the recovery point"))
        }
        Some(Outcome::Restore { differences, .. }) => {
            let named: Vec<&str> = differences.iter().take(5).map(String::as_str).collect();
            (
                false,
                format!("{} entries differ: {}", total(differences), named.join("; ")),
            )
        }
        _ => (false, "the step that it compares with restored nothing".to_owned()),
    })
}

async fn notify(world: &World, run: &mut Run, place: usize, message: &str) -> Result<(), Failure> {
    let page = Page {
        key: format!("run/{}/{}", run.id, run.steps[place].step.name),
        severity: Severity::Info,
        subject: format!("{} of recovery plan {}", run.kind.as_str(), run.plan.id),
        text: message.to_owned(),
    };
    world.pager.page(&page).await?;
    end(world, run, place, true, "people were told".to_owned());
    Ok(())
}

/// What a step would do, for a run that only simulates.
fn would_do(action: &StepAction) -> String {
    match action {
        StepAction::Check(_) => "would check".to_owned(),
        StepAction::Restore { resource, vault, .. } => {
            format!("would restore the newest proven point of {resource} from vault {vault}")
        }
        StepAction::Verify { restored_by } => {
            format!("would compare what step {restored_by} restored with its recovery point")
        }
        StepAction::Wait { span } => format!("would wait {span}"),
        StepAction::Notify { message } => format!("would tell people: {message}"),
        StepAction::Approve { people } => format!("would wait until {people} others approve"),
        StepAction::Act { actuator, act, .. } => format!("would {} {actuator}", act.as_str()),
    }
}

async fn ask_for_approval(world: &World, run: &Run, place: usize, people: u32) -> Result<(), Failure> {
    let step = &run.steps[place].step.name;
    let page = Page {
        key: format!("run/{}/{step}", run.id),
        severity: Severity::Critical,
        subject: format!(
            "{} of recovery plan {} waits for approval",
            run.kind.as_str(),
            run.plan.id
        ),
        text: format!(
            "{} asked for it. {people} others must approve step {step} of run {id}: holdfast run {id} approve {step} --by NAME; on \
             AWS each invokes dr-failover with {{\"run\": \"{id}\", \"instruct\": \"approve\", \"step\": \"{step}\", \"by\": \"NAME\"}}",
            run.requested_by,
            id = run.id
        ),
    };
    world.pager.page(&page).await
}

fn count_approvals(world: &World, run: &mut Run, place: usize, people: u32) {
    let step = &run.steps[place].step.name;
    let given = run.conduct.approvals.iter().filter(|approval| &approval.step == step);
    let names: Vec<String> = given.map(|approval| approval.by.clone()).collect();
    if names.len() >= people as usize {
        end(world, run, place, true, format!("approved by {}", names.join(" and ")));
    }
}
