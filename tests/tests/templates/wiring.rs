//! Whether everything that should wake a function reaches it, and only it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Detail, Event, FunctionName, JobKind, routes};
use holdfast_core::ports::MAX_RECEIVES;
use holdfast_tests::workspace_root;
use serde_json::{Value, json};

use crate::pattern::matches;
use crate::template::{function_of_queue, of_type, stem, target, template};

/// The functions that the rules of a bus hand an event to. `None` is the account's own bus.
fn told(bus: Option<&str>, event: &Value) -> BTreeSet<FunctionName> {
    let rules = of_type("AWS::Events::Rule").into_values();
    let on_bus = rules.filter(|rule| match bus {
        Some(bus) => rule["EventBusName"]["Ref"] == bus,
        None => rule["EventBusName"].is_null(),
    });
    let mut told = BTreeSet::new();
    for rule in on_bus.filter(|rule| matches(&resolved(&rule["EventPattern"]), event)) {
        for listener in rule["Targets"].as_array().unwrap() {
            told.insert(function_of_queue(target(&listener["Arn"])));
        }
    }
    told
}

/// References in a pattern become the name of what they refer to.
fn resolved(pattern: &Value) -> Value {
    match pattern {
        Value::Object(fields) => match fields.get("Ref") {
            Some(name) => name.clone(),
            None => fields
                .iter()
                .map(|(key, value)| (key.clone(), resolved(value)))
                .collect(),
        },
        Value::Array(values) => values.iter().map(resolved).collect(),
        _ => pattern.clone(),
    }
}

/// Every good sample below `events/`. The tests of the samples see to it that no type of event is without one.
fn samples() -> Vec<Value> {
    let mut samples = Vec::new();
    for folder in fs::read_dir(workspace_root().join("events")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "json") {
                samples.push(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap());
            }
        }
    }
    samples
}

/// Every kind of job. A new one does not compile before it is in the list.
fn kinds() -> [JobKind; 8] {
    use JobKind::{Backup, Clean, Copy, Delete, Reclaim, Repair, Restore, Verify};
    let all = [Backup, Copy, Verify, Repair, Restore, Delete, Reclaim, Clean];
    for kind in all {
        match kind {
            Backup | Copy | Verify | Repair | Restore | Delete | Reclaim | Clean => {}
        }
    }
    all
}

#[test]
fn the_rules_route_every_event_as_the_core_does() {
    let mut types = BTreeSet::new();
    let mut checked = 0;
    for sample in samples() {
        let Ok(event) = Event::decode(&sample.to_string()) else {
            // What is not an event of ours (a console payload, a notification) is not routed by the bus.
            assert_ne!(sample["source"], "holdfast", "{sample}");
            continue;
        };
        let variants = match event.detail {
            Detail::JobRequested { .. } | Detail::JobStateChange { .. } => kinds()
                .map(|kind| {
                    let mut variant = sample.clone();
                    variant["detail"]["kind"] = json!(kind);
                    variant
                })
                .to_vec(),
            _ => vec![sample],
        };
        for variant in variants {
            let event = Event::decode(&variant.to_string()).unwrap();
            let expected: BTreeSet<FunctionName> = routes(&event.detail).iter().copied().collect();
            assert_eq!(told(Some("Bus"), &variant), expected, "{variant}");
            types.insert(variant["detail-type"].as_str().unwrap().to_owned());
            checked += 1;
        }
    }
    assert!(types.len() >= 16 && checked > 50, "{checked} events of {types:?}");
}

#[test]
fn nothing_of_another_source_passes_for_ours() {
    let mut foreign = samples()
        .into_iter()
        .find(|sample| sample["source"] == "holdfast")
        .unwrap();
    foreign["source"] = json!("aws.rds");
    assert_eq!(told(Some("Bus"), &foreign), BTreeSet::new());
}

