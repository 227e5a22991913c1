//! The moves themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_core::domain::{Act, FailureKind};
use holdfast_failover::guard::Role;
use holdfast_failover::uptime;
use rustix::process::Signal;

use crate::clients::{Clients, agent, order};
use crate::controller::wait_for_agreement;
use crate::history::{lost, two_writers};
use crate::network::Machine;
use crate::server::{pause, wait_until};
use crate::world::{A, B, World, is};

/// How often the workload goes there and back. Ten take three quarters of a minute.
const ROUNDS: usize = 4;
/// How often the primary Region dies, by turns killed and cut off. One takes most of a minute.
const DEATHS: usize = 2;

#[test]
fn switchovers_there_and_back_lose_nothing_and_never_have_two_writers() {
    let Some(world) = World::build("s", &[]) else { return };
    let clients = Clients::start(&world.network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 50);
    for _ in 0..ROUNDS {
        for to in [B, A] {
            let since = uptime();
            world.move_to(to, false);
            let first = world.wait_for_orders(&clients, to, since, 20);
            println!("switchover took {:?}", first[0].done - since);
            world.follow(to);
        }
    }
    let acks = clients.stop();
    assert_eq!(two_writers(&acks), Vec::<String>::new());
    let timelines: BTreeSet<u32> = acks.iter().map(|ack| ack.timeline).collect();
    assert_eq!(timelines.len(), 2 * ROUNDS + 1);
    assert_eq!(lost(&acks, &world.orders(A)), Vec::<&crate::history::Ack>::new());
    println!("{} orders were acknowledged, none is lost", acks.len());
}

#[test]
fn a_primary_that_dies_is_replaced_in_time_and_what_it_lost_is_known() {
    let Some(mut world) = World::build("d", &[]) else {
        return;
    };
    for death in 0..DEATHS {
        world.wait_until_received(B);
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
        wait_for_agreement(&world.network, Machine::RegionA);
        println!("observers agree after {:?}", uptime() - cut_at);
        let promoted = world.move_to(B, true);
        let first = world.wait_for_orders(&clients, B, cut_at, 20);
        let recovery = first.iter().map(|ack| ack.done).min().unwrap() - cut_at;
        // How fast that is depends on what else the machine does; that it comes is what `wait_for_orders` requires.
        println!("the first order is taken again after {recovery:?}");

        // The old primary comes back, and cannot be written to.
        world.network.set_connected(Machine::RegionA, true);
        if death % 2 == 0 {
            world.regions[A].start_guard_again(&world.network);
        }
        wait_until("the old side knows that it is fenced", || {
            let state = world.state(A);
            state.is_some_and(|state| state.generation == world.controller.generation() && !state.may_write)
        });
        let refused = world.network.on(Machine::ClientA, move || {
            let old = Machine::RegionA.address().parse().unwrap();
            (0..20).all(|count| {
                pause();
                order(&agent(), old, &format!("stray-{death}-{count}")).is_none()
            })
        });
        assert!(refused, "the old primary took an order");

        let stored = world.orders(B);
        let acks = clients.stop();
        let acks: Vec<_> = acks.into_iter().filter(|ack| ack.begun > before).collect();
        assert_eq!(two_writers(&acks), Vec::<String>::new());
        let orders = lost(&acks, &world.orders(B));
        let lost: BTreeSet<u64> = orders.iter().map(|ack| ack.transaction).collect();
        assert!(orders.iter().all(|ack| ack.region == "a"), "{orders:?}");
        let followed = world.follow(B);
        let divergence = world.state(A).unwrap().divergence;
        let divergence = divergence.filter(|own| own.generation == world.controller.generation());
        let given_up: BTreeSet<u64> = divergence.into_iter().flat_map(|own| own.transactions).collect();
        let acknowledged: BTreeSet<u64> = acks
            .iter()
            .filter(|ack| ack.region == "a")
            .map(|ack| ack.transaction)
            .collect();
        // What was acknowledged and given up is exactly what the clients miss.
        assert_eq!(
            given_up.intersection(&acknowledged).copied().collect::<BTreeSet<_>>(),
            lost
        );
        println!(
            "recovery took {recovery:?}; {} of {} orders lost; lag {:?} s; {} orders stored; {}",
            lost.len(),
            acks.len(),
            promoted.lag_seconds,
            stored.len(),
            followed.note
        );
        world.move_to(A, false);
        world.follow(A);
    }
}

