//! Trials of servers: when the next one is due, and what people are told of one that does not hold.

use holdfast_core::domain::{Failure, Job, Location, Order, Point, PointRef, Resource, TrialReport};
use holdfast_core::planning::plan_trial;
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::{World, inventory, jobs};

/// Requests the trial of a server that is due, if one is.
pub async fn plan(world: &World, resource: &Resource, points: &[Point]) -> Result<(), Failure> {
    let Some(rule) = resource.trial.as_ref().filter(|_| resource.retired_at.is_none()) else {
        return Ok(());
    };
    let windows = inventory::windows(world, &resource.id).await?;
    let Some(due) = plan_trial(rule, points, &windows, world.now()) else {
        return Ok(());
    };
    let number = due.number.to_string();
    let work = ["trial", resource.id.as_str(), &number];
    let order = Order::Verify {
        point: due.point,
        at: due.at,
        level: due.level,
        trial: Some(rule.trial.clone()),
    };
    jobs::request_planned(world, &work, order, due.reason).await?;
    Ok(())
}

/// Pages what does not hold in a restored copy. Nothing is wrong with what is stored, and no other copy has anything else.
pub async fn tell_refuted(
    world: &World,
    job: &Job,
    (point, at): (&PointRef, &Location),
    report: &TrialReport,
) -> Result<(), Failure> {
    let (what, mend) = if report.corrupt.is_empty() {
        (
            "does not hold what it must",
            "the database came up and is sound; the statements below did not give the answer that they must",
        )
    } else {
        (
            "holds a database that is not sound",
            "every byte is as the server gave it: look the server through (pg_amcheck), mend it there, and make a new full backup",
        )
    };
    let named: Vec<&str> = report
        .corrupt
        .iter()
        .chain(&report.refuted)
        .take(40)
        .map(String::as_str)
        .collect();
    let page = Page {
        key: format!("trial/{}", job.id),
        severity: Severity::Critical,
        subject: format!(
            "{} of {} in vault {} {what}",
            point.id.short(),
            point.resource,
            at.vault
        ),
        text: format!(
            "{mend}. The recovery point stays, and can be restored\n{}",
            named.join("\n")
        ),
    };
    world.pager.page(&page).await
}
