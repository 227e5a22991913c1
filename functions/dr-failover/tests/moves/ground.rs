//! A workload in two Regions: a database on each side, and traffic that is led to one of them.

use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::config;
use holdfast_core::domain::{
    ActuatorName, AuthorityRecord, Detail, Event, Failure, Instruction, LeftOut, PlanId, Region, Run, RunId, RunKind,
    RunState, Span, StepName, StepState, WorkloadName,
};
use holdfast_core::ports::{Actuators, Bus, Catalog, EvidenceStore, Keys, Pager, Probes};
use holdfast_core::workflow::{World, apply, records};
use holdfast_testkit::fakes::{FakeActuators, FakeClock, FakePager, FakeProbes, Thing, fake_world};
use holdfast_testkit::faults::{FaultPlan, Faulty};

/// A workload that moves there and back.
const CONFIGURATION: &str = r#"
region = "eu-central-1"

[[workload]]
name = "orders"
home = "eu-central-1"

[[actuator]]
name = "db-home"
kind = "postgres"
region = "eu-central-1"
workload = "orders"
production = { guard = "http://home", token_file = "/t" }
drill = { guard = "http://home-drill", token_file = "/t" }

[[actuator]]
name = "db-away"
kind = "postgres"
region = "eu-west-1"
workload = "orders"
production = { guard = "http://away", token_file = "/t" }

[[actuator]]
name = "web-home"
kind = "command"
region = "eu-central-1"
workload = "orders"
production = { program = "/usr/bin/web" }

[[actuator]]
name = "web-away"
kind = "dns"
region = "eu-west-1"
workload = "orders"
production = { server = "10.3.0.2:53", zone = "example.org", name = "shop.example.org", address = "10.2.0.9", key_name = "k.", key_file = "/k" }
drill = { server = "10.3.0.2:53", zone = "drill.example.org", name = "shop.drill.example.org", address = "10.2.0.9", key_name = "k.", key_file = "/k" }

[[plan]]
name = "to-away"
rpo = "5m"
rto = "10m"
[plan.moves]
workload = "orders"
from = "eu-central-1"
to = "eu-west-1"
approvers = ["ben", "cleo"]
automatic = { places = 2, down-for = "30s", cool-down = "1h" }

[[plan.deactivate]]
name = "stop-web"
stop = "web-home"
undo = "reverse"
only-in = "switchover"

[[plan.deactivate]]
name = "fence"
fence = "db-home"
undo = "reverse"
after = ["stop-web"]
timeout = "5m"

[[plan.step]]
name = "promote"
promote = "db-away"
loss = "allowed"
undo = "no-return"
timeout = "5m"

[[plan.step]]
name = "answers"
check = { that = "http", url = "http://away/health" }
after = ["promote"]
timeout = "5m"

[[plan.step]]
name = "direct"
direct = "web-away"
undo = "reverse"
after = ["answers"]

[[plan.post-recovery]]
name = "follow"
follow = "db-home"
leader = "db-away"
undo = "no-return"
only-in = "switchover"

[[plan]]
name = "agreed"
rpo = "5m"
rto = "1h"
[plan.moves]
workload = "orders"
from = "eu-central-1"
to = "eu-west-1"
approvers = ["ben", "cleo"]

[[plan.deactivate]]
name = "agree"
approve = 2
timeout = "30m"

[[plan.deactivate]]
name = "fence"
fence = "db-home"
undo = "reverse"
after = ["agree"]

[[plan.deactivate]]
name = "stop-web"
stop = "web-home"
undo = "reverse"
after = ["fence"]

[[plan.step]]
name = "promote"
promote = "db-away"
undo = "no-return"

[[plan]]
name = "whole"
rpo = "5m"
rto = "1h"
[plan.moves]
workload = "orders"
from = "eu-central-1"
to = "eu-west-1"

[[plan.deactivate]]
name = "receives"
check = { that = "http", url = "http://home/replication" }
only-in = "switchover"
timeout = "1m"

[[plan.deactivate]]
name = "fence"
fence = "db-home"
undo = "reverse"
after = ["receives"]

[[plan.step]]
name = "promote"
promote = "db-away"
loss = "allowed"
undo = "no-return"

[[plan.step]]
name = "answers"
check = { that = "http", url = "http://away/health" }
after = ["promote"]

[[plan.post-recovery]]
name = "follow"
follow = "db-home"
leader = "db-away"
undo = "no-return"
timeout = "7d"

[[plan]]
name = "to-home"
rpo = "5m"
rto = "10m"
[plan.moves]
workload = "orders"
from = "eu-west-1"
to = "eu-central-1"

[[plan.deactivate]]
name = "fence"
fence = "db-away"
undo = "reverse"

[[plan.step]]
name = "promote"
promote = "db-home"
undo = "no-return"

[[plan.step]]
name = "direct"
direct = "web-home"
undo = "reverse"
after = ["promote"]

[[plan.post-recovery]]
name = "follow"
follow = "db-away"
leader = "db-home"
undo = "no-return"
"#;

/// What happens over fakes happens at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("fakes never wait")
}

pub fn actuator(name: &str) -> ActuatorName {
    ActuatorName::new(name).unwrap()
}

pub fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

