//! Who may import whom.

use crate::manifests::{self, Dependency};
use crate::rust;
use crate::tree::Tree;

/// What the crates in a folder may import.
struct Row {
    /// A crate's folder; `*` stands for every folder there.
    folder: &'static str,
    /// Folders of the crates it may import.
    may: &'static [&'static str],
    /// Why these and no others.
    reason: &'static str,
}

const CORE: &str = "shared/core";
const REPOSITORY: &str = "shared/repository";
const SOURCES: &str = "shared/sources";
const AWS: &str = "shared/aws";
const LOCAL: &str = "shared/local";
const FAILOVER: &str = "shared/failover";
const RUNTIME: &str = "shared/runtime";
const TESTKIT: &str = "shared/testkit";
const FUNCTIONS: &str = "functions/*";
const KERNELS: &str = "bench/kernels";

const TABLE: [Row; 14] = [
    Row {
        folder: CORE,
        may: &[],
        reason: "the domain is pure: it knows no engine, no service, no adapter",
    },
    Row {
        folder: REPOSITORY,
        may: &[],
        reason: "it knows bytes, not policies, and is useful without the rest",
    },
    Row {
        folder: SOURCES,
        may: &[CORE, REPOSITORY],
        reason: "it brings the core's engine port to the repository",
    },
    Row {
        folder: AWS,
        may: &[CORE, REPOSITORY, SOURCES, FAILOVER],
        reason: "adapters, S3 as a source among them; recovery plans ask the network the same everywhere; it meets the runtime in a function's main.rs",
    },
    Row {
        folder: LOCAL,
        may: &[CORE, REPOSITORY],
        reason: "adapters; who uses them is no concern of theirs",
    },
    Row {
        folder: FAILOVER,
        may: &[CORE, SOURCES],
        reason: "what moves a workload on one's own machines; it speaks to PostgreSQL with the client of the sources",
    },
    Row {
        folder: RUNTIME,
        may: &[CORE],
        reason: "the Lambda edge; it meets aws in a function's main.rs",
    },
    Row {
        folder: TESTKIT,
        may: &[CORE],
        reason: "fakes and suites of the core's ports",
    },
    Row {
        folder: FUNCTIONS,
        may: &[CORE, REPOSITORY, SOURCES, AWS, RUNTIME],
        reason: "functions speak to each other by events only, and their main.rs joins the adapters of AWS",
    },
    Row {
        folder: "cli",
        may: &[CORE, REPOSITORY, SOURCES, LOCAL, FAILOVER, FUNCTIONS, AWS],
        reason: "the embedded server joins the functions to the local adapters; repositories may lie on S3",
    },
    Row {
        folder: "tests",
        may: &[
            CORE, REPOSITORY, SOURCES, AWS, LOCAL, FAILOVER, RUNTIME, TESTKIT, FUNCTIONS, "cli",
        ],
        reason: "tests may look at everything",
    },
    Row {
        folder: KERNELS,
        may: &[REPOSITORY],
        reason: "it measures the content engine alone, and is built in a minute",
    },
    Row {
        folder: "bench",
        may: &[CORE, KERNELS, "tests"],
        reason: "it measures finished programs, called by the core's names, in the surroundings that the tests build for them",
    },
    Row {
        folder: "xtask",
        may: &[],
        reason: "it must build in a moment on a machine where nothing else does yet",
    },
];

/// Crates of others that belong to one room, by the beginning of their names.
const ROOMS: [(&str, &str); 5] = [
    ("aws-sdk", AWS),
    ("aws-config", AWS),
    ("aws-smithy", AWS),
    ("lambda_", RUNTIME),
    ("aws_lambda_events", RUNTIME),
];

/// Imports between crates that the table does not allow.
pub fn imports(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for manifest in manifests::read(tree, &mut offenders) {
        let folder = manifest.folder;
        let Some(row) = TABLE.iter().find(|row| matches(row.folder, folder)) else {
            offenders.push(format!("{folder}: has no row in the table"));
            continue;
        };
        for dependency in manifest.dependencies() {
            if let Some(problem) = refusal(tree, row, folder, &dependency) {
                offenders.push(format!("{folder}: {}: {problem}", dependency.package));
            }
        }
    }
    offenders
}

fn refusal(tree: &Tree, row: &Row, folder: &str, dependency: &Dependency) -> Option<String> {
    let package = dependency.package.as_str();
    if let Some((_, room)) = ROOMS.iter().find(|(start, _)| package.starts_with(start)) {
        return (*room != folder).then(|| format!("belongs to {room}"));
    }
    let own = package.strip_prefix("holdfast-")?;
    let Some(imported) = tree
        .manifests()
        .map(|(at, _)| at)
        .find(|at| at.rsplit('/').next() == Some(own))
    else {
        return Some("no such crate".to_owned());
    };
    if imported == TESTKIT && !dependency.is_dev {
        return Some("is for tests: a dev-dependency".to_owned());
    }
    // Whoever knows the core's ports may test itself with their fakes.
    let tests_with_fakes = imported == TESTKIT && row.may.contains(&CORE);
    let allowed = tests_with_fakes || row.may.iter().any(|pattern| matches(pattern, imported));
    (!allowed).then(|| format!("not allowed: {}", row.reason))
}

fn matches(pattern: &str, folder: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(parent) => folder.strip_prefix(parent).is_some_and(|name| !name.contains('/')),
        None => pattern == folder,
    }
}

/// The core's layers and what each may use.
const LAYERS: [(&str, &[&str]); 6] = [
    ("domain", &[]),
    ("planning", &["domain"]),
    ("ports", &["domain"]),
    ("config", &["domain", "planning"]),
    ("report", &["domain", "planning"]),
    ("workflow", &["domain", "planning", "ports"]),
];

