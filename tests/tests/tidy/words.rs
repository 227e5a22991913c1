//! Words that must not stand in the tree. Those that this file must not hold itself are put together from parts.

use crate::rust;
use crate::tree::Tree;

const LATER_WORDS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const LATER_MACROS: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/fa", "rm/")];
const UNWRAPS: [&str; 4] = [".unwrap()", ".unwrap_err()", ".expect(", ".expect_err("];

/// Notes and macros that put work off.
pub fn left_for_later(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, text) in tree.ending("") {
        for word in LATER_WORDS {
            for at in rust::word_positions(text, word) {
                offenders.push(format!("{path}:{}: {word}", rust::line_of(text, at)));
            }
        }
    }
    for file in tree.rust_files() {
        let code = &file.code;
        for word in LATER_MACROS {
            for (at, _) in code.match_indices(word).filter(|(at, _)| begins_a_word(code, *at)) {
                offenders.push(format!("{}:{}: {word}", file.path, rust::line_of(code, at)));
            }
        }
    }
    offenders
}

fn begins_a_word(code: &str, at: usize) -> bool {
    !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// Calls outside tests that panic on what may well happen. `expect` may state an invariant that a type guarantees.
pub fn unwraps(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in tree.rust_files().iter().filter(|file| !file.is_test) {
        let code = &file.product;
        for call in UNWRAPS {
            for (at, _) in code.match_indices(call) {
                let argument = file.text[at + call.len()..].trim_start();
                let has_message = call.ends_with(')') || argument.starts_with(['"', '&']);
                if has_message && !argument.starts_with("\"invariant") {
                    offenders.push(format!("{}:{}: {call}", file.path, rust::line_of(code, at)));
                }
            }
        }
    }
    offenders
}

/// Tests that are compiled and never run.
pub fn switched_off(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in tree.rust_files() {
        let code = &file.code;
        for at in rust::word_positions(code, "ignore").filter(|at| code[..*at].ends_with("#[")) {
            offenders.push(format!("{}:{}: ignored", file.path, rust::line_of(code, at)));
        }
    }
    offenders
}

/// Absolute paths that exist only where this was written.
pub fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, text) in tree.ending("") {
        for machine in MACHINE_PATHS {
            for (at, _) in text.match_indices(machine).filter(|(at, _)| begins_a_path(text, *at)) {
                offenders.push(format!("{path}:{}: {machine}", rust::line_of(text, at)));
            }
        }
    }
    offenders
}

/// Whether a path begins at `at`, rather than going on from a folder before it.
fn begins_a_path(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~*}>)/$".contains(before))
}

#[test]
fn notes_and_macros_that_put_work_off_are_named() {
    let note = format!("# title\n\n{}: more\n", LATER_WORDS[0]);
    let inside = format!("{}S", LATER_WORDS[0]);
    let tree = Tree::of(&[
        ("README.md", &note),
        ("a.md", &inside),
        (
            "a/src/lib.rs",
            "fn a() {\n    todo!()\n}\nfn b() { my_dbg!(\"dbg!\") } // dbg!",
        ),
    ]);
    let expected = [
        format!("README.md:3: {}", LATER_WORDS[0]),
        "a/src/lib.rs:2: todo!".to_owned(),
    ];
    assert_eq!(left_for_later(&tree), expected);
}

#[test]
fn unwraps_outside_tests_are_named_and_invariants_are_not() {
    let text = "fn a() {\n  b.unwrap();\n  c\n    .expect(\"luck\");\n  d.expect(\n    \"invariant: d is set\");\n  e.unwrap_or(1);\n  progress.expect(bytes, 0);\n}
#[cfg(test)]\nmod tests { fn t() { a.unwrap(); } }";
    let tree = Tree::of(&[("a/src/lib.rs", text), ("a/tests/t.rs", "fn t() { a.unwrap(); }")]);
    assert_eq!(
        unwraps(&tree),
        ["a/src/lib.rs:2: .unwrap()", "a/src/lib.rs:4: .expect("]
    );
}

#[test]
fn a_test_that_is_switched_off_is_named() {
    let tree = Tree::of(&[(
        "a/tests/t.rs",
        "#[test]\n#[ignore = \"slow\"]\nfn t() { ignore(); } // #[ignore]",
    )]);
    assert_eq!(switched_off(&tree), ["a/tests/t.rs:2: ignored"]);
}

#[test]
fn a_path_of_a_build_machine_is_named_and_a_folder_of_that_name_is_not() {
    let bad = format!("see `{}main` and a{}b", MACHINE_PATHS[0], MACHINE_PATHS[0]);
    let tree = Tree::of(&[("docs/a.md", &bad)]);
    assert_eq!(machine_paths(&tree), [format!("docs/a.md:1: {}", MACHINE_PATHS[0])]);
}
