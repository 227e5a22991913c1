//! Requests to AWS Backup and Lambda.

use std::collections::BTreeMap;

use axum::http::{Method, Uri};
use serde_json::Value;

use super::backup::refuse;
use super::rds::Refusal;

/// A request.
pub(super) struct Request {
    pub method: Method,
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub region: String,
    pub body: Value,
}

impl Request {
    pub(super) fn read(method: &Method, uri: &Uri, region: &str, body: Value) -> Self {
        // An ARN in a path has its slashes encoded, so the path is split first.
        let decode = |part: &str| {
            let pair = format!("x={}", part.replace('+', "%2B"));
            form_urlencoded::parse(pair.as_bytes())
                .next()
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default()
        };
        let query = uri.query().unwrap_or_default();
        Self {
            method: method.clone(),
            path: uri
                .path()
                .split('/')
                .filter(|part| !part.is_empty())
                .map(decode)
                .collect(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            region: region.to_owned(),
            body,
        }
    }

    pub(super) fn operation(&self) -> &'static str {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (self.method.as_str(), path.as_slice()) {
            ("PUT", ["backup-jobs"]) => "StartBackupJob",
            ("GET", ["backup-jobs", _]) => "DescribeBackupJob",
            ("PUT", ["copy-jobs"]) => "StartCopyJob",
            ("GET", ["copy-jobs", _]) => "DescribeCopyJob",
            ("PUT", ["restore-jobs"]) => "StartRestoreJob",
            ("GET", ["restore-jobs", _]) => "DescribeRestoreJob",
            ("GET", ["backup-vaults", _]) => "DescribeBackupVault",
            ("GET", ["backup-vaults", _, "recovery-points"]) => "ListRecoveryPointsByBackupVault",
            ("GET", ["backup-vaults", _, "recovery-points", _]) => "DescribeRecoveryPoint",
            ("DELETE", ["backup-vaults", _, "recovery-points", _]) => "DeleteRecoveryPoint",
            ("GET", ["backup-vaults", _, "recovery-points", _, "restore-metadata"]) => {
                "GetRecoveryPointRestoreMetadata"
            }
            ("GET", ["tags", _]) => "ListTags",
            ("GET", [_, "functions", _, "concurrency"]) => "GetFunctionConcurrency",
            ("PUT", [_, "functions", _, "concurrency"]) => "PutFunctionConcurrency",
            ("DELETE", [_, "functions", _, "concurrency"]) => "DeleteFunctionConcurrency",
            ("POST", [_, "functions", _, "invocations"]) => "Invoke",
            _ => "Unknown",
        }
    }

    /// Whether it is for Lambda, whose paths begin with the date of the interface.
    pub(super) fn is_of_lambda(&self) -> bool {
        self.part(1) == "functions"
    }

    pub(super) fn part(&self, at: usize) -> &str {
        self.path.get(at).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> Result<String, Refusal> {
        match self.body[name].as_str() {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => refuse("MissingParameterValueException", format!("{name} is required.")),
        }
    }

    /// The role, which AWS Backup can use only under some names.
    pub(super) fn check_role(&self) -> Result<(), Refusal> {
        let role = self.text("IamRoleArn")?;
        let name = role.rsplit('/').next().unwrap_or_default();
        if role.starts_with("arn:aws:iam::") && (name.contains("AWSBackup") || name.contains("AwsBackup")) {
            return Ok(());
        }
        refuse(
            "InvalidParameterValueException",
            format!("Role {role} cannot be used by AWS Backup."),
        )
    }
}
