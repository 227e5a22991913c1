//! [`PostgresError`]: what stops work with a server: what, where, and how to mend it. None of it holds a secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

use holdfast_core::domain::FailureKind;

use super::address::AddressError;
use super::lsn::Lsn;

/// A result of this module.
pub type Result<T, E = PostgresError> = std::result::Result<T, E>;

/// What a server said about an error or as a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// The SQLSTATE.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What the server would do.
    pub hint: Option<String>,
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        write!(f, " (SQLSTATE {})", self.code)
    }
}

/// What takes the log, does not.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct SinkError {
    /// What was tried, on what.
    pub what: String,
    /// Why it failed.
    pub source: io::Error,
}

/// What stops work with a server. `place` is the host and port or the socket, `doing` what was being done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The connection string cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No host answers.
    #[error("no PostgreSQL server answers ({tried}): check host, port and firewall, and that the server runs")]
    Unreachable {
        /// Each host with its reason.
        tried: String,
    },
    /// The server says nothing for too long.
    #[error("{place}: nothing heard for {seconds} s while {doing}: check the server's load and the network between")]
    #[allow(missing_docs, reason = "said above")]
    Silent { place: String, doing: String, seconds: u64 },
    /// The connection broke.
    #[error("{place}: connection lost while {doing}: {source}")]
    #[allow(missing_docs, reason = "said above")]
    Lost {
        place: String,
        doing: String,
        source: io::Error,
    },
    /// Encryption is asked for, but the server has none.
    #[error("{place}: the server offers no TLS, which sslmode asks for: switch on `ssl` in its configuration")]
    #[allow(missing_docs, reason = "said above")]
    NoTls { place: String },
    /// Encryption does not come about.
    #[error(
        "{place}: TLS fails: {reason} (certificates need a subject alternative name and an authority of their own; \
         compare sslrootcert with the authority that signed the server's certificate)"
    )]
    Tls {
        /// The server.
        place: String,
        /// Why.
        reason: String,
    },
    /// The file of trusted authorities does not work.
    #[error("cannot use {} as sslrootcert: {reason}", .path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The server wants a password, and none is known.
    #[error("{place}: the server asks for the password of role {user}, but none is given: set it, or a password file")]
    #[allow(missing_docs, reason = "said above")]
    NoPassword { place: String, user: String },
    /// The server wants to know the client in a way that it does not know.
    #[error(
        "{place}: the server asks for {method}, which this client does not do: \
             let pg_hba.conf ask for scram-sha-256"
    )]
    #[allow(missing_docs, reason = "said above")]
    Method { place: String, method: &'static str },
    /// The server does not prove that it knows the password.
    #[error("{place}: password exchange fails: {reason}: whoever answers may not be the server that you mean")]
    #[allow(missing_docs, reason = "said above")]
    Exchange { place: String, reason: String },
    /// Wrong password (28P01).
    #[error("{place}: wrong password for role {user}, or there is no such role: {report}")]
    #[allow(missing_docs, reason = "said above")]
    WrongPassword {
        place: String,
        user: String,
        report: Box<ServerReport>,
    },
    /// `pg_hba.conf` does not let the client in (28000).
    #[error(
        "{place}: the server does not let role {user} in: {report}: add a line for it to pg_hba.conf (database \
         `replication` for backups) and reload"
    )]
    #[allow(missing_docs, reason = "said above")]
    NotAdmitted {
        place: String,
        user: String,
        report: Box<ServerReport>,
    },
    /// The role lacks a right (42501).
    #[error(
        "{place}: role {user} may not do this while {doing}: {report}: ALTER ROLE {user} REPLICATION mends backups"
    )]
    #[allow(missing_docs, reason = "said above")]
    NotPermitted {
        place: String,
        user: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// All connections are taken (53300).
    #[error(
        "{place}: the server takes no more connections: {report}: raise max_wal_senders or max_connections, or wait"
    )]
    #[allow(missing_docs, reason = "said above")]
    Full { place: String, report: Box<ServerReport> },
    /// All replication slots are taken (53400).
    #[error(
        "{place}: no replication slot is free: {report}: drop one that nobody uses, or raise max_replication_slots"
    )]
    #[allow(missing_docs, reason = "said above")]
    SlotsFull { place: String, report: Box<ServerReport> },
    /// The server is starting up or recovering (57P03).
    #[error("{place}: the server is not ready yet: {report}")]
    #[allow(missing_docs, reason = "said above")]
    Starting { place: String, report: Box<ServerReport> },
    /// The server is going down, or somebody ended the connection (57P01, 57P02).
    #[error("{place}: the server ended the connection while {doing}: {report}")]
    #[allow(missing_docs, reason = "said above")]
    ShuttingDown {
        place: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// The thing is not there (42704, 3D000), most often a slot.
    #[error("{place}: not there while {doing}: {report}")]
    #[allow(missing_docs, reason = "said above")]
    Missing {
        place: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// The thing is there already (42710), most often a slot.
    #[error("{place}: already there while {doing}: {report}")]
    #[allow(missing_docs, reason = "said above")]
    Exists {
        place: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// Somebody else uses the thing (55006), most often a slot.
    #[error("{place}: in use by somebody else while {doing}: {report}: let one receiver at a time use a slot")]
    #[allow(missing_docs, reason = "said above")]
    InUse {
        place: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// The log that is asked for is gone from the server (58P01, 55000).
    #[error("{place}: the log is no longer there while {doing}: {report}: the chain is broken, make a new base backup")]
    #[allow(missing_docs, reason = "said above")]
    LogGone {
        place: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// Anything else that the server refuses.
    #[error("{place}: the server refuses while {doing}: {report}")]
    #[allow(missing_docs, reason = "said above")]
    Refused {
        place: String,
        doing: String,
        report: Box<ServerReport>,
    },
    /// The server does not keep to the protocol.
    #[error("{place}: not the protocol of PostgreSQL while {doing}: {what}")]
    #[allow(missing_docs, reason = "said above")]
    Protocol { place: String, doing: String, what: String },
    /// A version of which nothing is known.
    #[error("{place}: PostgreSQL {version} is not supported: versions 13 to 18 are")]
    #[allow(missing_docs, reason = "said above")]
    Version { place: String, version: String },
    /// Another server answers than the one that is meant.
    #[error(
        "{place}: this is the server with system identifier {found}, not {expected}: the address leads to another \
         cluster, or it was made anew and needs a chain of its own"
    )]
    #[allow(missing_docs, reason = "said above")]
    OtherSystem { place: String, expected: u64, found: u64 },
    /// The server's log ends before the place to go on from.
    #[error(
        "{place}: the log of timeline {timeline} is kept up to {start}, but the server has it up to {flushed} only: it \
         was set back to an earlier state; make a new base backup"
    )]
    #[allow(missing_docs, reason = "said above")]
    Ahead {
        place: String,
        timeline: u32,
        start: Lsn,
        flushed: Lsn,
    },
    /// A base backup is not what its manifest says.
    #[error("{place}: the base backup does not agree with its manifest: {}", .differences.join("; "))]
    Manifest {
        /// The server.
        place: String,
        /// The first of them.
        differences: Vec<String>,
    },
    /// What takes the log does not.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The slot to receive over is not there.
    #[error(
        "{place}: there is no replication slot {slot}: create it, and make a new base backup if one was there before"
    )]
    #[allow(missing_docs, reason = "said above")]
    NoSlot { place: String, slot: String },
    /// The server comes from a branch of history that the kept log is not part of.
    #[error(
        "{place}: the server is on timeline {current}, which does not descend from timeline {kept} that the log is kept \
         of: make a new base backup"
    )]
    #[allow(missing_docs, reason = "said above")]
    OtherHistory { place: String, kept: u32, current: u32 },
    /// The caller asked to stop.
    #[error("stopped as asked while {doing}")]
    Stopped {
        /// What was being done.
        doing: String,
    },
}

