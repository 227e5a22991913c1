//! How long the steps of a plan take, from the runs that it had.

use std::collections::BTreeMap;

use crate::domain::{RecoveryPlan, Run, RunKind, Span, Step, StepAction, StepName, StepState};

/// How long each step of a plan took in the runs that it had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measured {
    seconds: BTreeMap<StepName, Vec<i64>>,
}

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimate {
    /// The plan says so itself.
    Given(Span),
    /// It was measured. Of `count` measurements the next one lies from `least` to `most` with a probability of
    /// (`count` - 1) / (`count` + 1), whatever their distribution, as long as nothing else changed.
    Measured {
        /// The shortest.
        least: Span,
        /// The one in the middle; of an even number, the longer of the two there.
        median: Span,
        /// The longest.
        most: Span,
        /// How many measurements.
        count: usize,
    },
    /// It never was: all that is known is when the engine gives up.
    NotMeasured {
        /// The step's timeout.
        timeout: Span,
    },
}

/// So many runs, for people.
pub fn counted(runs: usize) -> String {
    match runs {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    }
}

impl Measured {
    /// What `runs` tell of the steps of `plan` as it stands. A step counts where it held, in a run that did something, and where
    /// it was the same step then.
    pub fn of(plan: &RecoveryPlan, runs: &[Run]) -> Self {
        let mut seconds: BTreeMap<StepName, Vec<i64>> = BTreeMap::new();
        let tells = |run: &&Run| run.plan.id == plan.id && run.kind != RunKind::Simulate;
        for record in runs.iter().filter(tells).flat_map(|run| &run.steps) {
            let is_same = plan.steps.contains(&record.step);
            let held = record.state == StepState::Succeeded && is_same;
            if let Some((from, to)) = record.started_at.zip(record.finished_at).filter(|_| held) {
                let took = Span::between(from, to).as_seconds();
                seconds.entry(record.step.name.clone()).or_default().push(took);
            }
        }
        for times in seconds.values_mut() {
            times.sort_unstable();
        }
        Self { seconds }
    }

    /// How long a step takes.
    pub fn estimate(&self, step: &Step) -> Estimate {
        if let StepAction::Wait { span } = step.action {
            return Estimate::Given(span);
        }
        let times = self.seconds.get(&step.name).map_or(&[][..], Vec::as_slice);
        match (times.first(), times.get(times.len() / 2), times.last()) {
            (Some(least), Some(median), Some(most)) => Estimate::Measured {
                least: Span::seconds(*least),
                median: Span::seconds(*median),
                most: Span::seconds(*most),
                count: times.len(),
            },
            _ => Estimate::NotMeasured { timeout: step.timeout },
        }
    }
}
