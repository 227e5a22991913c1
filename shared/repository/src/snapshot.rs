//! [`Snapshot`]: what one backup made, and its [`Summary`], as restic stores them.

use serde::Deserialize;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::json::{self, Object};
use crate::tree::NodeTime;

/// One snapshot file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Snapshot {
    /// When the backup began.
    pub time: NodeTime,
    /// The snapshot this one was compared with.
    #[serde(default)]
    pub parent: Option<Id>,
    /// The root tree.
    pub tree: Id,
    /// Absolute paths of the roots.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paths: Vec<String>,
    /// Host the data came from.
    #[serde(default)]
    pub hostname: String,
    /// User who ran the backup.
    #[serde(default)]
    pub username: String,
    /// Numeric user id.
    #[serde(default)]
    pub uid: u32,
    /// Numeric group id.
    #[serde(default)]
    pub gid: u32,
    /// Exclude patterns that were in force.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub excludes: Vec<String>,
    /// Tags.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub tags: Vec<String>,
    /// The snapshot this one is a changed edition of.
    #[serde(default)]
    pub original: Option<Id>,
    /// The program that wrote it.
    #[serde(default)]
    pub program_version: String,
    /// Counts and sizes, when the program wrote them.
    #[serde(default)]
    pub summary: Option<Summary>,
}

/// Counts and sizes of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// When the backup began.
    pub backup_start: NodeTime,
    /// When it was done.
    pub backup_end: NodeTime,
    /// Files that the parent did not have.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files that were not read because nothing about them changed.
    pub files_unmodified: u64,
    /// Folders that the parent did not have.
    pub dirs_new: u64,
    /// Folders with another tree than the parent's.
    pub dirs_changed: u64,
    /// Folders with the parent's tree.
    pub dirs_unmodified: u64,
    /// Data blobs added.
    pub data_blobs: u64,
    /// Tree blobs added.
    pub tree_blobs: u64,
    /// Plaintext bytes of the blobs added.
    pub data_added: u64,
    /// Stored bytes of the blobs added.
    pub data_added_packed: u64,
    /// Files seen, changed or not.
    pub total_files_processed: u64,
    /// Bytes of all files seen.
    pub total_bytes_processed: u64,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Snapshot {
    /// The stored JSON, as Go's `encoding/json` writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let strings = |out: &mut Vec<u8>, items: &[String]| {
            json::write_list(out, items, |out, item| json::write_string(out, item.as_bytes()));
        };
        let mut object = Object::begin(&mut out);
        write_time(object.field("time"), self.time);
        object.id_or_omit("parent", self.parent.as_ref());
        json::write_id(object.field("tree"), &self.tree);
        strings(object.field("paths"), &self.paths);
        object.string_or_omit("hostname", &self.hostname);
        object.string_or_omit("username", &self.username);
        object.number_or_omit("uid", self.uid.into());
        object.number_or_omit("gid", self.gid.into());
        for (name, items) in [("excludes", &self.excludes), ("tags", &self.tags)] {
            if !items.is_empty() {
                strings(object.field(name), items);
            }
        }
        object.id_or_omit("original", self.original.as_ref());
        object.string_or_omit("program_version", &self.program_version);
        if let Some(summary) = &self.summary {
            summary.write(object.field("summary"));
        }
        object.end();
        out
    }

    /// Reads stored JSON; `id` names the snapshot in errors.
    pub fn decode(id: &Id, json: &[u8]) -> Result<Snapshot> {
        serde_json::from_slice(json).map_err(|error| RepositoryError::damaged(format!("snapshot {id}"), error))
    }
}

impl Summary {
    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object::begin(out);
        write_time(object.field("backup_start"), self.backup_start);
        write_time(object.field("backup_end"), self.backup_end);
        object.number("files_new", self.files_new);
        object.number("files_changed", self.files_changed);
        object.number("files_unmodified", self.files_unmodified);
        object.number("dirs_new", self.dirs_new);
        object.number("dirs_changed", self.dirs_changed);
        object.number("dirs_unmodified", self.dirs_unmodified);
        object.number("data_blobs", self.data_blobs);
        object.number("tree_blobs", self.tree_blobs);
        object.number("data_added", self.data_added);
        object.number("data_added_packed", self.data_added_packed);
        object.number("total_files_processed", self.total_files_processed);
        object.number("total_bytes_processed", self.total_bytes_processed);
        object.end();
    }
}

fn write_time(out: &mut Vec<u8>, time: NodeTime) {
    out.push(b'"');
    time.write(out);
    out.push(b'"');
}
