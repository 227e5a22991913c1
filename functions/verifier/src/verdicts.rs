//! Verdicts: each becomes a signed statement, a proof on the record of the point, and an alarm when it is bad.

use std::collections::BTreeMap;

use async_trait::async_trait;
use holdfast_core::domain::{
    Copy, CopyState, Detail, Failure, FailureKind, Job, Level, Location, Order, Outcome, PointRef, Proof, Statement,
    Subject, Verdict,
};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::Stored;
use holdfast_core::workflow::{World, evidence, inventory};
use serde_json::json;

/// How verification jobs end.
pub struct Verdicts;

#[async_trait]
impl Settle for Verdicts {
    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        let (Order::Verify { point, at, level }, Outcome::Verify(verdict)) = (job.value.order.clone(), outcome) else {
            let message = format!(
                "verification job {} came to an outcome that is none of a verification",
                job.value.id
            );
            return Err(Failure::new(FailureKind::Bug, message));
        };
        let passed = verdict.damages.is_empty();
        let statement = statement_of(world, &job.value, &point, &at, level, verdict);
        let statement = evidence::append(world, job, &statement).await?;
        if !passed {
            tell_damaged(world, &at, &point, verdict).await?;
        }
        let proof = Proof {
            level,
            passed,
            at: world.now(),
            job: job.value.id.clone(),
            statement,
        };
        let state = if passed {
            CopyState::Available
        } else {
            CopyState::Corrupt
        };
        inventory::amend_point(world, &point, |point| {
            let tested = |copy: &&mut Copy| {
                copy.vault == at.vault && copy.artefact == at.artefact && copy.state != CopyState::Deleted
            };
            let Some(copy) = point.copies.iter_mut().find(tested) else {
                return false;
            };
            if copy.proofs.iter().any(|known| known.job == proof.job) {
                return false;
            }
            copy.state = state;
            copy.proofs.push(proof.clone());
            true
        })
        .await?;
        world
            .publish(Detail::PointVerified {
                point,
                vault: at.vault,
                level,
                passed,
            })
            .await
    }
}

/// The verdict is part of the origin: a test that was interrupted after its statement, and then found something else, has
/// something else to state.
fn statement_of(
    world: &World,
    job: &Job,
    point: &PointRef,
    at: &Location,
    level: Level,
    verdict: &Verdict,
) -> Statement {
    let passed = verdict.damages.is_empty();
    let digest = BTreeMap::from([("sha256".to_owned(), at.artefact.clone())]);
    Statement {
        subject: vec![Subject {
            name: format!("{}/{}@{}", point.resource, point.id, at.vault),
            digest,
        }],
        level,
        passed,
        at: world.now(),
        origin: format!("{}/{}", job.id, if passed { "passed" } else { "damaged" }),
        findings: BTreeMap::from([
            ("taken_at".to_owned(), json!(point.taken_at)),
            ("proven_bytes".to_owned(), json!(verdict.bytes)),
            ("damages".to_owned(), json!(verdict.damages)),
            ("affected_files".to_owned(), json!(verdict.affected)),
        ]),
    }
}

async fn tell_damaged(world: &World, at: &Location, point: &PointRef, verdict: &Verdict) -> Result<(), Failure> {
    let named: Vec<&str> = verdict
        .damages
        .iter()
        .chain(&verdict.affected)
        .take(40)
        .map(String::as_str)
        .collect();
    let page = Page {
        key: format!("damaged/{at}"),
        severity: Severity::Critical,
        subject: format!(
            "{} of {} in vault {} is damaged",
            point.id.short(),
            point.resource,
            at.vault
        ),
        text: format!(
            "it will be repaired from another copy if one is good\n{}",
            named.join("\n")
        ),
    };
    world.pager.page(&page).await
}
