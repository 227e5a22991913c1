//! The catalog in a DynamoDB table.
//!
//! Partition key `pk`, sort key `sk`; `version` counts replacements, `body` is the record as JSON text, and a record that
//! waits has `wake_status` and `wake_at`, by which the index `waking` finds it. One item is one record: nothing here
//! needs a transaction over several.

mod item;

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure};
use futures::future::try_join_all;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Catalog, Draft, Entry, Inserted, Key};
use jiff::Timestamp;

use crate::failure::failure;
use item::{Item, PARTITION, SORT, SortableTime, VERSION, WAKE_AT, WAKE_STATUS};

/// The index of records that wait.
const WAKING: &str = "waking";
/// How many keys one BatchGetItem may ask for.
const BATCH: usize = 100;
/// How many batches are asked for at once.
const BATCHES_AT_ONCE: usize = 4;
/// How many answers in a row may leave everything unread before the caller is told to come back later.
const PATIENCE: u32 = 3;

/// Records in one DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoCatalog {
    client: Client,
    table: String,
}

impl DynamoCatalog {
    /// The catalog in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    fn on(&self, key: &Key) -> String {
        format!("record {} {} of table {}", key.partition, key.sort, self.table)
    }

    fn on_partition(&self, partition: &str) -> String {
        format!("records {partition} of table {}", self.table)
    }

    /// The write of a record at a version, without its condition.
    fn put(&self, draft: &Draft, version: u64) -> Result<PutItemFluentBuilder, Failure> {
        let item = item::encode(draft, version, &self.table)?;
        Ok(self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))
    }

    /// Every page of a query.
    async fn all(&self, query: QueryFluentBuilder, partition: &str) -> Result<Vec<Item>, Failure> {
        let pages = query.into_paginator().items().send();
        pages
            .collect::<Result<Vec<Item>, _>>()
            .await
            .map_err(|error| failure("DynamoDB Query", self.on_partition(partition), &error))
    }

    /// A strongly consistent query for the records of a partition whose order begins with `prefix`.
    fn query(&self, partition: &str, prefix: &str) -> QueryFluentBuilder {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
        if prefix.is_empty() {
            return query.key_condition_expression("#pk = :pk");
        }
        query
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :sk)")
            .expression_attribute_names("#sk", SORT)
            .expression_attribute_values(":sk", AttributeValue::S(prefix.to_owned()))
    }

    /// The records of up to [`BATCH`] keys as they are now; a key that has none is left out.
    async fn read_again(&self, keys: &[Key]) -> Result<Vec<Entry>, Failure> {
        let mut wanted: Vec<Item> = keys.iter().map(item::of_key).collect();
        let mut entries = Vec::new();
        let mut in_vain = 0;
        while !wanted.is_empty() {
            let asked = wanted.len();
            let (items, left) = self.batch(wanted).await?;
            for item in items {
                entries.push(item::decode(&item, &self.table)?);
            }
            in_vain = if left.len() < asked { 0 } else { in_vain + 1 };
            if in_vain == PATIENCE {
                let message = format!(
                    "DynamoDB BatchGetItem on table {}: {} records stay unread",
                    self.table,
                    left.len()
                );
                return Err(Failure::new(FailureKind::Throttled, message));
            }
            wanted = left;
        }
        Ok(entries)
    }

    /// One BatchGetItem: what it read, and the keys that it left.
    async fn batch(&self, keys: Vec<Item>) -> Result<(Vec<Item>, Vec<Item>), Failure> {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .map_err(|error| Failure::caused(FailureKind::Bug, "a batch without keys", error))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .send()
            .await
            .map_err(|error| failure("DynamoDB BatchGetItem", format_args!("table {}", self.table), &error))?;
        let read = answer.responses.and_then(|mut tables| tables.remove(&self.table));
        let left = answer
            .unprocessed_keys
            .and_then(|mut tables| tables.remove(&self.table));
        Ok((read.unwrap_or_default(), left.map(|left| left.keys).unwrap_or_default()))
    }
}

/// The record that stood in the way of a conditional write, if there is one; any other refusal is the failure.
fn occupant(error: &SdkError<PutItemError>, on: &str) -> Result<Option<Item>, Failure> {
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(refused)) => Ok(refused.item.clone()),
        _ => Err(failure("DynamoDB PutItem", on, error)),
    }
}

