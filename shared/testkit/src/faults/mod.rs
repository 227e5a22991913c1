//! Faults at any port call.
//!
//! [`Faulty`] decorates a port; all decorators of one world share a [`FaultPlan`] that counts their calls, so that a test
//! can break the n-th call of a workflow, whichever port it goes to. A simulated crash is a future that never completes:
//! over fakes, which never wait, a driver that polls once and drops the future has killed the workflow right there.

mod ports;

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_core::domain::{Failure, FailureKind};

use crate::seeds::SeededRandom;

/// How a call breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with this kind and has no effect.
    Refuse(FailureKind),
    /// The call takes effect, and fails all the same: the answer is lost.
    LoseAnswer,
    /// The caller is killed before the effect.
    CrashBefore,
    /// The caller is killed after the effect.
    CrashAfter,
}

impl Fault {
    /// One of each, with the passing kind for refusals.
    pub const ALL: [Self; 4] = [
        Self::Refuse(FailureKind::Transient),
        Self::LoseAnswer,
        Self::CrashBefore,
        Self::CrashAfter,
    ];
}

/// Which calls break, and a log of all of them.
#[derive(Debug, Default)]
pub struct FaultPlan {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    scripted: BTreeMap<u64, Fault>,
    seeded: Option<(SeededRandom, f64)>,
    log: Vec<String>,
}

impl FaultPlan {
    /// Nothing breaks; calls are counted and logged.
    pub fn quiet() -> Arc<Self> {
        Arc::default()
    }

    /// Calls break as scripted; the first call has number 1.
    pub fn scripted(faults: impl IntoIterator<Item = (u64, Fault)>) -> Arc<Self> {
        Self::with(State {
            scripted: faults.into_iter().collect(),
            ..State::default()
        })
    }

    /// Each call breaks with probability `chance`, somehow, as the seed decides.
    pub fn seeded(seed: u64, chance: f64) -> Arc<Self> {
        Self::with(State {
            seeded: Some((SeededRandom::new(seed), chance)),
            ..State::default()
        })
    }

    fn with(state: State) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing breaks.
    pub fn disarm(&self) {
        let mut state = self.state();
        state.scripted.clear();
        state.seeded = None;
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state().log.len() as u64
    }

    /// One line a call: what was asked, and how it broke. Two runs of one seed have the same log.
    pub fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Counts and logs the call, and decides about it.
    fn decide(&self, call: &str) -> Option<Fault> {
        let mut state = self.state();
        let number = state.log.len() as u64 + 1;
        let by_seed = state
            .seeded
            .as_mut()
            .and_then(|(random, chance)| random.chance(*chance).then(|| *random.pick(&Fault::ALL)));
        let fault = state.scripted.get(&number).copied().or(by_seed);
        let broken = fault.map(|fault| format!(" ! {fault:?}")).unwrap_or_default();
        state.log.push(format!("{number} {call}{broken}"));
        fault
    }
}

/// A port that breaks as its plan says. It implements every port that `P` is, such as `Faulty<dyn Catalog>`.
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    plan: Arc<FaultPlan>,
}

impl<P: ?Sized> Faulty<P> {
    /// Decorates `inner`.
    pub fn new(inner: Arc<P>, plan: Arc<FaultPlan>) -> Self {
        Self { inner, plan }
    }

    async fn through<T>(&self, call: String, effect: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match self.plan.decide(&call) {
            None => effect.await,
            Some(Fault::Refuse(kind)) => Err(Failure::new(kind, format!("injected: {call} was refused"))),
            Some(Fault::LoseAnswer) => {
                effect.await?;
                let message = format!("injected: the answer to {call} was lost");
                Err(Failure::new(FailureKind::Transient, message))
            }
            Some(Fault::CrashBefore) => pending().await,
            Some(Fault::CrashAfter) => {
                // Killed either way: nobody is left to hear whether the call failed by itself.
                let _unheard = effect.await;
                pending().await
            }
        }
    }
}
