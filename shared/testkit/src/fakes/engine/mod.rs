//! A simulated engine over a model world.
//!
//! Work takes time on the shared clock: a started task is running until its duration has passed, then its effect appears
//! in the world. What the world shows (artefacts, restored folders) outlives [`FakeEngine::crash`]; what only memory knew
//! (running tasks, verdicts, failures) does not, just as with a process that is killed.

mod work;
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind, JobId, JobKind, Outcome, Progress, ResourceId, Span, VaultName};
use holdfast_core::ports::{Clock, Engine, Observation, Task};
use jiff::Timestamp;

use self::world::World;
pub use self::world::{Artefact, ResourceModel};
use super::{FakeClock, locked};

/// A simulated engine over a model world.
#[derive(Debug)]
pub struct FakeEngine {
    clock: Arc<FakeClock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    world: World,
    /// What the process remembers: the newest attempt of each job.
    memory: BTreeMap<JobId, Remembered>,
    durations: BTreeMap<JobKind, Span>,
    failing_starts: VecDeque<FailureKind>,
    failing_observations: VecDeque<FailureKind>,
    failing_tasks: BTreeMap<JobKind, VecDeque<FailureKind>>,
    starts: BTreeMap<(JobId, u32), u32>,
    effects: BTreeMap<JobId, u32>,
}

#[derive(Debug, Clone)]
struct Remembered {
    task: Task,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    Running {
        since: Timestamp,
        until: Timestamp,
        /// The task runs for its whole time, then fails like this.
        doomed: Option<FailureKind>,
    },
    Completed(Outcome),
    Failed {
        kind: FailureKind,
        message: String,
    },
}

/// How long a task runs unless the test says otherwise.
const USUAL_DURATION: Span = Span::minutes(1);

impl State {
    /// Lets every task whose time has come take effect, in the order of their ends.
    fn settle(&mut self, now: Timestamp) {
        let mut due: Vec<(Timestamp, JobId)> = Vec::new();
        for (job, remembered) in &self.memory {
            if let Phase::Running { until, .. } = remembered.phase
                && until <= now
            {
                due.push((until, job.clone()));
            }
        }
        due.sort();
        for (at, job) in due {
            self.finish(&job, at);
        }
    }

    fn finish(&mut self, job: &JobId, at: Timestamp) {
        let Some(Remembered { task, phase }) = self.memory.get(job).cloned() else {
            return;
        };
        let Phase::Running { since, doomed, .. } = phase else {
            return;
        };
        let ended = match doomed {
            Some(kind) => Err(Failure::new(kind, format!("injected failure of job {}", job.short()))),
            None => self.world.perform(&task, since, at),
        };
        let phase = match ended {
            Ok(outcome) => {
                *self.effects.entry(job.clone()).or_default() += 1;
                Phase::Completed(outcome)
            }
            Err(Failure { kind, message, .. }) => Phase::Failed { kind, message },
        };
        self.memory.insert(job.clone(), Remembered { task, phase });
    }

    fn begin(&mut self, task: &Task, now: Timestamp) {
        let kind = task.order.kind();
        let duration = self.durations.get(&kind).copied().unwrap_or(USUAL_DURATION);
        let doomed = self.failing_tasks.get_mut(&kind).and_then(VecDeque::pop_front);
        *self.starts.entry((task.job.clone(), task.attempt)).or_default() += 1;
        let phase = Phase::Running {
            since: now,
            until: duration.after(now),
            doomed,
        };
        let task = task.clone();
        self.memory.insert(task.job.clone(), Remembered { task, phase });
    }

    /// What is known of the task, from memory first and from the world next.
    fn look(&self, task: &Task, now: Timestamp) -> Result<Observation, Failure> {
        let Some(Remembered { task: known, phase }) = self.memory.get(&task.job) else {
            return self.look_at_world(task);
        };
        Ok(match phase {
            Phase::Completed(outcome) => Observation::Completed(outcome.clone()),
            Phase::Running { since, until, .. } => Observation::Running(self.world.progress(task, *since, *until, now)),
            Phase::Failed { .. } if known.attempt < task.attempt => return self.look_at_world(task),
            Phase::Failed { kind, message } => Observation::Failed {
                kind: *kind,
                message: message.clone(),
            },
        })
    }

    fn look_at_world(&self, task: &Task) -> Result<Observation, Failure> {
        let standing = self.world.standing_effect(task)?;
        Ok(standing.map_or(Observation::NotStarted, Observation::Completed))
    }
}

/// Controls and counts for tests and the simulator.
impl FakeEngine {
    /// An engine over an empty world.
    pub fn new(clock: Arc<FakeClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Locks the state after everything that is due by now has taken effect.
    fn settled(&self) -> std::sync::MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        state.settle(now);
        state
    }

    /// From now on, tasks of this kind run this long.
    pub fn set_duration(&self, kind: JobKind, duration: Span) {
        self.settled().durations.insert(kind, duration);
    }

    /// From now on, the resource's content is this.
    pub fn set_resource(&self, resource: &ResourceId, model: ResourceModel) {
        self.settled().world.resources.insert(resource.clone(), model);
    }

