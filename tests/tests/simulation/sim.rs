//! The driver: jumps from one interesting time to the next, and lets the real handlers work on what waits there.

mod executions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use holdfast_cli::embedded::invoke;
use holdfast_core::domain::{
    Detail, Event, Failure, FailureKind, FunctionName, Job, JobKind, JobState, Occurrence, OccurrenceState, Point,
    PolicyDraft, PolicyId, Region, Resource, ResourceId, Run, RunKind, RunState, Span, VaultName,
};
use holdfast_core::ports::{Bus, Catalog, Delivery, Engine, EvidenceStore, Key, Keys, MAX_RECEIVES, Pager, Queue};
use holdfast_core::workflow::records::{self, Record};
use holdfast_core::workflow::{Remembered, Settings, World, apply};
use holdfast_testkit::fakes::{
    Elsewhere, FakeBus, FakeCatalog, FakeClock, FakeEngine, FakeEvidence, FakeIds, FakeKeys, FakePager, FakeQueue,
};
use holdfast_testkit::faults::{Fault, FaultPlan, Faulty};
use holdfast_testkit::seeds::SeededRandom;
use jiff::{SignedDuration, Timestamp};

use crate::chaos::{Paced, Pacer, Post, SkewedClock, WatchedEngine};
use crate::due_times::due_times;
use crate::incidents::Asked;
use crate::invariants::Ledger;
use crate::scenario::{Incident, Scenario};

pub const DRILL_AREA: &str = "/drills";
const VISIBILITY: Span = Span::minutes(5);
const RECLAIM_GRACE: Span = Span::hours(1);
/// A wake-up comes at least this often; while work is open, about every minute.
const IDLE: Span = Span::minutes(80);

/// More steps than this without any time passing are a storm that never ends.
const RESTLESS: u32 = 5000;

/// One execution of a handler, as far as it has come.
struct Invocation {
    number: u64,
    function: FunctionName,
    delivery: Option<Delivery>,
    plan: Arc<FaultPlan>,
    pacer: Arc<Pacer>,
    handler: Pin<Box<dyn Future<Output = Result<(), Failure>>>>,
    began_at: Timestamp,
    goes_on_at: Timestamp,
    logged: usize,
}

/// The whole system over fakes, in one seed's world.
pub struct Sim {
    pub scenario: Scenario,
    pub random: SeededRandom,
    pub clock: Arc<FakeClock>,
    pub catalog: Arc<FakeCatalog>,
    pub queue: Arc<FakeQueue>,
    pub engine: Arc<FakeEngine>,
    pub pager: Arc<FakePager>,
    pub keys: Arc<FakeKeys>,
    pub evidence: Arc<FakeEvidence>,
    pub ledger: Ledger,
    pub asked: Vec<Asked>,
    watched: Arc<WatchedEngine>,
    post: Arc<Post>,
    bus: Arc<FakeBus>,
    /// What a process keeps from one invocation to the next.
    remembered: Arc<Remembered>,
    standing_still: Vec<Invocation>,
    wake_at: BTreeMap<FunctionName, Timestamp>,
    incidents: VecDeque<(Timestamp, Incident)>,
    pub down_until: Timestamp,
    pub throttled_until: Timestamp,
    pub unreachable: BTreeMap<Timestamp, VaultName>,
    pub calm: bool,
    pub rules_end_at: Timestamp,
    /// The configuration as it was while the policies had rules.
    pub original: Vec<(PolicyId, PolicyDraft)>,
    calm_since: Timestamp,
    invocations: u64,
    pub verbose: bool,
    pub log: Vec<String>,
}

/// Runs a future over fakes that never wait.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

