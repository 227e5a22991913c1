//! AWS Backup: vaults, recovery points, and jobs that take time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::points::{Point, original_key};
use super::rds::Refusal;
use super::requests::Request;
use super::state::{ACCOUNT, State};

/// What AWS Backup can protect.
#[derive(Debug, Clone)]
pub(super) struct Protected {
    pub kind: String,
    pub bytes: u64,
    pub is_encrypted: bool,
}

/// A vault.
#[derive(Debug, Clone)]
pub(super) struct Vault {
    pub key: String,
    pub is_locked: bool,
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
    /// Whether deletions are accepted and not carried out, for want of a right.
    pub lacks_right_to_delete: bool,
    jobs: BTreeMap<String, Job>,
    /// Tokens, and the jobs that they started.
    tokens: BTreeMap<String, String>,
    restored: Vec<String>,
}

pub(super) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(code, message.into(), 400))
}

pub(super) fn seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}

pub(super) fn vault_arn(region: &str, name: &str) -> String {
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
        "ListTags" => state.point_tags(request),
        _ => Err(Refusal(
            "UnknownOperationException",
            "No such operation in the stand-in.".to_owned(),
            404,
        )),
    }
}

impl State {
    /// Whether AWS Backup accepts deletions from now on and does not carry them out, for want of a right.
    pub fn lack_right_to_delete(&mut self, lacks: bool) {
        self.backup.lacks_right_to_delete = lacks;
    }

    /// What the service says of every backup that completes from now on, if it says anything.
    pub fn set_backup_issue(&mut self, issue: Option<&str>) {
        self.backup.issue = issue.map(str::to_owned);
    }

    pub(super) fn vault_of(&self, region: &str, name: &str) -> Result<Vault, Refusal> {
        match self.backup.vaults.get(&(region.to_owned(), name.to_owned())) {
            Some(vault) => Ok(vault.clone()),
            None => refuse(
                "ResourceNotFoundException",
                format!("Backup vault {name} does not exist."),
            ),
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
        let arn = self.new_point_arn(&protected.kind, &request.region);
        let point = Point {
            key: original_key(&protected, &request.region, key),
            arn,
            region: request.region.clone(),
            vault,
            resource,
            kind: protected.kind,
            bytes: protected.bytes,
            role: request.text("IamRoleArn")?,
            tags: tags.collect(),
            made_at: self.now,
            is_completed: false,
            is_expired: false,
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
            arn: self.new_point_arn(&source.kind, &region),
            region,
            vault: name,
            role: request.text("IamRoleArn")?,
            key: source.key.as_ref().map(|_| key),
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
