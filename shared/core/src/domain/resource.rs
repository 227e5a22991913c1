//! What is protected, and where recovery points live.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Level, Region, ResourceId, TrialRule, VaultName};

/// What kind of thing a protected resource is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A tree of files on a mounted file system.
    #[default]
    Files,
    /// The objects of a bucket whose keys begin with a prefix.
    S3,
    /// An RDS instance.
    Rds,
    /// An Aurora cluster.
    Aurora,
    /// A DynamoDB table.
    Dynamodb,
    /// Anything that AWS Backup protects.
    AwsBackup,
    /// A PostgreSQL server that is reached by its connection string alone.
    Postgres,
}

/// How a PostgreSQL server is asked for its data, besides its connection string. It holds no secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAccess {
    /// Where the password is: the absolute path of a file, or the ARN of a secret. None where the server asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The physical replication slot through which its log is pulled.
    pub slot: String,
    /// Whether its log is received as it is written, by the program that runs all the time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_received: bool,
    /// Whether a policy pulls its log: then the slot holds the log back before the first base backup begins, and no log is missing
    /// after it. Chosen when a backup starts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pulls_log: bool,
}

impl ServerAccess {
    /// What the name of the slot through which log is received as it is written ends in.
    pub const RECEIVER: &str = "_receiver";

    /// The slot through which its log is received as it is written: pulls go on beside that, through their own.
    pub fn receiver_slot(&self) -> String {
        format!("{}{}", self.slot, Self::RECEIVER)
    }
}

impl ResourceKind {
    /// The word for this kind in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::S3 => "s3",
            Self::Rds => "rds",
            Self::Aurora => "aurora",
            Self::Dynamodb => "dynamodb",
            Self::AwsBackup => "aws_backup",
            Self::Postgres => "postgres",
        }
    }

    /// Whether Holdfast's own content engine keeps it, byte by byte; a service of AWS keeps the others.
    pub fn is_content(self) -> bool {
        matches!(self, Self::Files | Self::S3 | Self::Postgres)
    }

    /// Whether there is log between its points, by which it can be restored to any moment: that of a PostgreSQL server is pulled,
    /// and RDS keeps that of its databases.
    pub fn has_log(self) -> bool {
        matches!(self, Self::Postgres | Self::Rds | Self::Aurora)
    }

    /// What a routine verification proves without restoring anything: every byte of content, or that the snapshot of a
    /// service stands as it should.
    pub fn routine_level(self) -> Level {
        if self.is_content() { Level::L2 } else { Level::L1 }
    }

    /// What a completed restore proves: content is compared entry by entry, a service only says that it is done, and of a
    /// server's files nobody knows yet whether the server starts over them.
    pub fn restore_level(self) -> Level {
        if self.is_content() && self != Self::Postgres {
            Level::L4
        } else {
            Level::L3
        }
    }
}

/// A protected resource: what is being backed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Its name.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// Where it is: the absolute root folder of a file tree, `s3://bucket/prefix`, the identifier of an RDS instance or
    /// Aurora cluster, the name of a table, the ARN of what AWS Backup protects, or a connection string without a password.
    pub path: String,
    /// How a PostgreSQL server is asked; none for every other kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerAccess>,
    /// How its backups are tried; none where they are not, and for every kind but a PostgreSQL server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialRule>,
    /// Tags that selections match.
    pub tags: BTreeMap<String, String>,
    /// A file below `path` that the application rewrites with the current time; its age in a restored copy is the
    /// measured data loss.
    pub heartbeat: Option<String>,
    /// When Holdfast first knew it; no occurrence lies before this.
    pub registered_at: Timestamp,
    /// Since when the configuration names it no more; nothing is planned for it then, and its points stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
}

/// A vault: where recovery points live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Its name.
    pub name: VaultName,
    /// The Region that holds it.
    pub region: Region,
}
