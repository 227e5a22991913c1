//! Jobs: recording them once, and driving them from their intent to their effect. Every step may be repeated and may be
//! the last before a crash: the record says what was meant, the engine is asked what is, and what is missing is done.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::leases::{self, Admission};
use super::records::{self, Stored};
use super::{FirstFailure, World};
use crate::domain::{
    Detail, Failure, FailureKind, Job, JobFailure, JobId, JobKind, JobState, Order, Origin, Outcome, PolicyId, Span,
};
use crate::ports::{Observation, Page, Severity, Task};

/// How often a job may fail, and how often in a row its engine may give no answer, before the job gives up.
pub const MAX_ATTEMPTS: u32 = 6;

/// After how long work whose job gave up is planned again, on the first day; later on the pauses are longer.
pub const RETRY_FAILED_WORK_AFTER: Span = Span::hours(1);

/// After how long a job is looked at again that waits for one of its policy's slots.
const SLOT_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// How long a look waits that the other side had no time to answer.
const THROTTLED_WAIT: SignedDuration = SignedDuration::from_secs(120);

/// After how long a job that gave up is looked at once more, in case its effect stands after all.
const LOOK_BACK_AFTER: Span = Span::hours(1);

/// What a function does with its jobs. All of it may run twice.
#[async_trait]
pub trait Settle: Send + Sync {
    /// Completes the order before it is carried out for the first time.
    async fn prepare(&self, _world: &World, _job: &mut Job) -> Result<(), Failure> {
        Ok(())
    }

    /// Why the order must not be carried out any more, if so. Asked each time before the engine is told to start. An answer
    /// of [`FailureKind::Deferred`] lets the job wait.
    async fn objection(&self, _world: &World, _job: &Job) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Applies what came of a job to the records that it concerns.
    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure>;

    /// Applies that a job gave up.
    async fn failed(&self, _world: &World, _job: &Job) -> Result<(), Failure> {
        Ok(())
    }
}

/// Records a job unless it exists, and says that it waits. Returns the job as it stands.
pub async fn request(world: &World, job: Job) -> Result<Job, Failure> {
    let (id, kind) = (job.id.clone(), job.order.kind());
    if let Some(existing) = records::insert(world.catalog.as_ref(), &job).await? {
        return Ok(existing.value);
    }
    world.publish(Detail::JobRequested { job: id, kind }).await?;
    Ok(job)
}

/// Records a job for work that a planner found due. The same work has the same job; work whose job failed gets another
/// one some time later, for as long as the planner asks. Returns none when the work has to wait.
pub async fn request_planned(
    world: &World,
    work: &[&str],
    order: Order,
    reason: String,
) -> Result<Option<Job>, Failure> {
    let in_round = |round: u32| {
        let number = round.to_string();
        let id = JobId::derive(&[work, &[number.as_str()]].concat());
        let origin = Origin::Plan { reason: reason.clone() };
        let job = Job::pending(id, order.clone(), origin, world.now());
        Job { round, ..job }
    };
    let first = find_or_request(world, in_round(0)).await?;
    let (mut job, mut latest) = (first.clone(), first.latest_round);
    if latest > 0 {
        job = find_or_request(world, in_round(latest)).await?;
    }
    loop {
        let failed_at = match job.state {
            // What was done in part is still due, or the planner would not ask: a repair may find a better source next time.
            JobState::Failed | JobState::Cancelled | JobState::Expired | JobState::Partial => {
                job.finished_at.unwrap_or(job.created_at)
            }
            JobState::Pending | JobState::Running | JobState::Completed => return Ok(Some(job)),
        };
        if pause_after(latest).after(failed_at) > world.now() {
            return Ok(None);
        }
        latest += 1;
        job = request(world, in_round(latest)).await?;
        // The first job leads to the latest, so that old rounds are not walked through each time.
        let advance = |first: &mut Job| {
            let advances = first.latest_round < latest;
            first.latest_round = first.latest_round.max(latest);
            advances
        };
        records::amend(world.catalog.as_ref(), &records::job_key(&first.id), advance).await?;
    }
}

