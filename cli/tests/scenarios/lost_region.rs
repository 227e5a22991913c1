//! The home Region is lost with its vault and its files.

use std::fs;

use holdfast_core::domain::{JobState, RunState, Span};
use holdfast_sources::files::Manifest;
use holdfast_sources::files::manifest::compare;
use jiff::SignedDuration;

use crate::world::{World, figure, now, pass, play};

#[test]
fn after_the_loss_of_a_region_everything_comes_from_the_other_and_what_was_lost_is_measured() {
    play(async |world: World| {
        world.write("documents/.canary", "nobody changes this\n");
        for file in 0..20 {
            world.write(&format!("documents/{file}"), format!("{file}\n").repeat(500));
        }
        for _ in 0..3 {
            world.back_up().await;
            pass(SignedDuration::from_mins(50));
        }
        world.write("documents/0", "the last backup");
        world.back_up().await;
        let manifest = Manifest::of(&world.files()).unwrap();
        pass(SignedDuration::from_mins(20));
        world.write("documents/0", "written after it");
        world.write("heartbeat", now().to_string());

        fs::remove_dir_all(world.region("west")).unwrap();
        fs::remove_dir_all(world.files()).unwrap();
        let lost_at = now();

        let run = world.drill().await;
        assert_eq!(run.state, RunState::Succeeded, "{:?}", run.steps);
        let recovery = Span::between(run.declared_at, run.recovered_at.unwrap());
        let loss = Span::seconds(run.data_loss_seconds.unwrap());
        assert!(recovery <= run.plan.objectives.rto, "{recovery}");
        assert!(loss <= run.plan.objectives.rpo, "{loss}");
        assert!(
            loss >= "20m".parse().unwrap(),
            "twenty minutes of work were in no backup: {loss}"
        );

        let points = world.points().await;
        let target = world.folder.path().join("east");
        let job = world.restore(points.last().unwrap(), "recovery", &target).await;
        assert_eq!(job.state, JobState::Completed, "{:?}", job.failure);
        let differences = compare(&manifest, &Manifest::of(&target).unwrap());
        assert!(differences.is_empty(), "{differences:?}");
        let from_primary = world
            .restore(points.last().unwrap(), "primary", &world.folder.path().join("west"))
            .await;
        assert_ne!(from_primary.state, JobState::Completed, "that Region is gone");
        figure(
            "lost Region: recovery time of the drill, in the scenario's time",
            recovery,
        );
        figure("lost Region: data loss by the restored heartbeat", loss);
        figure(
            "lost Region: restored, compared and equal, after",
            Span::between(lost_at, job.finished_at.unwrap()),
        );
    });
}
