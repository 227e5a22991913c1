//! Moves that people order while both sides work.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_core::domain::{Run, RunState};
use holdfast_failover::uptime;

use crate::clients::Clients;
use crate::history::{Ack, lost, two_writers};
use crate::world::{A, B, World};
use crate::{spread, times};

/// How long nobody took orders: the longest time between two of them.
fn interruption(acks: &[Ack]) -> Duration {
    let mut done: Vec<Duration> = acks.iter().map(|ack| ack.done).collect();
    done.sort();
    let between = done.windows(2).map(|pair| pair[1] - pair[0]);
    between.max().unwrap()
}

#[test]
fn switchovers_there_and_back_lose_nothing_and_never_have_two_writers() {
    let Some(world) = World::build("s", "1m") else { return };
    let rounds = times("HOLDFAST_FAILOVER_ROUNDS", 2);
    let clients = Clients::start(&world.network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 50);
    let (mut interruptions, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for to in [B, A] {
            let since = uptime();
            let run = world.switch_over(to);
            whole.push(uptime() - since);
            assert_eq!(run.conduct.lag_milliseconds, Some(0), "{run:?}");
            assert!(run.conduct.divergences.is_empty(), "{run:?}");
            world.wait_for_orders(&clients, to, since, 20);
            let acks: Vec<Ack> = clients.acks().into_iter().filter(|ack| ack.begun > since).collect();
            interruptions.push(interruption(&acks));
        }
    }
    let acks = clients.stop();
    assert_eq!(two_writers(&acks), Vec::<String>::new());
    let timelines: BTreeSet<u32> = acks.iter().map(|ack| ack.timeline).collect();
    assert_eq!(timelines.len(), 2 * rounds + 1);
    assert_eq!(lost(&acks, &world.orders(A)), Vec::<&Ack>::new());
    println!(
        "{} switchovers: no orders for {}, over in {} (shortest, median, longest); {} orders were acknowledged, none is lost",
        2 * rounds,
        spread(&mut interruptions),
        spread(&mut whole),
        acks.len()
    );
}

#[test]
fn a_switchover_whose_standby_lacks_the_end_waits_for_a_person_and_then_loses_nothing() {
    let Some(world) = World::build("r", "5s") else { return };
    let (engine, network) = (&world.engine, &world.network);
    let clients = Clients::start(network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 20);
    // The standby has a reason to stay behind that its check does not know of.
    world.regions[B].stop_replaying();
    let since = uptime();
    world.wait_for_orders(&clients, A, since, 20);
    let ordered = engine.tell(network, &["switchover", "shop-to-b", "--by", "ana", "--json"]);
    assert_eq!(ordered.status.code(), Some(1), "{ordered:?}");
    let run: Run = serde_json::from_slice(&ordered.stdout).unwrap();
    assert_eq!(run.state, RunState::Stuck, "{run:?}");
    let why = run.conduct.stuck.clone().unwrap();
    assert!(why.contains("promote") && why.contains("cannot be taken back"), "{why}");
    let state = world.state(B).unwrap();
    assert!(!state.may_write && state.promotion.is_none(), "{state:?}");
    world.regions[B].replay_again();
    let told = engine.tell(network, &["run", run.id.as_str(), "resume", "--by", "ben"]);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(engine.ended(network, run.id.as_str()).state, RunState::Succeeded);
    world.wait_for_orders(&clients, B, since, 20);
    let acks = clients.stop();
    assert_eq!(two_writers(&acks), Vec::<String>::new());
    assert_eq!(lost(&acks, &world.orders(B)), Vec::<&Ack>::new());
}
