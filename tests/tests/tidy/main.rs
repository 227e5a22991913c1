//! The rules of the house, checked on the text of this checkout. Each rule lists every offender at once, and each
//! checker has tests of its own that feed it what it must refuse.

mod layers;
mod links;
mod manifests;
mod rust;
mod size;
mod tree;
mod words;

use std::sync::OnceLock;

use tree::Tree;

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}\n({} in all)",
        offenders.join("\n  "),
        offenders.len()
    );
}

fn checkout() -> &'static Tree {
    static CHECKOUT: OnceLock<Tree> = OnceLock::new();
    let root = holdfast_tests::workspace_root();
    CHECKOUT.get_or_init(|| Tree::read(root).unwrap_or_else(|error| panic!("{}: {error}", root.display())))
}

#[test]
fn the_scanner_understands_every_file() {
    let files = checkout().rust_files().iter();
    let lost = files
        .filter(|file| !rust::is_balanced(&file.code))
        .map(|file| file.path.clone());
    assert_none(
        "files whose strings or comments the scanner misreads",
        &lost.collect::<Vec<_>>(),
    );
}

#[test]
fn crates_import_only_what_their_layer_may() {
    assert_none("imports against the table in layers.rs", &layers::imports(checkout()));
}

#[test]
fn the_core_keeps_its_layers_apart() {
    assert_none(
        "uses against the order of the core's layers",
        &layers::inside_core(checkout()),
    );
}

#[test]
fn the_core_is_pure() {
    assert_none("the core reaches for the world", &layers::core_is_pure(checkout()));
}

#[test]
fn manifests_follow_one_form() {
    assert_none("manifests", &manifests::form(checkout()));
}

#[test]
fn every_dependency_is_used() {
    assert_none("dependencies that nothing uses", &manifests::unused(checkout()));
}

#[test]
fn files_stay_short() {
    assert_none("files that are too long without their tests", &size::files(checkout()));
}

#[test]
fn functions_stay_short() {
    assert_none("functions that are too long", &size::functions(checkout()));
}

#[test]
fn nothing_is_left_for_later() {
    assert_none("left for later", &words::left_for_later(checkout()));
}

#[test]
fn nothing_unwraps_outside_tests() {
    assert_none("unwraps outside tests", &words::unwraps(checkout()));
}

#[test]
fn no_test_is_switched_off() {
    assert_none("tests that do not run", &words::switched_off(checkout()));
}

#[test]
fn no_path_of_a_build_machine_is_named() {
    assert_none("paths of a build machine", &words::machine_paths(checkout()));
}

#[test]
fn links_between_documents_resolve() {
    assert_none("links that lead nowhere", &links::broken(checkout()));
}
