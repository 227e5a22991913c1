//! How restores end: a statement at the level that was reached, and a proof on the point when all of it was restored.

use std::collections::BTreeMap;

use async_trait::async_trait;
use holdfast_core::domain::{
    Copy, Failure, FailureKind, Job, Level, Location, Order, Origin, Outcome, PointRef, Proof, Run, RunState,
    Statement, Subject, total,
};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, evidence, inventory};
use serde_json::json;

use crate::requests;

/// How restore jobs end.
pub struct Restores;

#[async_trait]
impl Settle for Restores {
    /// A run that has moved on cleans what it restored, once; what would come later would stay. However a person's request
    /// got here, it is not carried out without the other person that it needs.
    async fn objection(&self, world: &World, job: &Job) -> Result<Option<String>, Failure> {
        let run = match &job.origin {
            Origin::Run { run } => run,
            origin if world.settings.two_people && !requests::has_two_people(origin) => {
                return Ok(Some("nobody but the one who asks agreed to it".to_owned()));
            }
            _ => return Ok(None),
        };
        let run: Stored<Run> = records::require(world.catalog.as_ref(), &records::run_key(run)).await?;
        let goes_on = run.value.state == RunState::Running;
        Ok((!goes_on).then(|| format!("run {} waits for it no more", run.value.id)))
    }

    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        let (
            Order::Restore {
                point, from, include, ..
            },
            Outcome::Restore { differences, .. },
        ) = (job.value.order.clone(), outcome)
        else {
            let message = format!(
                "restore job {} came to an outcome that is none of a restore",
                job.value.id
            );
            return Err(Failure::new(FailureKind::Bug, message));
        };
        let passed = differences.is_empty();
        let level = inventory::point(world, &point.resource, &point.id)
            .await?
            .resource_kind
            .restore_level();
        let statement = statement_of(world, &job.value, outcome, (level, passed));
        let statement = evidence::append(world, job, &statement).await?;
        if !passed {
            tell_differences(world, &job.value, differences).await?;
        }
        if include.is_empty() {
            let proof = Proof {
                level,
                passed,
                at: world.now(),
                job: job.value.id.clone(),
                statement,
            };
            remember(world, &point, &from, &proof).await?;
        }
        Ok(())
    }
}

fn statement_of(world: &World, job: &Job, outcome: &Outcome, (level, passed): (Level, bool)) -> Statement {
    let mut findings = BTreeMap::from([
        ("requested_at".to_owned(), json!(job.created_at)),
        ("outcome".to_owned(), json!(outcome)),
    ]);
    let mut subject = Vec::new();
    if let Order::Restore {
        point,
        from,
        include,
        recovery,
        ..
    } = &job.order
    {
        let digest = BTreeMap::from([("sha256".to_owned(), from.artefact.clone())]);
        subject.push(Subject {
            name: format!("{}/{}@{}", point.resource, point.id, from.vault),
            digest,
        });
        findings.insert("taken_at".to_owned(), json!(point.taken_at));
        findings.insert("include".to_owned(), json!(include));
        findings.extend(recovery.map(|recovery| ("recovery".to_owned(), json!(recovery))));
    }
    let origin = format!("{}/{}", job.id, if passed { "passed" } else { "differs" });
    Statement {
        subject,
        level,
        passed,
        at: world.now(),
        origin,
        findings,
    }
}

/// A restore that differs says nothing about the bytes in the vault, which are proven at level L2, so only one that holds
/// joins the proofs of the copy; the evidence chain has both.
async fn remember(world: &World, point: &PointRef, from: &Location, proof: &Proof) -> Result<(), Failure> {
    inventory::amend_point(world, point, |point| {
        let restored = |copy: &&mut Copy| copy.vault == from.vault && copy.artefact == from.artefact;
        let Some(copy) = point.copies.iter_mut().find(restored) else {
            return false;
        };
        let known = copy.proofs.iter().any(|known| known.job == proof.job);
        if !known && proof.passed {
            copy.proofs.push(proof.clone());
        }
        !known && proof.passed
    })
    .await?;
    Ok(())
}

async fn tell_differences(world: &World, job: &Job, differences: &[String]) -> Result<(), Failure> {
    let named: Vec<&str> = differences.iter().take(40).map(String::as_str).collect();
    let page = Page {
        key: format!("restore/{}", job.id),
        severity: Severity::Warning,
        subject: format!(
            "restore {} ended with {} differences",
            job.id.short(),
            total(differences)
        ),
        text: named.join("\n"),
    };
    world.pager.page(&page).await
}
