//! Recovery points of AWS Backup. Those of a type that it manages fully have ARNs, tags and encryption of its own; the others are
//! snapshots of their services, with their ARNs, and encrypted as their sources are.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::backup::{Protected, refuse, seconds, vault_arn};
use super::rds::Refusal;
use super::requests::Request;
use super::state::{ACCOUNT, State};

/// A recovery point.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub arn: String,
    pub region: String,
    pub vault: String,
    pub resource: String,
    pub kind: String,
    pub bytes: u64,
    /// None where it is not encrypted.
    pub key: Option<String>,
    /// The role that made it.
    pub role: String,
    pub tags: BTreeMap<String, String>,
    pub made_at: Timestamp,
    pub is_completed: bool,
    /// Whether it was to be deleted, and a right was missing.
    pub is_expired: bool,
}

/// Whether AWS Backup keeps points of a type itself.
fn is_managed(kind: &str) -> bool {
    !matches!(kind, "RDS" | "Aurora" | "EBS" | "EC2" | "DynamoDB")
}

/// The key of an original: its vault's, or that of what it was made of.
pub(super) fn original_key(protected: &Protected, region: &str, vault_key: String) -> Option<String> {
    match is_managed(&protected.kind) {
        true => Some(vault_key),
        false => protected
            .is_encrypted
            .then(|| format!("arn:aws:kms:{region}:{ACCOUNT}:key/of-the-source")),
    }
}

impl State {
    /// A new ARN, as points of a type have it.
    pub(super) fn new_point_arn(&mut self, kind: &str, region: &str) -> String {
        let id = self.next_id();
        match kind {
            "RDS" => format!("arn:aws:rds:{region}:{ACCOUNT}:snapshot:awsbackup:job-{id}"),
            "Aurora" => format!("arn:aws:rds:{region}:{ACCOUNT}:cluster-snapshot:awsbackup:job-{id}"),
            "EBS" => format!("arn:aws:ec2:{region}::snapshot/snap-{id}"),
            "EC2" => format!("arn:aws:ec2:{region}::image/ami-{id}"),
            "DynamoDB" => format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/standin/backup/{id}"),
            _ => format!("arn:aws:backup:{region}:{ACCOUNT}:recovery-point:{id}"),
        }
    }

    fn point_of(&self, request: &Request) -> Result<Point, Refusal> {
        let (vault, arn) = (request.part(1), request.part(3));
        let found = self.backup.points.get(arn);
        match found.filter(|point| point.region == request.region && point.vault == vault) {
            Some(point) => Ok(point.clone()),
            None => refuse("ResourceNotFoundException", "Cannot find recovery point."),
        }
    }

    fn point_json(&self, point: &Point) -> Value {
        let state = match (point.is_expired, point.is_completed) {
            (true, _) => "EXPIRED",
            (false, true) => "COMPLETED",
            (false, false) => "CREATING",
        };
        let state = self.word.as_deref().unwrap_or(state);
        let bytes = (point.kind != "Aurora").then_some(point.bytes);
        json!({
            "RecoveryPointArn": point.arn,
            "BackupVaultName": point.vault,
            "BackupVaultArn": vault_arn(&point.region, &point.vault),
            // Of a copy in the same account it is not told.
            "SourceBackupVaultArn": null,
            "ResourceArn": point.resource,
            "ResourceType": point.kind,
            "Status": state,
            "CreationDate": seconds(point.made_at),
            "BackupSizeInBytes": bytes,
            "EncryptionKeyArn": point.key,
            "IsEncrypted": point.key.is_some(),
            "IamRoleArn": point.role,
            "StatusMessage": point.is_expired.then_some("Insufficient permissions to delete the recovery point."),
        })
    }

    pub(super) fn list_points(&self, request: &Request) -> Result<Value, Refusal> {
        let vault = request.part(1);
        self.vault_of(&request.region, vault)?;
        let after = request
            .query
            .get("createdAfter")
            .and_then(|at| at.parse::<Timestamp>().ok());
        let resource = request.query.get("resourceArn");
        let here = self.backup.points.values().filter(|point| {
            point.region == request.region
                && point.vault == vault
                && resource.is_none_or(|resource| resource == &point.resource)
                && after.is_none_or(|after| point.made_at >= after)
        });
        let all: Vec<Value> = here.map(|point| self.point_json(point)).collect();
        let number = |name: &str, otherwise: usize| {
            request
                .query
                .get(name)
                .and_then(|value| value.parse().ok())
                .unwrap_or(otherwise)
        };
        let (start, size) = (number("nextToken", 0), number("maxResults", 100).clamp(1, 1000));
        let shown: Vec<&Value> = all.iter().skip(start).take(size).collect();
        let next = (start + size < all.len()).then(|| (start + size).to_string());
        Ok(json!({ "RecoveryPoints": shown, "NextToken": next }))
    }

    pub(super) fn describe_point(&self, request: &Request) -> Result<Value, Refusal> {
        self.point_of(request).map(|point| self.point_json(&point))
    }

    pub(super) fn delete_point(&mut self, request: &Request) -> Result<Value, Refusal> {
        let point = self.point_of(request)?;
        if self.vault_of(&point.region, &point.vault)?.is_locked {
            return refuse(
                "InvalidRequestException",
                "Recovery point cannot be deleted: its vault is locked.",
            );
        }
        if !point.is_completed {
            return refuse("InvalidResourceStateException", "Recovery point is in use.");
        }
        if !self.backup.lacks_right_to_delete {
            self.backup.points.remove(&point.arn);
        } else if let Some(point) = self.backup.points.get_mut(&point.arn) {
            point.is_expired = true;
        }
        Ok(json!({}))
    }

    pub(super) fn restore_metadata(&self, request: &Request) -> Result<Value, Refusal> {
        let point = self.point_of(request)?;
        Ok(json!({
            "BackupVaultArn": vault_arn(&point.region, &point.vault),
            "RecoveryPointArn": point.arn,
            "ResourceType": point.kind,
            "RestoreMetadata": { "DBSubnetGroupName": "private", "encryptionType": "Default" },
        }))
    }

    pub(super) fn point_tags(&self, request: &Request) -> Result<Value, Refusal> {
        let arn = request.part(1);
        match self.backup.points.get(arn) {
            Some(point) if is_managed(&point.kind) => Ok(json!({ "Tags": point.tags })),
            Some(_) => refuse(
                "InvalidParameterValueException",
                format!("{arn} is not an ARN of AWS Backup, and its tags cannot be listed here."),
            ),
            None => refuse("ResourceNotFoundException", "Cannot find the resource."),
        }
    }
}