    /// Flips a bit in an artefact. Returns whether there is such an artefact.
    pub fn damage(&self, vault: &VaultName, resource: &ResourceId, artefact: &str) -> bool {
        let mut state = self.settled();
        let artefact = state.world.artefact_mut(vault, resource, artefact);
        artefact.map(|artefact| artefact.damaged = true).is_some()
    }

    /// Loses an artefact without anybody having deleted it. Returns whether there was such an artefact.
    pub fn lose(&self, vault: &VaultName, resource: &ResourceId, artefact: &str) -> bool {
        let mut state = self.settled();
        state
            .world
            .repository_mut(vault, resource)
            .artefacts
            .remove(artefact)
            .is_some()
    }

    /// From now on, trials find this wrong with the database itself, and this with what its operator wants to hold.
    pub fn set_trials(&self, corrupt: &[&str], refuted: &[&str]) {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let mut state = self.settled();
        state.world.corrupt = texts(corrupt);
        state.world.refuted = texts(refuted);
    }

    /// Takes a vault off the air, or brings it back. While it is away, tasks that need it cannot start, those that run
    /// fail, and nobody can look for those that are forgotten, all with [`FailureKind::Transient`].
    pub fn set_reachable(&self, vault: &VaultName, reachable: bool) {
        let mut state = self.settled();
        if reachable {
            state.world.unreachable.remove(vault);
        } else {
            state.world.unreachable.insert(vault.clone());
        }
    }

    /// Kills the process that runs the tasks: what runs is lost, and so is every verdict and failure that only memory knew.
    pub fn crash(&self) {
        self.settled().memory.clear();
    }

    /// The next start fails with this kind and starts nothing.
    pub fn fail_next_start(&self, kind: FailureKind) {
        locked(&self.state).failing_starts.push_back(kind);
    }

    /// The next observation fails with this kind.
    pub fn fail_next_observe(&self, kind: FailureKind) {
        locked(&self.state).failing_observations.push_back(kind);
    }

    /// The next task of this kind that starts runs for its time, then fails without effect.
    pub fn fail_next_task(&self, kind: JobKind, failure: FailureKind) {
        let mut state = locked(&self.state);
        state.failing_tasks.entry(kind).or_default().push_back(failure);
    }

    /// How often work really began for this attempt of the job. More than once means that a crash lay between.
    pub fn starts(&self, job: &JobId, attempt: u32) -> u32 {
        let starts = &locked(&self.state).starts;
        starts.get(&(job.clone(), attempt)).copied().unwrap_or_default()
    }

    /// How often the job took effect in the world. More than once is doubled work, unless a crash lost its verdict.
    pub fn effects(&self, job: &JobId) -> u32 {
        self.settled().effects.get(job).copied().unwrap_or_default()
    }

    /// What stands in a repository, by the engine's name for it.
    pub fn artefacts(&self, vault: &VaultName, resource: &ResourceId) -> BTreeMap<String, Artefact> {
        let state = self.settled();
        let repository = state.world.repositories.get(&(vault.clone(), resource.clone()));
        repository
            .map(|repository| repository.artefacts.clone())
            .unwrap_or_default()
    }

    /// The folders that restores wrote and nobody removed, and the artefact each was written from.
    pub fn restored(&self) -> BTreeMap<String, String> {
        self.settled().world.restored.clone()
    }

    /// When the next running task ends; none when nothing runs.
    pub fn next_end_at(&self) -> Option<Timestamp> {
        let state = self.settled();
        let ends = state.memory.values().filter_map(|remembered| match remembered.phase {
            Phase::Running { until, .. } => Some(until),
            Phase::Completed(_) | Phase::Failed { .. } => None,
        });
        ends.min()
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut state = self.settled();
        if let Some(kind) = state.failing_starts.pop_front() {
            return Err(injected(kind, "start", task, now));
        }
        let superseded = |known: &Remembered| known.task.attempt > task.attempt;
        if let Some(known) = state.memory.get(&task.job)
            && superseded(known)
        {
            let message = format!(
                "attempt {} of job {} was replaced by attempt {}",
                task.attempt,
                task.job.short(),
                known.task.attempt
            );
            return Err(Failure::new(FailureKind::Fenced, message));
        }
        if state.look(task, now)? != Observation::NotStarted {
            return Ok(());
        }
        state.begin(task, now);
        state.settle(now);
        Ok(())
    }

    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        let now = self.clock.now();
        let mut state = self.settled();
        if let Some(kind) = state.failing_observations.pop_front() {
            return Err(injected(kind, "observation", task, now));
        }
        state.look(task, now)
    }
}

fn injected(kind: FailureKind, what: &str, task: &Task, now: Timestamp) -> Failure {
    let message = format!("injected failure of the {what} of job {}", task.job.short());
    if kind == FailureKind::Deferred {
        return Failure::deferred(message, Span::minutes(5).after(now));
    }
    Failure::new(kind, message)
}

/// A share of the whole that grows with time.
fn share(expected_bytes: u64, since: Timestamp, until: Timestamp, now: Timestamp) -> Progress {
    let whole = Span::between(since, until).as_seconds().max(1).unsigned_abs();
    let passed = Span::between(since, now).as_seconds().unsigned_abs().min(whole);
    let done = u128::from(expected_bytes) * u128::from(passed) / u128::from(whole);
    Progress {
        done_bytes: u64::try_from(done).unwrap_or(expected_bytes),
        expected_bytes,
    }
}
