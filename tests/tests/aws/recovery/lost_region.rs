//! A Region whose services take connections and never answer: the failover away from it, and what becomes of what worked there
//! once it is back.

use holdfast_core::domain::LeftOut;
use holdfast_core::workflow::records;
use serde_json::Value;

use super::machines::execution;
use super::moves::{ALL, NOTHING, sides, state_of};
use crate::deployment::scene::{HOME, RECOVERY, Scene};
use crate::ground::text;

const CONFIGURATION: &str = include_str!("lost_region.toml");

/// The workload, written in the Region that will be lost.
fn workload() -> Scene {
    let scene = Scene::new();
    scene.moto.create_locked_bucket(HOME, "markers");
    scene.standin.with(|state| {
        state.add_global("orders", &[RECOVERY, HOME]);
        for (region, tasks, workers) in [(RECOVERY, 3, 2), (HOME, 0, 0)] {
            state.add_capacity(region, "shop/orders", tasks, (0, 9));
            state.add_capacity(region, "workers", workers, (0, 4));
            state.add_function(region, "imports");
        }
        state.reserve(HOME, "imports", Some(0));
    });
    scene.go(&(CONFIGURATION.to_owned() + &sides()));
    scene
}

impl Scene {
    fn left_out(&self, run: &Value) -> LeftOut {
        let key = records::left_out_key(&text(&run["run"]).try_into().unwrap());
        let read = records::require(self.world.catalog.as_ref(), &key);
        self.runtime.block_on(read).unwrap().value
    }

    fn lose(&self, region: &str, is_lost: bool) {
        self.standin.with(|state| {
            for regions in [&mut state.lost_regions, &mut state.silent_regions] {
                match is_lost {
                    true => regions.insert(region.to_owned()),
                    false => regions.remove(region),
                };
            }
        });
    }

    fn unanswered(&self) -> usize {
        self.standin.with(|state| state.unanswered.len())
    }
}

#[test]
fn a_workload_leaves_a_region_that_does_not_answer_and_what_comes_back_there_is_ended() {
    let scene = workload();
    assert_eq!((scene.working_in(RECOVERY), scene.working_in(HOME)), (ALL, NOTHING));
    scene.lose(RECOVERY, true);
    let mut away = execution("disaster", "lost", "to-central");
    let declared_at = scene.time.now();
    let run = scene.succeeds(&mut away);
    the_failover_waited_for_nothing_there(&scene, &run);
    let took = scene.time.now().duration_since(declared_at);
    assert!(took.as_secs() < 3600, "its objective is an hour: {took}");
    what_was_left_out_is_tried_until_it_answers(&scene, &run);
    scene.lose(RECOVERY, false);
    what_came_back_is_ended_once(&scene, &run);
}

fn the_failover_waited_for_nothing_there(scene: &Scene, run: &Value) {
    for step in ["end-tasks", "end-workers", "end-imports", "follows"] {
        assert_eq!(state_of(run, step), "skipped", "{run}");
    }
    assert_eq!(scene.working_in(HOME), ALL);
    assert!(scene.get("markers", "traffic/central").is_some());
    assert_eq!(
        scene
            .standin
            .with(|state| state.writer_of("orders").map(str::to_owned))
            .as_deref(),
        Some(HOME)
    );
    assert_eq!(scene.authority().writer.unwrap().as_str(), HOME);
    assert!(scene.stated(run).passed);
    // What worked there works on, as nobody could tell it.
    assert_eq!(scene.working_in(RECOVERY), ALL);
    assert!(
        !scene.changes().iter().any(|change| change.ends_with(RECOVERY)),
        "{:?}",
        scene.changes()
    );
}

fn what_was_left_out_is_tried_until_it_answers(scene: &Scene, run: &Value) {
    scene.until_tried_again("it is tried, and tried again", || scene.unanswered() >= 2);
    let left_out = scene.left_out(run);
    assert_eq!(left_out.steps.len(), 3, "{left_out:?}");
}

fn what_came_back_is_ended_once(scene: &Scene, run: &Value) {
    scene.until_tried_again("what came back is ended", || scene.left_out(run).steps.is_empty());
    assert_eq!((scene.working_in(RECOVERY), scene.working_in(HOME)), (NOTHING, ALL));
    let told = |subject: &&String| subject.contains("to-central left out is done");
    let pages = scene.subjects();
    assert_eq!(pages.iter().filter(told).count(), 1, "{pages:?}");
    let changes = scene.changes();
    for once in [
        "UpdateService eu-west-1",
        "SetDesiredCapacity eu-west-1",
        "PutFunctionConcurrency eu-west-1",
    ] {
        assert_eq!(
            changes.iter().filter(|change| *change == once).count(),
            1,
            "{once} of {changes:?}"
        );
    }
    assert_eq!(scene.authority().generation, 2);
}
