//! Payloads as AWS and people deliver them: what each comes down to at the edge of a function.

use holdfast_core::domain::{FunctionName, routes};
use holdfast_runtime::arrival::{Arrival, Payload, decode};
use jiff::Timestamp;
use serde_json::Value;

use super::{decoded, entries, is_delivered, read, samples, workspace_root};

/// Every payload, and what arrives by it.
const PAYLOADS: [(&str, &[&str]); 25] = [
    ("dr-failover/console-acknowledge", &["request"]),
    ("dr-failover/console-approve", &["request"]),
    ("dr-failover/console-drill", &["request"]),
    ("dr-failover/console-failover", &["request"]),
    ("dr-failover/console-forbid", &["request"]),
    ("dr-failover/console-simulate", &["request"]),
    ("dr-failover/console-status", &["request"]),
    ("replicator/aws-copy-job", &["aws.backup: Copy Job State Change"]),
    ("restore-runner/console-approved", &["request"]),
    ("restore-runner/console-database", &["request"]),
    ("restore-runner/console-dry-run", &["request"]),
    ("restore-runner/console-moment", &["request"]),
    ("restore-runner/console-part", &["request"]),
    ("restore-runner/console-status", &["request"]),
    ("restore-runner/sqs-console", &["request"]),
    ("restore-runner/sqs-dead-letter", &["request"]),
    ("scheduler/console-configuration", &["request"]),
    (
        "snapshot-trigger/aws-backup-job",
        &["aws.backup: Backup Job State Change"],
    ),
    ("snapshot-trigger/aws-rds-snapshot", &["aws.rds: RDS DB Snapshot Event"]),
    (
        "snapshot-trigger/sqs-batch",
        &[
            "Backup Requested",
            "Scheduled Wake-Up",
            "aws.rds: RDS DB Snapshot Event",
            "aws.backup: BACKUP_JOB",
            "aws.rds: RDS-EVENT-0042",
        ],
    ),
    (
        "verifier/s3-object-removed",
        &["aws.s3: ObjectRemoved:DeleteMarkerCreated"],
    ),
    ("verifier/s3-test-event", &[]),
    (
        "verifier/sns-object-removed",
        &["aws.s3: ObjectRemoved:DeleteMarkerCreated"],
    ),
    ("verifier/wake-up", &["Scheduled Wake-Up"]),
    ("restore-runner/restore-requested", &["Restore Requested"]),
];

/// Every payload that is refused at the edge, and what the refusal names.
const REFUSED: [(&str, &str); 6] = [
    ("snapshot-trigger/aws-kinesis-records", "\"aws:kinesis\""),
    ("snapshot-trigger/aws-unknown-source", "\"aws.ec2\""),
    ("snapshot-trigger/sns-subscription", "SubscriptionConfirmation"),
    ("snapshot-trigger/sqs-list", "this is a list"),
    ("snapshot-trigger/sqs-no-json", "the message is no JSON"),
    ("snapshot-trigger/sqs-wrapped-too-often", "wrapped more than"),
];

fn payload(name: &str) -> Value {
    let path = workspace_root().join(format!("events/{name}.json"));
    serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn word(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Request(_) => "request".to_owned(),
        Arrival::Hint(hint) => format!("{}: {}", hint.source, hint.what),
        Arrival::Event(event) => super::detail_type(event),
    }
}

/// What arrives by a payload, or the refusals.
fn arrivals(payload: &Value) -> Result<Vec<Arrival>, String> {
    let messages = match decode(payload).map_err(|failure| failure.message)? {
        Payload::Batch(messages) => messages,
        Payload::Direct(message) => vec![message],
    };
    let mut all = Vec::new();
    for message in messages {
        all.extend(message.arrivals.map_err(|failure| failure.message)?);
    }
    Ok(all)
}

#[test]
fn every_payload_comes_down_to_what_it_says() {
    for (name, expected) in PAYLOADS {
        let arrived = arrivals(&payload(name)).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let words: Vec<String> = arrived.iter().map(word).collect();
        assert_eq!(words, expected, "{name}");
        let function = FunctionName::ALL
            .iter()
            .find(|function| name.starts_with(function.as_str()));
        for event in arrived
            .iter()
            .filter_map(|arrival| arrival.event(Timestamp::UNIX_EPOCH))
        {
            assert!(routes(&event.detail).contains(function.unwrap()), "{name}: {event:?}");
        }
    }
}

#[test]
fn a_dead_letter_that_comes_back_does_the_work_of_the_call_that_failed() {
    let arrived = arrivals(&payload("restore-runner/sqs-dead-letter")).unwrap();
    assert_eq!(arrived, [Arrival::Request(payload("restore-runner/console-approved"))]);
}

#[test]
fn messages_of_a_queue_keep_their_ids_counts_and_traces() {
    let Ok(Payload::Batch(messages)) = decode(&payload("snapshot-trigger/sqs-batch")) else {
        panic!("no batch");
    };
    assert_eq!(messages[1].receive_count, Some(2));
    assert_eq!(messages[1].id.as_deref(), Some("2e1424d4-f796-459a-8184-9c92662be6da"));
    assert!(messages[0].trace.as_ref().unwrap().starts_with("Root=1-69264f6b"));
    assert_eq!(messages[2].trace, None);
}

#[test]
fn events_of_our_own_arrive_as_they_are_read_and_only_requests_are_no_hints() {
    for sample in samples() {
        let value = serde_json::from_str(&sample.text).unwrap();
        let arrived = arrivals(&value).unwrap_or_else(|refusal| panic!("{}: {refusal}", sample.path.display()));
        assert_eq!(arrived, [Arrival::Event(decoded(&sample))], "{}", sample.path.display());
        let name = word(&arrived[0]);
        let is_request = name.ends_with(" Requested") && name != "Job Requested";
        assert_eq!(arrived[0].is_hint(), !is_request, "{name}");
    }
}

#[test]
fn every_refused_payload_is_refused_by_the_name_of_what_is_wrong() {
    for (name, culprit) in REFUSED {
        let (folder, file) = name.split_once('/').unwrap();
        let refusal = arrivals(&payload(&format!("{folder}/rejected/{file}"))).unwrap_err();
        assert!(
            refusal.contains(culprit),
            "{name}: \"{refusal}\" does not name {culprit}"
        );
    }
}

/// Payloads of the console that are refused are held to their refusals where the function is tested, with what it knows.
#[test]
fn every_payload_is_listed() {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for (folder, path) in entries(&workspace_root().join("events")) {
        let name = |file: &str| format!("{folder}/{}", file.trim_end_matches(".json"));
        found.extend(
            entries(&path)
                .keys()
                .filter(|file| is_delivered(file))
                .map(|file| name(file)),
        );
        let rejected = entries(&path.join("rejected"));
        let at_edge = rejected
            .keys()
            .filter(|file| is_delivered(file) && !file.starts_with("console-"));
        refused.extend(at_edge.map(|file| name(file)));
    }
    for name in found {
        assert!(
            PAYLOADS.iter().any(|(listed, _)| *listed == name),
            "{name} is not listed"
        );
    }
    let listed: Vec<String> = REFUSED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(refused, listed);
}
