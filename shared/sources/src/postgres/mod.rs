//! PostgreSQL: a client of its streaming replication protocol, blocking and without a runtime; its log in a repository; and
//! how a restored server is told what to recover.
//!
//! An [`Address`] says where a server is. [`BaseBackup`] streams its data folder, [`receive()`] its log, into a [`Spool`] for
//! instance; [`ServerFacts`] and [`find_problems`] tell beforehand whether that will work.

pub mod address;
pub mod base_backup;
pub mod cluster;
pub mod connection;
pub mod error;
pub mod extract;
pub mod follow;
pub mod isolated;
pub mod log;
pub mod logical;
pub mod lsn;
pub mod preflight;
pub mod query;
pub mod receive;
pub mod recovery;
pub mod replication;
pub mod segment;
pub mod server;
pub mod spool;
pub mod trial;

mod log_stream;
mod manifest;
mod pages;
mod running;
mod tar;
mod tls;

pub use address::{Address, AddressError, Endpoint, Password, TlsMode};
pub use base_backup::{
    BaseBackup, BaseBackupReport, DamagedPage, DamagedPages, LogPosition, Member, MemberKind, Tablespace,
};
pub use connection::{ClientOptions, Connection, Purpose};
pub use error::{PostgresError, ServerReport, SinkError};
pub use lsn::{Lsn, LsnError};
pub use preflight::{Expectations, Problem, find_problems};
pub use receive::{LogSink, LogSource, Received, Until, receive};
pub use replication::{History, Identity, SlotName, SlotPosition};
pub use segment::{LogFile, Segment, SegmentError, SegmentSize};
pub use server::{Role, ServerFacts, SlotFacts};
pub use spool::Spool;
