//! Failovers that nobody orders.

use holdfast_core::domain::{Detail, RunId, RunKind, RunState, Span, WorkloadName};
use holdfast_core::workflow::records;
use serde_json::json;

use crate::ground::*;

fn sees(ground: &Ground, place: &str, up: bool) {
    ground
        .say(Detail::WorkloadObserved {
            workload: WorkloadName::new("orders").unwrap(),
            place: place.to_owned(),
            up,
            note: "connection refused".to_owned(),
        })
        .unwrap();
}

/// What the places see every ten seconds, for a while.
fn watch(ground: &Ground, seen: &[(&str, bool)], span: Span) {
    let end = span.after(clock_time(&ground.clock));
    while clock_time(&ground.clock) < end {
        for (place, up) in seen {
            sees(ground, place, *up);
        }
        ground.clock.advance(Span::seconds(10));
    }
}

fn declared(ground: &Ground) -> Option<RunId> {
    let run = RunId::derive(&["run", "to-away/orders/1/first"]);
    let key = records::run_key(&run);
    let found = now(records::read::<holdfast_core::domain::Run>(
        ground.world.catalog.as_ref(),
        &key,
    ))
    .unwrap();
    found.map(|_| run)
}

#[test]
fn two_places_that_agree_for_long_enough_declare_one_failover() {
    let ground = Ground::new();
    ground.actuators.set_cut(&region("eu-central-1"), true);
    watch(&ground, &[("west", false), ("witness", false)], Span::seconds(30));
    assert!(declared(&ground).is_none(), "it is too early");
    watch(&ground, &[("west", false), ("witness", false)], Span::minutes(2));
    let run = declared(&ground).unwrap();
    assert_eq!(ground.state(&run), RunState::Succeeded, "{:?}", ground.run(&run));
    assert!(ground.run(&run).requested_by.contains("west and witness"));
    let told = ground.pager.pages();
    let told: Vec<_> = told
        .iter()
        .filter(|page| page.key == format!("run/{run}/declared"))
        .collect();
    assert_eq!(told.len(), 1, "people hear of it once: {told:?}");
    assert!(
        told[0].text.contains("from eu-central-1 to eu-west-1"),
        "{}",
        told[0].text
    );
    assert_eq!((ground.authority().generation, ground.writers()), (2, vec!["db-away"]));
}

#[test]
fn one_place_alone_or_one_that_still_reaches_it_declares_nothing() {
    let ground = Ground::new();
    watch(&ground, &[("west", false)], Span::minutes(5));
    watch(&ground, &[("west", false), ("witness", true)], Span::minutes(5));
    assert!(declared(&ground).is_none());
}

#[test]
fn a_place_that_changes_its_word_all_the_time_is_not_believed() {
    let ground = Ground::new();
    for _ in 0..4 {
        watch(&ground, &[("west", false), ("witness", false)], Span::seconds(20));
        watch(&ground, &[("west", true), ("witness", true)], Span::seconds(10));
    }
    watch(&ground, &[("west", false), ("witness", false)], Span::minutes(2));
    assert!(declared(&ground).is_none());
    watch(&ground, &[("west", false), ("witness", false)], Span::minutes(12));
    assert!(declared(&ground).is_some(), "once they have settled they are");
}

#[test]
fn what_was_seen_before_a_workload_came_back_says_nothing_of_it() {
    let ground = Ground::new();
    let down = [("west", false), ("witness", false)];
    for time in ["once", "twice"] {
        ground
            .ask_as(&format!("there {time}"), "to-away", RunKind::Planned)
            .unwrap();
        // These look at the home Region, which has not got the workload.
        watch(&ground, &down, Span::hours(2));
        ground
            .ask_as(&format!("back {time}"), "to-home", RunKind::Planned)
            .unwrap();
        watch(&ground, &[("west", false), ("witness", false)], Span::seconds(20));
        watch(&ground, &[("west", true), ("witness", true)], Span::minutes(1));
    }
    assert_eq!((ground.authority().generation, ground.writers()), (5, vec!["db-home"]));
    watch(&ground, &down, Span::minutes(2));
    assert_eq!(
        (ground.authority().generation, ground.writers()),
        (6, vec!["db-away"]),
        "moving is no flapping"
    );
}

#[test]
fn a_person_can_forbid_it_and_the_one_who_orders_it_is_obeyed() {
    let ground = Ground::new();
    let order = json!({ "forbid": "orders", "until": "2026-11-20T03:00:00Z", "reason": "maintenance", "by": "ana" });
    now(holdfast_dr_failover::answer(&ground.world, &order)).unwrap();
    watch(&ground, &[("west", false), ("witness", false)], Span::minutes(5));
    assert!(declared(&ground).is_none());
    let run = ground.ask("to-away", RunKind::Disaster).unwrap();
    ground.pass(Span::minutes(2));
    assert_eq!(ground.state(&run), RunState::Succeeded);
}