impl Sim {
    /// Puts the system together and its configuration into force.
    pub fn new(seed: u64, long: bool, verbose: bool) -> Self {
        let scenario = Scenario::new(seed, long);
        let clock = Arc::new(FakeClock::at(scenario.start));
        let queue = Arc::new(FakeQueue::new(clock.clone()));
        let post = Arc::new(Post::new(
            queue.clone(),
            SeededRandom::new(seed ^ 0x9057),
            scenario.temper.post,
            scenario.latest,
        ));
        let engine = Arc::new(FakeEngine::new(clock.clone()));
        for (kind, duration) in &scenario.durations {
            engine.set_duration(*kind, *duration);
        }
        let incidents = scenario.incidents.clone().into_iter().collect();
        let wake_at = FunctionName::ALL
            .map(|function| (function, scenario.start))
            .into_iter()
            .collect();
        let sim = Self {
            random: SeededRandom::new(seed ^ 0x51_0e7),
            bus: Arc::new(FakeBus::new(post.clone())),
            watched: Arc::new(WatchedEngine::new(engine.clone())),
            catalog: Arc::default(),
            remembered: Arc::default(),
            pager: Arc::default(),
            keys: Arc::default(),
            evidence: Arc::default(),
            ledger: Ledger::default(),
            asked: Vec::new(),
            standing_still: Vec::new(),
            down_until: scenario.start,
            throttled_until: scenario.start,
            unreachable: BTreeMap::new(),
            calm: false,
            rules_end_at: Timestamp::MAX,
            original: scenario.policies.clone(),
            calm_since: Timestamp::MAX,
            invocations: 0,
            log: Vec::new(),
            incidents,
            wake_at,
            scenario,
            clock,
            queue,
            post,
            engine,
            verbose,
        };
        sim.apply_configuration();
        sim
    }

    fn apply_configuration(&self) {
        let Scenario {
            resources,
            policies,
            plan,
            ..
        } = &self.scenario;
        now(apply::apply(
            &self.clean_world(),
            resources,
            policies,
            std::slice::from_ref(plan),
        ))
        .unwrap();
    }

    pub fn note(&mut self, line: impl AsRef<str>) {
        let line = format!("{} {}", self.clock_now(), line.as_ref());
        self.log.push(line);
    }

    pub fn clock_now(&self) -> Timestamp {
        use holdfast_core::ports::Clock;
        self.clock.now()
    }

    fn settings(&self) -> Settings {
        Settings {
            home: Region::new("eu-central-1").unwrap(),
            vaults: self.scenario.vaults.clone(),
            poll: SignedDuration::from_secs(60),
            lease: Span::minutes(10),
            reclaim_grace: RECLAIM_GRACE,
            drill_area: DRILL_AREA.to_owned(),
            two_people: false,
        }
    }

    /// A world in which nothing goes wrong.
    pub fn clean_world(&self) -> World {
        World {
            catalog: self.catalog.clone(),
            bus: self.bus.clone(),
            engine: self.watched.clone(),
            pager: self.pager.clone(),
            keys: self.keys.clone(),
            evidence: self.evidence.clone(),
            actuators: Arc::new(Elsewhere),
            probes: Arc::new(Elsewhere),
            clock: self.clock.clone(),
            ids: Arc::new(FakeIds::default()),
            settings: self.settings(),
            remembered: self.remembered.clone(),
        }
    }

    fn faulty_world(&self, plan: &Arc<FaultPlan>, pacer: &Arc<Pacer>, skew: SignedDuration) -> World {
        let clean = self.clean_world();
        let catalog: Arc<dyn Catalog> = Arc::new(Faulty::<dyn Catalog>::new(clean.catalog, plan.clone()));
        let engine: Arc<dyn Engine> = Arc::new(Faulty::<dyn Engine>::new(clean.engine, plan.clone()));
        World {
            catalog: Arc::new(Paced {
                inner: catalog,
                pacer: pacer.clone(),
            }),
            engine: Arc::new(Paced {
                inner: engine,
                pacer: pacer.clone(),
            }),
            bus: Arc::new(Faulty::<dyn Bus>::new(clean.bus, plan.clone())),
            pager: Arc::new(Faulty::<dyn Pager>::new(clean.pager, plan.clone())),
            keys: Arc::new(Faulty::<dyn Keys>::new(clean.keys, plan.clone())),
            evidence: Arc::new(Faulty::<dyn EvidenceStore>::new(clean.evidence, plan.clone())),
            clock: Arc::new(SkewedClock {
                truth: self.clock.clone(),
                skew,
            }),
            ..clean
        }
    }