#[test]
fn what_aws_says_reaches_the_function_that_it_concerns() {
    use FunctionName::{Lifecycle, Replicator, RestoreRunner, SnapshotTrigger, Verifier};
    let object = |bucket: &str, key: &str| json!({"bucket": {"name": bucket}, "object": {"key": key}});
    let categories = |word: &str| json!({"EventCategories": [word]});
    let cases: [(&str, &str, Value, &[FunctionName]); 16] = [
        (
            "aws.rds",
            "RDS DB Snapshot Event",
            categories("creation"),
            &[SnapshotTrigger, Replicator],
        ),
        (
            "aws.rds",
            "RDS DB Cluster Snapshot Event",
            categories("backup"),
            &[SnapshotTrigger, Replicator],
        ),
        (
            "aws.rds",
            "RDS DB Snapshot Event",
            categories("deletion"),
            &[SnapshotTrigger, Replicator, Lifecycle],
        ),
        (
            "aws.rds",
            "RDS DB Instance Event",
            categories("restoration"),
            &[RestoreRunner],
        ),
        ("aws.rds", "RDS DB Instance Event", categories("maintenance"), &[]),
        (
            "aws.backup",
            "Backup Job State Change",
            json!({"state": "COMPLETED"}),
            &[SnapshotTrigger],
        ),
        (
            "aws.backup",
            "Copy Job State Change",
            json!({"state": "FAILED"}),
            &[Replicator],
        ),
        (
            "aws.backup",
            "Restore Job State Change",
            json!({"status": "COMPLETED"}),
            &[RestoreRunner],
        ),
        ("aws.backup", "Recovery Point State Change", json!({}), &[Lifecycle]),
        (
            "aws.s3",
            "Object Deleted",
            object("PrimaryVaultBucket", "repositories/photos/data/aa/aa01"),
            &[Verifier],
        ),
        (
            "aws.s3",
            "Object Deleted",
            object("RecoveryVaultBucket", "repositories/photos/snapshots/aa01"),
            &[Verifier],
        ),
        (
            "aws.s3",
            "Object Deleted",
            object("PrimaryVaultBucket", "repositories/photos/index/aa01"),
            &[Verifier],
        ),
        (
            "aws.s3",
            "Object Deleted",
            object("PrimaryVaultBucket", "repositories/photos/keys/aa01"),
            &[Verifier],
        ),
        (
            "aws.s3",
            "Object Deleted",
            object("RecoveryVaultBucket", "repositories/photos/config"),
            &[Verifier],
        ),
        // Its own locks would wake the verifier for ever.
        (
            "aws.s3",
            "Object Deleted",
            object("PrimaryVaultBucket", "repositories/photos/locks/aa01"),
            &[],
        ),
        (
            "aws.s3",
            "Object Deleted",
            object("somebody-elses", "repositories/photos/data/aa/aa01"),
            &[],
        ),
    ];
    for (source, kind, detail, expected) in cases {
        let event = json!({"source": source, "detail-type": kind, "detail": detail});
        assert_eq!(told(None, &event), expected.iter().copied().collect(), "{event}");
    }
}

#[test]
fn every_rule_has_somewhere_to_leave_what_it_cannot_deliver() {
    for (name, rule) in of_type("AWS::Events::Rule") {
        for listener in rule["Targets"].as_array().unwrap() {
            let function = function_of_queue(target(&listener["Arn"]));
            let letters = target(&listener["DeadLetterConfig"]["Arn"]);
            assert_eq!(letters, format!("{}DeadLetters", stem(function)), "{name}");
            assert!(name.starts_with(&stem(function)), "{name} tells {function}");
        }
    }
}

