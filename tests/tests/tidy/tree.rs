//! The text of a checkout.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::{fs, io, path::Path};

use crate::rust;

/// Every text file by its path from the root, with `/` between folders.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
    /// Paths that exist and are not text.
    others: Vec<String>,
    rust_files: OnceLock<Vec<RustFile>>,
}

/// One Rust file.
#[derive(Debug)]
pub struct RustFile {
    pub path: String,
    pub text: String,
    /// The text with comments and strings blanked.
    pub code: String,
    /// The code with tests blanked too.
    pub product: String,
    /// Whether all of it is compiled for tests only.
    pub is_test: bool,
}

impl Tree {
    /// Reads everything below `root` but what is built there or written by running the program there.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.enter(root, "")?;
        Ok(tree)
    }

    /// A tree made of `(path, text)`, for the tests of the checkers.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self {
            files: files.collect(),
            ..Self::default()
        }
    }

    fn enter(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let is_ours = !matches!(path.as_str(), "target" | ".git") && !path.starts_with("holdfast-");
                if is_ours {
                    self.enter(&entry.path(), &format!("{path}/"))?;
                }
            } else if kind.is_file() {
                match String::from_utf8(fs::read(entry.path())?) {
                    Ok(text) => drop(self.files.insert(path, text)),
                    Err(_) => self.others.push(path),
                }
            }
        }
        Ok(())
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether a file, or a folder with files in it, is there.
    pub fn has(&self, path: &str) -> bool {
        let below = format!("{}/", path.trim_end_matches('/'));
        let mut paths = self.files.keys().chain(&self.others);
        path.is_empty() || paths.any(|known| known == path || known.starts_with(&below))
    }

    /// Every text file whose path ends in `suffix`.
    pub fn ending(&self, suffix: &str) -> impl Iterator<Item = (&str, &str)> {
        let all = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        all.filter(move |(path, _)| path.ends_with(suffix))
    }

    /// The folder of every crate, with its manifest's text.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ending("/Cargo.toml")
            .map(|(path, text)| (path.trim_end_matches("/Cargo.toml"), text))
    }

    /// Every Rust file.
    pub fn rust_files(&self) -> &[RustFile] {
        self.rust_files.get_or_init(|| {
            let test_modules = self.test_modules();
            let files = self.ending(".rs").map(|(path, text)| {
                let is_declared = test_modules
                    .iter()
                    .any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")));
                let is_test = is_declared || is_test_folder(path);
                let code = rust::mask(text);
                let product = if is_test {
                    String::new()
                } else {
                    rust::without_tests(&code)
                };
                RustFile {
                    path: path.to_owned(),
                    text: text.to_owned(),
                    code,
                    product,
                    is_test,
                }
            });
            files.collect()
        })
    }

    /// Paths (without `.rs`) of the modules that are declared for tests only.
    fn test_modules(&self) -> Vec<String> {
        let mut modules = Vec::new();
        for (path, text) in self.ending(".rs") {
            let stem = path.trim_end_matches(".rs");
            let folder = match stem.rsplit_once('/') {
                Some((parent, "lib" | "main" | "mod")) => parent,
                _ => stem,
            };
            for name in rust::test_module_declarations(text) {
                modules.push(format!("{folder}/{name}"));
            }
        }
        modules
    }
}

/// Integration tests, and the crates that exist for tests only.
fn is_test_folder(path: &str) -> bool {
    path.starts_with("tests/") || path.starts_with("shared/testkit/") || path.contains("/tests/")
}

#[test]
fn a_module_declared_for_tests_is_test_code_with_all_below_it() {
    let tree = Tree::of(&[
        ("a/src/lib.rs", "mod x;\n#[cfg(test)]\nmod helpers;"),
        ("a/src/x.rs", "#[cfg(test)]\nmod tests;"),
        ("a/src/x/tests.rs", ""),
        ("a/src/x/testsuite.rs", ""),
        ("a/src/helpers/deep.rs", ""),
        ("a/src/helpers.rs", ""),
    ]);
    let files = tree.rust_files();
    let tests: Vec<_> = files
        .iter()
        .filter(|file| file.is_test)
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(tests, ["a/src/helpers.rs", "a/src/helpers/deep.rs", "a/src/x/tests.rs"]);
}
