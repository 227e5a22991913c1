//! The samples of `events/`: what must be understood, where it goes, and what must be refused.
//!
//! `events/<function>/` holds what a function is woken by, `events/published/` what is told to others only, and
//! `rejected/` below either what no function may take. Files whose names begin with one of [`DELIVERED`] are whole payloads as
//! a service of AWS or a person delivers them; the others are events of Holdfast's own.

mod delivered;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use holdfast_core::domain::{Event, FunctionName, JobKind, routes};
use holdfast_tests::workspace_root;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What EventBridge adds to an envelope of ours.
const ADDED_BY_EVENTBRIDGE: [&str; 4] = ["version", "account", "region", "resources"];

/// How the names of payloads begin, by who delivers them.
const DELIVERED: [&str; 5] = ["aws-", "console-", "s3-", "sns-", "sqs-"];

/// The folder of events that no function listens to.
const PUBLISHED: &str = "published";

/// Every rejected sample, and what its refusal must name: the wrong word or the field.
const REJECTED: [(&str, &str); 48] = [
    ("dr-failover/incident-level-in-words", "`detail.level`"),
    ("dr-failover/instruction-unknown", "`forget`"),
    ("dr-failover/observation-is-a-word", "\"yes\""),
    ("dr-failover/plan-with-a-space", "\"photos elsewhere\""),
    ("dr-failover/run-id-is-no-id", "run \"../"),
    ("dr-failover/run-kind-unknown", "`rehearsal`"),
    ("dr-failover/run-state-unknown", "`almost`"),
    ("lifecycle/delete-after-in-words", "`detail.delete_after`"),
    ("lifecycle/delete-at-once", "`skip_hold`"),
    ("lifecycle/point-id-cut-short", "point \""),
    ("published/age-is-a-fraction", "`1.5`"),
    ("published/count-below-zero", "`-1`"),
    ("published/rule-climbs-out", "rule \"../daily\""),
    ("replicator/job-state-unknown", "`done`"),
    ("replicator/no-point", "`point`"),
    ("replicator/point-is-only-an-id", "PointRef"),
    ("restore-runner/include-is-no-list", "\"2026/**\""),
    (
        "restore-runner/moment-without-zone",
        "\"2026-11-19T20:15:00\" is no moment",
    ),
    ("restore-runner/no-target", "`target`"),
    ("restore-runner/overwrite-is-a-word", "\"true\""),
    ("restore-runner/point-by-a-word", "point \"latest\""),
    ("restore-runner/unknown-field", "`as_root`"),
    ("restore-runner/vault-climbs-out", "vault \"..\""),
    ("scheduler/no-detail", "`detail`"),
    ("scheduler/no-detail-type", "`detail-type`"),
    ("scheduler/no-id", "`id`"),
    ("scheduler/no-source", "null"),
    ("scheduler/time-in-words", "`time`"),
    ("scheduler/time-without-zone", "`time`"),
    ("scheduler/unknown-detail-type", "`Gremlin Sighted`"),
    ("scheduler/unknown-field", "`force`"),
    ("snapshot-trigger/detail-is-text", "BackupRequested"),
    ("snapshot-trigger/job-id-is-no-id", "job \"job-17\""),
    ("snapshot-trigger/job-kind-unknown", "`snapshot`"),
    ("snapshot-trigger/nobody-asked", "`requested_by`"),
    ("snapshot-trigger/resource-breaks-a-key", "resource \"photos#point\""),
    ("snapshot-trigger/resource-climbs-out", "resource \"../../etc\""),
    ("snapshot-trigger/resource-in-upper-case", "resource \"Photos\""),
    ("snapshot-trigger/resource-is-absolute", "resource \"/etc\""),
    ("snapshot-trigger/resource-is-empty", "resource \"\""),
    ("snapshot-trigger/resource-is-too-long", "resource \"pppp"),
    ("snapshot-trigger/resource-with-a-newline", "resource \"photos"),
    ("snapshot-trigger/unknown-field", "`priority`"),
    ("verifier/level-is-a-number", "`detail.level`"),
    ("verifier/level-unknown", "`L9`"),
    ("verifier/passed-is-a-word", "\"yes\""),
    ("verifier/point-id-in-upper-case", "point \"ABCDEF"),
    ("verifier/vault-with-a-folder", "vault \"offsite/eu\""),
];