/// Planned work is found at every look for as long as it is due: its job is there already, but for the first time.
async fn find_or_request(world: &World, job: Job) -> Result<Job, Failure> {
    match records::read::<Job>(world.catalog.as_ref(), &records::job_key(&job.id)).await? {
        Some(known) => Ok(known.value),
        None => request(world, job).await,
    }
}

/// How long failed work rests after a round: a Region that is away for days does not get its work every hour.
fn pause_after(round: u32) -> Span {
    if round < 24 {
        RETRY_FAILED_WORK_AFTER
    } else {
        Span::hours(6)
    }
}

/// All jobs of a kind that have not ended.
pub async fn open_jobs(world: &World, kind: JobKind) -> Result<Vec<Stored<Job>>, Failure> {
    let entries = world.catalog.waking(&records::job_status(kind), Timestamp::MAX).await?;
    entries.into_iter().map(records::decode).collect()
}

/// All jobs of a kind that gave up and will be looked at once more: their work may go on.
pub async fn given_up_jobs(world: &World, kind: JobKind) -> Result<Vec<Stored<Job>>, Failure> {
    if !kind.is_looked_back_at() {
        return Ok(Vec::new());
    }
    let status = records::gave_up_status(kind);
    let entries = world.catalog.waking(&status, Timestamp::MAX).await?;
    entries.into_iter().map(records::decode).collect()
}

/// Drives every job of a kind that is due, and looks back at those that gave up. A job that cannot go on does not keep
/// the others from going on; the first failure is returned after all had their turn.
pub async fn drive_due(world: &World, kind: JobKind, settle: &dyn Settle) -> Result<(), Failure> {
    let mut failures = FirstFailure::default();
    let mut due: Vec<Stored<Job>> = Vec::new();
    for entry in world.catalog.waking(&records::job_status(kind), world.now()).await? {
        due.extend(failures.keep(records::decode(entry)));
    }
    // What runs goes first: the slots that it gives back are free for what waits.
    due.sort_by_key(|job| job.value.state == JobState::Pending);
    let mut full: BTreeSet<PolicyId> = BTreeSet::new();
    for job in due {
        let policy = job.value.origin.policy().map(|(policy, _)| policy);
        let is_pending = job.value.state == JobState::Pending;
        if is_pending && policy.as_ref().is_some_and(|policy| full.contains(policy)) {
            continue;
        }
        let id = job.value.id.clone();
        match drive(world, job, settle).await {
            Ok(Admission::SlotsFull(_)) => full.extend(policy),
            Ok(Admission::Admitted | Admission::ResourceTaken(_)) => {}
            Err(failure) if failure.kind == FailureKind::Conflict => {
                failures.keep(release_if_over(world, &id).await);
            }
            Err(failure) => {
                failures.keep::<()>(Err(failure));
            }
        }
    }
    if kind.is_looked_back_at() {
        for entry in world
            .catalog
            .waking(&records::gave_up_status(kind), world.now())
            .await?
        {
            if let Some(job) = failures.keep(records::decode(entry)) {
                failures.keep(look_back(world, job, settle).await);
            }
        }
    }
    failures.into_result()
}

/// Who looks at a job that another execution ends meanwhile may have taken its leases anew: they are given back here.
async fn release_if_over(world: &World, id: &JobId) -> Result<(), Failure> {
    let job: Stored<Job> = records::require(world.catalog.as_ref(), &records::job_key(id)).await?;
    if job.value.state.is_final() {
        leases::release_for(world, &job.value).await?;
    }
    Ok(())
}

async fn drive(world: &World, mut job: Stored<Job>, settle: &dyn Settle) -> Result<Admission, Failure> {
    let admission = leases::acquire_for(world, &job.value).await?;
    let (message, wait) = match &admission {
        Admission::Admitted => {
            go_on(world, job, settle).await?;
            return Ok(admission);
        }
        Admission::ResourceTaken(why) => (why.clone(), world.settings.poll),
        Admission::SlotsFull(why) => (why.clone(), SLOT_WAIT),
    };
    let kind = FailureKind::Deferred;
    job.value.failure = Some(JobFailure { kind, message });
    look_again(world, &mut job, wait).await?;
    Ok(admission)
}