/// Uses of one layer of the core by another that must not know it. Tests are held to it too.
pub fn inside_core(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in tree.rust_files() {
        let Some(inside) = file.path.strip_prefix("shared/core/src/") else {
            continue;
        };
        let own = inside.split(['/', '.']).next().unwrap_or(inside);
        if own == "lib" {
            continue;
        }
        let Some((_, may)) = LAYERS.iter().find(|(layer, _)| *layer == own) else {
            offenders.push(format!("{}: {own} is no layer of the core", file.path));
            continue;
        };
        let code = &file.code;
        for (at, used) in used_layers(code) {
            if used != own && !may.contains(&used) {
                offenders.push(format!("{}:{}: {own} uses {used}", file.path, rust::line_of(code, at)));
            }
        }
    }
    offenders
}

/// Layers named by paths that start in `crate`, or climb by `super`, one at a time or in a group.
fn used_layers(code: &str) -> Vec<(usize, &'static str)> {
    let mut used = Vec::new();
    for prefix in ["crate::", "super::"] {
        for (at, _) in code.match_indices(prefix) {
            for name in next_names(&code[at + prefix.len()..]) {
                used.extend(
                    LAYERS
                        .iter()
                        .filter(|(layer, _)| *layer == name)
                        .map(|(layer, _)| (at, *layer)),
                );
            }
        }
    }
    used
}

/// The name that goes on a path, or the first names of the paths in its group.
fn next_names(rest: &str) -> Vec<&str> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![rust::word_at(rest, 0)];
    };
    let mut names = Vec::new();
    let (mut depth, mut fresh) = (0_u32, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                names.push(rust::word_at(group, at));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

/// What the core must not touch: files, the network, processes, the environment, threads, a runtime.
const WORLD: [&str; 6] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "tokio",
];

/// Uses of the world by the core outside its tests.
pub fn core_is_pure(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in tree
        .rust_files()
        .iter()
        .filter(|file| file.path.starts_with("shared/core/src/") && !file.is_test)
    {
        let code = &file.product;
        for word in WORLD {
            for at in rust::word_positions(code, word) {
                offenders.push(format!("{}:{}: {word}", file.path, rust::line_of(code, at)));
            }
        }
    }
    offenders
}

#[test]
fn imports_against_the_table_are_named() {
    let tree = Tree::of(&[
        (
            "shared/core/Cargo.toml",
            "[dependencies]\nholdfast-repository = {}\n[dev-dependencies]\nholdfast-testkit = {}",
        ),
        ("shared/repository/Cargo.toml", "[dependencies]\nserde = {}"),
        (
            "shared/local/Cargo.toml",
            "[dependencies]\nholdfast-core = {}\n[dev-dependencies]\nholdfast-testkit = {}",
        ),
        ("shared/testkit/Cargo.toml", ""),
        (
            "functions/a/Cargo.toml",
            "[dependencies]\nholdfast-b = {}\nholdfast-testkit = {}\naws-sdk-s3 = {}",
        ),
        (
            "functions/b/Cargo.toml",
            "[dependencies]\nholdfast-core = {}\nholdfast-local = {}",
        ),
        (
            "cli/Cargo.toml",
            "[dependencies]\nholdfast-a = {}\nrenamed = { package = \"holdfast-gone\" }",
        ),
        ("shared/new/Cargo.toml", ""),
    ]);
    let found = imports(&tree);
    let starts = [
        "cli: holdfast-gone: no such crate",
        "functions/a: aws-sdk-s3: belongs to shared/aws",
        "functions/a: holdfast-b: not allowed: functions speak",
        "functions/a: holdfast-testkit: is for tests",
        "functions/b: holdfast-local: not allowed",
        "shared/core: holdfast-repository: not allowed",
        "shared/core: holdfast-testkit: not allowed",
        "shared/new: has no row",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (offender, start) in found.iter().zip(starts) {
        assert!(offender.starts_with(start), "{offender} is not: {start}");
    }
}

#[test]
fn a_use_against_the_order_of_layers_is_named() {
    let tree = Tree::of(&[
        ("shared/core/src/lib.rs", "pub mod domain;"),
        (
            "shared/core/src/domain/a.rs",
            "use super::id::A;\n// crate::ports\nuse crate::ports::B;",
        ),
        (
            "shared/core/src/planning/b.rs",
            "use crate::{domain::{ports, x}, workflow};\nfn f(a: super::super::ports::B) {}",
        ),
        (
            "shared/core/src/workflow/c.rs",
            "use crate::{domain, planning::p, ports};",
        ),
        ("shared/core/src/extra.rs", ""),
    ]);
    let expected = [
        "shared/core/src/domain/a.rs:3: domain uses ports",
        "shared/core/src/extra.rs: extra is no layer of the core",
        "shared/core/src/planning/b.rs:1: planning uses workflow",
        "shared/core/src/planning/b.rs:2: planning uses ports",
    ];
    assert_eq!(inside_core(&tree), expected);
}

#[test]
fn a_core_that_reads_files_is_named() {
    let text = "fn f() {\n  std::fs::read(x);\n}\n#[cfg(test)]\nmod tests { use std::fs; }";
    let tree = Tree::of(&[
        ("shared/core/src/domain/a.rs", text),
        ("shared/local/src/lib.rs", "use std::fs;"),
    ]);
    assert_eq!(core_is_pure(&tree), ["shared/core/src/domain/a.rs:2: std::fs"]);
}
