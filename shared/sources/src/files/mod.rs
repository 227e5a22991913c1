//! File trees: what a backup reads ([`FileTree`]), which parts of it ([`Patterns`]), how a snapshot becomes files
//! again ([`restore()`]), and an independent witness of what a folder holds ([`Manifest`]).
//!
//! Names and link targets are bytes throughout: Unix does not promise UTF-8.

pub mod manifest;
pub mod patterns;
pub mod restore;
pub mod source;

mod attributes;
mod beneath;
mod compare;
mod metadata;

pub(crate) use beneath::Beneath;
pub use compare::{Comparison, compare};
pub use manifest::{Difference, Manifest};
pub use patterns::{PatternError, Patterns};
pub use restore::{Overwrite, RestoreError, RestoreOptions, RestoreReport, restore};
pub use source::{FileTree, RootError};
