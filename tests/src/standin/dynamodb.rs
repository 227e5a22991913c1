//! DynamoDB: only tables as the source and target of backups, and their backups.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::rds::Refusal;
use super::state::{ACCOUNT, State};

/// A table, without its items.
#[derive(Debug, Clone)]
pub(super) struct Table {
    arn: String,
    bytes: u64,
    tags: BTreeMap<String, String>,
    ready_at: Timestamp,
    /// What it was restored from, and the time whose content it holds.
    restored: Option<(Option<String>, Timestamp)>,
}

/// A backup of a table.
#[derive(Debug, Clone)]
pub(super) struct TableBackup {
    pub region: String,
    arn: String,
    name: String,
    table: String,
    bytes: u64,
    made_at: Timestamp,
    ready_at: Timestamp,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Dynamo {
    tables: BTreeMap<(String, String), Table>,
    pub backups: BTreeMap<String, TableBackup>,
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(code, message.into(), 400))
}

fn seconds(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    match body[name].as_str() {
        Some(text) if !text.is_empty() => Ok(text),
        _ => refuse("ValidationException", format!("{name} must not be null.")),
    }
}

/// Carries out a call of DynamoDB.
pub(super) fn carry_out(state: &mut State, region: &str, operation: &str, body: &Value) -> Result<Value, Refusal> {
    match operation {
        "CreateBackup" => state.create_table_backup(region, body),
        "ListBackups" => state.list_table_backups(region, body),
        "DescribeBackup" => {
            let backup = state.table_backup(region, body)?;
            Ok(json!({ "BackupDescription": state.backup_description(&backup) }))
        }
        "DeleteBackup" => {
            let backup = state.table_backup(region, body)?;
            if backup.ready_at > state.now {
                return refuse("BackupInUseException", "The backup is being created.");
            }
            state.dynamo.backups.remove(&backup.arn);
            Ok(json!({ "BackupDescription": state.backup_description(&backup) }))
        }
        "RestoreTableFromBackup" => {
            let backup = state.table_backup(region, body)?;
            if backup.ready_at > state.now {
                return refuse("BackupInUseException", "The backup is being created.");
            }
            state.restore_table(region, body, backup.bytes, (Some(backup.arn), backup.made_at))
        }
        "RestoreTableToPointInTime" => state.restore_table_to_time(region, body),
        "DescribeTable" => state.describe_table(region, body),
        "TagResource" => state.tag_table(body),
        "ListTagsOfResource" => state.table_tags(body),
        other => refuse(
            "UnknownOperationException",
            format!("{other} is not one that the stand-in knows."),
        ),
    }
}

impl State {
    /// Makes a table that has stood for a day.
    pub fn add_table(&mut self, region: &str, name: &str, bytes: u64) {
        let table = Table {
            arn: format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"),
            bytes,
            tags: BTreeMap::new(),
            ready_at: self.now,
            restored: None,
        };
        self.dynamo.tables.insert((region.to_owned(), name.to_owned()), table);
    }

    /// Whether there is a table of this name.
    pub fn has_table(&self, region: &str, name: &str) -> bool {
        self.dynamo.tables.contains_key(&(region.to_owned(), name.to_owned()))
    }

    fn table(&self, region: &str, body: &Value, missing: &'static str) -> Result<(String, Table), Refusal> {
        let name = text(body, "TableName")?;
        match self.dynamo.tables.get(&(region.to_owned(), name.to_owned())) {
            Some(table) => Ok((name.to_owned(), table.clone())),
            None => refuse(missing, format!("Table not found: {name}")),
        }
    }

    fn table_backup(&self, region: &str, body: &Value) -> Result<TableBackup, Refusal> {
        let arn = text(body, "BackupArn")?;
        match self.dynamo.backups.get(arn).filter(|backup| backup.region == region) {
            Some(backup) => Ok(backup.clone()),
            None => refuse("BackupNotFoundException", format!("Backup not found: {arn}")),
        }
    }

    fn create_table_backup(&mut self, region: &str, body: &Value) -> Result<Value, Refusal> {
        let (table, found) = self.table(region, body, "TableNotFoundException")?;
        let name = text(body, "BackupName")?.to_owned();
        let id = self.next_id();
        let backup = TableBackup {
            region: region.to_owned(),
            arn: format!("{}/backup/{id}", found.arn),
            name,
            table,
            bytes: found.bytes,
            made_at: self.now,
            ready_at: self.after(self.durations.table_backup),
        };
        let details = self.backup_description(&backup)["BackupDetails"].clone();
        // Names need not be unique: a second backup of the same name is another one.
        self.dynamo.backups.insert(backup.arn.clone(), backup);
        Ok(json!({ "BackupDetails": details }))
    }

    fn backup_state(&self, backup: &TableBackup) -> &str {
        let state = if backup.ready_at > self.now {
            "CREATING"
        } else {
            "AVAILABLE"
        };
        self.word.as_deref().unwrap_or(state)
    }

