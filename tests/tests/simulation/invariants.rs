//! What must hold, whatever went wrong. Each check has a name and a sentence that says why it matters.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_core::domain::{
    CopyState, FunctionName, Job, JobId, JobKind, JobState, Level, Occurrence, OccurrenceState, Order, Origin, Outcome,
    Point, PointId, PointState, PolicyDraft, PolicyId, ResourceId, RunKind, RunState, Span, StepState, VaultName,
};
use holdfast_core::ports::{Catalog, Entry, EvidenceStore, Keys, Queue, Signature, Task};
use holdfast_core::workflow::{chain, records};
use holdfast_testkit::fakes::FakeCatalog;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::due_times::due_times;
use crate::incidents::Becomes;
use crate::sim::{DRILL_AREA, Sim, now};

/// What the test remembers of a run besides what the system itself records.
#[derive(Default)]
pub struct Ledger {
    /// Contents of which some copy was damaged or lost.
    pub spoiled: BTreeSet<(ResourceId, JobId)>,
    /// When scheduler executions began that did all of their work.
    pub schedulers: Vec<Timestamp>,
    /// Messages that were delivered as often as the queue allows.
    pub given_up: Vec<String>,
    /// Failures of handlers while nothing was wrong.
    pub calm_failures: Vec<String>,
    /// What a lifecycle execution could have read when it began, by the number of the execution.
    seen: BTreeMap<u64, (Timestamp, Vec<Entry>)>,
}

impl Ledger {
    /// Remembers what a lifecycle execution finds when it begins.
    pub fn before(
        &mut self,
        catalog: &FakeCatalog,
        resources: &[ResourceId],
        function: FunctionName,
        number: u64,
        at: Timestamp,
    ) {
        if function == FunctionName::Lifecycle && !self.seen.contains_key(&number) {
            let list = |resource: &ResourceId| now(catalog.list(&format!("RES#{resource}"), "POINT#")).unwrap();
            self.seen
                .insert(number, (at, resources.iter().flat_map(list).collect()));
        }
    }

    pub fn forget(&mut self, number: u64) {
        self.seen.remove(&number);
    }
}

/// The function that carries out each kind of order; nobody else may.
fn responsible(kind: JobKind) -> FunctionName {
    match kind {
        JobKind::Backup => FunctionName::SnapshotTrigger,
        JobKind::Copy => FunctionName::Replicator,
        JobKind::Verify | JobKind::Repair => FunctionName::Verifier,
        JobKind::Restore => FunctionName::RestoreRunner,
        JobKind::Delete | JobKind::Reclaim => FunctionName::Lifecycle,
        JobKind::Clean => FunctionName::DrFailover,
    }
}

/// How far an executor's clock may be off, in both directions.
const SKEW: Span = Span::minutes(2);

impl Sim {
    /// Checks an order that the engine has just begun to carry out.
    pub fn check_began(&self, function: FunctionName, number: u64, task: &Task) {
        let kind = task.order.kind();
        self.hold_to(
            "RP-2: only the lifecycle function may delete, and each order has one function",
            || (function != responsible(kind)).then(|| format!("{function} started a {} order", kind.as_str())),
        );
        if let Order::Delete { point, .. } = &task.order {
            let now_there: Vec<Point> = self
                .points()
                .into_iter()
                .filter(|known| known.resource == point.resource)
                .collect();
            let (seen_at, seen) = &self.ledger.seen[&number];
            let seen: Vec<Point> = seen
                .iter()
                .map(|entry| records::decode::<Point>(entry.clone()).unwrap().value)
                .collect();
            let seen: Vec<Point> = seen
                .into_iter()
                .filter(|known| known.resource == point.resource)
                .collect();
            let speaks_against = self
                .against_deletion(&now_there, &point.id, self.clock_now())
                .and(self.against_deletion(&seen, &point.id, *seen_at));
            self.hold_to(
                "RP-1, RP-2: what retention keeps, the law holds, or nothing else could replace is not deleted",
                || speaks_against.map(|why| format!("point {} is being deleted although {why}", point.id)),
            );
        }
    }

