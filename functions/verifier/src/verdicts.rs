//! Verdicts: each becomes a signed statement, a proof on the record of the point, and an alarm when it is bad.

use std::collections::BTreeMap;

use async_trait::async_trait;
use holdfast_core::domain::{
    Copy, CopyState, Detail, Failure, FailureKind, Job, Level, Location, Order, Outcome, PointRef, Proof, Statement,
    Subject, TrialReport, Verdict,
};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::jobs::Settle;
use holdfast_core::workflow::records::Stored;
use holdfast_core::workflow::{World, evidence, inventory};
use serde_json::json;

use crate::trials;

/// How verification jobs end.
pub struct Verdicts;

#[async_trait]
impl Settle for Verdicts {
    async fn completed(&self, world: &World, job: &mut Stored<Job>, outcome: &Outcome) -> Result<(), Failure> {
        let (Order::Verify { point, at, level, .. }, Outcome::Verify(verdict)) = (job.value.order.clone(), outcome)
        else {
            let message = format!(
                "verification job {} came to an outcome that is none of a verification",
                job.value.id
            );
            return Err(Failure::new(FailureKind::Bug, message));
        };
        let found = Found::of(verdict);
        let (level, passed) = (found.level(level, verdict), found == Found::Nothing);
        let statement = statement_of(world, &job.value, (&point, &at), (level, found), verdict);
        let statement = evidence::append(world, job, &statement).await?;
        match (found, &verdict.trial) {
            (Found::Damage, _) => tell_damaged(world, &at, &point, verdict).await?,
            (Found::Corruption | Found::Refutation, Some(report)) => {
                trials::tell_refuted(world, &job.value, (&point, &at), report).await?;
            }
            _ => {}
        }
        let proof = Proof {
            level,
            passed,
            at: world.now(),
            job: job.value.id.clone(),
            statement,
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
            copy.state = found.state(copy.state, verdict);
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

/// The gravest that a test found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// An operator's own check does not hold.
    Refutation,
    /// The database is not sound, in every copy.
    Corruption,
    /// What is stored is not what was written.
    Damage,
}

impl Found {
    fn of(verdict: &Verdict) -> Self {
        let any = |list: fn(&TrialReport) -> &Vec<String>| {
            let report = verdict.trial.as_ref();
            report.is_some_and(|report| !list(report).is_empty())
        };
        if !verdict.damages.is_empty() {
            Self::Damage
        } else if any(|report| &report.corrupt) {
            Self::Corruption
        } else if any(|report| &report.refuted) {
            Self::Refutation
        } else {
            Self::Nothing
        }
    }

    /// The word for it in statements.
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "passed",
            Self::Refutation => "refuted",
            Self::Corruption => "corrupt",
            Self::Damage => "damaged",
        }
    }

    /// The level that the verdict is of. A trial tells how far it came; one that cannot even read what is stored is a restore that
    /// does not complete.
    fn level(self, asked: Level, verdict: &Verdict) -> Level {
        match (&verdict.trial, self) {
            (_, Self::Damage) if !asked.is_of_the_store() => Level::L3,
            (None, _) => asked,
            (Some(report), _) => report.level,
        }
    }

    /// How the copy stands after this. What a trial finds out besides damage says nothing about what is stored, and one that began
    /// before damage was found does not take that back.
    fn state(self, before: CopyState, verdict: &Verdict) -> CopyState {
        match (self, before) {
            (Self::Damage, _) => CopyState::Corrupt,
            (Self::Corruption | Self::Refutation, _) => before,
            (Self::Nothing, CopyState::Corrupt) if verdict.trial.is_some() => before,
            (Self::Nothing, _) => CopyState::Available,
        }
    }
}

/// The verdict is part of the origin: a test that was interrupted after its statement, and then found something else, has
/// something else to state.
fn statement_of(
    world: &World,
    job: &Job,
    (point, at): (&PointRef, &Location),
    (level, found): (Level, Found),
    verdict: &Verdict,
) -> Statement {
    let mut findings = BTreeMap::from([
        ("taken_at".to_owned(), json!(point.taken_at)),
        ("proven_bytes".to_owned(), json!(verdict.bytes)),
        ("damages".to_owned(), json!(verdict.damages)),
        ("affected_files".to_owned(), json!(verdict.affected)),
    ]);
    if let Some(report) = &verdict.trial {
        findings.insert("verdict".to_owned(), json!(found.word()));
        findings.insert("trial".to_owned(), json!(report));
    }
    let digest = BTreeMap::from([("sha256".to_owned(), at.artefact.clone())]);
    Statement {
        subject: vec![Subject {
            name: format!("{}/{}@{}", point.resource, point.id, at.vault),
            digest,
        }],
        level,
        passed: found == Found::Nothing,
        at: world.now(),
        origin: format!("{}/{}", job.id, found.word()),
        findings,
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
