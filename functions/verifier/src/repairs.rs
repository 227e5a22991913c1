//! Repairs: a mended copy waits to be proven again; what no copy can give back is named.

use async_trait::async_trait;
use holdfast_core::domain::{CopyState, Detail, Failure, FailureKind, Job, Location, Order, Outcome, PointRef};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::{self, Alarm, Stored};
use holdfast_core::workflow::{World, inventory};

/// How repair jobs end.
pub struct Repairs;

#[async_trait]
impl Settle for Repairs {
    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        let (Order::Repair { point, damaged, .. }, Outcome::Repair { unrepairable, .. }) = (&job.value.order, outcome)
        else {
            let message = format!(
                "repair job {} came to an outcome that is none of a repair",
                job.value.id
            );
            return Err(Failure::new(FailureKind::Bug, message));
        };
        if !unrepairable.is_empty() {
            // Later rounds try again; people were told by the first.
            if job.value.round > 0 {
                return Ok(());
            }
            return tell_unrepairable(world, point, damaged, unrepairable).await;
        }
        inventory::amend_point(world, point, |point| {
            let copies = point.copies.iter_mut();
            let mended = copies.filter(|copy| copy.vault == damaged.vault && copy.state == CopyState::Corrupt);
            mended.map(|copy| copy.state = CopyState::Repaired).count() > 0
        })
        .await?;
        world
            .publish(Detail::PointRepaired {
                point: point.clone(),
                vault: damaged.vault.clone(),
            })
            .await
    }
}

async fn tell_unrepairable(
    world: &World,
    point: &PointRef,
    damaged: &Location,
    unrepairable: &[String],
) -> Result<(), Failure> {
    let named: Vec<&str> = unrepairable.iter().take(40).map(String::as_str).collect();
    let page = Page {
        key: format!("unrepairable/{damaged}"),
        severity: Severity::Critical,
        subject: format!(
            "{} of {} in vault {} cannot be repaired whole",
            point.id.short(),
            point.resource,
            damaged.vault
        ),
        text: format!("no copy has the right bytes for:\n{}", named.join("\n")),
    };
    world.pager.page(&page).await
}

/// Tells people, once, that a damaged copy has no good copy to be repaired from.
pub async fn tell_hopeless(world: &World, point: &PointRef, damaged: &Location) -> Result<(), Failure> {
    let alarm = Alarm {
        matter: format!("no-good-copy/{}/{}", point.id, damaged.vault),
        raised_at: Some(world.now()),
    };
    if records::read::<Alarm>(world.catalog.as_ref(), &records::alarm_key(&alarm.matter))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let page = Page {
        key: alarm.matter.clone(),
        severity: Severity::Critical,
        subject: format!(
            "{} of {} in vault {} is damaged and has no good copy",
            point.id.short(),
            point.resource,
            damaged.vault
        ),
        text: "make a new full backup now; undamaged files of the point can still be restored".to_owned(),
    };
    world.pager.page(&page).await?;
    records::insert(world.catalog.as_ref(), &alarm).await?;
    Ok(())
}