impl PostgresError {
    /// What a server's error means. Messages are cut to a sane length: they come from outside.
    pub(super) fn refused(place: &str, user: &str, doing: &str, report: Box<ServerReport>) -> PostgresError {
        let (place, user, doing) = (place.to_owned(), user.to_owned(), doing.to_owned());
        match report.code.as_str() {
            "28P01" => PostgresError::WrongPassword { place, user, report },
            "28000" => PostgresError::NotAdmitted { place, user, report },
            "42501" => PostgresError::NotPermitted {
                place,
                user,
                doing,
                report,
            },
            "53300" => PostgresError::Full { place, report },
            "53400" => PostgresError::SlotsFull { place, report },
            "57P03" => PostgresError::Starting { place, report },
            "57P01" | "57P02" => PostgresError::ShuttingDown { place, doing, report },
            "42704" | "3D000" => PostgresError::Missing { place, doing, report },
            "42710" => PostgresError::Exists { place, doing, report },
            "55006" => PostgresError::InUse { place, doing, report },
            "58P01" | "55000" => PostgresError::LogGone { place, doing, report },
            _ => PostgresError::Refused { place, doing, report },
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> FailureKind {
        match self {
            PostgresError::Unreachable { .. }
            | PostgresError::Silent { .. }
            | PostgresError::Lost { .. }
            | PostgresError::Starting { .. }
            | PostgresError::ShuttingDown { .. }
            | PostgresError::Sink(_)
            | PostgresError::Stopped { .. } => FailureKind::Transient,
            PostgresError::Full { .. } => FailureKind::Throttled,
            PostgresError::InUse { .. } | PostgresError::Exists { .. } => FailureKind::Conflict,
            PostgresError::Missing { .. } | PostgresError::NoSlot { .. } => FailureKind::NotFound,
            PostgresError::WrongPassword { .. }
            | PostgresError::NotAdmitted { .. }
            | PostgresError::NotPermitted { .. }
            | PostgresError::NoPassword { .. }
            | PostgresError::Exchange { .. } => FailureKind::Denied,
            PostgresError::LogGone { .. }
            | PostgresError::Ahead { .. }
            | PostgresError::OtherSystem { .. }
            | PostgresError::OtherHistory { .. }
            | PostgresError::Manifest { .. } => FailureKind::Integrity,
            PostgresError::Refused { report, .. } if resource_is_short(&report.code) => FailureKind::Transient,
            PostgresError::Address(_)
            | PostgresError::NoTls { .. }
            | PostgresError::Tls { .. }
            | PostgresError::Authorities { .. }
            | PostgresError::Method { .. }
            | PostgresError::SlotsFull { .. }
            | PostgresError::Refused { .. }
            | PostgresError::Protocol { .. }
            | PostgresError::Version { .. } => FailureKind::Invalid,
        }
    }

    /// What the server itself said, where it did.
    pub fn report(&self) -> Option<&ServerReport> {
        match self {
            PostgresError::WrongPassword { report, .. }
            | PostgresError::NotAdmitted { report, .. }
            | PostgresError::NotPermitted { report, .. }
            | PostgresError::Full { report, .. }
            | PostgresError::SlotsFull { report, .. }
            | PostgresError::Starting { report, .. }
            | PostgresError::ShuttingDown { report, .. }
            | PostgresError::Missing { report, .. }
            | PostgresError::Exists { report, .. }
            | PostgresError::InUse { report, .. }
            | PostgresError::LogGone { report, .. }
            | PostgresError::Refused { report, .. } => Some(report),
            _ => None,
        }
    }

    /// Whether this says that the server is gone, or is short of what its machine gives it, and nothing about its data.
    pub(super) fn is_of_the_machine(&self) -> bool {
        let is_short = |report: &ServerReport| resource_is_short(&report.code);
        self.is_of_this_host() || self.report().is_some_and(is_short)
    }

    /// Whether another host of the same address may answer better.
    pub(super) fn is_of_this_host(&self) -> bool {
        matches!(
            self,
            PostgresError::Unreachable { .. }
                | PostgresError::Silent { .. }
                | PostgresError::Lost { .. }
                | PostgresError::Starting { .. }
                | PostgresError::ShuttingDown { .. }
        )
    }
}

/// Classes 53 (no memory, disk full) and 57 (an operator intervened).
fn resource_is_short(code: &str) -> bool {
    code.starts_with("53") || code.starts_with("57")
}
