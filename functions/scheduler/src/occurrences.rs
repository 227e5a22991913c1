//! From due times to recorded occurrences, and from those to backup jobs.

use futures::stream::{self, StreamExt};
use holdfast_core::domain::{
    BackupKind, Detail, Failure, FailureKind, Job, Occurrence, OccurrenceKey, OccurrenceState, Order, Origin, Policy,
    Resource, Rule,
};
use holdfast_core::planning::{OccurrencePlan, plan_occurrences};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Stored, occurrence_partition};
use holdfast_core::workflow::{FirstFailure, World, inventory, jobs};
use jiff::Timestamp;

use crate::AT_ONCE;

/// A rule for one resource that it covers.
#[derive(Clone, Copy)]
struct Owed<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    resource: &'a Resource,
}

/// Records what has become due since `settled_until`, for every rule and resource, and requests its jobs. Nothing is owed
/// from before: it is on record, or was not due for the resource then.
pub async fn record_due(
    world: &World,
    policies: &[Policy],
    resources: &[Resource],
    settled_until: Timestamp,
) -> Result<(), Failure> {
    let mut failures = FirstFailure::default();
    let mut owed = Vec::new();
    let now = world.now();
    for policy in policies {
        for resource in policy.draft.selection.covered(resources) {
            let has_log = resource.kind.has_log();
            for rule in policy
                .draft
                .rules
                .iter()
                .filter(|rule| has_log || rule.kind != BackupKind::Log)
            {
                let rule = Owed { policy, rule, resource };
                let plan = failures.keep(rule.plan(settled_until, now));
                if plan.is_some_and(|plan| plan.due.is_some() || !plan.missed.is_empty()) {
                    owed.push(rule);
                }
            }
        }
    }
    let look_ups: Vec<_> = owed.iter().map(|owed| last_due(world, *owed)).collect();
    let mut found = stream::iter(look_ups).buffered(AT_ONCE);
    let mut owed = owed.iter();
    while let (Some(last_due), Some(owed)) = (found.next().await, owed.next()) {
        if let Some(last_due) = failures.keep(last_due) {
            let from = last_due.map_or(settled_until, |last_due| last_due.max(settled_until));
            failures.keep(record_rule(world, *owed, from).await);
        }
    }
    failures.into_result()
}

impl Owed<'_> {
    /// What is owed of what became due after `from`.
    fn plan(self, from: Timestamp, now: Timestamp) -> Result<OccurrencePlan, Failure> {
        let Self { policy, rule, resource } = self;
        plan_occurrences(policy, rule, resource, Some(from), now).map_err(|error| {
            Failure::caused(
                FailureKind::Invalid,
                format!("policy {} rule {}: {error}", policy.id, rule.name),
                error,
            )
        })
    }
}

async fn last_due(world: &World, owed: Owed<'_>) -> Result<Option<Timestamp>, Failure> {
    let partition = occurrence_partition(&owed.policy.id, owed.rule.name.as_str(), &owed.resource.id);
    let last = world.catalog.last(&partition, "").await?;
    let last: Option<Stored<Occurrence>> = last.map(records::decode).transpose()?;
    Ok(last.map(|last| last.value.key.due_at))
}

async fn record_rule(world: &World, owed: Owed<'_>, from: Timestamp) -> Result<(), Failure> {
    let plan = owed.plan(from, world.now())?;
    let Owed { policy, resource, .. } = owed;
    let mut failures = FirstFailure::default();
    if let Some(newest) = plan.missed.last() {
        failures.keep(report_missed(world, newest, plan.missed.len()).await);
    }
    for key in plan.missed {
        record(world, policy, key, OccurrenceState::Missed, false).await?;
    }
    if let Some((key, catch_up)) = plan.due {
        let occurrence = record(world, policy, key, OccurrenceState::Expected, catch_up).await?;
        request_job(world, policy, resource, &occurrence).await?;
    }
    failures.into_result()
}