/// One sample that must be understood.
struct Sample {
    path: PathBuf,
    /// The folder that it is in.
    folder: String,
    text: String,
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_delivered(name: &str) -> bool {
    DELIVERED.iter().any(|start| name.starts_with(start))
}

/// Folders and files in a folder, by name.
fn entries(folder: &Path) -> BTreeMap<String, PathBuf> {
    let listing = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let named = listing.map(|entry| {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        (entry.file_name().to_string_lossy().into_owned(), entry.path())
    });
    named.collect()
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (folder, path) in entries(&workspace_root().join("events")) {
        for (name, path) in entries(&path) {
            if name != "rejected" && !is_delivered(&name) {
                assert!(name.ends_with(".json"), "{}: samples are JSON files", path.display());
                samples.push(Sample {
                    text: read(&path),
                    folder: folder.clone(),
                    path,
                });
            }
        }
    }
    samples
}

fn decoded(sample: &Sample) -> Event {
    Event::decode(&sample.text).unwrap_or_else(|failure| panic!("{}: {failure}", sample.path.display()))
}

fn detail_type(event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap_or_default();
    json["detail-type"].as_str().unwrap_or_default().to_owned()
}

/// The words that a closed type knows, as its refusal of another word lists them.
fn words_of<T: DeserializeOwned>(refused: &str) -> BTreeSet<String> {
    let refusal = serde_json::from_str::<T>(refused).err().map(|error| error.to_string());
    let refusal = refusal.unwrap_or_else(|| panic!("{refused} is not refused"));
    let (_, list) = refusal
        .split_once("expected one of ")
        .unwrap_or_else(|| panic!("no list of words: {refusal}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_sample_is_understood_and_written_back_as_it_was() {
    for sample in samples() {
        let written = serde_json::to_value(decoded(&sample)).unwrap();
        let mut expected: Value = serde_json::from_str(&sample.text).unwrap();
        let envelope = expected.as_object_mut().expect("an envelope is an object");
        envelope.retain(|key, _| !ADDED_BY_EVENTBRIDGE.contains(&key.as_str()));
        assert_eq!(written, expected, "{}", sample.path.display());
    }
}

#[test]
fn some_samples_are_as_eventbridge_delivers_them() {
    let added = |sample: &Sample| {
        let envelope: Value = serde_json::from_str(&sample.text).unwrap();
        ADDED_BY_EVENTBRIDGE.iter().all(|key| envelope.get(key).is_some())
    };
    assert!(samples().iter().any(added));
}

#[test]
fn every_sample_is_routed_to_the_function_in_whose_folder_it_is() {
    for sample in samples() {
        let event = decoded(&sample);
        let listeners: Vec<&str> = routes(&event.detail).iter().map(|function| function.as_str()).collect();
        let fits = if sample.folder == PUBLISHED {
            listeners.is_empty()
        } else {
            listeners.contains(&sample.folder.as_str())
        };
        assert!(fits, "{}: goes to {listeners:?}", sample.path.display());
    }
}

#[test]
fn every_function_has_samples() {
    let folders: BTreeSet<String> = samples().into_iter().map(|sample| sample.folder).collect();
    let functions = FunctionName::ALL.iter().map(|function| function.as_str().to_owned());
    let expected: BTreeSet<String> = functions.chain([PUBLISHED.to_owned()]).collect();
    assert_eq!(folders, expected);
}

/// What has no sample: details, routes of the details that have one, and job kinds of the two job events.
fn uncovered() -> Vec<String> {
    let envelope = r#"{"id":"1","source":"holdfast","time":"2026-11-20T00:00:00Z","detail-type":"?","detail":{}}"#;
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wanted = BTreeSet::new();
    for detail in words_of::<Event>(envelope) {
        wanted.insert(detail);
    }
    for kind in words_of::<JobKind>("\"?\"") {
        wanted.insert(format!("Job Requested of kind {kind}"));
        wanted.insert(format!("Job State Change of kind {kind}"));
    }
    let mut routed = BTreeSet::new();
    for sample in samples() {
        let event = decoded(&sample);
        let name = detail_type(&event);
        let json = serde_json::to_value(&event).unwrap_or_default();
        if let (Some(kind), true) = (json["detail"]["kind"].as_str(), json["detail"]["job"].is_string()) {
            wanted.remove(&format!("{name} of kind {kind}"));
        }
        for function in routes(&event.detail) {
            routed.insert((name.clone(), function.as_str().to_owned()));
        }
        wanted.remove(&name);
        seen.entry(name).or_default().insert(sample.folder);
    }
    let missed = routed
        .into_iter()
        .filter(|(name, function)| !seen[name].contains(function));
    let missed = missed.map(|(name, function)| format!("{name} at {function}"));
    wanted.into_iter().chain(missed).collect()
}

#[test]
fn every_detail_has_a_sample_at_every_function_it_goes_to() {
    let golden = read(&workspace_root().join("tests/golden/uncovered-events.txt"));
    let known: Vec<&str> = golden.lines().collect();
    assert_eq!(uncovered(), known, "without a sample in events/");
    assert!(known.is_empty(), "samples are owed: {known:?}");
}

#[test]
fn every_rejected_sample_is_refused_by_the_name_of_what_is_wrong() {
    let problems = REJECTED.iter().filter_map(|(name, culprit)| {
        let (folder, file) = name.split_once('/').expect("folder and file");
        let path = workspace_root().join(format!("events/{folder}/rejected/{file}.json"));
        match Event::decode(&read(&path)) {
            Ok(event) => Some(format!("{name}: understood as {event:?}")),
            Err(error) if error.to_string().contains(culprit) => None,
            Err(error) => Some(format!("{name}: \"{error}\" does not name {culprit}")),
        }
    });
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_rejected_sample_is_listed_and_is_json() {
    let mut found = BTreeSet::new();
    for (folder, path) in entries(&workspace_root().join("events")) {
        for (name, path) in entries(&path.join("rejected")) {
            let text = read(&path);
            assert!(
                serde_json::from_str::<Value>(&text).is_ok(),
                "{}: no JSON",
                path.display()
            );
            if is_delivered(&name) {
                continue;
            }
            found.insert(format!("{folder}/{}", name.trim_end_matches(".json")));
        }
    }
    let listed: BTreeSet<String> = REJECTED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn the_words_of_a_closed_type_are_read_from_its_refusal() {
    let kinds = words_of::<JobKind>("\"?\"");
    assert!(kinds.contains("backup") && kinds.contains("clean"), "{kinds:?}");
    assert!(!kinds.contains("?"));
}
