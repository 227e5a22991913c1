//! The stages after the loss: restore, drill, retention, evidence.

use holdfast_core::domain::{Detail, Job, JobId, Outcome, PlanId, Run, RunId, RunKind, RunState, Span};
use holdfast_core::planning::{Inventory, RetentionPlan, plan_retention};
use holdfast_core::workflow::World;
use holdfast_core::workflow::inventory;
use holdfast_core::workflow::records::{self, Stored};
use holdfast_sources::files::Manifest;
use holdfast_sources::files::manifest::compare;
use jiff::{SignedDuration, Timestamp};

use super::clock;
use super::ground::failed;
use super::stages::Demo;
use crate::error::CliError;
use crate::{operator, output};

/// How long after the last backup the disaster comes, in the demo's time.
const UNTIL_DISASTER: SignedDuration = SignedDuration::from_mins(30);

impl Demo {
    /// The private copy is deleted and comes back from the recovery Region, equal in content and metadata.
    pub async fn lose_and_restore(&mut self) -> Result<(), CliError> {
        self.report.stage("The loss");
        let copy = self.ground.private_copy();
        clock::move_to(clock::now().checked_add(UNTIL_DISASTER).unwrap_or(Timestamp::MAX));
        super::application::beat(&copy).map_err(|error| failed("write", &copy, &error))?;
        std::fs::remove_dir_all(&copy).map_err(|error| failed("remove", &copy, &error))?;
        let lost_at = clock::now();
        let lost = output::time(lost_at);
        self.report.tell(&format!(
            "half an hour after the last backup the private copy is deleted, at {lost}"
        ));

        self.report.stage("Restore from the recovery Region");
        let (point, _) = self.newest_in_recovery().await?;
        let job = self.restore().await?;
        let Some(Outcome::Restore {
            files,
            bytes,
            differences,
            heartbeat_at,
        }) = &job.result
        else {
            let why = job.failure.map_or_else(String::new, |failure| failure.message);
            return Err(CliError::failed(format!("the restore failed: {why}")));
        };
        let target = self.ground.restored();
        self.report.tell(&format!(
            "{files} files, {} written to {}",
            output::bytes(*bytes),
            target.display()
        ));
        self.report.claim(
            "every entry compares with the recovery point (L4)",
            differences.is_empty(),
        );
        self.compare_with_witness()?;
        let took = job.finished_at.unwrap_or(lost_at).duration_since(job.created_at);
        self.report.measure(
            "recovery time",
            took.as_secs_f64(),
            "from the request to the compared files",
        );
        self.measure_loss(lost_at, point.taken_at, *heartbeat_at);
        Ok(())
    }

    /// Asks for the restore, as an operator does, and waits for its end.
    async fn restore(&self) -> Result<Job, CliError> {
        let request = "demo-restore".to_owned();
        let job = JobId::derive(&["restore", &request]);
        let detail = Detail::RestoreRequested {
            request,
            resource: self.resource.clone(),
            point: None,
            vault: Some(self.recovery.clone()),
            target: self.ground.restored().display().to_string(),
            include: Vec::new(),
            overwrite: false,
            to: None,
            requested_by: "demo".to_owned(),
        };
        self.world().publish(detail).await?;
        self.ended_job(&job, "the restored files").await
    }

    fn measure_loss(&mut self, lost_at: Timestamp, taken_at: Timestamp, heartbeat_at: Option<Timestamp>) {
        let age = lost_at.duration_since(taken_at).as_secs_f64();
        self.report.measure(
            "recovery point age",
            age,
            "of the restored point at the loss, in the demo's time",
        );
        self.report.claim(
            "the restored files hold the application's heartbeat",
            heartbeat_at.is_some(),
        );
        if let Some(beat) = heartbeat_at {
            let loss = lost_at.duration_since(beat).as_secs_f64();
            self.report.measure(
                "data loss",
                loss,
                "age of the restored heartbeat at the loss, in the demo's time",
            );
        }
    }

    /// The independent witness: a manifest that was taken before the backup, without the content engine.
    fn compare_with_witness(&mut self) -> Result<(), CliError> {
        let restored = Manifest::of(&self.ground.restored()).map_err(|error| CliError::failed(error.to_string()))?;
        let Some(witness) = &self.witness else {
            return Err(CliError::failed("no manifest was taken"));
        };
        let differences = compare(witness, &restored);
        for difference in differences.iter().take(10) {
            self.report.tell(&format!("differs: {difference}"));
        }
        let claim = format!(
            "all {} entries equal the original manifest, in content and metadata",
            witness.entries.len()
        );
        self.report.claim(claim, differences.is_empty());
        Ok(())
    }

