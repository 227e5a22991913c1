//! Damage of every kind to one copy of a recovery point: the verdict names it, a repair from the other copy heals it, and
//! what neither copy has is named to the file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_core::domain::{FailureKind, Outcome};
use holdfast_core::ports::{Engine, Observation};
use holdfast_repository::Id;
use holdfast_repository::pack::BlobKind;
use holdfast_sources::content_engine::ContentEngine;

use crate::tools;
use crate::world::{
    PRIMARY, RECOVERY, World, assert_proven, back_up, copy, fail, finish, repair, restore, run, task, verdict,
};

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Flipped,
    CutShort,
    Deleted,
}

fn harm(file: &Path, harm: Harm) {
    let mut bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let middle = bytes.len() / 2;
    match harm {
        Harm::Flipped => bytes[middle] ^= 1,
        Harm::CutShort => bytes.truncate(middle),
        Harm::Deleted => return fs::remove_file(file).expect("file"),
    }
    // Stored files may not be written to, so a damaged one takes the place.
    fs::remove_file(file).expect("file");
    fs::write(file, bytes).expect("file");
}

/// A world whose one recovery point stands in both vaults.
async fn copied() -> (World, String) {
    let world = World::with_everything();
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    run(&engine, &task("copy", copy(&artefact))).await;
    (world, artefact)
}

fn only_file(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).expect("folder");
    let file = files.next().expect("a file").expect("a file").path();
    assert!(files.next().is_none(), "{} holds one file", folder.display());
    file
}

/// A pack that holds blobs of this kind.
fn pack(repo: &Path, kind: BlobKind) -> PathBuf {
    let index = tools::open(repo).load_index().expect("index");
    let (_, _, location) = index.iter().find(|(found, _, _)| *found == kind).expect("a blob");
    pack_file(repo, location.pack)
}

fn pack_file(repo: &Path, pack: Id) -> PathBuf {
    let name = pack.to_string();
    repo.join("data").join(&name[..2]).join(name)
}

