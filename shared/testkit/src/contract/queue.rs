//! What every queue promises.

use async_trait::async_trait;
use holdfast_core::domain::{FunctionName, Span};
use holdfast_core::ports::{Delivery, MAX_RECEIVES, Queue};

/// A queue whose time a test can let pass.
#[async_trait]
pub trait QueueWorld: Send + Sync {
    /// The queue.
    fn queue(&self) -> &dyn Queue;

    /// Lets this much time pass.
    async fn pass(&self, span: Span);
}

const HERE: FunctionName = FunctionName::Verifier;
const THERE: FunctionName = FunctionName::Lifecycle;
const NOW: Span = Span::seconds(0);
const HIDDEN: Span = Span::seconds(30);

/// Runs every promise, each on empty queues.
pub async fn suite<W: QueueWorld>(fresh: impl AsyncFn() -> W) {
    a_message_is_delivered_and_gone_once_acknowledged(&fresh().await).await;
    messages_keep_to_their_queue(&fresh().await).await;
    a_delayed_message_comes_when_its_time_has_come(&fresh().await).await;
    a_message_in_hand_is_hidden_and_then_delivered_again(&fresh().await).await;
    a_released_message_comes_again_after_its_delay(&fresh().await).await;
    a_void_receipt_changes_nothing(&fresh().await).await;
    no_more_are_taken_than_asked_for_and_none_is_lost(&fresh().await).await;
    a_message_that_nobody_acknowledges_dies(&fresh().await).await;
    dead_letters_do_not_stand_in_the_way(&fresh().await).await;
}

async fn send(world: &impl QueueWorld, body: &str) {
    world.queue().send(HERE, body, NOW).await.expect("send");
}

async fn receive(world: &impl QueueWorld) -> Vec<Delivery> {
    world.queue().receive(HERE, 10, HIDDEN).await.expect("receive")
}

async fn receive_one(world: &impl QueueWorld) -> Delivery {
    let mut deliveries = receive(world).await;
    assert_eq!(deliveries.len(), 1, "one message: {deliveries:?}");
    deliveries.remove(0)
}

async fn acknowledge(world: &impl QueueWorld, delivery: &Delivery) {
    world.queue().acknowledge(&delivery.receipt).await.expect("acknowledge");
}

/// What was sent is delivered as it was sent, and never again after its acknowledgement.
pub async fn a_message_is_delivered_and_gone_once_acknowledged(world: &impl QueueWorld) {
    assert_eq!(receive(world).await, []);
    let body = "{\"text\":\"ä \\u0000 𝄞 ' \\\" \"}";
    send(world, body).await;
    let delivery = receive_one(world).await;
    assert_eq!((delivery.body.as_str(), delivery.receive_count), (body, 1));
    acknowledge(world, &delivery).await;
    acknowledge(world, &delivery).await;
    world.pass(Span::hours(1)).await;
    assert_eq!(receive(world).await, []);
    assert_eq!(world.queue().dead_letters().await.expect("dead letters"), []);
}

/// Nobody receives what was sent to another.
pub async fn messages_keep_to_their_queue(world: &impl QueueWorld) {
    world.queue().send(THERE, "there", NOW).await.expect("send");
    assert_eq!(receive(world).await, []);
    let there = world.queue().receive(THERE, 10, HIDDEN).await.expect("receive");
    assert_eq!(there.len(), 1);
}

/// A delayed message is not there before its time.
pub async fn a_delayed_message_comes_when_its_time_has_come(world: &impl QueueWorld) {
    let queue = world.queue();
    queue.send(HERE, "later", Span::seconds(60)).await.expect("send");
    world.pass(Span::seconds(30)).await;
    assert_eq!(receive(world).await, []);
    world.pass(Span::seconds(30)).await;
    assert_eq!(receive_one(world).await.body, "later");
}

/// A message that was taken and not acknowledged is delivered again, and its count says so.
pub async fn a_message_in_hand_is_hidden_and_then_delivered_again(world: &impl QueueWorld) {
    send(world, "work").await;
    let first = receive_one(world).await;
    world.pass(Span::seconds(15)).await;
    assert_eq!(receive(world).await, [], "hidden while in hand");
    world.pass(Span::seconds(15)).await;
    let second = receive_one(world).await;
    assert_eq!((second.body.as_str(), second.receive_count), ("work", 2));
    assert_ne!(first.receipt, second.receipt);
}

