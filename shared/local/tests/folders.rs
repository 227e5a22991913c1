//! The data folder, its Regions, and the evidence in them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{data_folder, region, vault};
use holdfast_core::domain::{FailureKind, ResourceId, Vault};
use holdfast_core::ports::EvidenceStore;
use holdfast_local::{DataFolder, DirectoryEvidence, Regions, system_ambient};
use holdfast_repository::storage::FileName;
use tempfile::TempDir;

fn vaults() -> [Vault; 2] {
    [vault("local", "primary"), vault("remote", "recovery")]
}

struct Scene {
    folder: TempDir,
    data: DataFolder,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let data = data_folder(folder.path());
        Self { folder, data }
    }

    fn regions(&self) -> Regions {
        Regions::open(&self.data, &vaults()).expect("Regions")
    }

    fn evidence(&self) -> DirectoryEvidence {
        self.regions().evidence().expect("evidence")
    }

    fn region(&self, name: &str) -> PathBuf {
        self.folder.path().join("regions").join(name)
    }

    fn lose(&self, name: &str) -> PathBuf {
        let away = self.folder.path().join(format!("{name}-away"));
        fs::rename(self.region(name), &away).expect("a lost Region");
        away
    }
}

fn photos() -> ResourceId {
    ResourceId::new("photos").expect("a name")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a listing");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_second_program_is_told_which_one_works_on_the_folder() {
    let scene = Scene::new();
    let failure = DataFolder::open(scene.data.path(), &system_ambient()).expect_err("in use");
    assert_eq!(failure.kind, FailureKind::Conflict);
    let pid = system_ambient().pid.to_string();
    assert!(failure.message.contains(&format!("process {pid} ")), "{failure}");
    let Scene { folder, data } = scene;
    drop(data);
    data_folder(folder.path());
}

#[test]
fn a_repository_is_stored_below_its_region_and_vault() {
    let scene = Scene::new();
    let regions = scene.regions();
    let local = vaults()[0].name.clone();
    let missing = regions.existing_storage(&local, &photos()).err().expect("not made yet");
    assert_eq!(missing.kind, FailureKind::NotFound);
    let storage = regions.storage(&local, &photos()).expect("storage");
    storage.put(&FileName::Config, b"config").expect("put");
    let path = scene.region("primary").join("vaults/local/photos/config");
    assert_eq!(fs::read(path).expect("the file"), b"config");
    regions.existing_storage(&local, &photos()).expect("made before");
    let unknown = vault("nowhere", "primary").name;
    let failure = regions.storage(&unknown, &photos()).err().expect("no such vault");
    assert_eq!(failure.kind, FailureKind::NotFound);
}

#[test]
fn a_lost_region_is_named_and_never_made_again_by_itself() {
    let scene = Scene::new();
    drop(scene.regions());
    let away = scene.lose("primary");
    let regions = scene.regions();
    let failure = regions.storage(&vaults()[0].name, &photos()).err().expect("lost");
    assert_eq!(failure.kind, FailureKind::Transient);
    assert!(failure.message.contains("Region primary is lost"), "{failure}");
    assert!(!scene.region("primary").exists());
    regions
        .storage(&vaults()[1].name, &photos())
        .expect("the other Region works");
    fs::create_dir(scene.region("primary")).expect("an empty mount point");
    regions.require(&region("primary")).expect_err("still lost");
    fs::remove_dir(scene.region("primary")).expect("no mount point");
    fs::rename(away, scene.region("primary")).expect("put back");
    regions.storage(&vaults()[0].name, &photos()).expect("back");
}

#[test]
fn a_person_can_have_a_lost_region_made_again() {
    let scene = Scene::new();
    let regions = scene.regions();
    let standing = regions.make_again(&region("primary")).expect_err("it stands");
    assert_eq!(standing.kind, FailureKind::Conflict);
    scene.lose("primary");
    regions.make_again(&region("primary")).expect("made again");
    regions.require(&region("primary")).expect("it stands");
}

#[test]
fn beside_another_program_no_region_is_made() {
    let scene = Scene::new();
    let beside = DataFolder::beside(scene.data.path()).expect("the folder");
    let regions = Regions::open(&beside, &vaults()).expect("Regions");
    regions.require(&region("primary")).expect_err("not made");
    assert!(!scene.region("primary").exists());
    assert!(!scene.folder.path().join("holdfast.json").exists());
}

