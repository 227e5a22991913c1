//! Drills while production works.

use std::time::Duration;

use holdfast_core::domain::{Run, RunState, StepState};
use holdfast_failover::guard::Role;
use holdfast_failover::uptime;

use crate::clients::Clients;
use crate::engine::authority;
use crate::history::{Ack, lost, two_writers};
use crate::names::{NAME, REHEARSED, ask};
use crate::network::Machine;
use crate::world::{A, B, World, is};

#[test]
fn drills_under_load_leave_production_as_it_is_and_are_signed() {
    let Some(world) = World::build("l", "1m") else { return };
    let (engine, network) = (&world.engine, &world.network);
    let clients = Clients::start(network);
    world.wait_for_orders(&clients, A, Duration::ZERO, 50);
    engine.ask(network, &["backup", "orders-db"]);
    engine.ask(network, &["verify", "orders-db@latest"]);
    let (before, refused, since) = (authority(network), clients.refused(), uptime());
    // One restores the database from its backup, the other does all of a failover that has something standing for it.
    for plan in ["rehearsal", "shop-to-b"] {
        let run: Run = serde_json::from_value(engine.ask(network, &["drill", plan])).unwrap();
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
        let drilled = |name: &str| {
            run.steps
                .iter()
                .any(|step| step.step.name.as_str() == name && step.state != StepState::Skipped)
        };
        assert!(
            drilled("compare") || drilled("direct") && !drilled("fence") && !drilled("promote"),
            "{run:?}"
        );
        let page = engine.page(network, run.id.as_str());
        assert!(
            page.contains("of the evidence chain holds the same facts, signed: SHA-256"),
            "{page}"
        );
    }
    let took = uptime() - since;
    engine.verify_evidence(network);
    let orders = world.wait_for_orders(&clients, A, since, 50);
    assert_eq!(clients.refused(), refused, "no order was refused");
    let after = authority(network);
    assert_eq!((after.generation, after.writer), (before.generation, before.writer));
    for (region, role) in [(A, Role::Writer), (B, Role::Standby)] {
        assert!(is(&world.regions[region], network, role), "{:?}", world.state(region));
        assert_eq!(world.state(region).unwrap().generation, before.generation);
    }
    let leads = network.on(Machine::ClientB, || [ask(NAME), ask(REHEARSED)]);
    let home = Machine::RegionA.address().parse().ok();
    assert_eq!(
        leads,
        [home, home],
        "production's name, and the drill's once it was taken back"
    );
    let acks = clients.stop();
    assert!(acks.iter().all(|ack| ack.region == "a"));
    assert_eq!(two_writers(&acks), Vec::<String>::new());
    assert_eq!(lost(&acks, &world.orders(A)), Vec::<&Ack>::new());
    println!(
        "two drills took {took:?}, in which at least {} orders were taken",
        orders.len()
    );
}
