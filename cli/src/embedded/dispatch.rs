//! From queues to handlers, as Lambda's event sources would do it.

use holdfast_core::domain::{Detail, Event, Failure, FailureKind, FunctionName, Span};
use holdfast_core::ports::{Delivery, MAX_RECEIVES, Page, Queue, Severity};
use holdfast_core::workflow::World;

/// How long a message is hidden while its handler works; handlers never wait, so this is far more than they need.
const VISIBILITY: Span = Span::minutes(5);

/// How many messages are taken at once.
const BATCH: usize = 10;

/// Hands an event to a function.
pub async fn invoke(world: &World, function: FunctionName, event: &Event) -> Result<(), Failure> {
    match function {
        FunctionName::Scheduler => holdfast_scheduler::handle(world, event).await,
        FunctionName::SnapshotTrigger => holdfast_snapshot_trigger::handle(world, event).await,
        FunctionName::Verifier => holdfast_verifier::handle(world, event).await,
        FunctionName::Replicator => holdfast_replicator::handle(world, event).await,
        FunctionName::Lifecycle => holdfast_lifecycle::handle(world, event).await,
        FunctionName::RestoreRunner => holdfast_restore_runner::handle(world, event).await,
        FunctionName::DrFailover => holdfast_dr_failover::handle(world, event).await,
    }
}

/// The timer: tells a function to look at everything. What fails is told to people; the next wake-up tries again.
pub async fn wake(world: &World, function: FunctionName) -> Result<(), Failure> {
    let event = Event::new(Detail::WakeUp {}, world.now());
    match invoke(world, function, &event).await {
        Ok(()) => Ok(()),
        Err(failure) if failure.kind == FailureKind::Conflict => Ok(()),
        Err(failure) => tell(world, function, &failure).await,
    }
}

/// Takes what waits in a function's queue and hands it over. Returns how many messages there were.
pub async fn pump(world: &World, queue: &dyn Queue, function: FunctionName) -> Result<usize, Failure> {
    let deliveries = queue.receive(function, BATCH, VISIBILITY).await?;
    for delivery in &deliveries {
        deliver(world, queue, function, delivery).await?;
    }
    Ok(deliveries.len())
}

/// A message that its handler could not do is given back, and after its last delivery told to people and put aside.
async fn deliver(world: &World, queue: &dyn Queue, function: FunctionName, delivery: &Delivery) -> Result<(), Failure> {
    let handled = match Event::decode(&delivery.body) {
        Ok(event) => invoke(world, function, &event).await,
        Err(failure) => Err(failure),
    };
    let Err(failure) = handled else {
        return queue.acknowledge(&delivery.receipt).await;
    };
    if failure.kind != FailureKind::Conflict && delivery.receive_count >= MAX_RECEIVES {
        tell(world, function, &failure).await?;
    }
    let delay = if failure.kind == FailureKind::Conflict {
        Span::seconds(0)
    } else {
        Span::seconds(1)
    };
    queue.release(&delivery.receipt, delay).await
}

async fn tell(world: &World, function: FunctionName, failure: &Failure) -> Result<(), Failure> {
    let page = Page {
        key: format!("function/{function}"),
        severity: Severity::Warning,
        subject: format!("{function} could not do all of its work"),
        text: failure.message.clone(),
    };
    world.pager.page(&page).await
}
