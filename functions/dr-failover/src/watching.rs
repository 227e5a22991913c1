//! Observers' words: kept, and, where a plan allows it, believed.

use holdfast_core::domain::{Failure, FailureKind, Forbidden, Move, RecoveryPlan, RunId, RunKind, Watch, WorkloadName};
use holdfast_core::planning::{Detection, detect};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, AUTOMATIC_PLAN, Stored};
use holdfast_core::workflow::{World, authority, runs};
use jiff::Timestamp;

use crate::requests;

/// Who asks for a failover that nobody orders.
const BY_ITSELF: &str = "observers";

/// What a place says.
pub struct Glance<'a> {
    /// The place.
    pub place: &'a str,
    /// Whether it reached the workload.
    pub up: bool,
    /// What it saw, for people.
    pub note: &'a str,
    /// When, by its own clock.
    pub at: Timestamp,
}

/// Keeps what a place says, and declares a failover when enough of them agree.
pub async fn hear(world: &World, workload: &WorkloadName, seen: &Glance<'_>) -> Result<(), Failure> {
    let Glance { place, up, note, .. } = *seen;
    let now = world.now();
    // What was said in the future was said by a clock that runs ahead.
    let said_at = seen.at.min(now);
    let watch = amend_watch(world, workload, |watch| watch.hear(place, up, note, said_at)).await?;
    if up {
        return Ok(());
    }
    for entry in world.catalog.waking(AUTOMATIC_PLAN, now).await? {
        let plan: Stored<RecoveryPlan> = records::decode(entry)?;
        if let Some(moves) = plan.value.moves.as_ref().filter(|moves| &moves.workload == workload) {
            consider(world, &plan.value, moves, &watch).await?;
        }
    }
    Ok(())
}

/// Keeps failovers that nobody orders from being declared for a while.
pub async fn forbid(world: &World, workload: &WorkloadName, forbidden: Forbidden) -> Result<(), Failure> {
    amend_watch(world, workload, |watch| watch.forbidden = Some(forbidden.clone()))
        .await
        .map(|_| ())
}

/// Changes the record of a workload, which is made when there is something to say of it for the first time.
async fn amend_watch(
    world: &World,
    workload: &WorkloadName,
    mut change: impl FnMut(&mut Watch) + Send,
) -> Result<Watch, Failure> {
    let (catalog, key) = (world.catalog.as_ref(), records::watch_key(workload));
    let mut change = |watch: &mut Watch| {
        change(watch);
        true
    };
    match records::amend(catalog, &key, &mut change).await {
        Err(failure) if failure.kind == FailureKind::NotFound => {
            records::insert(catalog, &Watch::of(workload.clone())).await?;
            records::amend(catalog, &key, change).await
        }
        amended => amended,
    }
}

async fn consider(world: &World, plan: &RecoveryPlan, moves: &Move, watch: &Watch) -> Result<(), Failure> {
    let (Some(automatic), Ok(level)) = (&moves.automatic, plan.automatic_level()) else {
        return Ok(());
    };
    let record = authority::of(world, moves).await?.value;
    if record.writer.as_ref() != Some(&moves.from) {
        return Ok(());
    }
    // No run is read for as long as the places do not agree.
    if let Detection::Leave(_) = detect(automatic, watch, record.since, None, world.now()) {
        return Ok(());
    }
    let ended = runs::ended(world.catalog.as_ref(), world.now()).await?;
    let of_plan = ended
        .iter()
        .filter(|run| run.plan.id == plan.id && run.kind.touches_production());
    let last: Option<Timestamp> = of_plan.filter_map(|run| run.finished_at).max();
    let Detection::Declare(why) = detect(automatic, watch, record.since, last, world.now()) else {
        return Ok(());
    };
    // One outage is one run, however many observers say it: its name is that of the generation that it ends. One that could
    // not begin leaves room for another once it has cooled down.
    let after = last.map_or_else(|| "first".to_owned(), |ended_at| ended_at.to_string());
    let request = format!("{}/{}/{}/{after}", plan.id, moves.workload, record.generation);
    let requested_by = format!("{BY_ITSELF}: {why}");
    match requests::declare(world, &request, &plan.id, (RunKind::Disaster, level), &requested_by).await {
        // Another run moves it already.
        Err(failure) if failure.kind == FailureKind::Fenced => Ok(()),
        Ok(true) => tell(world, plan, moves, &RunId::derive(&["run", &request]), &why).await,
        declared => declared.map(|_| ()),
    }
}

/// Tells people that production moves though nobody ordered it.
async fn tell(world: &World, plan: &RecoveryPlan, moves: &Move, run: &RunId, why: &str) -> Result<(), Failure> {
    let page = Page {
        key: format!("run/{run}/declared"),
        severity: Severity::Critical,
        subject: format!("failover of recovery plan {} is declared by observers", plan.id),
        text: format!(
            "{why}. Run {run} moves {} from {} to {}",
            moves.workload, moves.from, moves.to
        ),
    };
    world.pager.page(&page).await
}