#[test]
fn a_partition_with_both_sides_alive_has_one_writer() {
    let Some(world) = World::build("p", &[]) else { return };
    let clients = Clients::start(&world.network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 50);
    let parted_at = uptime();
    world.network.set_joined(false);
    // The clients beside Region a still reach it, and it ends taking their orders by itself.
    wait_until("the side without authority stops", || {
        world.state(A).is_some_and(|state| !state.may_write)
    });
    let stopped = uptime() - parted_at;
    wait_for_agreement(&world.network, Machine::RegionA);
    world.move_to(B, true);
    world.wait_for_orders(&clients, B, parted_at, 50);
    world.network.set_joined(true);
    world.follow(B);
    let acks = clients.stop();
    assert_eq!(two_writers(&acks), Vec::<String>::new());
    let served_after = acks
        .iter()
        .filter(|ack| ack.region == "a" && ack.done > parted_at)
        .count();
    let lost = lost(&acks, &world.orders(B)).len();
    println!("the parted side took {served_after} orders more, stopped within {stopped:?}; {lost} orders are lost");
    assert!(served_after >= lost);
}

#[test]
fn a_switchover_whose_standby_lacks_the_end_is_refused_and_taken_back() {
    let Some(world) = World::build("r", &[]) else { return };
    let clients = Clients::start(&world.network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 20);
    // The standby has a reason to stay behind that the guards do not know.
    world.regions[B].stop_replaying();
    let since = uptime();
    world.wait_for_orders(&clients, A, since, 20);
    let authority = world.controller.claim();
    world.drive(&authority, "db-a", Act::Fence);
    world.controller.name_writer("b");
    let promote = world
        .controller
        .order(&authority, "db-b", Act::Promote { allow_loss: false });
    world.controller.begin(&world.network, promote).unwrap();
    (0..60).for_each(|_| pause());
    let state = world.state(B).unwrap();
    assert!(!state.may_write && state.promotion.is_none(), "{state:?}");
    // Back to where it was.
    let undo = world.controller.claim();
    world.controller.name_writer("a");
    world.drive(&undo, "db-b", Act::Fence);
    world.drive(&undo, "db-a", Act::Unfence);
    let since = uptime();
    world.wait_for_orders(&clients, A, since, 20);
    let acks = clients.stop();
    assert_eq!(two_writers(&acks), Vec::<String>::new());
    assert_eq!(lost(&acks, &world.orders(A)), Vec::<&crate::history::Ack>::new());
}

#[test]
fn a_frozen_guard_is_ended_by_its_watchdog_and_a_dead_one_takes_its_server_along() {
    let Some(mut world) = World::build("g", &[]) else {
        return;
    };
    world.regions[A].signal_guard(Signal::STOP);
    wait_until("the watchdog has ended the server", || {
        world.regions[A].processes().is_empty()
    });
    world.regions[A].signal_guard(Signal::CONT);
    // Authority is still here: the server comes back by itself.
    wait_until("the server takes writes again", || {
        is(&world.regions[A], &world.network, Role::Writer)
    });
    world.regions[A].signal_guard(Signal::KILL);
    wait_until("the server has ended with its guard", || {
        world.regions[A].processes().is_empty()
    });
    world.regions[A].kill();
}

#[test]
fn an_executor_of_an_earlier_generation_is_refused_by_guards_and_by_the_dns_server() {
    let Some(world) = World::build("e", &[]) else { return };
    let stale = world.controller.claim();
    let later = world.controller.claim();
    world.controller.name_writer("a");
    world.drive(&later, "db-a", Act::Unfence);
    world.drive(&later, "dns-a", Act::Direct { share: 100 });
    for (name, act) in [
        ("db-a", Act::Fence),
        ("db-a", Act::Unfence),
        ("dns-b", Act::Direct { share: 100 }),
    ] {
        let order = world.controller.order(&stale, name, act);
        let refused = world.controller.begin(&world.network, order).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Fenced, "{name}: {refused}");
    }
    assert!(is(&world.regions[A], &world.network, Role::Writer));
    let leads = world
        .network
        .on(Machine::ClientB, || crate::names::ask(crate::names::NAME));
    assert_eq!(leads, Machine::RegionA.address().parse().ok());
}
