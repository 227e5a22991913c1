//! What the guards of two servers promise that hold one workload: one takes its writes, the other follows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_core::domain::{Act, ActOrder, ActuatorName, Divergence, FailureKind, Seen};
use holdfast_core::ports::Actuators;

/// One of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The one that takes writes when a world begins, under generation 1.
    Home,
    /// The one that follows it then.
    Away,
}

/// Two servers with their guards, the record of authority, and the network between all of them.
pub trait GuardWorld: Send + Sync {
    /// The actuators of a process that has just started.
    fn process(&self) -> Arc<dyn Actuators>;

    /// The actuator of a side.
    fn name(&self, side: Side) -> ActuatorName;

    /// An order to the server of a side, by a run that claimed this generation.
    fn order(&self, side: Side, act: Act, generation: u64) -> ActOrder;

    /// Says who may write, under which generation.
    fn set_authority(&self, generation: u64, writer: Option<Side>);

    /// Cuts a side off from all others, or joins it again.
    fn set_cut(&self, side: Side, cut: bool);

    /// Ends the guard and the server of a side at once, as a failing machine would.
    fn kill(&self, side: Side);

    /// Starts the guard of a side that was killed.
    fn start(&self, side: Side);

    /// Writes a row on the server of a side, and gives its number; none where it takes no writes. No two rows share a number.
    fn write(&self, side: Side) -> Option<u64>;

    /// The rows that the server of a side holds, which answers.
    fn rows(&self, side: Side) -> BTreeSet<u64>;

    /// The rows whose transactions are listed where a divergence of the home side says so.
    fn listed(&self, given_up: &Divergence) -> BTreeSet<u64>;

    /// How often the server of a side was promoted.
    fn promotions(&self, side: Side) -> u64;

    /// Time, which only goes forward.
    fn now(&self) -> Duration;

    /// Lets some of it pass.
    fn moment(&self);

    /// How long a server is written to at most after its guard has lost sight of authority.
    fn stated(&self) -> Duration;
}

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(240);

/// Runs every promise, each in a fresh world.
pub async fn suite<W: GuardWorld>(fresh: impl AsyncFn() -> W) {
    nothing_is_written_without_the_right_under_the_generation(&fresh().await).await;
    who_loses_sight_of_authority_is_written_to_no_more_in_time(&fresh().await);
    who_was_replaced_and_comes_back_is_not_written_to(&fresh().await).await;
    a_late_order_is_refused_and_a_repeated_promotion_is_one(&fresh().await).await;
    what_is_given_up_is_listed_exactly(&fresh().await).await;
    a_move_in_order_gives_up_nothing(&fresh().await).await;
}

fn until(world: &impl GuardWorld, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = world.now() + PATIENCE;
    while !is_so() {
        assert!(world.now() < end, "waited in vain until {what}");
        world.moment();
    }
}

fn until_written(world: &impl GuardWorld, side: Side) {
    until(world, "the server takes writes", || world.write(side).is_some());
}

/// Tries to write for longer than any lease lasts.
fn stays_closed(world: &impl GuardWorld, side: Side) {
    let end = world.now() + world.stated();
    while world.now() < end {
        assert_eq!(world.write(side), None, "{side:?} takes a write");
        world.moment();
    }
}

/// Gives an order again and again until it stands, as a run may.
async fn carry_out(world: &impl GuardWorld, order: &ActOrder) -> Seen {
    let actuators = world.process();
    let end = world.now() + PATIENCE;
    loop {
        let begun = actuators.begin(order).await;
        let looked = match begun {
            Ok(()) => actuators.look(order).await,
            Err(failure) => Err(failure),
        };
        match looked {
            Ok(seen @ Seen::Done { .. }) => return seen,
            Ok(_) => {}
            Err(failure) => assert_eq!(failure.kind, FailureKind::Transient, "{failure}"),
        }
        assert!(world.now() < end, "waited in vain until {:?} stands", order.act);
        world.moment();
    }
}

/// Moves the writes to a side under a generation, as a run does.
async fn move_to(world: &impl GuardWorld, to: Side, generation: u64, allow_loss: bool) {
    let from = other(to);
    world.set_authority(generation, None);
    carry_out(world, &world.order(from, Act::Fence, generation)).await;
    world.set_authority(generation, Some(to));
    carry_out(world, &world.order(to, Act::Promote { allow_loss }, generation)).await;
    assert!(world.write(to).is_some(), "{to:?} was promoted and takes no writes");
}

fn other(side: Side) -> Side {
    match side {
        Side::Home => Side::Away,
        Side::Away => Side::Home,
    }
}

/// Has a side follow the other, and gives what it gave up.
async fn follow(world: &impl GuardWorld, side: Side, generation: u64) -> Option<Divergence> {
    let leader = world.name(other(side));
    match carry_out(world, &world.order(side, Act::Follow { leader }, generation)).await {
        Seen::Done { divergence, .. } => divergence,
        seen => panic!("{seen:?}"),
    }
}