    /// Lives through the whole scenario and checks every invariant on the way and at the end.
    pub fn run(&mut self) {
        let faulty_until = self.scenario.faulty_for.after(self.scenario.start);
        self.run_until(faulty_until);
        self.calm_down();
        let quiet_until = self.after_last_due(Span::hours(1).after(self.scenario.latest.after(faulty_until)));
        self.run_until(quiet_until);
        self.end_rules();
        let longest_promise = Span::hours(1).after(self.scenario.proven_within.after(quiet_until));
        self.run_until(longest_promise);
        let patience = Span::hours(24).after(longest_promise);
        while !self.is_settled() && self.clock_now() < patience {
            self.run_until(Span::minutes(30).after(self.clock_now()));
        }
        self.note_highlights();
        self.check_end();
    }

    /// Notes rare things, so that a test can tell that the seeds reach them.
    fn note_highlights(&mut self) {
        let missed = self
            .occurrences()
            .iter()
            .any(|one| one.state == OccurrenceState::Missed);
        let called_off = self.jobs().iter().any(|job| job.state == JobState::Cancelled);
        let drill = |run: &Run| run.kind == RunKind::Drill && run.state == RunState::Succeeded;
        let drills = self.runs().iter().any(drill);
        let highlights = [
            (missed, "occurrences were missed"),
            (called_off, "deletions were called off"),
            (drills, "drills succeeded"),
        ];
        for (_, highlight) in highlights.into_iter().filter(|(reached, _)| *reached) {
            self.note(format!("--- {highlight}"));
        }
    }

    fn calm_down(&mut self) {
        self.note("--- from here on nothing goes wrong");
        self.calm = true;
        self.calm_since = self.clock_now();
        self.post.calm();
        self.incidents.clear();
        self.lift_outages(Timestamp::MAX);
        self.down_until = self.clock_now();
        self.throttled_until = self.clock_now();
    }

    /// A time from `at` on that lies half an hour after the last due time of any rule.
    fn after_last_due(&self, at: Timestamp) -> Timestamp {
        let horizon = Span::hours(12).after(at);
        let rules = self.scenario.policies.iter().flat_map(|(_, draft)| &draft.rules);
        let due: BTreeSet<Timestamp> = rules
            .flat_map(|rule| due_times(rule, Span::hours(1).before(at), horizon))
            .collect();
        let mut quiet = at;
        for due in due {
            if due <= quiet && quiet < Span::minutes(30).after(due) {
                quiet = Span::minutes(30).after(due);
            }
        }
        quiet
    }

    /// The policies stay in force without their rules, so that the work comes to an end.
    fn end_rules(&mut self) {
        self.note("--- policies without rules");
        self.rules_end_at = self.clock_now();
        self.scenario
            .policies
            .iter_mut()
            .for_each(|(_, draft)| draft.rules.clear());
        self.apply_configuration();
    }

    fn run_until(&mut self, end: Timestamp) {
        let mut steps_in_a_row = 0;
        loop {
            let next = self.next_time();
            if next > end {
                self.clock.set(end.max(self.clock_now()));
                return;
            }
            let stands = next <= self.clock_now();
            steps_in_a_row = if stands { steps_in_a_row + 1 } else { 0 };
            assert!(
                steps_in_a_row < RESTLESS,
                "REST: work does not feed on itself, at {}",
                self.clock_now()
            );
            self.clock.set(next.max(self.clock_now()));
            self.step();
        }
    }