#[async_trait]
impl Catalog for DynamoCatalog {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, Failure> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::of_key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| failure("DynamoDB GetItem", self.on(key), &error))?;
        answer.item.map(|item| item::decode(&item, &self.table)).transpose()
    }

    async fn insert(&self, draft: Draft) -> Result<Inserted, Failure> {
        let on = self.on(&draft.key);
        let refused = self
            .put(&draft, 1)?
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PARTITION)
            .send()
            .await;
        let Err(error) = refused else {
            return Ok(Inserted::Created);
        };
        let there = match occupant(&error, &on)? {
            Some(item) => Some(item::decode(&item, &self.table)?),
            None => self.get(&draft.key).await?,
        };
        // Nothing is ever taken out of the catalog, so that what stood in the way is still there.
        let gone = || Failure::new(FailureKind::Conflict, format!("{on} was there and is gone"));
        there.map(Inserted::Exists).ok_or_else(gone)
    }

    async fn replace(&self, draft: Draft, expected: u64) -> Result<(), Failure> {
        let on = self.on(&draft.key);
        let conflict = |found: &str| {
            let message = format!("{on} has {found}, not version {expected}");
            Failure::new(FailureKind::Conflict, message)
        };
        let Some(next) = expected.checked_add(1) else {
            return Err(conflict("an earlier version"));
        };
        let refused = self
            .put(&draft, next)?
            .condition_expression("#version = :expected")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":expected", AttributeValue::N(expected.to_string()))
            .send()
            .await;
        let Err(error) = refused else {
            return Ok(());
        };
        Err(match occupant(&error, &on)? {
            Some(item) => conflict(&format!("version {}", item::decode(&item, &self.table)?.version)),
            None => conflict("no record"),
        })
    }

    async fn list(&self, partition: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
        let items = self.all(self.query(partition, prefix), partition).await?;
        items.iter().map(|item| item::decode(item, &self.table)).collect()
    }

    async fn last(&self, partition: &str, prefix: &str) -> Result<Option<Entry>, Failure> {
        let query = self.query(partition, prefix).scan_index_forward(false).limit(1);
        let answer = query
            .send()
            .await
            .map_err(|error| failure("DynamoDB Query", self.on_partition(partition), &error))?;
        let last = answer.items.and_then(|items| items.into_iter().next());
        last.map(|item| item::decode(&item, &self.table)).transpose()
    }

    /// The index follows the table a moment later. Whatever it tells is read again from the table, and what no longer waits
    /// is left out; what it does not tell yet is found the next time.
    async fn waking(&self, status: &str, by: Timestamp) -> Result<Vec<Entry>, Failure> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(WAKING)
            .key_condition_expression("#status = :status AND #at <= :by")
            .expression_attribute_names("#status", WAKE_STATUS)
            .expression_attribute_names("#at", WAKE_AT)
            .expression_attribute_values(":status", AttributeValue::S(status.to_owned()))
            .expression_attribute_values(":by", AttributeValue::S(SortableTime(by).to_string()));
        let hits = self.all(query, status).await?;
        // A record that moves in the index while its pages are read may be told twice, and a batch refuses that.
        let keys: BTreeSet<Key> = hits
            .iter()
            .map(|hit| item::key(hit, &self.table))
            .collect::<Result<_, _>>()?;
        let keys: Vec<Key> = keys.into_iter().collect();
        let batches: Vec<&[Key]> = keys.chunks(BATCH).collect();
        let mut waiting: Vec<(Timestamp, Entry)> = Vec::new();
        for batches in batches.chunks(BATCHES_AT_ONCE) {
            let asked: Vec<_> = batches.iter().map(|keys| self.read_again(keys)).collect();
            for entry in try_join_all(asked).await?.into_iter().flatten() {
                let wake = entry.wake.as_ref();
                if let Some(wake) = wake.filter(|wake| wake.status == status && wake.at <= by) {
                    waiting.push((wake.at, entry));
                }
            }
        }
        waiting.sort_by(|(one, a), (other, b)| (one, &a.key).cmp(&(other, &b.key)));
        Ok(waiting.into_iter().map(|(_, entry)| entry).collect())
    }
}