    fn against_deletion(&self, points: &[Point], id: &PointId, at: Timestamp) -> Option<String> {
        let point = points.iter().find(|point| &point.id == id)?;
        if point.legal_hold.is_some() {
            return Some("it is under legal hold".to_owned());
        }
        let Some(expiry) = &point.expiry else {
            return Some("it is not marked".to_owned());
        };
        if expiry.delete_after > SKEW.after(at) {
            return Some(format!("it may not go before {}", expiry.delete_after));
        }
        let others_proven = points
            .iter()
            .any(|other| other.id != point.id && other.is_proven(Level::L2));
        if point.is_proven(Level::L2) && !others_proven {
            return Some("it is the last proven point".to_owned());
        }
        let (policy, _) = point.policy.as_ref()?;
        let (_, draft) = self.original.iter().find(|(id, _)| id == policy)?;
        let of_policy: Vec<&Point> = points
            .iter()
            .filter(|point| point.policy.as_ref().is_some_and(|(id, _)| id == policy))
            .collect();
        kept_for_sure(draft, &of_policy, at)
            .contains(id)
            .then(|| "retention keeps it".to_owned())
    }

    fn hold_to(&self, invariant: &str, violation: impl FnOnce() -> Option<String>) {
        if let Some(violation) = violation() {
            panic!("{invariant}\n  violated at {}: {violation}", self.clock_now());
        }
    }

    /// Checks what must hold once everything has come to rest.
    pub fn check_end(&self) {
        self.hold_to("SETTLED: when faults stop, all work comes to an end", || {
            self.unsettled()
        });
        self.hold_to(
            "ID-1: every due time ends exactly once, as completed, failed or missed",
            || self.bad_occurrence(),
        );
        self.hold_to("ID-1: a due time is missed only while nobody could start it", || {
            self.wrongly_missed()
        });
        self.hold_to(
            "ID-1: an occurrence has one job, that job one point, and the engine made one artefact of it",
            || self.bad_backup(),
        );
        self.hold_to(
            "CJ-1: every point that stays has its copies, sound and proven, as long as one good copy was left",
            || self.bad_copy(),
        );
        self.hold_to("RP-1: a resource that had a proven point still has one", || {
            self.unproven_resource()
        });
        self.hold_to(
            "RP-2: what the catalog lost sight of does not stand in a vault, and the other way round",
            || self.stray_artefact(),
        );
        self.hold_to(
            "EV-1: the evidence chain holds, each verdict is in it once, and each proof has its statement",
            || self.bad_evidence(),
        );
        self.hold_to("LEASE: nobody who is done holds a lease", || self.held_lease());
        self.hold_to(
            "DR-1: runs end, are cleaned and stated; a simulation changes nothing",
            || self.bad_run(),
        );
        self.hold_to(
            "REQ: a request becomes its one job or run, or is put aside for people to see",
            || self.lost_request(),
        );
        self.hold_to("CALM: where nothing is wrong, no handler fails", || {
            self.ledger.calm_failures.first().cloned()
        });
    }

    fn unsettled(&self) -> Option<String> {
        if self.is_settled() {
            return None;
        }
        let open = self.jobs().into_iter().filter(|job| !job.state.is_final());
        let mut lines: Vec<String> = open.map(|job| format!("job {job:?}")).collect();
        lines.extend(
            self.runs()
                .into_iter()
                .filter(|run| run.finished_at.is_none())
                .map(|run| format!("run {run:?}")),
        );
        let expected = self
            .occurrences()
            .into_iter()
            .filter(|one| one.state == OccurrenceState::Expected);
        lines.extend(expected.map(|one| format!("occurrence {one:?}")));
        lines.push(format!("{} messages", self.queue.depth()));
        Some(lines.join("\n"))
    }

    /// The due times that a rule owes for a resource, computed apart from the system.
    fn owed(&self) -> Vec<((PolicyId, String, ResourceId), Vec<Timestamp>)> {
        let mut owed = Vec::new();
        for (id, draft) in &self.original {
            for resource in self
                .resources()
                .iter()
                .filter(|resource| draft.selection.covers(resource))
            {
                for rule in &draft.rules {
                    let due = due_times(rule, self.scenario.start, self.rules_end_at);
                    owed.push(((id.clone(), rule.name.to_string(), resource.id.clone()), due));
                }
            }
        }
        owed
    }

