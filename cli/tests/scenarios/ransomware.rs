//! Somebody encrypts the files; backups go on as if nothing had happened.

use std::collections::BTreeMap;
use std::fs;

use holdfast_core::domain::JobState;
use holdfast_core::domain::Span;
use holdfast_core::planning::{Standing, find_clean_point};
use holdfast_sources::files::Manifest;
use holdfast_sources::files::manifest::compare;
use jiff::SignedDuration;

use crate::world::{World, figure, now, pass, play};

/// Bytes that look like any cipher's, always the same.
fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn text(file: usize, edition: usize) -> String {
    format!("document {file}, edition {edition}: what was agreed upon\n").repeat(2000)
}

#[test]
fn after_ransomware_the_newest_clean_point_is_told_by_what_backups_saw_and_restored_whole() {
    play(async |world: World| {
        const FILES: usize = 30;
        const CLEAN: usize = 6;
        world.write("documents/.canary", "nobody changes this\n");
        for file in 0..FILES {
            world.write(&format!("documents/{file}.txt"), text(file, 0));
        }
        let mut manifest = None;
        for hour in 0..CLEAN {
            world.write(&format!("documents/{hour}.txt"), text(hour, hour));
            world.back_up().await;
            manifest = Some(Manifest::of(&world.files()).unwrap());
            pass(SignedDuration::from_mins(50));
        }
        let encrypted_at = now();
        for file in 0..FILES {
            let name = world.files().join(format!("documents/{file}.txt"));
            let locked = noise(fs::metadata(&name).unwrap().len() as usize, 88 + file as u64);
            fs::write(name.with_extension("txt.locked"), locked).unwrap();
            fs::remove_file(name).unwrap();
        }
        fs::write(world.files().join("documents/.canary"), noise(64, 7)).unwrap();
        for _ in 0..3 {
            world.back_up().await;
            pass(SignedDuration::from_mins(50));
        }

        let points = world.points().await;
        let found = find_clean_point(&points, &BTreeMap::new());
        let newest = found.newest.clone().unwrap();
        assert_eq!(newest.id, points[CLEAN - 1].id);
        let signs: Vec<String> = found.points[CLEAN].signs.iter().map(ToString::to_string).collect();
        let told = signs.join("; ");
        for sign in [
            "canary documents/.canary was changed",
            "may be encrypted",
            "gone or renamed",
            "was new",
        ] {
            assert!(told.contains(sign), "`{sign}` is not among: {told}");
        }
        assert!(
            found.points[..CLEAN]
                .iter()
                .all(|judged| judged.standing == Standing::Presumed)
        );
        assert!(
            found.points[CLEAN..]
                .iter()
                .all(|judged| judged.standing == Standing::Suspect)
        );

        // The files themselves are gone for good; the point comes from the other Region into an empty folder.
        let asked_at = now();
        let target = world.folder.path().join("clean");
        let job = world.restore(&points[CLEAN - 1], "recovery", &target).await;
        assert_eq!(job.state, JobState::Completed, "{:?}", job.failure);
        let differences = compare(&manifest.unwrap(), &Manifest::of(&target).unwrap());
        assert!(differences.is_empty(), "{differences:?}");
        figure("ransomware: signs of the first encrypted point", told);
        figure(
            "ransomware: work lost (from the clean point to the encryption)",
            Span::between(newest.taken_at, encrypted_at),
        );
        figure(
            "ransomware: restore, in the scenario's time",
            Span::between(asked_at, job.finished_at.unwrap()),
        );
    });
}
