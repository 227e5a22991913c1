//! AWS Backup: vaults, recovery points, and jobs that take time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::rds::Refusal;
use super::requests::Request;
use super::state::{ACCOUNT, State};

/// What AWS Backup can protect.
#[derive(Debug, Clone)]
pub(super) struct Protected {
    pub kind: String,
    pub bytes: u64,
}

/// A vault.
#[derive(Debug, Clone)]
pub(super) struct Vault {
    pub key: String,
    pub is_locked: bool,
}

/// A recovery point.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub arn: String,
    pub region: String,
    pub vault: String,
    pub resource: String,
    pub kind: String,
    pub bytes: u64,
    pub key: String,
    pub tags: BTreeMap<String, String>,
    /// The vault it was copied from.
    pub from: Option<String>,
    pub made_at: Timestamp,
    pub is_completed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobKind {
    Backup,
    Copy,
    Restore,
}

/// A job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    id: String,
    kind: JobKind,
    region: String,
    made_at: Timestamp,
    /// The point that a backup or copy makes, or that a restore reads.
    point: Option<Point>,
    target: String,
    is_doomed: bool,
    ended: Option<(&'static str, Option<String>)>,
}

/// All of AWS Backup.
#[derive(Debug, Default)]
pub(super) struct Backup {
    pub vaults: BTreeMap<(String, String), Vault>,
    pub protected: BTreeMap<String, Protected>,
    pub points: BTreeMap<String, Point>,
    pub issue: Option<String>,
    jobs: BTreeMap<String, Job>,
    /// Tokens, and the jobs that they started.
    tokens: BTreeMap<String, String>,
    restored: Vec<String>,
}

pub(super) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(code, message.into(), 400))
}

fn seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}

fn vault_arn(region: &str, name: &str) -> String {
    format!("arn:aws:backup:{region}:{ACCOUNT}:backup-vault:{name}")
}

/// Carries out a call of AWS Backup.
pub(super) fn carry_out(state: &mut State, request: &Request) -> Result<Value, Refusal> {
    match request.operation() {
        "StartBackupJob" => state.start_backup(request),
        "StartCopyJob" => state.start_copy(request),
        "StartRestoreJob" => state.start_restore(request),
        "DescribeBackupJob" => state.describe_job(request, JobKind::Backup),
        "DescribeCopyJob" => state
            .describe_job(request, JobKind::Copy)
            .map(|job| json!({ "CopyJob": job })),
        "DescribeRestoreJob" => state.describe_job(request, JobKind::Restore),
        "DescribeBackupVault" => state.describe_vault(request),
        "ListRecoveryPointsByBackupVault" => state.list_points(request),
        "DescribeRecoveryPoint" => state.describe_point(request),
        "DeleteRecoveryPoint" => state.delete_point(request),
        "GetRecoveryPointRestoreMetadata" => state.restore_metadata(request),
        "ListTags" => {
            let point = state.backup.points.get(request.part(1));
            match point {
                Some(point) => Ok(json!({ "Tags": point.tags })),
                None => refuse("ResourceNotFoundException", "Cannot find the resource."),
            }
        }
        _ => Err(Refusal(
            "UnknownOperationException",
            "No such operation in the stand-in.".to_owned(),
            404,
        )),
    }
}

impl State {
    /// What the service says of every backup that completes from now on, if it says anything.
    pub fn set_backup_issue(&mut self, issue: Option<&str>) {
        self.backup.issue = issue.map(str::to_owned);
    }