    fn next_time(&self) -> Timestamp {
        let incident = self.incidents.front().map(|(at, _)| *at);
        let unreachable = self.unreachable.keys().next().copied();
        let going_on = self.standing_still.iter().map(|one| one.goes_on_at).min();
        let work = [
            self.queue.next_visible_at(),
            self.wake_at.values().min().copied(),
            going_on,
        ];
        let work = work.into_iter().flatten().min().map(|at| at.max(self.down_until));
        [incident, unreachable, work]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    /// Does one thing that is due now.
    fn step(&mut self) {
        let now = self.clock_now();
        self.lift_outages(now);
        if self.incidents.front().is_some_and(|(at, _)| *at <= now) {
            let incident = self.incidents.pop_front();
            return incident.into_iter().for_each(|(_, incident)| self.happens(incident));
        }
        if now < self.down_until {
            return;
        }
        if let Some(place) = self.standing_still.iter().position(|one| one.goes_on_at <= now) {
            let invocation = self.standing_still.remove(place);
            return self.poll(invocation);
        }
        let due = self
            .wake_at
            .iter()
            .find(|(_, at)| **at <= now)
            .map(|(function, _)| *function);
        if let Some(function) = due {
            self.wake_at.insert(function, IDLE.after(now));
            let event = Event::new(Detail::WakeUp {}, now);
            return self.invoke(function, event, None);
        }
        self.receive();
    }

    /// Sets the next wake-up of a function by what waits for it.
    fn wake_soon(&mut self, function: FunctionName) {
        let now = self.clock_now();
        let idle = Span::seconds(IDLE.as_seconds() - self.random.below(900) as i64).after(now);
        let jitter = Span::seconds(self.random.below(60) as i64);
        let soonest = Span::seconds(45).after(now);
        let next = self
            .next_action(function)
            .map_or(idle, |at| jitter.after(at.max(soonest)).min(idle));
        self.wake_at.insert(function, next);
    }

    fn next_action(&self, function: FunctionName) -> Option<Timestamp> {
        use JobKind::{Backup, Clean, Copy, Delete, Reclaim, Repair, Restore, Verify};
        let kinds: &[JobKind] = match function {
            FunctionName::Scheduler => return self.next_due(),
            FunctionName::SnapshotTrigger => &[Backup],
            FunctionName::Verifier => &[Verify, Repair],
            FunctionName::Replicator => &[Copy],
            FunctionName::Lifecycle => &[Delete, Reclaim],
            FunctionName::RestoreRunner => &[Restore],
            FunctionName::DrFailover => &[Clean],
        };
        let words = |kind: &JobKind| [records::job_status(*kind), records::gave_up_status(*kind)];
        let mut words: Vec<String> = kinds.iter().flat_map(words).collect();
        if function == FunctionName::DrFailover {
            words.push("run".to_owned());
        }
        words.iter().filter_map(|word| self.first_waking(word)).min()
    }

    fn first_waking(&self, word: &str) -> Option<Timestamp> {
        let waking = super::sim::now(self.catalog.waking(word, Timestamp::MAX)).unwrap();
        waking.first().and_then(|entry| entry.wake.as_ref()).map(|wake| wake.at)
    }

    fn next_due(&self) -> Option<Timestamp> {
        if let Some(at) = self.first_waking("occurrence.expected") {
            return Some(at);
        }
        let now = self.clock_now();
        let rules = self.scenario.policies.iter().flat_map(|(_, draft)| &draft.rules);
        let soon = Span::hours(1).after(now);
        rules
            .filter_map(|rule| due_times(rule, Span::seconds(1).after(now), soon).first().copied())
            .min()
    }

    /// Whether no work waits and nothing is on its way.
    pub fn is_settled(&self) -> bool {
        let open = FunctionName::ALL
            .into_iter()
            .any(|function| self.next_action(function).is_some());
        !open && self.queue.depth() == 0 && self.standing_still.is_empty()
    }

    /// Every record of a kind, in the order of their keys.
    pub fn records<T: Record>(&self) -> Vec<T> {
        let entries = self
            .catalog
            .entries()
            .into_iter()
            .filter(|entry| entry.body["kind"] == T::KIND);
        entries
            .map(|entry| records::decode::<T>(entry).unwrap().value)
            .collect()
    }

    pub fn jobs(&self) -> Vec<Job> {
        self.records()
    }

    pub fn points(&self) -> Vec<Point> {
        self.records()
    }

    pub fn runs(&self) -> Vec<Run> {
        self.records()
    }

    pub fn occurrences(&self) -> Vec<Occurrence> {
        self.records()
    }

    pub fn resources(&self) -> &[Resource] {
        &self.scenario.resources
    }

    pub fn record<T: Record>(&self, key: &Key) -> Option<T> {
        now(records::read::<T>(self.catalog.as_ref(), key))
            .unwrap()
            .map(|stored| stored.value)
    }
}
