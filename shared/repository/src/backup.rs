//! Backup: reads a [`Source`] and writes a snapshot.

mod source;

pub use source::{Content, Source, Unread, UnreadReason};