#[test]
fn every_function_is_fed_by_its_own_queue_and_by_nothing_else() {
    let mappings = of_type("AWS::Lambda::EventSourceMapping");
    assert_eq!(mappings.len(), FunctionName::ALL.len());
    for function in FunctionName::ALL {
        let stem = stem(function);
        let properties = of_type("AWS::Lambda::Function")[stem.as_str()];
        assert_eq!(properties["FunctionName"], format!("holdfast-{function}"));
        assert_eq!(properties["Role"]["Ref"], format!("{stem}RoleArn"));
        let mapping = mappings
            .values()
            .find(|mapping| target(&mapping["FunctionName"]) == stem)
            .unwrap();
        assert_eq!(target(&mapping["EventSourceArn"]), format!("{stem}Queue"));
        assert_eq!(mapping["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
        let at_once = mapping["ScalingConfig"]["MaximumConcurrency"].as_u64().unwrap();
        let reserved = properties["ReservedConcurrentExecutions"]["Fn::If"][1]
            .as_u64()
            .unwrap();
        assert!(
            at_once >= 2 && at_once < reserved,
            "{function}: {at_once} of {reserved}"
        );
        let timeout = properties["Timeout"].as_u64().unwrap();
        let queue = of_type("AWS::SQS::Queue")[format!("{stem}Queue").as_str()];
        // Lambda refuses a queue whose messages come back while they are being handled.
        assert_eq!(queue["VisibilityTimeout"], timeout + 60, "{function}");
    }
    assert!(
        of_type("AWS::Lambda::Permission").is_empty(),
        "somebody else may invoke a function"
    );
}

#[test]
fn every_queue_has_dead_letters_that_outlast_it_and_is_encrypted() {
    let queues = of_type("AWS::SQS::Queue");
    assert_eq!(queues.len(), 2 * FunctionName::ALL.len());
    for function in FunctionName::ALL {
        let stem = stem(function);
        let queue = queues[format!("{stem}Queue").as_str()];
        let letters = queues[format!("{stem}DeadLetters").as_str()];
        assert_eq!(queue["QueueName"], format!("holdfast-{function}"));
        assert_eq!(letters["QueueName"], format!("holdfast-{function}-dead-letters"));
        assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], MAX_RECEIVES);
        assert_eq!(
            target(&queue["RedrivePolicy"]["deadLetterTargetArn"]),
            format!("{stem}DeadLetters")
        );
        let kept = |queue: &Value| queue["MessageRetentionPeriod"].as_u64().unwrap();
        assert!(
            kept(letters) > kept(queue),
            "the age of a message counts from its first day"
        );
        for queue in [queue, letters] {
            assert_eq!(queue["SqsManagedSseEnabled"], true);
        }
        let policy = of_type("AWS::SQS::QueuePolicy")[format!("{stem}QueuePolicy").as_str()];
        let first = &policy["PolicyDocument"]["Statement"][0];
        assert_eq!((&first["Effect"], &first["Action"]), (&json!("Deny"), &json!("sqs:*")));
        assert_eq!(first["Condition"]["Bool"]["aws:SecureTransport"], "false");
    }
}

#[test]
fn every_function_is_woken_by_a_timer_with_an_event_that_it_understands() {
    for function in FunctionName::ALL {
        let stem = stem(function);
        let timer = of_type("AWS::Scheduler::Schedule")[format!("{stem}Timer").as_str()];
        assert_eq!(timer["ScheduleExpression"], "rate(1 minute)");
        assert_eq!(target(&timer["Target"]["Arn"]), format!("{stem}Queue"));
        assert_eq!(
            target(&timer["Target"]["DeadLetterConfig"]["Arn"]),
            format!("{stem}DeadLetters")
        );
        let input = timer["Target"]["Input"].as_str().unwrap();
        // EventBridge Scheduler puts these in when it sends.
        let sent = input
            .replace("<aws.scheduler.execution-id>", "d32c5kddcf5bb8c3")
            .replace("<aws.scheduler.scheduled-time>", "2026-11-20T18:59:00Z");
        let event = Event::decode(&sent).unwrap();
        assert_eq!(event.detail, Detail::WakeUp {});
        assert_ne!(sent, input);
    }
}

#[test]
fn subscriptions_and_asynchronous_calls_have_dead_letters_too() {
    let subscriptions = of_type("AWS::SNS::Subscription");
    assert!(!subscriptions.is_empty());
    for (name, subscription) in subscriptions {
        let function = function_of_queue(target(&subscription["Endpoint"]));
        let letters = target(&subscription["RedrivePolicy"]["deadLetterTargetArn"]);
        assert_eq!(letters, format!("{}DeadLetters", stem(function)), "{name}");
        let policy = of_type("AWS::SQS::QueuePolicy")[format!("{}QueuePolicy", stem(function)).as_str()];
        let mut statements = policy["PolicyDocument"]["Statement"].as_array().unwrap().iter();
        let allows = |statement: &Value| {
            statement["Principal"]["Service"] == "sns.amazonaws.com"
                && statement["Condition"]["ArnEquals"]["aws:SourceArn"] == subscription["TopicArn"]
        };
        assert!(statements.any(allows), "{name}: the topic may not send to the queue");
    }
    let configured = of_type("AWS::Lambda::EventInvokeConfig");
    assert_eq!(configured.len(), FunctionName::ALL.len());
    for configuration in configured.values() {
        let letters = target(&configuration["DestinationConfig"]["OnFailure"]["Destination"]);
        assert_eq!(
            letters,
            format!("{}DeadLetters", target(&configuration["FunctionName"]))
        );
    }
}

