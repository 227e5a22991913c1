//! The stages until the files are safe: scheduled backups, proofs, copies, damage and repair.

use std::sync::Arc;
use std::time::Duration;

use holdfast_core::domain::{
    BackupKind, Copy, Detail, Failure, Job, JobId, JobKind, Level, Outcome, Point, PointState, ResourceId, Span,
    VaultName,
};
use holdfast_core::planning::Schedule;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_core::workflow::{World, inventory, jobs};
use holdfast_local::{DataFolder, system_ambient};
use holdfast_repository::Ambient;
use holdfast_sources::files::Manifest;
use jiff::{SignedDuration, Timestamp};

use super::clock::{self, DemoClock};
use super::ground::{Ground, RESOURCE, failed};
use super::report::Report;
use super::{application, damage};
use crate::args::Place;
use crate::embedded::{Parts, System, load, pause, show, turn};
use crate::error::CliError;
use crate::output;

/// So many turns without open work mean that what is waited for will not come.
const IDLE_TURNS: u32 = 400;

/// A demo under way.
pub struct Demo {
    /// Its folder.
    pub ground: Ground,
    /// Its report.
    pub report: Report,
    pub(super) system: System,
    pub(super) resource: ResourceId,
    pub(super) primary: VaultName,
    pub(super) recovery: VaultName,
    /// What the private copy held when it was last backed up.
    pub(super) witness: Option<Manifest>,
}

impl Demo {
    /// Puts the configuration into force, five minutes before the first backup is due.
    pub async fn open(ground: Ground, mut report: Report) -> Result<Self, CliError> {
        let invalid = |error: holdfast_core::domain::InvalidName| CliError::failed(error.to_string());
        clock::move_to(Span::minutes(5).before(next_due("0 2 * * *", clock::now())?));
        report.stage("The policy is checked and put into force");
        let place = Place {
            config: ground.configuration(),
            data: None,
        };
        let installation = load(&place, clock::now())?;
        let ambient = Ambient {
            now: clock::now,
            ..system_ambient()
        };
        let folder = DataFolder::open(&installation.data, &ambient)?;
        let poll = SignedDuration::from_millis(20);
        let parts = Parts {
            clock: Arc::new(DemoClock),
            ambient,
            poll,
            print_pages: false,
        };
        let system = System::open(&installation.config, folder, parts)?;
        let applied = system.apply(&installation.config).await?;
        report.claim(
            format!("{} is accepted without a problem", place.config.display()),
            applied.changed.len() == 1,
        );
        report.tell(&format!(
            "the clock of the demo stands at {}; it is moved to each due time instead of waiting for it",
            output::time(clock::now())
        ));
        Ok(Self {
            ground,
            report,
            system,
            resource: ResourceId::new(RESOURCE).map_err(invalid)?,
            primary: VaultName::new("primary").map_err(invalid)?,
            recovery: VaultName::new("recovery").map_err(invalid)?,
            witness: None,
        })
    }

    pub(super) fn world(&self) -> &World {
        &self.system.world
    }