/// The workload, where it was before anything moved.
pub struct Ground {
    pub clock: Arc<FakeClock>,
    pub world: World,
    pub actuators: Arc<FakeActuators>,
    pub probes: Arc<FakeProbes>,
    pub pager: Arc<FakePager>,
}

impl Ground {
    pub fn new() -> Self {
        Self::of(CONFIGURATION)
    }

    /// The same things under another configuration.
    pub fn of(configuration: &str) -> Self {
        let clock = Arc::new(FakeClock::at("2026-11-20T02:00:00Z".parse().unwrap()));
        let mut world = fake_world(clock.clone(), &[("home", "eu-central-1"), ("offsite", "eu-west-1")]);
        let actuators = Arc::new(FakeActuators::new(clock.clone()));
        let probes = Arc::<FakeProbes>::default();
        let pager = Arc::<FakePager>::default();
        world.actuators = actuators.clone();
        world.probes = probes.clone();
        world.pager = pager.clone();
        // As in the embedded server, where the one person there is publishes events.
        world.settings.two_people = false;
        let database = |writable| Thing {
            writable,
            running: true,
            ..Thing::default()
        };
        actuators.put(&actuator("db-home"), database(true));
        actuators.put(&actuator("db-away"), database(false));
        actuators.put(&actuator("web-home"), database(false));

        let config = config::parse(configuration, clock_time(&clock)).unwrap_or_else(|problems| panic!("{problems:?}"));
        now(apply::apply(&world, &[], &[], &config.plans)).unwrap();
        Self {
            clock,
            world,
            actuators,
            probes,
            pager,
        }
    }

    /// The same world, in which calls break as the plan says.
    pub fn faulty(&self, plan: &Arc<FaultPlan>) -> World {
        let clean = self.world.clone();
        World {
            catalog: Arc::new(Faulty::<dyn Catalog>::new(clean.catalog, plan.clone())),
            bus: Arc::new(Faulty::<dyn Bus>::new(clean.bus, plan.clone())),
            pager: Arc::new(Faulty::<dyn Pager>::new(clean.pager, plan.clone())),
            keys: Arc::new(Faulty::<dyn Keys>::new(clean.keys, plan.clone())),
            evidence: Arc::new(Faulty::<dyn EvidenceStore>::new(clean.evidence, plan.clone())),
            actuators: Arc::new(Faulty::<dyn Actuators>::new(clean.actuators, plan.clone())),
            probes: Arc::new(Faulty::<dyn Probes>::new(clean.probes, plan.clone())),
            ..clean
        }
    }

    pub fn say(&self, detail: Detail) -> Result<(), Failure> {
        now(holdfast_dr_failover::handle(
            &self.world,
            &Event::new(detail, clock_time(&self.clock)),
        ))
    }

    pub fn ask(&self, plan: &str, kind: RunKind) -> Result<RunId, Failure> {
        self.ask_as(plan, plan, kind)
    }

    pub fn ask_as(&self, request: &str, plan: &str, kind: RunKind) -> Result<RunId, Failure> {
        self.say(requested(request, plan, kind))?;
        Ok(RunId::derive(&["run", request]))
    }

    pub fn tell(&self, run: &RunId, by: &str, instruction: Instruction) -> Result<(), Failure> {
        self.say(Detail::RunInstructed {
            run: run.clone(),
            instruction,
            by: by.to_owned(),
        })
    }

    /// Lets time pass, with a look every half minute.
    pub fn pass(&self, span: Span) {
        let end = span.after(clock_time(&self.clock));
        while clock_time(&self.clock) < end {
            self.clock.advance(Span::seconds(30));
            self.say(Detail::WakeUp {}).unwrap();
        }
    }

    pub fn run(&self, id: &RunId) -> Run {
        let stored = now(records::read::<Run>(self.world.catalog.as_ref(), &records::run_key(id))).unwrap();
        stored.unwrap().value
    }

    pub fn state(&self, id: &RunId) -> RunState {
        self.run(id).state
    }

    pub fn step(&self, id: &RunId, name: &str) -> (StepState, String) {
        let run = self.run(id);
        let step = run.steps.iter().find(|step| step.step.name.as_str() == name).unwrap();
        (step.state, step.note.clone())
    }

    pub fn authority(&self) -> AuthorityRecord {
        let key = records::authority_key(&WorkloadName::new("orders").unwrap());
        now(records::require::<AuthorityRecord>(self.world.catalog.as_ref(), &key))
            .unwrap()
            .value
    }

    /// What a failover left out and has not done since.
    pub fn left_out(&self, run: &RunId) -> LeftOut {
        let key = records::left_out_key(run);
        now(records::require::<LeftOut>(self.world.catalog.as_ref(), &key))
            .unwrap()
            .value
    }

    /// Which databases take writes.
    pub fn writers(&self) -> Vec<&'static str> {
        let writes = |name: &&'static str| self.actuators.thing(&actuator(name)).writable;
        ["db-home", "db-away"].into_iter().filter(|name| writes(name)).collect()
    }
}

pub fn requested(request: &str, plan: &str, kind: RunKind) -> Detail {
    Detail::RunRequested {
        request: request.to_owned(),
        plan: PlanId::new(plan).unwrap(),
        kind,
        level: None,
        requested_by: "ana".to_owned(),
    }
}

pub fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

pub fn clock_time(clock: &FakeClock) -> jiff::Timestamp {
    holdfast_core::ports::Clock::now(clock)
}