    fn vault_of(&self, region: &str, name: &str) -> Result<Vault, Refusal> {
        match self.backup.vaults.get(&(region.to_owned(), name.to_owned())) {
            Some(vault) => Ok(vault.clone()),
            None => refuse(
                "ResourceNotFoundException",
                format!("Backup vault {name} does not exist."),
            ),
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

    /// The job that a token started; the same token starts nothing again.
    fn by_token(&self, request: &Request) -> Option<Job> {
        let token = request.body["IdempotencyToken"].as_str()?;
        let key = format!("{} {} {token}", request.operation(), request.region);
        self.backup.jobs.get(self.backup.tokens.get(&key)?).cloned()
    }

    fn insert_job(&mut self, request: &Request, kind: JobKind, point: Option<Point>, target: String) -> Job {
        let job = Job {
            id: self.next_id(),
            kind,
            region: request.region.clone(),
            made_at: self.now,
            point,
            target,
            is_doomed: self.takes_doom(),
            ended: None,
        };
        if let Some(token) = request.body["IdempotencyToken"].as_str() {
            let key = format!("{} {} {token}", request.operation(), request.region);
            self.backup.tokens.insert(key, job.id.clone());
        }
        self.backup.jobs.insert(job.id.clone(), job.clone());
        job
    }

    fn new_point_arn(&mut self, region: &str) -> String {
        format!("arn:aws:backup:{region}:{ACCOUNT}:recovery-point:{}", self.next_id())
    }

    fn start_backup(&mut self, request: &Request) -> Result<Value, Refusal> {
        let answer = |job: &Job| json!({ "BackupJobId": job.id, "CreationDate": seconds(job.made_at) });
        if let Some(job) = self.by_token(request) {
            return Ok(answer(&job));
        }
        let (vault, resource) = (request.text("BackupVaultName")?, request.text("ResourceArn")?);
        request.check_role()?;
        let key = self.vault_of(&request.region, &vault)?.key;
        if resource.split(':').nth(3) != Some(&request.region) {
            return refuse(
                "InvalidParameterValueException",
                format!("{resource} is not in Region {}.", request.region),
            );
        }
        let Some(protected) = self.backup.protected.get(&resource).cloned() else {
            return refuse("ResourceNotFoundException", format!("{resource} does not exist."));
        };
        let tags = request.body["RecoveryPointTags"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let tags = tags
            .into_iter()
            .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()));
        let point = Point {
            arn: self.new_point_arn(&request.region),
            region: request.region.clone(),
            vault,
            resource,
            kind: protected.kind,
            bytes: protected.bytes,
            key,
            tags: tags.collect(),
            from: None,
            made_at: self.now,
            is_completed: false,
        };
        let job = self.insert_job(request, JobKind::Backup, Some(point), String::new());
        Ok(answer(&job))
    }

    fn start_copy(&mut self, request: &Request) -> Result<Value, Refusal> {
        let answer = |job: &Job| json!({ "CopyJobId": job.id, "CreationDate": seconds(job.made_at) });
        if let Some(job) = self.by_token(request) {
            return Ok(answer(&job));
        }
        request.check_role()?;
        let (arn, vault) = (
            request.text("RecoveryPointArn")?,
            request.text("SourceBackupVaultName")?,
        );
        let to = request.text("DestinationBackupVaultArn")?;
        let source = self.backup.points.get(&arn).cloned();
        let Some(source) = source.filter(|point| point.vault == vault && point.is_completed) else {
            return refuse("ResourceNotFoundException", "Cannot find recovery point.");
        };
        let mut parts = to.split(':');
        let (region, name) = (
            parts.nth(3).unwrap_or_default().to_owned(),
            parts.nth(2).unwrap_or_default().to_owned(),
        );
        let key = self.vault_of(&region, &name)?.key;
        let copy = Point {
            arn: self.new_point_arn(&region),
            from: Some(vault_arn(&request.region, &vault)),
            region,
            vault: name,
            key,
            made_at: self.now,
            is_completed: false,
            ..source
        };
        let job = self.insert_job(request, JobKind::Copy, Some(copy), String::new());
        Ok(answer(&job))
    }

    fn start_restore(&mut self, request: &Request) -> Result<Value, Refusal> {
        let answer = |job: &Job| json!({ "RestoreJobId": job.id });
        if let Some(job) = self.by_token(request) {
            return Ok(answer(&job));
        }
        request.check_role()?;
        let arn = request.text("RecoveryPointArn")?;
        let Some(point) = self.backup.points.get(&arn).cloned().filter(|point| point.is_completed) else {
            return refuse("ResourceNotFoundException", "Cannot find recovery point.");
        };
        let name = match point.kind.as_str() {
            "Aurora" => "DBClusterIdentifier",
            "DynamoDB" => "targetTableName",
            _ => "DBInstanceIdentifier",
        };
        let Some(target) = request.body["Metadata"][name].as_str().map(str::to_owned) else {
            return refuse(
                "MissingParameterValueException",
                format!("Metadata must contain {name}."),
            );
        };
        let job = self.insert_job(request, JobKind::Restore, Some(point), target);
        Ok(answer(&job))
    }

    fn describe_job(&self, request: &Request, kind: JobKind) -> Result<Value, Refusal> {
        let found = self.backup.jobs.get(request.part(1));
        let Some(job) = found.filter(|job| job.kind == kind && job.region == request.region) else {
            return refuse(
                "ResourceNotFoundException",
                format!("Job {} does not exist.", request.part(1)),
            );
        };
        let (state, message) = job.ended.clone().unwrap_or((self.state_of(job), None));
        let state = self.word.as_deref().unwrap_or(state);
        let mut told = Map::from_iter([
            ("CreationDate".to_owned(), seconds(job.made_at)),
            ("StatusMessage".to_owned(), json!(message)),
        ]);
        let id = match kind {
            JobKind::Backup => "BackupJobId",
            JobKind::Copy => "CopyJobId",
            JobKind::Restore => "RestoreJobId",
        };
        told.insert(id.to_owned(), json!(job.id));
        // Restore jobs say `Status`, the others `State`.
        let word = if kind == JobKind::Restore { "Status" } else { "State" };
        told.insert(word.to_owned(), json!(state));
        if let Some(point) = &job.point {
            let has_point = state != "CREATED";
            let arn = if kind == JobKind::Copy {
                "DestinationRecoveryPointArn"
            } else {
                "RecoveryPointArn"
            };
            told.insert(arn.to_owned(), if has_point { json!(point.arn) } else { Value::Null });
            told.insert("ResourceType".to_owned(), json!(point.kind));
            if state == "COMPLETED" && point.kind != "Aurora" {
                told.insert("BackupSizeInBytes".to_owned(), json!(point.bytes));
            }
        }
        Ok(Value::Object(told))
    }

    fn state_of(&self, job: &Job) -> &'static str {
        let waits = SignedDuration::from_secs(self.durations.job.as_secs() / 10);
        let is_waiting = self.now.duration_since(job.made_at) < waits;
        match (job.kind, is_waiting) {
            (JobKind::Restore, true) => "PENDING",
            (_, true) => "CREATED",
            (_, false) => "RUNNING",
        }
    }