    /// The recovery plan is drilled.
    pub async fn drill(&mut self) -> Result<(), CliError> {
        self.report.stage("A drill of the recovery plan");
        let plan =
            PlanId::new("application-in-the-other-region").map_err(|error| CliError::failed(error.to_string()))?;
        let request = "demo-drill".to_owned();
        let key = records::run_key(&RunId::derive(&["run", &request]));
        let detail = Detail::RunRequested {
            request,
            plan,
            kind: RunKind::Drill,
            level: None,
            requested_by: "demo".to_owned(),
        };
        self.world().publish(detail).await?;
        let run = self
            .until("the end of the drill", async |world: &World| {
                let stored: Option<Stored<Run>> = records::read(world.catalog.as_ref(), &key).await?;
                let ended = |run: &Run| matches!(run.state, RunState::Succeeded | RunState::Failed);
                Ok(stored.map(|stored| stored.value).filter(ended))
            })
            .await?;
        for line in operator::drill::lines(&run) {
            self.report.tell(&line);
        }
        let objectives = run.plan.objectives;
        let took = run.recovered_at.map(|at| Span::between(run.declared_at, at));
        let within =
            |measured: Option<i64>, promised: Span| measured.is_some_and(|seconds| seconds <= promised.as_seconds());
        self.report
            .claim("the drill succeeded (L6)", run.state == RunState::Succeeded);
        self.report.claim(
            "its recovery time is within the RTO",
            took.is_some_and(|took| took <= objectives.rto),
        );
        self.report.claim(
            "its data loss is within the RPO",
            within(run.data_loss_seconds, objectives.rpo),
        );
        let left = self.system.data.path().join("drills").join(run.id.as_str());
        self.report
            .claim("what the drill restored is gone again", !left.exists());
        Ok(())
    }

    /// What retention keeps now and would keep a year from now, with the reasons.
    pub async fn show_retention(&mut self) -> Result<(), CliError> {
        self.report.stage("The retention plan");
        let Some(policy) = inventory::policies(self.world()).await?.pop() else {
            return Err(CliError::failed("no policy is in force"));
        };
        let points = inventory::points(self.world(), &self.resource).await?;
        let inventory = Inventory {
            points: &points,
            complete: true,
        };
        let plan = |at| {
            plan_retention(&policy.draft.retention, &policy.draft.zone, &inventory, at)
                .map_err(|refusal| CliError::failed(refusal.to_string()))
        };
        let today = plan(clock::now())?;
        self.tell_retention("today", &today);
        let later = plan(Span::days(365).after(clock::now()))?;
        self.tell_retention("a year from now", &later);
        let keeps_one = |plan: &RetentionPlan| plan.decisions.iter().any(|decision| !decision.keep.is_empty());
        self.report.claim(
            "every decision has a reason, and a proven point is always kept",
            keeps_one(&today) && keeps_one(&later),
        );
        Ok(())
    }

    fn tell_retention(&self, when: &str, plan: &RetentionPlan) {
        for decision in &plan.decisions {
            let verdict = if decision.keep.is_empty() { "expire" } else { "keep" };
            let taken_at = output::time(decision.taken_at);
            self.report.tell(&format!(
                "{when}: {verdict} {} of {taken_at}: {}",
                decision.point.short(),
                decision.reason
            ));
        }
    }

    /// A database server, where the machine has PostgreSQL.
    pub fn restore_a_database(&mut self) -> Result<(), CliError> {
        let file = self.system.data.path().join("repository-password");
        let password = std::fs::read_to_string(&file).map_err(|error| failed("read", &file, &error))?;
        let (report, folder) = (&mut self.report, &self.ground.dir);
        tokio::task::block_in_place(|| super::database::show(report, folder, password.trim_end()))
    }

    /// The chain of signed statements holds in both Regions, by the public key alone.
    pub fn check_evidence(&mut self) -> Result<(), CliError> {
        self.report.stage("The evidence");
        let key = self.system.data.public_key();
        let mut heads = Vec::new();
        for region in ["eu-central-1", "eu-west-1"] {
            let folder = self.system.data.path().join("regions").join(region).join("evidence");
            let chain = operator::evidence::verify(&folder, &key)?;
            let bad = chain.statements.iter().filter(|statement| !statement.passed).count();
            let claim = format!(
                "{} signed statements in {region} hold; {bad} of them tell of the damage",
                chain.statements.len()
            );
            self.report.claim(claim, bad == 1);
            heads.push(chain.head);
        }
        self.report.claim(
            "both Regions hold the same chain",
            heads.windows(2).all(|pair| pair[0] == pair[1]),
        );
        Ok(())
    }
}
