//! PostgreSQL: its log in a repository, and how a restored server is told what to recover.

pub mod log;
pub mod lsn;
pub mod recovery;
pub mod segment;

pub use lsn::{Lsn, LsnError};
pub use segment::{LogFile, Segment, SegmentError, SegmentSize};
