//! How long files and functions may be.

use crate::rust;
use crate::tree::Tree;

/// Lines of a file without its tests.
const FILE_LINES: usize = 500;
/// Lines of a function.
const FUNCTION_LINES: usize = 70;
/// Lines of a function crate's `main.rs`, which only joins what was written elsewhere.
const MAIN_LINES: usize = 60;

/// Files that are too long without their tests.
pub fn files(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in tree.rust_files().iter().filter(|file| !file.is_test) {
        let code = &file.code;
        let in_tests = |range: std::ops::Range<usize>| file.text[range].lines().count();
        let lines = file.text.lines().count() - rust::test_items(code).into_iter().map(in_tests).sum::<usize>();
        let is_wiring = file.path.starts_with("functions/") && file.path.ends_with("/src/main.rs");
        let most = if is_wiring { MAIN_LINES } else { FILE_LINES };
        if lines > most {
            offenders.push(format!("{}: {lines} lines, at most {most}", file.path));
        }
    }
    offenders
}

/// Functions outside tests that are too long.
pub fn functions(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for file in tree.rust_files().iter().filter(|file| !file.is_test) {
        let code = &file.product;
        for function in rust::functions(code) {
            if function.length > FUNCTION_LINES {
                let rust::Function { name, line, length } = function;
                offenders.push(format!(
                    "{}:{line}: fn {name}: {length} lines, at most {FUNCTION_LINES}",
                    file.path
                ));
            }
        }
    }
    offenders
}

#[test]
fn a_long_file_is_named_and_its_tests_do_not_count() {
    let long = "const A: u8 = 1;\n".repeat(501);
    let tested = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
    let wiring = "const A: u8 = 1;\n".repeat(61);
    let tree = Tree::of(&[
        ("a/src/long.rs", &long),
        ("a/src/tested.rs", &tested),
        ("a/tests/long.rs", &long),
        ("functions/f/src/main.rs", &wiring),
        ("cli/src/main.rs", &wiring),
    ]);
    let expected = [
        "a/src/long.rs: 501 lines, at most 500",
        "functions/f/src/main.rs: 61 lines, at most 60",
    ];
    assert_eq!(files(&tree), expected);
}

#[test]
fn a_long_function_is_named() {
    let text = format!("fn short() {{}}\n\nfn long() {{\n{}}}\n", "    a();\n".repeat(69));
    let tree = Tree::of(&[("a/src/lib.rs", &text)]);
    assert_eq!(functions(&tree), ["a/src/lib.rs:3: fn long: 71 lines, at most 70"]);
}
