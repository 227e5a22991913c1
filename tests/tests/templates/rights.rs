//! The rights of the roles beside the calls of the adapters: no right that nobody uses, no call without its right.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use holdfast_tests::workspace_root;

use crate::tools::text;

/// A call of the adapters, and the actions that IAM asks about when it is made.
const CALLS: [(&str, &[&str]); 73] = [
    // DynamoDB, as catalog and as what is protected.
    ("get_item", &["dynamodb:GetItem"]),
    ("batch_get_item", &["dynamodb:BatchGetItem"]),
    ("put_item", &["dynamodb:PutItem"]),
    ("query", &["dynamodb:Query"]),
    ("create_backup", &["dynamodb:CreateBackup"]),
    ("describe_backup", &["dynamodb:DescribeBackup"]),
    ("list_backups", &["dynamodb:ListBackups"]),
    ("delete_backup", &["dynamodb:DeleteBackup"]),
    ("describe_table", &["dynamodb:DescribeTable"]),
    ("list_tags_of_resource", &["dynamodb:ListTagsOfResource"]),
    // Whoever restores a table must have the right to fill it.
    (
        "restore_table_from_backup",
        &[
            "dynamodb:RestoreTableFromBackup",
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
        ],
    ),
    ("tag_resource", &["dynamodb:TagResource"]),
    // Queue, bus, pager.
    ("send_message", &["sqs:SendMessage"]),
    ("receive_message", &["sqs:ReceiveMessage"]),
    ("delete_message", &["sqs:DeleteMessage"]),
    ("change_message_visibility", &["sqs:ChangeMessageVisibility"]),
    ("change_message_visibility_batch", &["sqs:ChangeMessageVisibility"]),
    ("get_queue_attributes", &["sqs:GetQueueAttributes"]),
    ("put_events", &["events:PutEvents"]),
    ("publish", &["sns:Publish"]),
    // Keys and the secret.
    ("encrypt", &["kms:Encrypt"]),
    ("decrypt", &["kms:Decrypt"]),
    ("sign", &["kms:Sign"]),
    ("verify", &["kms:Verify"]),
    ("get_public_key", &["kms:GetPublicKey"]),
    ("get_secret_value", &["secretsmanager:GetSecretValue", "kms:Decrypt"]),
    // S3. An object that is encrypted by a key of KMS asks for the key as well.
    ("get_object", &["s3:GetObject", "kms:Decrypt"]),
    ("head_object", &["s3:GetObject"]),
    ("head_bucket", &["s3:ListBucket"]),
    ("list_objects_v2", &["s3:ListBucket"]),
    ("list_object_versions", &["s3:ListBucketVersions"]),
    ("get_object_tagging", &["s3:GetObjectTagging"]),
    (
        "put_object",
        &[
            "s3:PutObject",
            "s3:PutObjectRetention",
            "s3:PutObjectTagging",
            "kms:GenerateDataKey",
        ],
    ),
    ("copy_object", &["s3:PutObject", "s3:GetObject"]),
    ("create_multipart_upload", &["s3:PutObject", "kms:GenerateDataKey"]),
    ("upload_part", &["s3:PutObject", "kms:Decrypt"]),
    ("complete_multipart_upload", &["s3:PutObject"]),
    ("abort_multipart_upload", &["s3:AbortMultipartUpload"]),
    ("delete_object", &["s3:DeleteObject"]),
    ("delete_objects", &["s3:DeleteObject", "s3:DeleteObjectVersion"]),
    // RDS. Copies and restores of what is encrypted work with keys in the caller's name.
    ("describe_account_attributes", &["rds:DescribeAccountAttributes"]),
    ("describe_db_instances", &["rds:DescribeDBInstances"]),
    ("describe_db_clusters", &["rds:DescribeDBClusters"]),
    (
        "describe_db_instance_automated_backups",
        &["rds:DescribeDBInstanceAutomatedBackups"],
    ),
    ("describe_db_snapshots", &["rds:DescribeDBSnapshots"]),
    ("describe_db_cluster_snapshots", &["rds:DescribeDBClusterSnapshots"]),
    ("create_db_snapshot", &["rds:CreateDBSnapshot", "rds:AddTagsToResource"]),
    (
        "create_db_cluster_snapshot",
        &["rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"],
    ),
    (
        "copy_db_snapshot",
        &[
            "rds:CopyDBSnapshot",
            "rds:AddTagsToResource",
            "kms:CreateGrant",
            "kms:DescribeKey",
        ],
    ),
    (
        "copy_db_cluster_snapshot",
        &["rds:CopyDBClusterSnapshot", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
    ),
    ("delete_db_snapshot", &["rds:DeleteDBSnapshot"]),
    ("delete_db_cluster_snapshot", &["rds:DeleteDBClusterSnapshot"]),
    (
        "restore_db_instance_from_db_snapshot",
        &["rds:RestoreDBInstanceFromDBSnapshot", "rds:AddTagsToResource"],
    ),
    (
        "restore_db_cluster_from_snapshot",
        &[
            "rds:RestoreDBClusterFromSnapshot",
            "kms:GenerateDataKeyWithoutPlaintext",
        ],
    ),
    ("create_db_instance", &["rds:CreateDBInstance"]),
    // What recovery plans change.
    ("describe_global_clusters", &["rds:DescribeGlobalClusters"]),
    ("switchover_global_cluster", &["rds:SwitchoverGlobalCluster"]),
    ("failover_global_cluster", &["rds:FailoverGlobalCluster"]),
    ("promote_read_replica", &["rds:PromoteReadReplica"]),
    ("describe_services", &["ecs:DescribeServices"]),
    ("update_service", &["ecs:UpdateService"]),
    (
        "describe_auto_scaling_groups",
        &["autoscaling:DescribeAutoScalingGroups"],
    ),
    ("set_desired_capacity", &["autoscaling:SetDesiredCapacity"]),
    ("get_function_concurrency", &["lambda:GetFunctionConcurrency"]),
    ("put_function_concurrency", &["lambda:PutFunctionConcurrency"]),
    ("delete_function_concurrency", &["lambda:DeleteFunctionConcurrency"]),
    (
        "get_routing_control_state",
        &["route53-recovery-cluster:GetRoutingControlState"],
    ),
    (
        "update_routing_control_states",
        &["route53-recovery-cluster:UpdateRoutingControlStates"],
    ),
    ("invoke", &["lambda:InvokeFunction"]),
    // AWS Backup.
    (
        "start_backup_job",
        &["backup:StartBackupJob", "backup:TagResource", "iam:PassRole"],
    ),
    (
        "start_copy_job",
        &["backup:StartCopyJob", "backup:CopyIntoBackupVault", "iam:PassRole"],
    ),
    ("start_restore_job", &["backup:StartRestoreJob", "iam:PassRole"]),
    ("delete_recovery_point", &["backup:DeleteRecoveryPoint"]),
];

/// Calls that only look at AWS Backup. Each is an action of the same name.
const LOOKS: [(&str, &str); 8] = [
    ("describe_backup_job", "backup:DescribeBackupJob"),
    ("describe_copy_job", "backup:DescribeCopyJob"),
    ("describe_restore_job", "backup:DescribeRestoreJob"),
    ("describe_recovery_point", "backup:DescribeRecoveryPoint"),
    ("describe_backup_vault", "backup:DescribeBackupVault"),
    (
        "list_recovery_points_by_backup_vault",
        "backup:ListRecoveryPointsByBackupVault",
    ),
    (
        "get_recovery_point_restore_metadata",
        "backup:GetRecoveryPointRestoreMetadata",
    ),
    ("list_tags", "backup:ListTags"),
];

/// What Lambda itself does in a function's name.
const BY_LAMBDA: [&str; 10] = [
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
];

fn calls() -> BTreeMap<&'static str, Vec<&'static str>> {
    let looks = LOOKS.iter().map(|(call, action)| (*call, vec![*action]));
    CALLS
        .iter()
        .map(|(call, actions)| (*call, actions.to_vec()))
        .chain(looks)
        .collect()
}

/// The actions that a Terraform file speaks of. Keys of conditions are spelt like them, and stand before a `=`.
fn actions(terraform: &str) -> BTreeSet<&str> {
    let pieces: Vec<&str> = terraform.split('"').collect();
    let quoted = pieces.windows(2).skip(1).step_by(2);
    quoted
        .filter(|pair| is_action(pair[0]) && !pair[1].trim_start().starts_with('='))
        .map(|pair| pair[0])
        .collect()
}

fn is_action(text: &str) -> bool {
    text.split_once(':').is_some_and(|(service, action)| {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !service.is_empty()
            && service.chars().all(lower)
            && action.starts_with(|c: char| c.is_ascii_uppercase())
            && action.chars().all(char::is_alphanumeric)
    })
}

/// What the roles of the functions are granted.
fn granted() -> BTreeSet<String> {
    let mut granted = BTreeSet::new();
    for file in ["statements.tf", "functions.tf"] {
        let text = text(&format!("infra/modules/roles/{file}"));
        granted.extend(actions(&text).into_iter().map(str::to_owned));
    }
    // These stand there to be refused, or to be assumed.
    for other in ["s3:BypassGovernanceRetention", "sts:AssumeRole"] {
        assert!(granted.remove(other), "{other} is not refused any more");
    }
    granted
}

/// The code of the adapters, without tests.
fn adapters(folder: &Path, code: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            adapters(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            code.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
        }
    }
}

