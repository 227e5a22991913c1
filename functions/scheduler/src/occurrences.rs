//! From due times to recorded occurrences, and from those to backup jobs.

use holdfast_core::domain::{
    BackupKind, Detail, Failure, FailureKind, Job, Occurrence, OccurrenceKey, OccurrenceState, Order, Origin, Policy,
    Resource, Rule,
};
use holdfast_core::planning::plan_occurrences;
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Stored, occurrence_partition};
use holdfast_core::workflow::{World, inventory, jobs};

/// Records what has become due, for every rule and resource.
pub async fn record_due(world: &World) -> Result<(), Failure> {
    let resources = inventory::resources(world).await?;
    for policy in inventory::policies(world).await? {
        for resource in resources
            .iter()
            .filter(|resource| policy.draft.selection.covers(resource))
        {
            for rule in &policy.draft.rules {
                record_rule(world, &policy, rule, resource).await?;
            }
        }
    }
    Ok(())
}

async fn record_rule(world: &World, policy: &Policy, rule: &Rule, resource: &Resource) -> Result<(), Failure> {
    let partition = occurrence_partition(&policy.id, rule.name.as_str(), &resource.id);
    let last: Option<Stored<Occurrence>> = world
        .catalog
        .last(&partition, "")
        .await?
        .map(records::decode)
        .transpose()?;
    let last_due = last.map(|last| last.value.key.due_at);
    let plan = plan_occurrences(policy, rule, resource, last_due, world.now()).map_err(|error| {
        Failure::caused(
            FailureKind::Invalid,
            format!("policy {} rule {}: {error}", policy.id, rule.name),
            error,
        )
    })?;
    if let Some(newest) = plan.missed.last() {
        report_missed(world, newest, plan.missed.len()).await?;
    }
    for key in plan.missed {
        record(world, policy, key, OccurrenceState::Missed, false).await?;
    }
    if let Some((key, catch_up)) = plan.due {
        record(world, policy, key, OccurrenceState::Expected, catch_up).await?;
    }
    Ok(())
}

async fn record(
    world: &World,
    policy: &Policy,
    key: OccurrenceKey,
    state: OccurrenceState,
    catch_up: bool,
) -> Result<(), Failure> {
    let recorded_at = world.now();
    let occurrence = Occurrence {
        key,
        policy_version: policy.version,
        state,
        catch_up,
        recorded_at,
    };
    records::insert(world.catalog.as_ref(), &occurrence).await?;
    Ok(())
}

/// Tells people before the occurrences are recorded: once they are, nobody would look for them again.
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

/// Makes the one backup job of every occurrence that has none yet.
pub async fn request_jobs(world: &World) -> Result<(), Failure> {
    let policies = inventory::policies(world).await?;
    for entry in world.catalog.waking("occurrence.expected", world.now()).await? {
        let occurrence: Occurrence = records::decode(entry)?.value;
        let policy = match policies.iter().find(|policy| policy.id == occurrence.key.policy) {
            Some(policy) => policy.clone(),
            None => policy_version(world, &occurrence).await?,
        };
        let resource = inventory::resource(world, &occurrence.key.resource).await?;
        jobs::request(world, backup_job(world, &policy, &resource, &occurrence)).await?;
        let requested = |occurrence: &mut Occurrence| {
            let expected = occurrence.state == OccurrenceState::Expected;
            if expected {
                occurrence.state = OccurrenceState::Requested;
            }
            expected
        };
        records::amend(
            world.catalog.as_ref(),
            &records::occurrence_key(&occurrence.key),
            requested,
        )
        .await?;
    }
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
    };
    let origin = Origin::Occurrence {
        occurrence: occurrence.key.clone(),
        policy_version: policy.version,
    };
    let mut job = Job::pending(occurrence.key.job_id(), order, origin, world.now());
    job.max_parallel = policy.draft.max_parallel;
    job
}
