//! [`Manifest`]: what an export holds.

use serde::{Deserialize, Serialize};

/// The only version of the format.
pub(super) const VERSION: u32 = 1;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format, 1.
    pub version: u32,
    /// The database.
    pub database: String,
    /// The server's major version.
    pub major: u32,
    /// The tables, by schema and name.
    pub tables: Vec<Table>,
    /// The sequences.
    pub sequences: Vec<Sequence>,
    /// Materialised views that held rows, oldest first, each as schema and name; an import fills them anew.
    pub views: Vec<(String, String)>,
    /// What of the database is not in here, and why.
    pub left_out: Vec<String>,
}

/// A table with rows of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its number on the server, which names its folder here.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns in the order of the rows, without those that are computed.
    pub columns: Vec<String>,
    /// The parts of its rows.
    pub parts: u32,
    /// Its rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether an extension makes it: then its definition comes with that, and these are the rows that somebody added.
    pub of_extension: bool,
    /// The table and what belongs to it, as `pg_restore` lists it: the catalog's number and the object's.
    pub objects: Vec<(u32, u32)>,
}

impl Table {
    /// Its name with its schema.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    pub(super) fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || self.full_name() == wanted
    }
}

/// A sequence, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The table that owns it, where one does.
    pub owner: Option<u32>,
    /// Its last value.
    pub last_value: i64,
    /// Whether that was given out.
    pub is_called: bool,
}
