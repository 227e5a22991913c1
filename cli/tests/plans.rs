//! `holdfast plan` and `holdfast clean-point` as a person meets them: what they print, and how they end.

#![allow(missing_docs, reason = "tests are named as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

const CONFIGURATION: &str = r#"
region = "west"
vault = [{ name = "primary", region = "west" }, { name = "recovery", region = "east" }]
[[resource]]
name = "photos"
kind = "files"
path = "files"
[[policy]]
name = "photos"
vault = "primary"
select = { resources = ["photos"] }
keep = { last = 48 }
rule = [{ name = "hourly", cron = "0 * * * *", kind = "full" }]
copy = [{ vault = "recovery", within = "30m" }]
[[plan]]
name = "from-east"
rpo = "2h"
rto = "1h"
step = [
    { name = "restore", restore = { resource = "photos", vault = "recovery" }, timeout = "40m" },
    { name = "compare", verify = { restored-by = "restore" }, timeout = "5m" },
]
[[plan]]
name = "from-west"
rpo = "2h"
rto = "1h"
step = [
    { name = "restore", restore = { resource = "photos", vault = "primary" }, timeout = "40m" },
    { name = "also", restore = { resource = "photos", vault = "recovery" }, timeout = "40m" },
]
"#;

/// Runs the program in a folder; its exit code, and what it printed on both outputs.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let output = program.args(arguments).current_dir(folder).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(printed).unwrap())
}

fn installation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("files")).unwrap();
    fs::write(folder.path().join("files/one"), "first").unwrap();
    fs::write(folder.path().join("holdfast.toml"), CONFIGURATION).unwrap();
    folder
}

fn assert_ends(folder: &Path, arguments: &[&str], code: i32, says: &[&str]) {
    let (ended, printed) = run(folder, arguments);
    assert_eq!(ended, code, "{arguments:?}: {printed}");
    for words in says {
        assert!(
            printed.contains(words),
            "{arguments:?} does not say `{words}`: {printed}"
        );
    }
}

#[test]
fn plans_are_looked_at_without_making_anything() {
    let installation = installation();
    let folder = installation.path();
    assert_ends(folder, &["plan", "check", "from-east"], 0, &["refused for: 0"]);
    let lost = "refused: from-west/restore: it needs the server there in west, which is lost with Region west";
    assert_ends(
        folder,
        &["plan", "check"],
        1,
        &[lost, "plans checked: 2, refused for: 1"],
    );
    assert_ends(
        folder,
        &["plan", "simulate", "from-east"],
        0,
        &["outage region", "outage health-checks", "not measured"],
    );
    assert_ends(
        folder,
        &["plan", "simulate", "from-west", "--outage", "region"],
        1,
        &["BLOCKED", "does not come to its end"],
    );
    assert_ends(
        folder,
        &["plan", "show", "from-east"],
        0,
        &["flowchart TD", "s0 --> s1"],
    );
    assert_ends(
        folder,
        &["plan", "runbook", "from-east"],
        0,
        &["# Runbook: from-east", "holdfast drill from-east"],
    );
    assert_ends(
        folder,
        &["plan", "show", "from-north"],
        2,
        &["no recovery plan is named \"from-north\""],
    );
    assert_ends(
        folder,
        &["plan", "simulate", "from-east", "--outage", "rain"],
        2,
        &["\"rain\" is no outage that is known"],
    );
    assert!(!folder.join("holdfast-data").exists(), "nobody asked for a catalog");
}

#[test]
fn a_drill_is_measured_reported_and_then_expected_to_take_as_long() {
    let installation = installation();
    let folder = installation.path();
    assert_ends(folder, &["backup", "photos"], 0, &["1 files"]);
    // A drill drives what is due as well: the proof and the copy that it waits for may come during an earlier one.
    let drilled = (0..20).any(|_| run(folder, &["drill", "from-east"]).0 == 0);
    assert!(drilled);
    let (code, printed) = run(folder, &["report", "?"]);
    assert_eq!(code, 2, "{printed}");
    let latest = printed
        .lines()
        .find(|line| line.contains("drill of from-east"))
        .unwrap();
    let id = latest.split_whitespace().next().unwrap();
    assert_ends(folder, &["report", id, "--page", "drill.html"], 0, &["drill.html"]);
    let page = fs::read_to_string(folder.join("drill.html")).unwrap();
    assert!(page.contains(id) && page.contains("of the evidence chain"), "{page}");
    assert_ends(
        folder,
        &["plan", "simulate", "from-east", "--outage", "region"],
        0,
        &["in 1 run", "recovery time: "],
    );
}

#[test]
fn the_search_for_a_clean_point_says_what_to_test_next_and_refuses_contradictions() {
    let installation = installation();
    let folder = installation.path();
    assert_ends(
        folder,
        &["clean-point", "photos"],
        1,
        &["no recovery point is clean", "nothing is left to test"],
    );
    assert_ends(folder, &["backup", "photos"], 0, &[]);
    let (_, printed) = run(folder, &["clean-point", "photos"]);
    assert!(
        printed.contains("nothing against it") && printed.contains("next: restore"),
        "{printed}"
    );
    let point = printed
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    let tested = ["clean-point", "photos", "--good", &point];
    assert_ends(
        folder,
        &tested,
        0,
        &["good", "newest clean point", "nothing is left to test"],
    );
    assert_ends(
        folder,
        &["clean-point", "photos", "--bad", &point],
        1,
        &["no recovery point is clean"],
    );
    let both = ["clean-point", "photos", "--good", &point, "--bad", &point];
    assert_ends(folder, &both, 2, &["cannot be both good and bad"]);
}