async fn go_on(world: &World, mut job: Stored<Job>, settle: &dyn Settle) -> Result<(), Failure> {
    if job.value.state == JobState::Pending {
        if let Err(failure) = settle.prepare(world, &mut job.value).await {
            // It has not begun: what it holds is free for others until it is looked at again.
            leases::release_for(world, &job.value).await?;
            return Err(failure);
        }
        job.value.state = JobState::Running;
        job.value.attempt = 1;
        job.value.started_at = Some(world.now());
        job.value.failure = None;
        records::update(world.catalog.as_ref(), &mut job).await?;
    }
    let task = Task::of(&job.value);
    match observe(world, &job.value, &task).await {
        Ok(seen) => {
            job.value.unanswered = 0;
            match seen {
                Observation::NotStarted => start(world, &mut job, &task, settle).await,
                Observation::Running(_) => look_again(world, &mut job, world.settings.poll).await,
                Observation::Completed(outcome) => complete(world, &mut job, outcome, settle).await,
                Observation::Failed { kind, message } => {
                    attempt_failed(world, &mut job, Failure::new(kind, message), settle).await
                }
            }
        }
        Err(failure) => unanswered(world, &mut job, failure, settle).await,
    }
}

/// What has become of a task. What was seen done once is done, whatever the engine remembers of it now.
async fn observe(world: &World, job: &Job, task: &Task) -> Result<Observation, Failure> {
    match &job.result {
        Some(outcome) => Ok(Observation::Completed(outcome.clone())),
        None => world.engine.observe(task).await,
    }
}

/// Looks whether a job that gave up has taken effect after all: while nobody could look it may have ended well, and what
/// it left would stand without a record.
async fn look_back(world: &World, mut job: Stored<Job>, settle: &dyn Settle) -> Result<(), Failure> {
    let task = Task {
        attempt: job.value.attempt + 1,
        ..Task::of(&job.value)
    };
    let later = Some(LOOK_BACK_AFTER.after(world.now()));
    job.value.look_back_at = match observe(world, &job.value, &task).await {
        Ok(Observation::Completed(outcome)) => {
            job.value.failure = None;
            return complete(world, &mut job, outcome, settle).await;
        }
        Ok(Observation::NotStarted | Observation::Failed { .. }) => None,
        Ok(Observation::Running(_)) => later,
        Err(failure) => {
            job.value.failure = Some(JobFailure::of(&failure));
            later
        }
    };
    records::update(world.catalog.as_ref(), &mut job).await
}

async fn start(world: &World, job: &mut Stored<Job>, task: &Task, settle: &dyn Settle) -> Result<(), Failure> {
    match settle.objection(world, &job.value).await {
        Ok(None) => {}
        Ok(Some(message)) => {
            let kind = FailureKind::Invalid;
            job.value.failure = Some(JobFailure { kind, message });
            return finish(world, job, JobState::Cancelled).await;
        }
        Err(failure) if failure.kind == FailureKind::Deferred => {
            return try_again(world, job, &failure, world.settings.poll).await;
        }
        Err(failure) => return Err(failure),
    }
    match world.engine.start(task).await {
        Ok(()) => look_again(world, job, world.settings.poll).await,
        // A later attempt runs already: the record that this execution read is out of date, and says nothing about the job.
        Err(failure) if failure.kind == FailureKind::Fenced => Ok(()),
        Err(failure) => attempt_failed(world, job, failure, settle).await,
    }
}

/// The outcome is recorded before anything follows from it: an engine that forgets it later changes nothing any more.
async fn complete(world: &World, job: &mut Stored<Job>, outcome: Outcome, settle: &dyn Settle) -> Result<(), Failure> {
    let outcome = outcome.bounded();
    if job.value.result.is_none() {
        job.value.result = Some(outcome.clone());
        records::update(world.catalog.as_ref(), job).await?;
    }
    if let Err(failure) = settle.completed(world, job, &outcome).await {
        // The effect stands, and only records are left to be written: that keeps nobody else from the resource.
        leases::release_for(world, &job.value).await?;
        return Err(failure);
    }
    let state = if is_partial(&outcome) {
        JobState::Partial
    } else {
        JobState::Completed
    };
    job.value.look_back_at = None;
    finish(world, job, state).await
}

