//! Drills that are due by themselves: each due time becomes one run, which begins when a window of its plan is open.

use holdfast_core::domain::{Detail, DrillSchedule, Failure, FailureKind, RecoveryPlan, RunKind};
use holdfast_core::planning::{Admission, DrillsDue, ScheduleError, admit_drill, plan_drills};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, AUTOMATIC_PLAN, DrillProgress, Stored};
use holdfast_core::workflow::{FirstFailure, World};
use jiff::Timestamp;

/// Who asks for a drill that nobody orders.
const BY_ITSELF: &str = "the schedule of its plan";

/// Asks for every drill that is due.
pub async fn request_due(world: &World) -> Result<(), Failure> {
    let mut failures = FirstFailure::default();
    for entry in world.catalog.waking(AUTOMATIC_PLAN, world.now()).await? {
        let Some(plan) = failures.keep(records::decode::<RecoveryPlan>(entry)) else {
            continue;
        };
        if let Some(schedule) = &plan.value.drills.schedule {
            failures.keep(request(world, &plan.value, schedule).await);
        }
    }
    failures.into_result()
}

/// Asks for the drill of a plan that is due, if one is. Asking again is asking once: the run is named after its due time.
async fn request(world: &World, plan: &RecoveryPlan, schedule: &DrillSchedule) -> Result<(), Failure> {
    let unread = |error: ScheduleError| {
        let message = format!("recovery plan {}: {error}", plan.id);
        Failure::caused(FailureKind::Invalid, message, error)
    };
    let key = records::drill_progress_key(&plan.id);
    let known = records::read::<DrillProgress>(world.catalog.as_ref(), &key).await?;
    let settled_until = known.as_ref().map(|known| known.value.settled_until);
    let DrillsDue { missed, due } = plan_drills(schedule, settled_until, world.now()).map_err(unread)?;
    let Some(due_at) = due else {
        return Ok(());
    };
    // One that comes late waits for the next window, where a later one may stand for it.
    if admit_drill(&plan.drills.windows, world.now()).map_err(unread)? != Admission::Open {
        return Ok(());
    }
    if let Some(last) = missed.last() {
        report_missed(world, plan, *last, missed.len()).await?;
    }
    world
        .publish(Detail::RunRequested {
            request: format!("drill/{}/{due_at}", plan.id),
            plan: plan.id.clone(),
            kind: RunKind::Drill,
            level: None,
            requested_by: BY_ITSELF.to_owned(),
        })
        .await?;
    settle(world, plan, known, due_at).await
}

/// Records that a due time is dealt with. Of two looks at once, the one that comes second changes nothing.
async fn settle(
    world: &World,
    plan: &RecoveryPlan,
    known: Option<Stored<DrillProgress>>,
    settled_until: Timestamp,
) -> Result<(), Failure> {
    let progress = DrillProgress {
        plan: plan.id.clone(),
        settled_until,
    };
    let Some(mut known) = known else {
        return records::insert(world.catalog.as_ref(), &progress).await.map(|_| ());
    };
    known.value = progress;
    match records::update(world.catalog.as_ref(), &mut known).await {
        Err(failure) if failure.kind != FailureKind::Conflict => Err(failure),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn report_missed(world: &World, plan: &RecoveryPlan, last: Timestamp, count: usize) -> Result<(), Failure> {
    let page = Page {
        key: format!("missed-drill/{}", plan.id),
        severity: Severity::Warning,
        subject: format!("drills of recovery plan {} were missed", plan.id),
        text: format!(
            "missed: {count}, the last of them due at {last}, while nothing could start it or no window was open; the drill that begins \
             now stands for all of them"
        ),
    };
    world.pager.page(&page).await
}
