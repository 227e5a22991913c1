//! Embedded adapters: every port on one machine, in one data folder.
//!
//! ```text
//! <data>/lock            held while a program works on the folder
//! <data>/holdfast.json   which Regions were made
//! <data>/holdfast.db     catalog and queues (SQLite)
//! <data>/keys.json       wrapping and signing key; keep a copy elsewhere
//! <data>/keys.pub.pem    the public half: enough to verify evidence
//! <data>/repository-password   opens every repository with restic; keep a copy elsewhere
//! <data>/pages.jsonl     what people were told
//! <data>/regions/<region>/region.json
//! <data>/regions/<region>/vaults/<vault>/<resource>/   a repository
//! <data>/regions/<region>/evidence/
//! ```
//!
//! The calls finish quickly on a local disk, so the asynchronous ports do their work at once instead of handing it to other
//! threads.

mod bus;
mod data_folder;
mod evidence;
mod failure;
mod files;
mod keys;
mod pager;
mod password;
mod public_key;
mod regions;
mod sqlite;
mod system;

pub use bus::LocalBus;
pub use data_folder::DataFolder;
pub use evidence::DirectoryEvidence;
pub use failure::repository_failure;
pub use keys::FileKeys;
pub use pager::StderrPager;
pub use password::repository_password;
pub use public_key::verify_with_public_key;
pub use regions::Regions;
pub use sqlite::{Database, SqliteCatalog, SqliteQueue};
pub use system::{SystemClock, SystemIds, system_ambient};
