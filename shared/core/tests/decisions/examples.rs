//! The examples in `examples/`: one folder for each document of requirements, with a configuration that stands, and where the
//! document contradicts itself also the one that it asks for, with the refusal beside it.

use std::fs;
use std::path::{Path, PathBuf};

use holdfast_core::config::{Config, Problem, parse};
use holdfast_core::planning::Severity;

use crate::golden;
use crate::make::at;

/// Every folder of the examples, by name.
pub fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn read(file: &Path) -> Result<Config, Vec<Problem>> {
    parse(&fs::read_to_string(file).unwrap(), at("2026-01-01T00:00:00Z"))
}

/// The configuration of an example, which must stand.
pub fn example(folder: &Path) -> Config {
    read(&folder.join("holdfast.toml")).unwrap_or_else(|problems| panic!("{}: {problems:#?}", folder.display()))
}

#[test]
fn each_document_of_requirements_has_an_example_that_stands() {
    let folders = folders();
    assert_eq!(folders.len(), 5);
    let mut said = String::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for (line, finding) in example(&folder).warnings {
            assert!(finding.severity < Severity::Refuse);
            let severity = format!("{:?}", finding.severity).to_lowercase();
            said += &format!("{name}:{line}: {severity}: {}: {}\n", finding.subject, finding.message);
        }
    }
    golden::check("examples.txt", &said);
}

#[test]
fn what_a_document_contradicts_itself_in_is_refused_by_name() {
    let mut refused = 0;
    for folder in folders() {
        let file = folder.join("as-written.toml");
        if !file.exists() {
            continue;
        }
        let problems = read(&file).expect_err("what cannot hold is refused");
        let said: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        golden::check_file(&folder.join("as-written.txt"), &said);
        refused += 1;
    }
    assert_eq!(refused, 4);
}