#[test]
fn a_folder_of_another_region_is_not_used() {
    let scene = Scene::new();
    let regions = scene.regions();
    scene.lose("primary");
    fs::rename(scene.region("recovery"), scene.region("primary")).expect("mixed up");
    let failure = regions.require(&region("primary")).expect_err("mixed up");
    assert_eq!(failure.kind, FailureKind::Integrity);
    assert!(failure.message.contains("recovery"), "{failure}");
}

#[test]
fn a_registry_that_cannot_be_read_is_refused() {
    let scene = Scene::new();
    drop(scene.regions());
    let path = scene.folder.path().join("holdfast.json");
    for (text, kind) in [
        ("{", FailureKind::Integrity),
        ("{\"version\":2,\"regions\":[]}", FailureKind::Invalid),
    ] {
        fs::write(&path, text).expect("damage");
        let failure = Regions::open(&scene.data, &vaults()).expect_err("unreadable");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains("holdfast.json"), "{failure}");
    }
}

#[tokio::test]
async fn every_region_holds_every_document() {
    let scene = Scene::new();
    let evidence = scene.evidence();
    evidence.put("1.json", b"one").await.expect("put");
    for name in ["primary", "recovery"] {
        let folder = scene.region(name).join("evidence");
        assert_eq!(fs::read(folder.join("1.json")).expect("the document"), b"one");
        assert_eq!(names(&folder), ["1.json"], "nothing half written stays");
    }
    fs::remove_file(scene.region("recovery").join("evidence/1.json")).expect("a loss");
    evidence.put("1.json", b"one").await.expect("the same again");
    assert!(
        scene.region("recovery").join("evidence/1.json").exists(),
        "brought back"
    );
}

#[tokio::test]
async fn a_changed_document_is_noticed() {
    let scene = Scene::new();
    let evidence = scene.evidence();
    evidence.put("1.json", b"one").await.expect("put");
    fs::write(scene.region("recovery").join("evidence/1.json"), b"two").expect("tampering");
    for failure in [
        evidence.get("1.json").await.expect_err("changed"),
        evidence.put("1.json", b"one").await.expect_err("changed"),
    ] {
        assert_eq!(failure.kind, FailureKind::Integrity, "{failure}");
    }
}

#[tokio::test]
async fn evidence_is_kept_while_a_region_is_lost_and_brought_to_it_when_it_is_back() {
    let scene = Scene::new();
    let evidence = scene.evidence();
    evidence.put("1.json", b"one").await.expect("put");
    let away = scene.lose("primary");
    evidence.put("2.json", b"two").await.expect("put in the other Region");
    assert_eq!(evidence.list().await.expect("list"), ["1.json", "2.json"]);
    assert_eq!(evidence.get("1.json").await.expect("get").as_deref(), Some(&b"one"[..]));
    assert!(!scene.region("primary").exists(), "a lost Region is not made again");
    fs::rename(away, scene.region("primary")).expect("put back");
    evidence.put("3.json", b"three").await.expect("put");
    assert_eq!(
        names(&scene.region("primary").join("evidence")),
        ["1.json", "2.json", "3.json"]
    );
}

#[tokio::test]
async fn what_a_region_lacks_is_brought_to_it_when_the_store_opens() {
    let scene = Scene::new();
    scene.evidence().put("1.json", b"one").await.expect("put");
    fs::remove_dir_all(scene.region("recovery").join("evidence")).expect("a loss");
    scene.evidence();
    assert_eq!(names(&scene.region("recovery").join("evidence")), ["1.json"]);
}

#[tokio::test]
async fn without_any_region_nothing_is_claimed() {
    let scene = Scene::new();
    let evidence = scene.evidence();
    scene.lose("primary");
    scene.lose("recovery");
    for failure in [
        evidence.put("1.json", b"one").await.expect_err("nowhere to keep it"),
        evidence.get("1.json").await.expect_err("unknown"),
        evidence.list().await.expect_err("unknown"),
    ] {
        assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    }
}

#[tokio::test]
async fn a_name_cannot_leave_the_folder() {
    let scene = Scene::new();
    let evidence = scene.evidence();
    for name in [
        "",
        ".",
        "..",
        "../1.json",
        "a/b",
        ".hidden",
        "a\0b",
        "ä",
        &"a".repeat(129),
    ] {
        let failure = evidence.put(name, b"x").await.expect_err("a bad name");
        assert_eq!(failure.kind, FailureKind::Invalid, "{name:?}");
    }
    fs::create_dir_all(scene.region("primary").join("evidence")).expect("the folder");
    fs::write(scene.region("primary").join("evidence/a note"), b"x").expect("a stray file");
    let failure = evidence.list().await.expect_err("a stray file");
    assert!(failure.message.contains("a note"), "{failure}");
}