    fn backup_description(&self, backup: &TableBackup) -> Value {
        json!({
            "BackupDetails": {
                "BackupArn": backup.arn,
                "BackupName": backup.name,
                "BackupSizeBytes": backup.bytes,
                "BackupStatus": self.backup_state(backup),
                "BackupType": "USER",
                "BackupCreationDateTime": seconds(backup.made_at),
            },
            "SourceTableDetails": {
                "TableName": backup.table,
                "TableId": "standin",
                "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
                "TableCreationDateTime": seconds(backup.made_at),
                "ProvisionedThroughput": { "ReadCapacityUnits": 1, "WriteCapacityUnits": 1 },
            },
        })
    }

    fn list_table_backups(&self, region: &str, body: &Value) -> Result<Value, Refusal> {
        let table = body["TableName"].as_str();
        let after = body["ExclusiveStartBackupArn"].as_str();
        let most = body["Limit"].as_u64().unwrap_or(100).clamp(1, 100);
        let found: Vec<&TableBackup> = self
            .dynamo
            .backups
            .values()
            .filter(|backup| backup.region == region && table.is_none_or(|table| table == backup.table))
            .filter(|backup| after.is_none_or(|after| backup.arn.as_str() > after))
            .collect();
        let shown = found.len().min(usize::try_from(most).unwrap_or(100));
        let summaries: Vec<Value> = found[..shown]
            .iter()
            .map(|backup| {
                let mut told = self.backup_description(backup)["BackupDetails"].clone();
                told["TableName"] = json!(backup.table);
                told
            })
            .collect();
        let last = (shown < found.len()).then(|| found[shown - 1].arn.clone());
        Ok(json!({ "BackupSummaries": summaries, "LastEvaluatedBackupArn": last }))
    }

    fn restore_table(
        &mut self,
        region: &str,
        body: &Value,
        bytes: u64,
        from: (Option<String>, Timestamp),
    ) -> Result<Value, Refusal> {
        let name = text(body, "TargetTableName")?.to_owned();
        if self.has_table(region, &name) {
            return refuse("TableAlreadyExistsException", format!("Table already exists: {name}"));
        }
        let table = Table {
            arn: format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"),
            bytes,
            tags: BTreeMap::new(),
            ready_at: self.after(self.durations.restore),
            restored: Some(from),
        };
        let answer = self.table_json(&name, &table);
        self.dynamo.tables.insert((region.to_owned(), name), table);
        Ok(json!({ "TableDescription": answer }))
    }

    fn restore_table_to_time(&mut self, region: &str, body: &Value) -> Result<Value, Refusal> {
        let source = json!({ "TableName": body["SourceTableName"] });
        let (_, table) = self.table(region, &source, "TableNotFoundException")?;
        let latest = self.latest_restorable();
        let first = latest
            .saturating_sub(SignedDuration::from_hours(35 * 24))
            .unwrap_or(latest);
        let wanted = body["RestoreDateTime"].as_f64();
        let at = wanted.map_or(latest, |at| Timestamp::from_second(at as i64).unwrap_or(Timestamp::MAX));
        if at > latest || at < first {
            return refuse(
                "InvalidRestoreTimeException",
                format!("The time must lie between {first} and {latest}."),
            );
        }
        self.restore_table(region, body, table.bytes, (None, at))
    }

    fn table_json(&self, name: &str, table: &Table) -> Value {
        let is_busy = table.ready_at > self.now;
        let summary = table.restored.as_ref().map(|(from, at)| {
            json!({ "SourceBackupArn": from, "RestoreDateTime": seconds(*at), "RestoreInProgress": is_busy })
        });
        json!({
            "TableName": name,
            "TableArn": table.arn,
            "TableStatus": if is_busy { "CREATING" } else { "ACTIVE" },
            "TableSizeBytes": table.bytes,
            "RestoreSummary": summary,
        })
    }

    fn describe_table(&self, region: &str, body: &Value) -> Result<Value, Refusal> {
        let (name, table) = self.table(region, body, "ResourceNotFoundException")?;
        Ok(json!({ "Table": self.table_json(&name, &table) }))
    }

    /// The table whose tags are asked about; one that is being made has none to ask about.
    fn tagged<'a>(&'a mut self, body: &Value) -> Result<&'a mut Table, Refusal> {
        let arn = text(body, "ResourceArn")?;
        match self.dynamo.tables.values_mut().find(|table| table.arn == arn) {
            Some(table) if table.ready_at <= self.now => Ok(table),
            _ => refuse(
                "ResourceNotFoundException",
                format!("Requested resource not found: {arn}"),
            ),
        }
    }

    fn tag_table(&mut self, body: &Value) -> Result<Value, Refusal> {
        let table = self.tagged(body)?;
        for tag in body["Tags"].as_array().into_iter().flatten() {
            let (name, value) = (tag["Key"].as_str(), tag["Value"].as_str());
            table.tags.insert(
                name.unwrap_or_default().to_owned(),
                value.unwrap_or_default().to_owned(),
            );
        }
        Ok(json!({}))
    }

    fn table_tags(&mut self, body: &Value) -> Result<Value, Refusal> {
        let tags = self.tagged(body)?.tags.clone();
        let tags: Vec<Value> = tags
            .iter()
            .map(|(name, value)| json!({ "Key": name, "Value": value }))
            .collect();
        Ok(json!({ "Tags": tags }))
    }
}