/// The names of the methods that are called on something whose name ends in `client`.
fn called_on_clients(code: &str) -> BTreeSet<&str> {
    let mut called = BTreeSet::new();
    for (at, _) in code.match_indices("client") {
        let rest = code[at + "client".len()..].trim_start();
        let Some(rest) = rest.strip_prefix('.') else { continue };
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        if rest[end..].starts_with("()") {
            called.insert(&rest[..end]);
        }
    }
    // Of Rust and of the SDK, not of AWS.
    called.retain(|call| !["clone", "config"].contains(call));
    called
}

fn adapter_code() -> String {
    let mut code = String::new();
    adapters(&workspace_root().join("shared/aws/src"), &mut code);
    code
}

#[test]
fn every_right_is_used_by_a_call_that_the_adapters_make() {
    let code = adapter_code();
    let used: BTreeSet<&str> = calls()
        .into_iter()
        .filter(|(call, _)| code.contains(&format!(".{call}()")))
        .flat_map(|(_, actions)| actions)
        .chain(BY_LAMBDA)
        .collect();
    let unused: Vec<String> = granted()
        .into_iter()
        .filter(|action| !used.contains(action.as_str()))
        .collect();
    assert!(
        unused.is_empty(),
        "granted in infra/modules/roles and used by no call: {unused:?}"
    );
}

#[test]
fn every_call_that_the_adapters_make_has_its_right() {
    let (code, calls, granted) = (adapter_code(), calls(), granted());
    let made = called_on_clients(&code);
    assert!(made.len() > 30, "the calls are not recognised any more: {made:?}");
    let mut missing = Vec::new();
    for call in made {
        match calls.get(call) {
            Some(actions) => missing.extend(
                actions
                    .iter()
                    .filter(|action| !granted.contains(**action))
                    .map(|action| format!("{call}: {action}")),
            ),
            None => missing.push(format!("{call}: not in the table of this test")),
        }
    }
    assert!(
        missing.is_empty(),
        "calls without a right in infra/modules/roles: {missing:#?}"
    );
}

#[test]
fn an_action_is_told_from_other_words() {
    let terraform = r#"Action = ["s3:GetObject", "kms:*"], Resource = "arn:aws:s3:::x", { "kms:ViaService" = "s3.x" }"#;
    assert_eq!(actions(terraform), BTreeSet::from(["s3:GetObject"]));
    assert_eq!(
        called_on_clients("self.client\n  .get_item()\n; clients.of(); client.x"),
        BTreeSet::from(["get_item"])
    );
}