fn until_equal(world: &impl GuardWorld) {
    until(world, "both sides hold the same", || {
        world.rows(Side::Home) == world.rows(Side::Away)
    });
}

/// The right is for one side under one generation, and the guard must have been told to write under that.
pub async fn nothing_is_written_without_the_right_under_the_generation(world: &impl GuardWorld) {
    until_written(world, Side::Home);
    world.set_authority(1, None);
    until(world, "withdrawn authority ends writes", || {
        world.write(Side::Home).is_none()
    });
    stays_closed(world, Side::Home);
    world.set_authority(1, Some(Side::Home));
    until_written(world, Side::Home);
    assert_eq!(world.write(Side::Away), None);

    world.set_authority(2, Some(Side::Home));
    until(world, "a later generation ends writes", || {
        world.write(Side::Home).is_none()
    });
    stays_closed(world, Side::Home);
    assert_eq!(world.write(Side::Away), None);
    carry_out(world, &world.order(Side::Home, Act::Unfence, 2)).await;
    assert!(world.write(Side::Home).is_some());
    assert_eq!(world.write(Side::Away), None);
}

/// Whatever is the matter, nobody needs to reach it for that. When it sees authority again it goes on.
pub fn who_loses_sight_of_authority_is_written_to_no_more_in_time(world: &impl GuardWorld) {
    until_written(world, Side::Home);
    let (lost_at, stated) = (world.now(), world.stated());
    world.set_cut(Side::Home, true);
    while world.now() < lost_at + stated * 2 {
        let begun = world.now();
        if world.write(Side::Home).is_some() {
            assert!(
                begun < lost_at + stated,
                "a write that began {:?} late",
                begun - lost_at - stated
            );
        }
        world.moment();
    }
    world.set_cut(Side::Home, false);
    until_written(world, Side::Home);
}

/// It was never told that it was replaced.
pub async fn who_was_replaced_and_comes_back_is_not_written_to(world: &impl GuardWorld) {
    until_written(world, Side::Home);
    world.kill(Side::Home);
    move_to(world, Side::Away, 2, true).await;
    world.start(Side::Home);
    stays_closed(world, Side::Home);
    carry_out(world, &world.order(Side::Home, Act::Fence, 2)).await;
    stays_closed(world, Side::Home);
    assert!(world.write(Side::Away).is_some());
}

/// Neither changes anything.
pub async fn a_late_order_is_refused_and_a_repeated_promotion_is_one(world: &impl GuardWorld) {
    until_written(world, Side::Home);
    move_to(world, Side::Away, 2, false).await;
    let promotions = world.promotions(Side::Away);
    for allow_loss in [false, true, false] {
        let order = world.order(Side::Away, Act::Promote { allow_loss }, 2);
        carry_out(world, &order).await;
        assert!(world.write(Side::Away).is_some());
    }
    for side in [Side::Home, Side::Away] {
        for act in [Act::Fence, Act::Unfence, Act::Promote { allow_loss: true }] {
            let order = world.order(side, act, 1);
            let refused = world.process().begin(&order).await.expect_err("a refusal");
            assert_eq!(
                refused.kind,
                FailureKind::Fenced,
                "{:?} on {side:?}: {refused}",
                order.act
            );
        }
    }
    assert!(world.write(Side::Away).is_some());
    stays_closed(world, Side::Home);
    assert_eq!(world.promotions(Side::Away), promotions);
}

/// What the lost side had taken alone, no more and no less; then it holds what the other does.
pub async fn what_is_given_up_is_listed_exactly(world: &impl GuardWorld) {
    until_written(world, Side::Home);
    until_equal(world);
    world.set_cut(Side::Home, true);
    let own: BTreeSet<u64> = (0..3).filter_map(|_| world.write(Side::Home)).collect();
    assert!(
        !own.is_empty(),
        "a side that is cut off is written to while its lease lasts"
    );
    move_to(world, Side::Away, 2, true).await;
    assert!(world.rows(Side::Away).is_disjoint(&own));
    world.set_cut(Side::Home, false);
    let given_up = follow(world, Side::Home, 2).await.expect("a divergence");
    assert_eq!(given_up.transactions, own.len() as u64, "{given_up:?}");
    assert_eq!(world.listed(&given_up), own, "{given_up:?}");
    until_equal(world);
    assert_eq!(follow(world, Side::Home, 2).await, Some(given_up), "it is told again");
    stays_closed(world, Side::Home);
    assert!(world.write(Side::Away).is_some());
}

/// There and back.
pub async fn a_move_in_order_gives_up_nothing(world: &impl GuardWorld) {
    until_written(world, Side::Home);
    for (to, generation) in [(Side::Away, 2), (Side::Home, 3)] {
        let written: BTreeSet<u64> = (0..3).filter_map(|_| world.write(other(to))).collect();
        assert_eq!(written.len(), 3);
        move_to(world, to, generation, false).await;
        assert!(world.rows(to).is_superset(&written));
        assert_eq!(follow(world, other(to), generation).await, None);
        until_equal(world);
        assert_eq!(world.write(other(to)), None);
    }
}