/// A message that is given back comes again when asked, not when its visibility would have ended.
pub async fn a_released_message_comes_again_after_its_delay(world: &impl QueueWorld) {
    send(world, "work").await;
    let first = receive_one(world).await;
    world.queue().release(&first.receipt, NOW).await.expect("release");
    let second = receive_one(world).await;
    assert_eq!(second.receive_count, 2);
    world
        .queue()
        .release(&second.receipt, Span::seconds(300))
        .await
        .expect("release");
    world.pass(Span::seconds(60)).await;
    assert_eq!(receive(world).await, [], "longer than the visibility");
    world.pass(Span::seconds(240)).await;
    assert_eq!(receive_one(world).await.receive_count, 3);
}

/// Who holds an old receipt can neither take the message away from its new holder nor give it back.
pub async fn a_void_receipt_changes_nothing(world: &impl QueueWorld) {
    send(world, "work").await;
    let old = receive_one(world).await;
    world.pass(HIDDEN).await;
    let new = receive_one(world).await;
    acknowledge(world, &old).await;
    world.queue().release(&old.receipt, NOW).await.expect("release");
    assert_eq!(receive(world).await, [], "still hidden for its new holder");
    world.pass(HIDDEN).await;
    let newest = receive_one(world).await;
    assert_eq!(newest.receive_count, 3, "still there");
    acknowledge(world, &newest).await;
    world.queue().release(&new.receipt, NOW).await.expect("release");
    world.queue().acknowledge("no such receipt").await.expect("acknowledge");
    world.pass(Span::hours(1)).await;
    assert_eq!(receive(world).await, [], "gone for good");
}

/// Every message is delivered exactly once while all are in hand.
pub async fn no_more_are_taken_than_asked_for_and_none_is_lost(world: &impl QueueWorld) {
    for n in 0..25 {
        send(world, &format!("{n:02}")).await;
    }
    assert_eq!(world.queue().receive(HERE, 0, HIDDEN).await.expect("receive"), []);
    let mut bodies = Vec::new();
    loop {
        let taken = world.queue().receive(HERE, 10, Span::hours(1)).await.expect("receive");
        assert!(taken.len() <= 10);
        if taken.is_empty() {
            break;
        }
        bodies.extend(taken.into_iter().map(|delivery| delivery.body));
    }
    bodies.sort();
    assert_eq!(bodies, (0..25).map(|n| format!("{n:02}")).collect::<Vec<_>>());
}

/// A message is delivered [`MAX_RECEIVES`] times; the next time it is put with the dead letters and never delivered.
pub async fn a_message_that_nobody_acknowledges_dies(world: &impl QueueWorld) {
    send(world, "poison").await;
    for count in 1..=MAX_RECEIVES {
        assert_eq!(receive_one(world).await.receive_count, count);
        assert_eq!(world.queue().dead_letters().await.expect("dead letters"), []);
        world.pass(HIDDEN).await;
    }
    assert_eq!(receive(world).await, []);
    world.pass(Span::hours(1)).await;
    assert_eq!(receive(world).await, []);
    let dead = world.queue().dead_letters().await.expect("dead letters");
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].queue, dead[0].body.as_str()), (HERE, "poison"));
    assert_eq!(dead[0].receive_count, MAX_RECEIVES);
}

/// Messages that die leave room for those behind them, and are kept oldest first.
pub async fn dead_letters_do_not_stand_in_the_way(world: &impl QueueWorld) {
    for name in ["first", "second"] {
        send(world, name).await;
        for _ in 0..MAX_RECEIVES {
            receive_one(world).await;
            world.pass(HIDDEN).await;
        }
        assert_eq!(receive(world).await, []);
        world.pass(Span::seconds(1)).await;
    }
    send(world, "poison").await;
    for _ in 0..MAX_RECEIVES {
        receive_one(world).await;
        world.pass(HIDDEN).await;
    }
    send(world, "healthy").await;
    let taken = world.queue().receive(HERE, 1, HIDDEN).await.expect("receive");
    assert_eq!(taken.len(), 1, "the dead do not count as received");
    assert_eq!(taken[0].body, "healthy");
    let dead = world.queue().dead_letters().await.expect("dead letters");
    let names: Vec<&str> = dead.iter().map(|letter| letter.body.as_str()).collect();
    assert_eq!(names, ["first", "second", "poison"]);
}