/// Harms one file of the primary vault in every way; each time the verdict must name it, and the repair must heal it.
async fn is_found_and_healed(which: fn(&Path) -> PathBuf, named: fn(&Path, Harm) -> String, touches_all: bool) {
    let (world, artefact) = copied().await;
    for kind in [Harm::Flipped, Harm::CutShort, Harm::Deleted] {
        let world = world.twin();
        let engine = world.engine();
        let file = which(&world.repository(PRIMARY));
        let name = named(&file, kind);
        harm(&file, kind);

        let found = verdict(&engine, "found", PRIMARY, &artefact).await;
        let says = |damage: &String| damage.contains(&name);
        assert!(
            found.damages.iter().any(says),
            "{kind:?}: {name} is not named: {found:?}"
        );
        assert!(!found.affected.is_empty(), "{kind:?}: {found:?}");
        if touches_all {
            assert_eq!(found.affected, ["/"], "{kind:?}");
        }

        let outcome = run(&engine, &task("repair", repair(&artefact))).await;
        let Outcome::Repair { unrepairable, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(unrepairable, Vec::<String>::new(), "{kind:?}");
        assert_proven(&world, &engine, "healed", PRIMARY, &artefact).await;
        restores(&world, &engine, &artefact).await;
    }
}

async fn restores(world: &World, engine: &ContentEngine, artefact: &str) {
    let target = world.path("restored");
    let outcome = run(engine, &task("restored", restore(artefact, &target))).await;
    assert!(
        matches!(&outcome, Outcome::Restore { differences, .. } if differences.is_empty()),
        "{outcome:?}"
    );
}

fn name_of(file: &Path, _: Harm) -> String {
    file_name(file)
}

/// Nothing tells the name of an index file that is gone, but what it named is missed.
fn index_name(file: &Path, harm: Harm) -> String {
    match harm {
        Harm::Flipped | Harm::CutShort => file_name(file),
        Harm::Deleted => "is in no pack".to_owned(),
    }
}

fn file_name(file: &Path) -> String {
    file.file_name().expect("a name").to_str().expect("UTF-8").to_owned()
}

fn repository(file: &Path, _: Harm) -> String {
    let parts = file.ancestors().find(|folder| folder.ends_with("vaults/primary/app"));
    parts.expect("the repository").display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_config_is_found_and_healed() {
    is_found_and_healed(|repo| repo.join("config"), repository, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_wrapped_key_is_found_and_healed() {
    is_found_and_healed(|repo| repo.join("holdfast/key/wrapped"), repository, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_file_is_found_and_healed() {
    is_found_and_healed(|repo| only_file(&repo.join("snapshots")), name_of, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_data_pack_is_found_and_healed() {
    is_found_and_healed(|repo| pack(repo, BlobKind::Data), name_of, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tree_pack_is_found_and_healed() {
    is_found_and_healed(|repo| pack(repo, BlobKind::Tree), name_of, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_file_is_found_and_healed() {
    is_found_and_healed(|repo| only_file(&repo.join("index")), index_name, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_on_more_files_than_a_record_holds_names_the_file_that_lists_them() {
    let world = World::new();
    for number in 0..300 {
        fs::write(world.source().join(format!("file {number:03}")), number.to_string()).expect("file");
    }
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    let repo = world.repository(PRIMARY);
    let index = tools::open(&repo).load_index().expect("index");
    let data = index.iter().filter(|(kind, ..)| *kind == BlobKind::Data);
    let packs: BTreeSet<Id> = data.map(|(_, _, location)| location.pack).collect();
    packs
        .iter()
        .for_each(|pack| harm(&pack_file(&repo, *pack), Harm::Deleted));
    let found = verdict(&engine, "found", PRIMARY, &artefact).await;
    assert_eq!((found.affected.len(), found.damages.len()), (201, packs.len()));
    let job = task("found", copy(&artefact)).job;
    let place = format!("holdfast/jobs/{job}.json");
    assert_eq!(
        found.affected[200],
        format!("and 101 more, all in {place} of the repository")
    );
    let lists = fs::read_to_string(repo.join(place)).expect("the file");
    let lists: serde_json::Value = serde_json::from_str(&lists).expect("JSON");
    assert_eq!(lists["affected"].as_array().map(Vec::len), Some(301));
    assert_eq!(lists["damages"], serde_json::json!(found.damages));
}

/// A file of one blob whose place in its pack is known.
const VICTIM: &str = "deep/er/est/file";

/// Flips a byte of the victim's blob in a vault, and gives the name of the pack.
fn flip_victim(world: &World, name: &str) -> String {
    let repo = world.repository(name);
    let index = tools::open(&repo).load_index().expect("index");
    let blob = Id::of(&fs::read(world.source().join(VICTIM)).expect("file"));
    let location = index.lookup(BlobKind::Data, &blob).expect("a place");
    let file = pack_file(&repo, location.pack);
    let mut bytes = fs::read(&file).expect("pack");
    bytes[location.offset as usize + location.length as usize / 2] ^= 1;
    fs::remove_file(&file).expect("pack");
    fs::write(&file, bytes).expect("pack");
    file_name(&file)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_neither_copy_has_is_named_to_the_file_and_the_rest_restores() {
    let (world, artefact) = copied().await;
    let engine = world.engine();
    assert_eq!(flip_victim(&world, PRIMARY), flip_victim(&world, RECOVERY));
    let victim = world.source().join(VICTIM).display().to_string();
    let found = verdict(&engine, "found", PRIMARY, &artefact).await;
    assert_eq!(found.affected, std::slice::from_ref(&victim));
    let Outcome::Repair { unrepairable, .. } = run(&engine, &task("repair", repair(&artefact))).await else {
        panic!("the repair ends");
    };
    assert!(unrepairable.contains(&format!("lost: {victim}")), "{unrepairable:?}");
    let lost = unrepairable.iter().filter(|line| line.starts_with("lost: "));
    assert_eq!(lost.count(), 1, "nothing but the victim is lost: {unrepairable:?}");
    let still = verdict(&engine, "still", PRIMARY, &artefact).await;
    assert_eq!(still.affected, [victim]);

    let target = world.path("restored");
    let outcome = run(&engine, &task("restore", restore(&artefact, &target))).await;
    let Outcome::Restore { differences, .. } = outcome else {
        panic!("the restore ends");
    };
    assert!(!differences.is_empty());
    for difference in &differences {
        assert!(
            difference.contains(VICTIM) || difference.contains("deep/er/est"),
            "{difference}"
        );
    }
    let noise = fs::read(target.join("noise")).expect("file");
    assert!(noise == fs::read(world.source().join("noise")).expect("file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_source_is_not_copied_and_publishes_nothing() {
    let world = World::with_everything();
    let engine = world.engine();
    let artefact = back_up(&engine, &world.backup("a")).await;
    let damaged = flip_victim(&world, PRIMARY);
    let (kind, message) = fail(&engine, &task("copy", copy(&artefact))).await;
    assert_eq!(kind, FailureKind::Integrity);
    assert!(message.contains(&damaged), "{message}");
    let published = fs::read_dir(world.repository(RECOVERY).join("snapshots"));
    assert_eq!(
        published.map_or(0, Iterator::count),
        0,
        "no snapshot without its content"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_stopped_goes_on_with_the_packs_that_it_had_not_read() {
    let world = World::new();
    let engine = world.engine();
    let mut artefact = String::new();
    for number in 0..20 {
        let name = format!("file {number}");
        fs::write(world.source().join(&name), tools::noise(number, 3_000_000)).expect("file");
        artefact = back_up(&engine, &world.backup(&name)).await;
    }
    run(&engine, &task("copy", copy(&artefact))).await;
    harm(&pack(&world.repository(PRIMARY), BlobKind::Data), Harm::Flipped);
    let order = task("repair", repair(&artefact));
    engine.start(&order).await.expect("start");
    while engine.working().iter().any(|(_, progress)| progress.done_bytes == 0) {
        engine.wait(Duration::from_millis(1)).await;
    }
    engine.stop();
    finish(&engine).await;
    assert_eq!(engine.observe(&order).await.expect("observe"), Observation::NotStarted);
    let notes = format!("holdfast/portions/{}/examined", order.job);
    assert!(world.repository(PRIMARY).join(notes).exists());
    let Outcome::Repair { repaired, unrepairable } = run(&engine, &order).await else {
        panic!("the repair ends");
    };
    assert_eq!((repaired.is_empty(), unrepairable), (false, Vec::new()));
    assert_proven(&world, &engine, "healed", PRIMARY, &artefact).await;
}