    fn bad_occurrence(&self) -> Option<String> {
        let mut recorded: BTreeMap<_, Vec<Occurrence>> = BTreeMap::new();
        for one in self.occurrences() {
            let rule = (
                one.key.policy.clone(),
                one.key.rule.to_string(),
                one.key.resource.clone(),
            );
            recorded.entry(rule).or_default().push(one);
        }
        for (rule, due) in self.owed() {
            let found = recorded.remove(&rule).unwrap_or_default();
            let found_due: Vec<Timestamp> = found.iter().map(|one| one.key.due_at).collect();
            if found_due != due {
                return Some(format!("{rule:?}: due at {due:?}, recorded {found_due:?}"));
            }
            if let Some(open) = found.iter().find(|one| !one.state.is_final()) {
                return Some(format!("{open:?}"));
            }
        }
        recorded
            .into_values()
            .flatten()
            .next()
            .map(|one| format!("nobody owed {one:?}"))
    }

    fn wrongly_missed(&self) -> Option<String> {
        let occurrences = self.occurrences();
        occurrences.iter().find_map(|missed| {
            let rule = |one: &&Occurrence| {
                (&one.key.policy, &one.key.rule, &one.key.resource)
                    == (&missed.key.policy, &missed.key.rule, &missed.key.resource)
            };
            let next = occurrences
                .iter()
                .filter(rule)
                .map(|one| one.key.due_at)
                .find(|due| *due > missed.key.due_at);
            let from = SKEW.after(missed.key.due_at);
            let until = next.map_or(Timestamp::MAX, |next| SKEW.before(next));
            let somebody = self.ledger.schedulers.iter().find(|at| from <= **at && **at < until);
            let wrongly = missed.state == OccurrenceState::Missed && somebody.is_some();
            wrongly.then(|| format!("a scheduler looked at {somebody:?}, and yet {missed:?}"))
        })
    }

    fn bad_backup(&self) -> Option<String> {
        let (jobs, points) = (self.jobs(), self.points());
        for one in self.occurrences() {
            let of_occurrence =
                |job: &&Job| matches!(&job.origin, Origin::Occurrence { occurrence, .. } if *occurrence == one.key);
            let states: Vec<JobState> = jobs.iter().filter(of_occurrence).map(|job| job.state).collect();
            let fits = match one.state {
                OccurrenceState::Missed => states.is_empty(),
                OccurrenceState::Completed => matches!(states[..], [JobState::Completed | JobState::Partial]),
                OccurrenceState::Failed => matches!(states[..], [JobState::Failed]),
                OccurrenceState::Expected | OccurrenceState::Requested | OccurrenceState::Started => false,
            };
            if !fits {
                return Some(format!("{one:?} has jobs in states {states:?}"));
            }
        }
        for job in jobs.iter().filter(|job| job.order.kind() == JobKind::Backup) {
            let made = points.iter().filter(|point| point.job == job.id).count();
            let expected = usize::from(matches!(job.state, JobState::Completed | JobState::Partial));
            let spoiled = job
                .order
                .resource()
                .is_some_and(|resource| self.ledger.spoiled.contains(&(resource.clone(), job.id.clone())));
            let effects = self.engine.effects(&job.id);
            if made != expected || (effects > 1 && !spoiled) {
                return Some(format!("{made} points and {effects} artefacts came of {job:?}"));
            }
        }
        None
    }

    /// The vaults whose copy of a point is really sound.
    fn sound_in(&self, point: &Point) -> BTreeSet<VaultName> {
        let standing = point.copies.iter().filter(|copy| copy.state != CopyState::Deleted);
        let sound = standing.filter(|copy| {
            let artefacts = self.engine.artefacts(&copy.vault, &point.resource);
            artefacts.get(&copy.artefact).is_some_and(|artefact| !artefact.damaged)
        });
        sound.map(|copy| copy.vault.clone()).collect()
    }

    fn bad_copy(&self) -> Option<String> {
        let kept = |point: &Point| {
            !matches!(
                point.state,
                PointState::Creating | PointState::Expiring | PointState::Deleted
            )
        };
        for point in self.points().into_iter().filter(kept) {
            let sound = self.sound_in(&point);
            if sound.is_empty() {
                if self
                    .ledger
                    .spoiled
                    .contains(&(point.resource.clone(), point.job.clone()))
                {
                    continue;
                }
                return Some(format!("nothing is left of {point:?}"));
            }
            let covering = self.original.iter().filter(|(_, draft)| {
                self.resources()
                    .iter()
                    .any(|resource| resource.id == point.resource && draft.selection.covers(resource))
            });
            for (_, draft) in covering {
                if let Some(rule) = draft.copies.iter().find(|rule| point.copy_in(&rule.vault).is_none()) {
                    return Some(format!("vault {} lacks {point:?}", rule.vault));
                }
            }
            for copy in point.copies.iter().filter(|copy| copy.state != CopyState::Deleted) {
                if copy.proven(Level::L2).is_none() || !sound.contains(&copy.vault) {
                    return Some(format!("the copy in {} is not sound and proven: {point:?}", copy.vault));
                }
            }
        }
        None
    }

