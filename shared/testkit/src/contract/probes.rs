//! What all probes promise.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_core::domain::{Answer, FailureKind, Probe};
use holdfast_core::ports::Probes;

/// A world in which some things answer, and who asks them.
#[async_trait]
pub trait ProbeWorld: Send + Sync {
    /// Who asks.
    fn probes(&self) -> Arc<dyn Probes>;

    /// Questions that are answered as they should be.
    async fn good(&self) -> Vec<Probe>;

    /// Questions that are answered in another way than they should be; none in a world that knows no such thing.
    async fn wrong(&self) -> Vec<Probe>;

    /// Questions to what does not answer.
    async fn silent(&self) -> Vec<Probe>;
}

/// Runs every promise, each in a fresh world.
pub async fn suite<W: ProbeWorld>(fresh: impl AsyncFn() -> W) {
    what_is_as_it_should_be_holds(&fresh().await).await;
    what_is_otherwise_or_silent_does_not_hold_and_is_no_failure(&fresh().await).await;
    what_nobody_could_ask_is_refused(&fresh().await).await;
}

async fn ask(world: &impl ProbeWorld, probe: &Probe) -> Answer {
    let asked = world.probes().ask(probe).await;
    let answer = asked.unwrap_or_else(|failure| panic!("{probe:?}: {failure}"));
    assert!(!answer.note.is_empty(), "{probe:?}: people are told nothing");
    answer
}

/// However often it is asked.
pub async fn what_is_as_it_should_be_holds(world: &impl ProbeWorld) {
    for probe in world.good().await {
        for _ in 0..2 {
            let answer = ask(world, &probe).await;
            assert!(answer.holds, "{probe:?}: {answer:?}");
        }
    }
}

/// A run waits for such a thing until its step's time is over: a failure would end it.
pub async fn what_is_otherwise_or_silent_does_not_hold_and_is_no_failure(world: &impl ProbeWorld) {
    let questions = [world.wrong().await, world.silent().await].concat();
    assert!(!questions.is_empty());
    for probe in questions {
        let answer = ask(world, &probe).await;
        assert!(!answer.holds, "{probe:?}: {answer:?}");
    }
}

/// No time mends it.
pub async fn what_nobody_could_ask_is_refused(world: &impl ProbeWorld) {
    let http = |url: &str| Probe::Http {
        url: url.to_owned(),
        status: 200,
        contains: None,
    };
    let tcp = |address: &str| Probe::Tcp {
        address: address.to_owned(),
    };
    for probe in [
        http("gopher://127.0.0.1/"),
        http("127.0.0.1/health"),
        tcp("127.0.0.1"),
        tcp("no-port"),
    ] {
        let refused = world.probes().ask(&probe).await.expect_err("a refusal");
        assert_eq!(refused.kind, FailureKind::Invalid, "{probe:?}: {refused}");
    }
}