    fn describe_vault(&self, request: &Request) -> Result<Value, Refusal> {
        let vault = self.vault_of(&request.region, request.part(1))?;
        Ok(json!({
            "BackupVaultName": request.part(1),
            "BackupVaultArn": vault_arn(&request.region, request.part(1)),
            "EncryptionKeyArn": vault.key,
            "Locked": vault.is_locked,
        }))
    }

    fn point_json(&self, point: &Point) -> Value {
        let state = if point.is_completed { "COMPLETED" } else { "CREATING" };
        let state = self.word.as_deref().unwrap_or(state);
        let bytes = (point.kind != "Aurora").then_some(point.bytes);
        json!({
            "RecoveryPointArn": point.arn,
            "BackupVaultName": point.vault,
            "BackupVaultArn": vault_arn(&point.region, &point.vault),
            "SourceBackupVaultArn": point.from,
            "ResourceArn": point.resource,
            "ResourceType": point.kind,
            "Status": state,
            "CreationDate": seconds(point.made_at),
            "BackupSizeInBytes": bytes,
            "EncryptionKeyArn": point.key,
            "IsEncrypted": true,
        })
    }

    fn list_points(&self, request: &Request) -> Result<Value, Refusal> {
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

    fn describe_point(&self, request: &Request) -> Result<Value, Refusal> {
        self.point_of(request).map(|point| self.point_json(&point))
    }

    fn delete_point(&mut self, request: &Request) -> Result<Value, Refusal> {
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
        self.backup.points.remove(&point.arn);
        Ok(json!({}))
    }

    fn restore_metadata(&self, request: &Request) -> Result<Value, Refusal> {
        let point = self.point_of(request)?;
        Ok(json!({
            "BackupVaultArn": vault_arn(&point.region, &point.vault),
            "RecoveryPointArn": point.arn,
            "ResourceType": point.kind,
            "RestoreMetadata": { "DBSubnetGroupName": "private", "encryptionType": "Default" },
        }))
    }

    /// Lets jobs run and end.
    pub(super) fn settle_jobs(&mut self) {
        let (now, takes) = (self.now, self.durations.job);
        let open: Vec<Job> = self
            .backup
            .jobs
            .values()
            .filter(|job| job.ended.is_none())
            .cloned()
            .collect();
        for job in open {
            let is_running = matches!(self.state_of(&job), "RUNNING");
            if let (Some(point), true, true) = (&job.point, is_running, job.kind != JobKind::Restore) {
                self.backup
                    .points
                    .entry(point.arn.clone())
                    .or_insert_with(|| point.clone());
            }
            if now.duration_since(job.made_at) >= takes {
                self.end_job(&job);
            }
        }
    }

    fn end_job(&mut self, job: &Job) {
        let point = job.point.as_ref();
        let is_taken = job.kind == JobKind::Restore && self.backup.restored.contains(&job.target);
        let (state, message) = match (job.is_doomed, is_taken) {
            (true, _) => ("FAILED", Some("An internal error occurred.".to_owned())),
            (_, true) => ("FAILED", Some(format!("{} already exists.", job.target))),
            _ if job.kind == JobKind::Backup => ("COMPLETED", self.backup.issue.clone()),
            _ => ("COMPLETED", None),
        };
        if job.kind == JobKind::Restore {
            self.backup.restored.push(job.target.clone());
        } else if let Some(arn) = point.map(|point| point.arn.clone()) {
            match state {
                "COMPLETED" => {
                    if let Some(point) = self.backup.points.get_mut(&arn) {
                        point.is_completed = true;
                    }
                }
                _ => {
                    self.backup.points.remove(&arn);
                }
            }
        }
        if let Some(stored) = self.backup.jobs.get_mut(&job.id) {
            stored.ended = Some((state, message));
        }
        let (kind, id, word) = match job.kind {
            JobKind::Backup => ("Backup Job State Change", "backupJobId", "state"),
            JobKind::Copy => ("Copy Job State Change", "copyJobId", "state"),
            JobKind::Restore => ("Restore Job State Change", "restoreJobId", "status"),
        };
        let arn = point.map(|point| point.arn.clone()).unwrap_or_default();
        self.emit(
            &job.region,
            "aws.backup",
            kind,
            &arn,
            &json!({ id: job.id, word: state }),
        );
    }
}