fn is_partial(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Backup { unread, .. } => !unread.is_empty(),
        Outcome::Repair { unrepairable, .. } => !unrepairable.is_empty(),
        Outcome::Restore { differences, .. } => !differences.is_empty(),
        Outcome::Log(_)
        | Outcome::Copy { .. }
        | Outcome::Verify(_)
        | Outcome::Delete
        | Outcome::Reclaim { .. }
        | Outcome::Clean => false,
    }
}

async fn look_again(world: &World, job: &mut Stored<Job>, after: SignedDuration) -> Result<(), Failure> {
    job.value.next_action_at = world.now().checked_add(after).unwrap_or(Timestamp::MAX);
    records::update(world.catalog.as_ref(), job).await
}

async fn finish(world: &World, job: &mut Stored<Job>, state: JobState) -> Result<(), Failure> {
    job.value.state = state;
    job.value.finished_at = Some(world.now());
    let (id, kind) = (job.value.id.clone(), job.value.order.kind());
    world.publish(Detail::JobStateChange { job: id, kind, state }).await?;
    leases::release_for(world, &job.value).await?;
    records::update(world.catalog.as_ref(), job).await
}

/// How long to wait before the attempt after `attempt`: doubling from ten seconds up to a quarter of an hour.
fn backoff(attempt: u32) -> SignedDuration {
    SignedDuration::from_secs((10_i64 << attempt.min(7)).min(900))
}

async fn attempt_failed(
    world: &World,
    job: &mut Stored<Job>,
    failure: Failure,
    settle: &dyn Settle,
) -> Result<(), Failure> {
    if !failure.kind.only_waits() {
        job.value.failed_attempts += 1;
    }
    if failure.kind.may_pass() && job.value.failed_attempts < MAX_ATTEMPTS {
        let wait = backoff(job.value.attempt);
        job.value.attempt += 1;
        return try_again(world, job, &failure, wait).await;
    }
    let tried = format!("after {} failed attempts", job.value.failed_attempts);
    give_up(world, job, &failure, &tried, settle).await
}

/// Nobody knows how the job is doing. The engine is asked again before the job gives up.
async fn unanswered(
    world: &World,
    job: &mut Stored<Job>,
    failure: Failure,
    settle: &dyn Settle,
) -> Result<(), Failure> {
    if failure.kind.only_waits() {
        return try_again(world, job, &failure, THROTTLED_WAIT).await;
    }
    job.value.unanswered += 1;
    if failure.kind.may_pass() && job.value.unanswered < MAX_ATTEMPTS {
        let wait = backoff(job.value.unanswered);
        return try_again(world, job, &failure, wait).await;
    }
    let tried = format!("after {} looks without an answer", job.value.unanswered);
    give_up(world, job, &failure, &tried, settle).await
}

async fn try_again(
    world: &World,
    job: &mut Stored<Job>,
    failure: &Failure,
    wait: SignedDuration,
) -> Result<(), Failure> {
    job.value.failure = Some(JobFailure::of(failure));
    let wait = match failure.retry_at {
        Some(at) => at.duration_since(world.now()).max(SignedDuration::ZERO),
        None => wait,
    };
    look_again(world, job, wait).await
}

async fn give_up(
    world: &World,
    job: &mut Stored<Job>,
    failure: &Failure,
    tried: &str,
    settle: &dyn Settle,
) -> Result<(), Failure> {
    job.value.failure = Some(JobFailure::of(failure));
    let kind = job.value.order.kind();
    // Before people are told: that nobody can be reached keeps no other job from its turn.
    leases::release_for(world, &job.value).await?;
    // The same work was planned before, and its first failure has paged.
    if job.value.round == 0 {
        let page = Page {
            key: format!("job/{}", job.value.id),
            severity: Severity::Critical,
            subject: format!("{} job {} failed", kind.as_str(), job.value.id.short()),
            text: format!("{tried}: {}", failure.message),
        };
        world.pager.page(&page).await?;
    }
    settle.failed(world, &job.value).await?;
    job.value.look_back_at = kind.is_looked_back_at().then(|| LOOK_BACK_AFTER.after(world.now()));
    finish(world, job, JobState::Failed).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_and_stops_growing() {
        let waits: Vec<i64> = (1..10).map(|attempt| backoff(attempt).as_secs()).collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 900, 900, 900]);
    }
}
