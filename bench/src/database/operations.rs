//! What is measured, and which programs are.

/// A program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Holdfast,
    PgBackRest,
    PgBaseBackup,
}

/// What is measured, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Full,
    /// Where the server tells what changed.
    Incremental,
    Again,
    Restore,
    RestoreOver,
    Push,
    Fetch,
}

impl Peer {
    pub const ALL: [Peer; 3] = [Peer::Holdfast, Peer::PgBackRest, Peer::PgBaseBackup];

    pub fn name(self) -> &'static str {
        match self {
            Peer::Holdfast => "holdfast",
            Peer::PgBackRest => "pgBackRest",
            Peer::PgBaseBackup => "pg_basebackup",
        }
    }
}

impl Operation {
    pub const ALL: [Operation; 7] = [
        Operation::Full,
        Operation::Incremental,
        Operation::Again,
        Operation::Restore,
        Operation::RestoreOver,
        Operation::Push,
        Operation::Fetch,
    ];

    pub fn says(self) -> &'static str {
        match self {
            Operation::Full => "first full backup",
            Operation::Incremental => "incremental backup after 1 % of the pages changed",
            Operation::Again => "full backup after 1 % of the pages changed",
            Operation::Restore => "restore into an empty folder",
            Operation::RestoreOver => "restore where 1 % of the pages are damaged",
            Operation::Push => "push the log, segment by segment",
            Operation::Fetch => "fetch the log, segment by segment",
        }
    }
}