    /// Lets the handlers work until something is there to be found.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        found: impl AsyncFn(&World) -> Result<Option<T>, Failure>,
    ) -> Result<T, CliError> {
        let mut idle = 0;
        while idle < IDLE_TURNS {
            turn(&self.system).await?;
            if let Some(found) = found(self.world()).await? {
                return Ok(found);
            }
            idle = if self.has_open_work().await? { 0 } else { idle + 1 };
            show(&self.system, self.report.bar());
            pause(Duration::from_millis(15)).await;
        }
        let pages = std::fs::read_to_string(self.system.data.pages()).unwrap_or_default();
        let last: Vec<&str> = pages.lines().rev().take(3).collect();
        Err(CliError::failed(format!(
            "nothing is left to do, but {what} did not come; the last pages were\n{}",
            last.join("\n")
        )))
    }

    async fn has_open_work(&self) -> Result<bool, Failure> {
        const KINDS: [JobKind; 5] = [
            JobKind::Backup,
            JobKind::Copy,
            JobKind::Verify,
            JobKind::Repair,
            JobKind::Restore,
        ];
        for kind in KINDS {
            if !jobs::open_jobs(self.world(), kind).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(!self.world().catalog.waking("run", Timestamp::MAX).await?.is_empty())
    }

    pub(super) async fn ended_job(&self, id: &JobId, what: &str) -> Result<Job, CliError> {
        let key = records::job_key(id);
        self.until(what, async |world: &World| {
            let stored: Option<Stored<Job>> = records::read(world.catalog.as_ref(), &key).await?;
            Ok(stored.map(|stored| stored.value).filter(|job| job.state.is_final()))
        })
        .await
    }

    /// Three scheduled backups, each proven in its vault, copied, and proven again where it was copied to.
    pub async fn back_up_and_prove(&mut self) -> Result<(), CliError> {
        self.scheduled_backup("0 2 * * *", BackupKind::Full, None).await?;
        self.scheduled_backup("0 8 * * *", BackupKind::Incremental, Some(1))
            .await?;
        self.scheduled_backup("0 14 * * *", BackupKind::Differential, Some(2))
            .await
    }

    async fn scheduled_backup(&mut self, cron: &str, kind: BackupKind, work: Option<u64>) -> Result<(), CliError> {
        self.report.stage(&format!("A scheduled {} backup", kind.as_str()));
        let copy = self.ground.private_copy();
        let due_at = next_due(cron, clock::now())?;
        clock::move_to(due_at);
        match work {
            Some(round) => {
                let done = application::work(&copy, round).map_err(|error| failed("change", &copy, &error))?;
                self.report.tell(&format!("the application went on working: {done}"));
            }
            None => application::beat(&copy).map_err(|error| failed("write", &copy, &error))?,
        }
        self.witness = Some(Manifest::of(&copy).map_err(|error| CliError::failed(error.to_string()))?);
        let resource = self.resource.clone();
        let point = self
            .until("the scheduled recovery point", async |world: &World| {
                let newest = inventory::points(world, &resource).await?.pop();
                Ok(newest.filter(|point| point.taken_at >= due_at))
            })
            .await?;
        let size = output::bytes(point.size_bytes);
        let added = output::bytes(point.added_bytes);
        self.report.tell(&format!(
            "recovery point {} of {}: {} files, {size}, added {added}",
            point.id.short(),
            output::time(point.taken_at),
            point.files
        ));
        self.report.claim(
            format!(
                "the occurrence of {} became one {} backup job, and that one recovery point",
                output::time(due_at),
                kind.as_str()
            ),
            point.kind == kind && !point.is_partial() && self.points_since(due_at).await? == 1,
        );
        self.prove_everywhere(&point).await
    }

    async fn points_since(&self, due_at: Timestamp) -> Result<usize, CliError> {
        let points = inventory::points(self.world(), &self.resource).await?;
        Ok(points.iter().filter(|point| point.taken_at >= due_at).count())
    }

    async fn prove_everywhere(&mut self, point: &Point) -> Result<(), CliError> {
        for (vault, place) in [
            (self.primary.clone(), "where it was made"),
            (self.recovery.clone(), "in the other Region"),
        ] {
            let reference = point.reference();
            let proven = self
                .until("a proof", async |world: &World| {
                    let stored: Stored<Point> =
                        records::require(world.catalog.as_ref(), &records::point_key(&reference)).await?;
                    let copy = stored.value.copy_in(&vault).cloned();
                    Ok(copy.filter(|copy| !copy.proofs.is_empty()))
                })
                .await?;
            let statement = proven.proofs.last().map_or(0, |proof| proof.statement);
            let claim = format!("every byte is proven {place}, vault {vault} (L2, statement {statement})");
            self.report.claim(claim, proven.proven(Level::L2).is_some());
        }
        Ok(())
    }

    /// One flipped byte and one deleted pack are found by name, repaired from the copy, and proven again.
    pub async fn damage_and_repair(&mut self) -> Result<(), CliError> {
        self.report.stage("Damage in the primary vault");
        let points = inventory::points(self.world(), &self.resource).await?;
        let Some(newest) = points.last() else {
            return Err(CliError::failed("there is no recovery point"));
        };
        let artefact = newest
            .copy_in(&self.primary)
            .map(|copy| copy.artefact.clone())
            .unwrap_or_default();
        let password = holdfast_local::repository_password(&self.system.data, &system_ambient())?;
        let damaged = damage::damage(&self.ground.repository("eu-central-1", "primary"), &password, &artefact)?;
        self.report.tell(&format!(
            "one byte of pack {} was flipped, pack {} was deleted",
            damaged.flipped.short(),
            damaged.deleted.short()
        ));
        let verdict = self.request_verification(newest, "damage").await?;
        let named = |id: &str| verdict.iter().any(|damage| damage.contains(id));
        for damage in &verdict {
            self.report.tell(&format!("found: {damage}"));
        }
        self.report.claim(
            "the verifier found the flipped byte, and named its pack",
            named(&damaged.flipped.to_string()) || named(&damaged.flipped.short()),
        );
        self.report.claim(
            "the verifier found the missing pack, and named it",
            named(&damaged.deleted.to_string()) || named(&damaged.deleted.short()),
        );
        self.report.stage("Repair from the copy in the other Region");
        let (reference, primary) = (newest.reference(), self.primary.clone());
        let repaired = self
            .until("the repair", async |world: &World| {
                let point: Stored<Point> =
                    records::require(world.catalog.as_ref(), &records::point_key(&reference)).await?;
                let proven = point
                    .value
                    .copy_in(&primary)
                    .and_then(|copy| copy.proven(Level::L2))
                    .is_some();
                Ok(Some(point.value).filter(|_| proven))
            })
            .await?;
        self.report.claim(
            "the recovery point was repaired, and every byte of it proven again",
            repaired.state == PointState::Repaired,
        );
        for point in &points {
            let verdict = self.request_verification(point, "again").await?;
            self.report.claim(
                format!("recovery point {} holds in the primary vault", point.id.short()),
                verdict.is_empty(),
            );
        }
        Ok(())
    }

    /// Asks for a verification in the primary vault, as an operator does. Returns the damages.
    async fn request_verification(&self, point: &Point, why: &str) -> Result<Vec<String>, CliError> {
        let request = format!("demo-{why}-{}", point.id);
        let job = JobId::derive(&["verify-request", &request]);
        let detail = Detail::VerificationRequested {
            request,
            resource: self.resource.clone(),
            point: point.id.clone(),
            vault: self.primary.clone(),
            requested_by: "demo".to_owned(),
        };
        self.world().publish(detail).await?;
        match self.ended_job(&job, "a verdict").await?.result {
            Some(Outcome::Verify(verdict)) => Ok(verdict.damages),
            _ => Err(CliError::failed(format!(
                "verification of {} gave no verdict",
                point.id.short()
            ))),
        }
    }

    /// The copy of the newest point in the recovery Region.
    pub(super) async fn newest_in_recovery(&self) -> Result<(Point, Copy), CliError> {
        let newest = inventory::points(self.world(), &self.resource).await?.pop();
        let found = newest.and_then(|point| point.copy_in(&self.recovery).cloned().map(|copy| (point, copy)));
        found.ok_or_else(|| CliError::failed("there is no recovery point in the recovery Region"))
    }
}

fn next_due(cron: &str, after: Timestamp) -> Result<Timestamp, CliError> {
    let schedule = Schedule::parse(cron, "Europe/Berlin").map_err(|error| CliError::failed(error.to_string()))?;
    schedule
        .next_after(after)
        .ok_or_else(|| CliError::failed(format!("\"{cron}\" never comes due")))
}
