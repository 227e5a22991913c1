//! What goes wrong around the handlers, beyond the port faults of the testkit: events that are lost, doubled and late,
//! executors that stand still between two calls, and clocks that disagree.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FunctionName, Span};
use holdfast_core::ports::{
    Catalog, Clock, DeadLetter, Delivery, Draft, Engine, Entry, Inserted, Key, Observation, Queue, Task,
};
use holdfast_testkit::fakes::{FakeClock, FakeEngine, FakeQueue};
use holdfast_testkit::seeds::SeededRandom;
use jiff::{SignedDuration, Timestamp};

/// An executor's own clock.
pub struct SkewedClock {
    pub truth: Arc<FakeClock>,
    pub skew: SignedDuration,
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.truth.now().checked_add(self.skew).unwrap()
    }
}

/// Decides at which of its calls an executor stands still until the driver lets it go on.
#[derive(Default)]
pub struct Pacer {
    calls: AtomicU64,
    pauses: BTreeSet<u64>,
    paused: AtomicBool,
    sleepers: Mutex<Vec<Waker>>,
}

impl Pacer {
    pub fn new(pauses: BTreeSet<u64>) -> Arc<Self> {
        Arc::new(Self {
            pauses,
            ..Self::default()
        })
    }

    /// Whether the executor stands still, which is not to say that it is dead.
    pub fn take_paused(&self) -> bool {
        self.paused.swap(false, Ordering::Relaxed)
    }

    /// Lets the executor go on; calls among several that were on their way at once have to be woken.
    pub fn go_on(&self) {
        self.sleepers.lock().unwrap().drain(..).for_each(Waker::wake);
    }

    async fn pace(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.pauses.contains(&call) {
            return;
        }
        let mut stood_still = false;
        poll_fn(|context| {
            if std::mem::replace(&mut stood_still, true) {
                return Poll::Ready(());
            }
            self.paused.store(true, Ordering::Relaxed);
            self.sleepers.lock().unwrap().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A port whose caller may stand still before any call.
pub struct Paced<P: ?Sized> {
    pub inner: Arc<P>,
    pub pacer: Arc<Pacer>,
}

#[async_trait]
impl Catalog for Paced<dyn Catalog> {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        self.pacer.pace().await;
        self.inner.get(key).await
    }
    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure> {
        self.pacer.pace().await;
        self.inner.insert(draft).await
    }
    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure> {
        self.pacer.pace().await;
        self.inner.replace(draft, expected).await
    }
    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
        self.pacer.pace().await;
        self.inner.list(partition, prefix).await
    }
    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure> {
        self.pacer.pace().await;
        self.inner.last(partition, prefix).await
    }
    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure> {
        self.pacer.pace().await;
        self.inner.waking(status, by).await
    }
}

#[async_trait]
impl Engine for Paced<dyn Engine> {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        self.pacer.pace().await;
        self.inner.start(task).await
    }
    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        self.pacer.pace().await;
        self.inner.observe(task).await
    }
}

/// How the post treats an event on its way to a listener.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostOdds {
    pub lose: f64,
    pub double: f64,
    pub delay: f64,
}

/// Who decides about the next event, how, and how late it may be at most.
struct Fate {
    random: SeededRandom,
    odds: PostOdds,
    latest: Span,
}

/// The way from the bus to the queues: events are lost, doubled, and up to a day late, which also reorders them.
pub struct Post {
    queue: Arc<FakeQueue>,
    fate: Mutex<Fate>,
}

impl Post {
    pub fn new(queue: Arc<FakeQueue>, random: SeededRandom, odds: PostOdds, latest: Span) -> Self {
        let fate = Mutex::new(Fate { random, odds, latest });
        Self { queue, fate }
    }

    /// From now on every event arrives once and at once.
    pub fn calm(&self) {
        self.fate.lock().unwrap().odds = PostOdds::default();
    }

    /// The delays of the copies that will arrive.
    fn arrivals(&self) -> Vec<Span> {
        let mut fate = self.fate.lock().unwrap();
        let Fate { random, odds, latest } = &mut *fate;
        let latest = latest.as_seconds() as u64;
        if random.chance(odds.lose) {
            return Vec::new();
        }
        let copies = if random.chance(odds.double) { 2 } else { 1 };
        let mut delay = || match (random.chance(odds.delay), random.below(4)) {
            (false, _) => Span::seconds(0),
            (true, 0) => Span::seconds(random.below(latest) as i64),
            (true, _) => Span::seconds(random.below(900) as i64),
        };
        (0..copies).map(|_| delay()).collect()
    }
}

#[async_trait]
impl Queue for Post {
    async fn send(&self, queue: FunctionName, body: &str, _delay: Span) -> Result<(), Failure> {
        for delay in self.arrivals() {
            self.queue.send(queue, body, delay).await?;
        }
        Ok(())
    }
    async fn receive(&self, queue: FunctionName, most: usize, visibility: Span) -> Result<Vec<Delivery>, Failure> {
        self.queue.receive(queue, most, visibility).await
    }
    async fn acknowledge(&self, receipt: &str) -> Result<(), Failure> {
        self.queue.acknowledge(receipt).await
    }
    async fn release(&self, receipt: &str, delay: Span) -> Result<(), Failure> {
        self.queue.release(receipt, delay).await
    }
    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Failure> {
        self.queue.dead_letters().await
    }
}

/// The engine, with a witness who notes what really began.
pub struct WatchedEngine {
    pub engine: Arc<FakeEngine>,
    began: Mutex<Vec<Task>>,
}

impl WatchedEngine {
    pub fn new(engine: Arc<FakeEngine>) -> Self {
        let began = Mutex::default();
        Self { engine, began }
    }

    /// What began since the last call of this.
    pub fn take_began(&self) -> Vec<Task> {
        std::mem::take(&mut *self.began.lock().unwrap())
    }
}

#[async_trait]
impl Engine for WatchedEngine {
    async fn start(&self, task: &Task) -> Result<(), Failure> {
        let before = self.engine.starts(&task.job, task.attempt);
        self.engine.start(task).await?;
        if self.engine.starts(&task.job, task.attempt) > before {
            self.began.lock().unwrap().push(task.clone());
        }
        Ok(())
    }
    async fn observe(&self, task: &Task) -> Result<Observation, Failure> {
        self.engine.observe(task).await
    }
}