    fn unproven_resource(&self) -> Option<String> {
        let points = self.points();
        self.resources().iter().find_map(|resource| {
            let mine = || points.iter().filter(|point| point.resource == resource.id);
            let ever = mine().any(|point| {
                point
                    .copies
                    .iter()
                    .any(|copy| copy.proofs.iter().any(|proof| proof.passed))
            });
            let spoiled = self.ledger.spoiled.iter().any(|(spoiled, _)| *spoiled == resource.id);
            let lost = ever && !spoiled && !mine().any(|point| point.is_proven(Level::L2));
            lost.then(|| format!("no point of {} is proven any more", resource.id))
        })
    }

    fn stray_artefact(&self) -> Option<String> {
        let points = self.points();
        for vault in &self.scenario.vaults {
            for resource in self.resources() {
                for (name, artefact) in self.engine.artefacts(&vault.name, &resource.id) {
                    let known = points.iter().flat_map(|point| &point.copies).any(|copy| {
                        copy.vault == vault.name && copy.artefact == name && copy.state != CopyState::Deleted
                    });
                    if !known {
                        return Some(format!(
                            "{artefact:?} stands in {} and no record tells of it",
                            vault.name
                        ));
                    }
                }
            }
        }
        None
    }

    fn bad_evidence(&self) -> Option<String> {
        let names = now(self.evidence.list()).unwrap();
        let read = |name: String| {
            let bytes = now(self.evidence.get(&name)).unwrap().unwrap();
            (name, bytes)
        };
        let documents: Vec<(String, Vec<u8>)> = names.into_iter().map(read).collect();
        let is_signed = |message: &[u8], signature: &Signature| now(self.keys.verify(message, signature)).unwrap();
        let statements = match chain::verify(&documents, &is_signed) {
            Ok(chain) => chain.statements,
            Err(broken) => return Some(broken.to_string()),
        };
        let links = self
            .catalog
            .entries()
            .iter()
            .filter(|entry| entry.key.partition == "PROOF")
            .count();
        if links != statements.len() {
            return Some(format!("the catalog has {links} links, the store {}", statements.len()));
        }
        let origins: BTreeSet<&str> = statements.iter().map(|statement| statement.origin.as_str()).collect();
        if origins.len() != statements.len() {
            return Some("a verdict is stated twice".to_owned());
        }
        for point in self.points() {
            for proof in point.copies.iter().flat_map(|copy| &copy.proofs) {
                let statement = (proof.statement as usize)
                    .checked_sub(1)
                    .and_then(|place| statements.get(place));
                let fits = |statement: &holdfast_core::domain::Statement| {
                    statement.origin.starts_with(proof.job.as_str())
                        && statement.passed == proof.passed
                        && statement.level == proof.level
                };
                if !statement.is_some_and(fits) {
                    return Some(format!(
                        "{proof:?} of point {} has the statement {statement:?}",
                        point.id
                    ));
                }
            }
        }
        for job in self.jobs().into_iter().filter(|job| job.state == JobState::Completed) {
            let suffix = match &job.result {
                Some(Outcome::Verify(verdict)) if verdict.damages.is_empty() => "passed",
                Some(Outcome::Verify(_)) => "damaged",
                Some(Outcome::Restore { .. }) => "passed",
                _ => continue,
            };
            if !origins.contains(format!("{}/{suffix}", job.id).as_str()) {
                return Some(format!("the verdict of {job:?} is not stated"));
            }
        }
        let unstated = self
            .runs()
            .into_iter()
            .find(|run| !origins.contains(format!("{}/run", run.id).as_str()));
        unstated.map(|run| format!("run {} is not stated", run.id))
    }

    fn held_lease(&self) -> Option<String> {
        self.catalog
            .entries()
            .into_iter()
            .filter(|entry| entry.key.partition.starts_with("LEASE#"))
            .find_map(|entry| {
                let record = &entry.body["record"];
                let expires_at: Timestamp = record["expires_at"].as_str().unwrap().parse().unwrap();
                (record["owner"].is_string() && expires_at > self.clock_now()).then(|| record.to_string())
            })
    }

