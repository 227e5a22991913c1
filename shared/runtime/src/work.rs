//! Work that goes on in this process while an invocation lasts.

use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_core::ports::Workers;
use jiff::SignedDuration;

use crate::budget::Budget;

/// How long to wait for the workers at most before looking at the time again.
const STEP: SignedDuration = SignedDuration::from_secs(2);

/// How long to sit idle at most for the sake of recording what ended; later than that the next wake-up does it.
const IDLE: SignedDuration = SignedDuration::from_secs(10);

/// Waits for a while. An input, so that a test decides how long a while is.
pub type Rest = Box<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// How the work of an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left at work.
    Done,
    /// The time was over first; this many tasks were told to stop, and go on at a later invocation.
    Stopped(usize),
}

/// Lets the workers work until they are done or the time is over. Whenever one has ended, `look` is called, so that what
/// came of it is recorded and what waits for it begins; not sooner than `poll` after the last look, because before that
/// nobody looks at a job again.
pub async fn go_on<F>(
    workers: &dyn Workers,
    budget: &Budget<'_>,
    poll: SignedDuration,
    rest: &Rest,
    mut look: impl FnMut() -> F,
) -> Ended
where
    F: Future<Output = ()>,
{
    let mut looked_at = budget.left();
    let mut has_news = false;
    while workers.working() > 0 || has_news {
        let left = budget.left();
        if left.is_zero() {
            break;
        }
        let next_look = poll - (looked_at - left);
        if has_news && next_look <= SignedDuration::ZERO {
            look().await;
            (looked_at, has_news) = (left, false);
            continue;
        }
        let at_work = workers.working();
        if at_work == 0 && next_look > IDLE {
            break;
        }
        let mut at_most = left.min(STEP);
        if has_news {
            at_most = at_most.min(next_look);
        }
        let at_most = Duration::try_from(at_most).unwrap_or_default();
        if at_work > 0 {
            workers.wait(at_most).await;
        } else {
            rest(at_most).await;
        }
        has_news |= workers.working() < at_work;
    }
    let at_work = workers.working();
    if at_work == 0 {
        return Ended::Done;
    }
    workers
        .stop(Duration::try_from(budget.to_stop()).unwrap_or_default())
        .await;
    Ended::Stopped(at_work)
}
