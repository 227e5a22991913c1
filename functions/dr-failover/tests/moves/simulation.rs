//! Histories of a workload that moves, is cut off, aborted and moved back while calls fail, answers are lost
//! and executors are killed.

use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{Detail, Event, Instruction, RunId, RunKind, RunState, Span};
use holdfast_core::workflow::records::LEFT_OUT;
use holdfast_testkit::faults::FaultPlan;
use holdfast_testkit::seeds::{SeededRandom, seeds};
use jiff::Timestamp;

use crate::ground::*;

#[test]
fn there_is_one_writer_and_nothing_is_left_half_done_whatever_happens() {
    for seed in seeds(0..2_000) {
        live(seed);
    }
}

struct History {
    seed: u64,
    ground: Ground,
    random: SeededRandom,
    faults: Arc<FaultPlan>,
    asked: Vec<RunId>,
    generation: u64,
}

fn live(seed: u64) {
    let mut random = SeededRandom::new(seed);
    let chance = if random.chance(0.3) { 0.0 } else { 0.08 };
    let mut history = History {
        seed,
        ground: Ground::new(),
        faults: FaultPlan::seeded(seed, chance),
        random,
        asked: Vec::new(),
        generation: 1,
    };
    for _ in 0..40 {
        history.happen();
        history.look();
        history.require();
        let pause = Span::seconds(5 + i64::try_from(history.random.below(60)).unwrap());
        history.ground.clock.advance(pause);
    }
    history.settle();
}

impl History {
    /// Something that people, networks or services do.
    fn happen(&mut self) {
        let home = region("eu-central-1");
        match self.random.below(14) {
            0 => self.ask("to-away", RunKind::Planned),
            1 => self.ask("to-away", RunKind::Disaster),
            2 => self.ask("to-home", RunKind::Planned),
            3 => self.ground.actuators.set_cut(&home, true),
            4 | 5 => self.ground.actuators.set_cut(&home, false),
            6 => self
                .ground
                .probes
                .set_silent("http://away/health", self.random.chance(0.5)),
            7 => {
                let takes = Span::seconds(i64::try_from(self.random.below(90)).unwrap());
                self.ground.actuators.set_takes(takes);
            }
            8 => {
                let reason = "changed our mind".to_owned();
                self.tell(Instruction::Abort { reason });
            }
            9 => self.tell(Instruction::Pause),
            10 | 11 => self.tell(Instruction::Resume),
            12 => {
                let broken = self.random.chance(0.5);
                self.ground
                    .actuators
                    .set_broken(&actuator("web-away"), "direct", broken);
            }
            _ => {}
        }
    }

    fn ask(&mut self, plan: &str, kind: RunKind) {
        let request = format!("{plan}-{}", self.asked.len());
        self.asked.push(RunId::derive(&["run", &request]));
        let times = 1 + self.random.below(2);
        for _ in 0..times {
            self.say(requested(&request, plan, kind));
        }
    }

    fn tell(&mut self, instruction: Instruction) {
        let Some(run) = self.asked.last().cloned() else { return };
        self.say(Detail::RunInstructed {
            run,
            instruction,
            by: "ben".to_owned(),
        });
    }

    fn look(&mut self) {
        self.say(Detail::WakeUp {});
    }

    /// An executor does what it can; it may fail, or be killed.
    fn say(&self, detail: Detail) {
        let world = self.ground.faulty(&self.faults);
        let event = Event::new(detail, clock_time(&self.ground.clock));
        let _ended: Option<_> = holdfast_dr_failover::handle(&world, &event).now_or_never();
    }

    fn require(&mut self) {
        let story = || format!("seed {}:\n{}", self.seed, self.faults.log().join("\n"));
        assert_eq!(self.ground.actuators.violations(), Vec::<String>::new(), "{}", story());
        let authority = self.ground.authority();
        assert!(authority.generation >= self.generation, "{}", story());
        self.generation = authority.generation;
        // Traffic only to what was verified.
        if self.ground.actuators.thing(&actuator("web-away")).share > 0 {
            let verified = self.asked.iter().any(|run| self.has_verified(run));
            assert!(verified, "{}", story());
        }
    }

    fn has_verified(&self, run: &RunId) -> bool {
        use holdfast_core::domain::{Run, StepState};
        use holdfast_core::workflow::records;
        let found = now(records::read::<Run>(
            self.ground.world.catalog.as_ref(),
            &records::run_key(run),
        ))
        .unwrap();
        found.is_some_and(|run| {
            run.value
                .steps
                .iter()
                .any(|step| step.step.name.as_str() == "answers" && step.state == StepState::Succeeded)
        })
    }

    /// Everything works again, and people go on with what is stuck or paused: then every run comes to an end, and one side
    /// takes writes.
    fn settle(&mut self) {
        self.faults.disarm();
        self.ground.actuators.set_cut(&region("eu-central-1"), false);
        self.ground.actuators.set_broken(&actuator("web-away"), "direct", false);
        self.ground.actuators.set_takes(Span::seconds(10));
        self.ground.probes.set_silent("http://away/health", false);
        for _ in 0..60 {
            for run in self.asked.clone() {
                let state = self.state(&run);
                if matches!(state, Some(RunState::Paused | RunState::Stuck)) {
                    self.ground.tell(&run, "ben", Instruction::Resume).unwrap();
                }
            }
            self.ground.say(Detail::WakeUp {}).unwrap();
            self.ground.clock.advance(Span::seconds(30));
            self.require();
        }
        let story = || format!("seed {}:\n{}", self.seed, self.faults.log().join("\n"));
        for run in &self.asked {
            let state = self.state(run);
            assert!(state.is_none_or(RunState::is_over), "{state:?} {}", story());
        }
        let open = self.ground.world.catalog.waking(LEFT_OUT, Timestamp::MAX);
        assert_eq!(now(open).unwrap(), [], "{}", story());
        let writer = match self.ground.authority().writer {
            Some(writer) if writer == region("eu-west-1") => "db-away",
            Some(_) => "db-home",
            None => panic!("nobody may write: {}", story()),
        };
        assert_eq!(self.ground.writers(), [writer], "{}", story());
    }

    fn state(&self, run: &RunId) -> Option<RunState> {
        use holdfast_core::domain::Run;
        use holdfast_core::workflow::records;
        let found = now(records::read::<Run>(
            self.ground.world.catalog.as_ref(),
            &records::run_key(run),
        ))
        .unwrap();
        found.map(|run| run.value.state)
    }
}