async fn record(
    world: &World,
    policy: &Policy,
    key: OccurrenceKey,
    state: OccurrenceState,
    catch_up: bool,
) -> Result<Occurrence, Failure> {
    let recorded_at = world.now();
    let occurrence = Occurrence {
        key,
        policy_version: policy.version,
        state,
        catch_up,
        recorded_at,
    };
    let existing = records::insert(world.catalog.as_ref(), &occurrence).await?;
    Ok(existing.map_or(occurrence, |existing| existing.value))
}

/// Tells people before the occurrences are recorded: once they are, nobody would look for them again. That people cannot be
/// told is a failure of its own, and keeps no backup from being made.
async fn report_missed(world: &World, newest: &OccurrenceKey, count: usize) -> Result<(), Failure> {
    let page = Page {
        key: format!("missed/{}/{}/{}", newest.policy, newest.rule, newest.resource),
        severity: Severity::Warning,
        subject: format!("{count} backups of {} were missed", newest.resource),
        text: format!(
            "rule {} of policy {} was due {count} times, last at {}, while nothing could start it; one backup stands for all of them",
            newest.rule, newest.policy, newest.due_at
        ),
    };
    world.pager.page(&page).await?;
    world
        .publish(Detail::OccurrenceMissed {
            newest: newest.clone(),
            count: count as u64,
        })
        .await
}

/// Makes the one backup job of every occurrence that was recorded and has none yet.
pub async fn request_jobs(world: &World, policies: &[Policy]) -> Result<(), Failure> {
    let mut failures = FirstFailure::default();
    for entry in world.catalog.waking("occurrence.expected", world.now()).await? {
        if let Some(occurrence) = failures.keep(records::decode::<Occurrence>(entry)) {
            failures.keep(request_left(world, policies, &occurrence.value).await);
        }
    }
    failures.into_result()
}

async fn request_left(world: &World, policies: &[Policy], occurrence: &Occurrence) -> Result<(), Failure> {
    let resource = inventory::resource(world, &occurrence.key.resource).await?;
    match policies.iter().find(|policy| policy.id == occurrence.key.policy) {
        Some(policy) => request_job(world, policy, &resource, occurrence).await,
        None => {
            let policy = policy_version(world, occurrence).await?;
            request_job(world, &policy, &resource, occurrence).await
        }
    }
}

async fn request_job(
    world: &World,
    policy: &Policy,
    resource: &Resource,
    occurrence: &Occurrence,
) -> Result<(), Failure> {
    if occurrence.state != OccurrenceState::Expected {
        return Ok(());
    }
    jobs::request(world, backup_job(world, policy, resource, occurrence)).await?;
    let requested = |occurrence: &mut Occurrence| {
        let expected = occurrence.state == OccurrenceState::Expected;
        if expected {
            occurrence.state = OccurrenceState::Requested;
        }
        expected
    };
    let key = records::occurrence_key(&occurrence.key);
    records::amend(world.catalog.as_ref(), &key, requested).await?;
    Ok(())
}

/// The policy was retired between the recording of the occurrence and now: what was due under it is still done.
async fn policy_version(world: &World, occurrence: &Occurrence) -> Result<Policy, Failure> {
    let key = records::policy_key(&occurrence.key.policy, occurrence.policy_version);
    records::require::<Policy>(world.catalog.as_ref(), &key)
        .await
        .map(|stored| stored.value)
}

fn backup_job(world: &World, policy: &Policy, resource: &Resource, occurrence: &Occurrence) -> Job {
    let rule = policy.draft.rules.iter().find(|rule| rule.name == occurrence.key.rule);
    let order = Order::Backup {
        resource: resource.id.clone(),
        path: resource.path.clone(),
        vault: policy.draft.vault.clone(),
        kind: rule.map_or(BackupKind::Incremental, |rule| rule.kind),
        base: None,
        patterns: policy.draft.patterns.clone(),
        bandwidth_limit: policy.draft.bandwidth_limit,
        server: resource.server.clone(),
    };
    let origin = Origin::Occurrence {
        occurrence: occurrence.key.clone(),
        policy_version: policy.version,
    };
    let mut job = Job::pending(occurrence.key.job_id(), order, origin, world.now());
    job.max_parallel = policy.draft.max_parallel;
    job
}
