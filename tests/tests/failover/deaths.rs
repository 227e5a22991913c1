//! Failovers that nobody orders: observers declare them, and the engine carries them out.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_core::domain::{Run, RunKind, RunState, Span};
use holdfast_failover::uptime;

use crate::clients::{Clients, agent, order};
use crate::history::{Ack, lost, two_writers};
use crate::network::Machine;
use crate::region::given_up;
use crate::server::{pause, wait_until};
use crate::world::{A, B, World};
use crate::{spread, times};

/// What service was promised to take after a primary is lost.
const PROMISED: Duration = Duration::from_secs(60);

/// The old primary takes no order, whoever asks it.
fn refuses(world: &World, name: &str) -> bool {
    let name = name.to_owned();
    world.network.on(Machine::ClientA, move || {
        let old = Machine::RegionA.address().parse().unwrap();
        (0..20).all(|count| {
            pause();
            order(&agent(), old, &format!("stray-{name}-{count}")).is_none()
        })
    })
}

/// Holds the report of a failover to what the clients were told: what was acknowledged and given up is exactly what they miss.
/// How many orders that is.
fn account(world: &World, run: &Run, acks: &[Ack]) -> usize {
    assert_eq!(
        (run.state, run.kind),
        (RunState::Succeeded, RunKind::Disaster),
        "{run:?}"
    );
    assert!(run.requested_by.starts_with("observers: "), "{}", run.requested_by);
    assert_eq!(two_writers(acks), Vec::<String>::new());
    let missing = lost(acks, &world.orders(B));
    assert!(missing.iter().all(|ack| ack.region == "a"), "{missing:?}");
    let missing: BTreeSet<u64> = missing.iter().map(|ack| ack.transaction).collect();
    let mut own_only = BTreeSet::new();
    for own in &run.conduct.divergences {
        let listed = given_up(&own.records);
        assert_eq!(listed.len() as u64, own.transactions, "{own:?}");
        own_only.extend(listed);
    }
    let taken = acks.iter().filter(|ack| ack.region == "a");
    let taken: BTreeSet<u64> = taken.map(|ack| ack.transaction).collect();
    let acknowledged: BTreeSet<u64> = own_only.intersection(&taken).copied().collect();
    assert_eq!(acknowledged, missing);
    let page = world.engine.page(&world.network, run.id.as_str());
    let tells = page.contains("transactions were committed on the lost side only");
    assert_eq!(tells, !run.conduct.divergences.is_empty(), "{page}");
    missing.len()
}

#[test]
fn a_primary_that_dies_is_replaced_in_time_and_what_it_lost_is_known() {
    let Some(mut world) = World::build("d", "1m") else {
        return;
    };
    world.engine.observe(&world.network, Machine::RegionA);
    let (mut recoveries, mut declared, mut all, mut gone) = (Vec::new(), Vec::new(), 0, 0);
    for death in 0..times("HOLDFAST_FAILOVER_DEATHS", 2) {
        let clients = Clients::start(&world.network);
        let before = uptime();
        world.wait_for_orders(&clients, A, before, 50);
        // Any moment of the next three seconds.
        let moment = Duration::from_millis(u64::from(before.subsec_nanos()) % 3000);
        while uptime() < before + moment {
            std::thread::yield_now();
        }
        let cut_at = uptime();
        world.network.set_connected(Machine::RegionA, false);
        if death % 2 == 0 {
            world.regions[A].kill();
        }
        wait_until("observers have declared a failover", || {
            world.engine.declared().len() > death
        });
        declared.push(uptime() - cut_at);
        let first = world.wait_for_orders(&clients, B, cut_at, 20);
        let recovery = first.iter().map(|ack| ack.done).min().unwrap() - cut_at;
        assert!(
            recovery <= PROMISED,
            "the first order is taken again after {recovery:?}"
        );
        recoveries.push(recovery);

        // The old primary comes back, and cannot be written to.
        world.network.set_connected(Machine::RegionA, true);
        if death % 2 == 0 {
            world.regions[A].start_guard_again(&world.network);
        }
        assert!(refuses(&world, &death.to_string()), "the old primary took an order");
        let run = world.engine.ended(&world.network, &world.engine.declared()[death]);
        let acks = clients.stop();
        let acks: Vec<_> = acks.into_iter().filter(|ack| ack.begun > before).collect();
        let missing = account(&world, &run, &acks);
        println!(
            "death {death}: orders again after {recovery:.1?}; {missing} of {} lost, {:?} given up; at most {:?} s by the report",
            acks.len(),
            run.conduct.divergences.iter().map(|own| own.transactions).sum::<u64>(),
            run.conduct.lag().map(Span::as_seconds),
        );
        (all, gone) = (all + acks.len(), gone + missing);
        world.switch_over(A);
    }
    assert_eq!(
        world.engine.declared().len(),
        recoveries.len(),
        "one death is one failover"
    );
    println!(
        "{} deaths: declared after {}, orders again after {} (shortest, median, longest); {gone} of {all} orders are lost",
        recoveries.len(),
        spread(&mut declared),
        spread(&mut recoveries)
    );
}

#[test]
fn a_partition_with_both_sides_alive_has_one_writer() {
    let Some(mut world) = World::build("p", "1m") else {
        return;
    };
    world.engine.observe(&world.network, Machine::RegionA);
    let clients = Clients::start(&world.network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 50);
    let parted_at = uptime();
    world.network.set_joined(false);
    // The clients beside Region a still reach it, and it ends taking their orders by itself.
    wait_until("the side without authority stops", || {
        world.state(A).is_some_and(|state| !state.may_write)
    });
    let stopped = uptime() - parted_at;
    world.wait_for_orders(&clients, B, parted_at, 50);
    world.network.set_joined(true);
    let declared = world.engine.declared();
    assert_eq!(declared.len(), 1);
    let run = world.engine.ended(&world.network, &declared[0]);
    let acks = clients.stop();
    let served_after = acks
        .iter()
        .filter(|ack| ack.region == "a" && ack.done > parted_at)
        .count();
    let lost = account(&world, &run, &acks);
    println!("the parted side took {served_after} orders more, stopped within {stopped:?}; {lost} orders are lost");
    assert!(served_after >= lost);
}
