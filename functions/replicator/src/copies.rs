//! Copy jobs: the copy that comes of one joins the record of its point, and copied log moves on the window of its vault.

use async_trait::async_trait;
use holdfast_core::domain::{Copy, CopyState, Detail, Failure, FailureKind, Job, Order, Outcome, Window};
use holdfast_core::planning::CopyDue;
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::{self, Alarm, Stored};
use holdfast_core::workflow::{World, inventory};

/// How copy jobs end.
pub struct Copies;

#[async_trait]
impl Settle for Copies {
    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        if let (
            Order::CopyLog {
                resource,
                to,
                pulled_at,
                ..
            },
            Outcome::Log(state),
        ) = (&job.value.order, outcome)
        {
            let window = Window {
                resource: resource.clone(),
                vault: to.clone(),
                observed_at: *pulled_at,
                state: state.clone(),
            };
            return inventory::advance_window(world, &window).await;
        }
        let (Order::Copy { point, to, .. }, Outcome::Copy { artefact, .. }) = (&job.value.order, outcome) else {
            let message = format!("copy job {} came to an outcome that is none of a copy", job.value.id);
            return Err(Failure::new(FailureKind::Bug, message));
        };
        let copy = Copy {
            vault: to.clone(),
            artefact: artefact.clone(),
            state: CopyState::Available,
            created_at: world.now(),
            proofs: Vec::new(),
        };
        inventory::amend_point(world, point, |point| {
            let stands = point.copy_in(to).is_some();
            if !stands {
                point.copies.push(copy.clone());
            }
            !stands
        })
        .await?;
        world
            .publish(Detail::PointCopied {
                point: point.clone(),
                vault: to.clone(),
            })
            .await
    }
}

/// Tells people, once, that a copy is later than its policy allows.
pub async fn tell_late(world: &World, due: &CopyDue, job: Option<&Job>) -> Result<(), Failure> {
    let alarm = Alarm {
        matter: format!("copy-late/{}/{}", due.point.id, due.to),
        raised_at: Some(world.now()),
    };
    if records::read::<Alarm>(world.catalog.as_ref(), &records::alarm_key(&alarm.matter))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let waits = job
        .and_then(|job| job.failure.as_ref())
        .map_or_else(String::new, |failure| format!("; last failure: {}", failure.message));
    let page = Page {
        key: alarm.matter.clone(),
        severity: Severity::Warning,
        subject: format!(
            "{} of {} is not yet in vault {}",
            due.point.id.short(),
            due.point.resource,
            due.to
        ),
        text: format!("{}{waits}", due.reason),
    };
    world.pager.page(&page).await?;
    records::insert(world.catalog.as_ref(), &alarm).await?;
    Ok(())
}
