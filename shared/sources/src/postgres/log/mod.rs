//! A server's log in a repository: what its files hold, what is stored, what can be restored from it.

mod error;
pub mod fetch;
pub mod history;
mod inspect;
pub mod page;
pub mod piece;
pub mod push;
pub mod receipts;
pub mod records;
pub mod store;
pub mod windows;

pub use error::LogError;
pub use fetch::{FetchOptions, Fetched, fetch, take_ahead};
pub use history::{Ancestor, History, HistoryError};
pub use inspect::{LogFileOnDisk, segment_size};
pub use piece::{Piece, PieceContent, StoredPiece};
pub use push::{push, ready};
pub use receipts::{Receipt, Receipts};
pub use store::{Found, LogArchive, Stored};