#[test]
fn every_function_has_the_environment_that_it_reads_and_no_more() {
    let vaults = r#"[{"name":"primary","region":"eu-central-1","bucket":"b","key":"arn:k","backup_vault":"v"}]"#;
    let evidence = r#"[{"region":"eu-central-1","bucket":"e","lock_days":30}]"#;
    for (name, function) in of_type("AWS::Lambda::Function") {
        let given = function["Environment"]["Variables"].as_object().unwrap().keys();
        let mut variables: BTreeMap<String, String> = given
            .map(|variable| {
                let value = match variable.as_str() {
                    "HOLDFAST_VAULTS" => vaults,
                    "HOLDFAST_EVIDENCE" => evidence,
                    _ => "a name",
                };
                (variable.clone(), value.to_owned())
            })
            .collect();
        assert!(
            !variables.contains_key("AWS_REGION"),
            "{name}: Lambda sets AWS_REGION and refuses to be told"
        );
        variables.insert("AWS_REGION".to_owned(), "eu-central-1".to_owned());
        Deployment::read(&variables).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        for variable in variables.keys().filter(|variable| *variable != "HOLDFAST_LOG") {
            let mut fewer = variables.clone();
            fewer.remove(variable);
            assert!(Deployment::read(&fewer).is_err(), "{name}: nobody reads {variable}");
        }
    }
}

#[test]
fn people_are_told_when_something_stands_still() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    for (name, alarm) in &alarms {
        assert_eq!(alarm["AlarmActions"], json!([{"Ref": "AlertTopicArn"}]), "{name}");
    }
    for function in FunctionName::ALL {
        let stem = stem(function);
        for what in ["DeadLetters", "Backlog", "Errors", "Failures", "Throttles", "Asleep"] {
            assert!(
                alarms.contains_key(format!("{stem}{what}Alarm").as_str()),
                "{function}: {what}"
            );
        }
        // The dimensions that a function writes with its figures: another would have no data, and never ring.
        let failures = &alarms[format!("{stem}FailuresAlarm").as_str()]["Dimensions"];
        let region = json!({ "Name": "Region", "Value": { "Ref": "AWS::Region" } });
        assert_eq!(
            failures,
            &json!([{ "Name": "Function", "Value": function.as_str() }, region])
        );
        let asleep = alarms[format!("{stem}AsleepAlarm").as_str()];
        assert_eq!(
            asleep["TreatMissingData"], "breaching",
            "silence is what this alarm is for"
        );
        let number = |properties: &Value, name: &str| properties[name].as_u64().unwrap();
        let timeout = number(of_type("AWS::Lambda::Function")[stem.as_str()], "Timeout");
        let (period, periods) = (number(asleep, "Period"), number(asleep, "EvaluationPeriods"));
        // An invocation is counted when it ends, in the period in which it began.
        assert!(period * periods > timeout + period, "{function} rings while it works");
        let queue = of_type("AWS::SQS::Queue")[format!("{stem}Queue").as_str()];
        let tried_for = u64::from(MAX_RECEIVES) * number(queue, "VisibilityTimeout");
        let backlog = alarms[format!("{stem}BacklogAlarm").as_str()];
        assert_eq!(number(backlog, "Threshold"), tried_for, "{function}");
        let watched = &alarms[format!("{stem}DeadLettersAlarm").as_str()]["Dimensions"][0]["Value"];
        assert_eq!(target(watched), format!("{stem}DeadLetters"));
    }
}

#[test]
fn the_template_owns_nothing_that_must_survive() {
    let kinds: BTreeSet<&str> = template()["Resources"]
        .as_object()
        .unwrap()
        .values()
        .map(|resource| resource["Type"].as_str().unwrap())
        .collect();
    for survivor in ["DynamoDB", "S3", "KMS", "IAM", "SNS::Topic", "Backup", "SecretsManager"] {
        assert!(
            !kinds.iter().any(|kind| kind.contains(survivor)),
            "{survivor}: {kinds:?}"
        );
    }
}
