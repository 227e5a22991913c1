//! The key file is lost: what is lost with it, and what the escrowed password gives back.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_core::domain::JobState;
use holdfast_local::system_ambient;
use holdfast_repository::storage::disk::DiskStorage;
use holdfast_repository::{Repository, RepositoryError, Unlock};
use holdfast_sources::files::manifest::compare;
use holdfast_sources::files::{Manifest, RestoreOptions, restore};
use jiff::SignedDuration;

use crate::world::{World, figure, pass, play};

#[test]
fn without_the_key_file_the_system_reads_no_backup_and_the_escrowed_password_reads_every_one() {
    play(async |mut world: World| {
        world.write("documents/.canary", "nobody changes this\n");
        world.write("documents/contract", "signed\n".repeat(3000));
        let point = world.back_up().await;
        let manifest = Manifest::of(&world.files()).unwrap();
        pass(SignedDuration::from_mins(10));
        let password = fs::read_to_string(world.data().join("repository-password")).unwrap();
        let password = password.trim_end().to_owned();

        world.stop();
        fs::remove_file(world.data().join("keys.json")).unwrap();
        let why = world.start().await.unwrap_err().to_string();
        assert!(
            why.contains("keys.json") && why.contains("put the right one back"),
            "{why}"
        );
        // Whoever begins anew all the same gets a fresh key, which opens nothing that the old one sealed.
        fs::remove_file(world.data().join("keys.pub.pem")).unwrap();
        world.start().await.unwrap();
        let refused = world
            .restore(&point, "recovery", &world.folder.path().join("refused"))
            .await;
        assert_ne!(refused.state, JobState::Completed);
        let refused = refused.failure.unwrap().message;
        world.stop();

        // Any program that reads the format does as well: this is the one at hand.
        let vault = world.region("east").join("vaults/recovery/shop");
        let open = |password: &str| {
            let storage = Arc::new(DiskStorage::open(&vault).unwrap());
            Repository::open(storage, system_ambient(), Unlock::Password(password))
        };
        assert!(matches!(
            open("another").err(),
            Some(RepositoryError::WrongPassword { .. })
        ));
        let repository = open(&password).unwrap();
        let snapshots = repository.snapshots().unwrap();
        assert_eq!(snapshots.len(), 1);
        let index = repository.load_index().unwrap();
        let target = world.folder.path().join("escrow");
        let cancel = AtomicBool::new(false);
        let report = restore(
            &repository,
            &index,
            &snapshots[0].0,
            &target,
            &RestoreOptions::new(&cancel),
        )
        .unwrap();
        assert!(report.is_complete());
        let inside = target.join(world.files().strip_prefix("/").unwrap());
        let differences = compare(&manifest, &Manifest::of(&inside).unwrap());
        assert!(differences.is_empty(), "{differences:?}");
        figure("lost key: what a start says", why);
        figure("lost key: what a restore with a fresh key says", refused);
        figure("lost key: points that the escrowed password reads", snapshots.len());
    });
}
