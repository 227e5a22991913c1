//! The form of `Cargo.toml` files.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::rust;
use crate::tree::Tree;

/// A manifest that could be read.
#[derive(Debug)]
pub struct Manifest<'a> {
    /// The crate's folder.
    pub folder: &'a str,
    pub table: Table,
}

/// One line of a dependency section.
#[derive(Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name that code uses.
    pub name: String,
    /// The crate's own name, which differs when it was renamed.
    pub package: String,
    /// Whether it is there for tests only.
    pub is_dev: bool,
    /// Whether its version is named in the workspace's manifest.
    pub is_shared: bool,
}

/// Every crate's manifest; what cannot be read is an offender.
pub fn read<'a>(tree: &'a Tree, offenders: &mut Vec<String>) -> Vec<Manifest<'a>> {
    let mut manifests = Vec::new();
    for (folder, text) in tree.manifests() {
        match text.parse() {
            Ok(table) => manifests.push(Manifest { folder, table }),
            Err(error) => offenders.push(format!("{folder}/Cargo.toml: {error}")),
        }
    }
    manifests
}

impl Manifest<'_> {
    /// Everything that the crate depends on, for every platform.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let platforms = self.table.get("target").and_then(Value::as_table);
        let platforms = platforms
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table);
        let mut found = Vec::new();
        for table in platforms.chain([&self.table]) {
            for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
                let lines = table.get(section).and_then(Value::as_table).into_iter().flatten();
                found.extend(lines.map(|(name, value)| Dependency {
                    name: name.clone(),
                    package: value.get("package").and_then(Value::as_str).unwrap_or(name).to_owned(),
                    is_dev: section == "dev-dependencies",
                    is_shared: value.get("workspace").and_then(Value::as_bool) == Some(true),
                }));
            }
        }
        found
    }

    fn text(&self, section: &str, key: &str) -> Option<&str> {
        self.table.get(section)?.get(key)?.as_str()
    }

    fn inherits(&self, section: &str, key: Option<&str>) -> bool {
        let value = self.table.get(section);
        let value = key.map_or(value, |key| value?.get(key));
        value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
    }
}

/// The name that a crate in `folder` must have.
fn name_of(folder: &str) -> String {
    match folder.rsplit('/').next().unwrap_or(folder) {
        "xtask" => "xtask".to_owned(),
        last => format!("holdfast-{last}"),
    }
}

/// Manifests that leave the form: the name follows the folder, a description, lints and versions shared by all.
pub fn form(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    let members = members(tree, &mut offenders);
    for manifest in read(tree, &mut offenders) {
        let folder = manifest.folder;
        let mut report = |problem: String| offenders.push(format!("{folder}/Cargo.toml: {problem}"));
        let name = name_of(folder);
        if manifest.text("package", "name") != Some(&name) {
            report(format!("must be named {name}, as its folder"));
        }
        if manifest.text("package", "description").is_none_or(str::is_empty) {
            report("no description".to_owned());
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !manifest.inherits("package", Some(key)) {
                report(format!("{key} is not the workspace's"));
            }
        }
        if !manifest.inherits("lints", None) {
            report("lints are not the workspace's".to_owned());
        }
        for dependency in manifest
            .dependencies()
            .iter()
            .filter(|dependency| !dependency.is_shared)
        {
            report(format!("{}: its version is not the workspace's", dependency.name));
        }
        let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !members.contains(folder) && !members.contains(&format!("{parent}/*")) {
            report("not a member of the workspace".to_owned());
        }
    }
    offenders
}

fn workspace(tree: &Tree, offenders: &mut Vec<String>) -> Table {
    let parsed = tree.text("Cargo.toml").unwrap_or_default().parse::<Table>();
    let table = parsed.unwrap_or_else(|error| {
        offenders.push(format!("Cargo.toml: {error}"));
        Table::new()
    });
    match table.get("workspace") {
        Some(Value::Table(workspace)) => workspace.clone(),
        _ => {
            offenders.push("Cargo.toml: no workspace".to_owned());
            Table::new()
        }
    }
}