    fn bad_run(&self) -> Option<String> {
        if let Some((target, _)) = self
            .engine
            .restored()
            .into_iter()
            .find(|(target, _)| target.starts_with(DRILL_AREA))
        {
            return Some(format!("{target} was left behind"));
        }
        for run in self.runs() {
            let open = run
                .steps
                .iter()
                .any(|step| matches!(step.state, StepState::Pending | StepState::Running));
            if open || !matches!(run.state, RunState::Succeeded | RunState::Failed) || run.finished_at.is_none() {
                return Some(format!("{run:?} has not ended"));
            }
            let failed = run.steps.iter().any(|step| step.state == StepState::Failed);
            if failed != (run.state == RunState::Failed) {
                return Some(format!("{run:?} ended otherwise than its steps"));
            }
            if run.kind == RunKind::Simulate && run.steps.iter().any(|step| step.job.is_some()) {
                return Some(format!("{run:?} only simulates, and started a job"));
            }
        }
        let simulated: Vec<_> = self
            .runs()
            .into_iter()
            .filter(|run| run.kind == RunKind::Simulate)
            .map(|run| run.id)
            .collect();
        let jobs = self.jobs();
        let started = jobs
            .iter()
            .find(|job| matches!(&job.origin, Origin::Run { run } if simulated.contains(run)));
        started.map(|job| format!("a simulation started {job:?}"))
    }

    fn lost_request(&self) -> Option<String> {
        let dead = now(self.queue.dead_letters()).unwrap();
        self.asked.iter().find_map(|asked| {
            let put_aside =
                dead.iter().any(|letter| letter.body == asked.body) || self.ledger.given_up.contains(&asked.body);
            let job = |id: &JobId| self.record::<Job>(&records::job_key(id)).is_some();
            let fits = match &asked.becomes {
                Becomes::Job(id) | Becomes::JobOrRefusal(id) => job(id) || put_aside,
                Becomes::Run(id) => put_aside || self.runs().iter().any(|run| run.id == *id),
                Becomes::Refusal(id) => put_aside && !job(id),
            };
            (!fits).then(|| format!("{asked:?}"))
        })
    }
}

/// Names the day, week or month of a date.
type PeriodOf = fn(jiff::civil::Date) -> String;

/// Points that retention keeps for sure, by a plain reading of the promise: among sound points, the last n, and the newest
/// of each of the last n days, weeks and months that have one; and what a kept differential was compared with.
fn kept_for_sure(draft: &PolicyDraft, points: &[&Point], at: Timestamp) -> BTreeSet<PointId> {
    let zone = TimeZone::get(&draft.zone).unwrap();
    let is_sound = |point: &&&Point| {
        let harmed = |state| matches!(state, CopyState::Corrupt | CopyState::Repaired);
        let unharmed = point.copies.iter().all(|copy| !harmed(copy.state)) && point.state != PointState::Corrupt;
        let going = point.expiry.is_some() && point.copies.iter().any(|copy| copy.state == CopyState::Deleted);
        unharmed && !going && point.is_restorable() && point.unread.is_empty() && point.taken_at <= at
    };
    let mut sound: Vec<&Point> = points.iter().filter(is_sound).copied().collect();
    sound.sort_by(|a, b| (b.taken_at, b.created_at, &b.id).cmp(&(a.taken_at, a.created_at, &a.id)));
    let retention = draft.retention;
    let mut kept: BTreeSet<PointId> = sound
        .iter()
        .take(retention.keep_last as usize)
        .map(|point| point.id.clone())
        .collect();
    let periods: [(u32, PeriodOf); 3] = [
        (retention.keep_daily, |date| date.to_string()),
        (retention.keep_weekly, |date| {
            format!("{:?}", date.iso_week_date().first_of_week())
        }),
        (retention.keep_monthly, |date| date.first_of_month().to_string()),
    ];
    for (slots, period_of) in periods {
        let mut seen = Vec::new();
        for point in &sound {
            let period = period_of(zone.to_datetime(point.taken_at).date());
            if !seen.contains(&period) && seen.len() < slots as usize {
                seen.push(period);
                kept.insert(point.id.clone());
            }
        }
    }
    kept
}