fn members(tree: &Tree, offenders: &mut Vec<String>) -> BTreeSet<String> {
    let workspace = workspace(tree, offenders);
    let members = workspace.get("members").and_then(Value::as_array).into_iter().flatten();
    members.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Dependencies that no code names.
pub fn unused(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    let shared = workspace(tree, &mut offenders);
    let mut wanted = BTreeSet::new();
    for manifest in read(tree, &mut offenders) {
        for dependency in manifest.dependencies() {
            wanted.insert(dependency.name.clone());
            if !names(tree, manifest.folder, &dependency) {
                offenders.push(format!("{}/Cargo.toml: {}", manifest.folder, dependency.name));
            }
        }
    }
    let known = shared
        .get("dependencies")
        .and_then(Value::as_table)
        .into_iter()
        .flatten();
    let unwanted = known.filter(|(name, _)| !wanted.contains(*name));
    offenders.extend(unwanted.map(|(name, _)| format!("Cargo.toml: {name}")));
    offenders
}

/// Whether the crate's code names the dependency; one that is there for tests may be named by tests only.
fn names(tree: &Tree, folder: &str, dependency: &Dependency) -> bool {
    let word = dependency.name.replace('-', "_");
    let below = format!("{folder}/");
    let for_tests = dependency.is_dev || folder == "tests" || folder == "shared/testkit";
    tree.rust_files()
        .iter()
        .filter(|file| file.path.starts_with(&below))
        .any(|file| {
            let code = if for_tests { &file.code } else { &file.product };
            rust::word_positions(code, &word).next().is_some()
        })
}

#[cfg(test)]
const GOOD: &str = "[package]\nname = \"holdfast-a\"\ndescription = \"A.\"\nversion.workspace = true\n\
    edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
    [lints]\nworkspace = true\n[dependencies]\nserde = { workspace = true }\n";

#[test]
fn a_manifest_that_leaves_the_form_is_named() {
    let bad = GOOD.replace("holdfast-a", "b").replace("description", "homepage");
    let bad = bad
        .replace("license.workspace = true\n", "")
        .replace("[lints]\nworkspace = true", "");
    let bad = format!("{bad}\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n");
    let tree = Tree::of(&[
        ("Cargo.toml", "[workspace]\nmembers = [\"x/*\"]"),
        ("x/a/Cargo.toml", GOOD),
        ("y/a/Cargo.toml", &bad),
        ("z/Cargo.toml", "=?"),
    ]);
    let found = form(&tree);
    let expected = [
        "must be named holdfast-a, as its folder",
        "no description",
        "license is not the workspace's",
        "lints are not the workspace's",
        "libc: its version is not the workspace's",
        "not a member of the workspace",
    ];
    assert!(found[0].starts_with("z/Cargo.toml: "), "{found:?}");
    assert_eq!(found[1..], expected.map(|problem| format!("y/a/Cargo.toml: {problem}")));
}

#[test]
fn a_dependency_that_only_tests_or_comments_name_is_unused() {
    let root = "[workspace.dependencies]\nserde = \"1\"\nhex = \"1\"";
    let used = Tree::of(&[
        ("Cargo.toml", root),
        ("a/Cargo.toml", GOOD),
        ("a/src/lib.rs", "use serde::Serialize;"),
    ]);
    assert_eq!(unused(&used), ["Cargo.toml: hex"]);
    let text = "// serde\n#[cfg(test)]\nmod tests { use serde::Serialize; }";
    let by_tests = Tree::of(&[("Cargo.toml", root), ("a/Cargo.toml", GOOD), ("a/src/lib.rs", text)]);
    assert_eq!(unused(&by_tests), ["a/Cargo.toml: serde", "Cargo.toml: hex"]);
}
