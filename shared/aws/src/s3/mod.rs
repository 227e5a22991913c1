//! S3 as content: the prefix of a bucket as the source of a backup and as the target of a restore, and the calls that
//! these and the repository storage share.
//!
//! An address `s3://bucket/prefix` means the objects *below* that prefix: their keys begin with `prefix/`. The bucket
//! alone means all of its objects. In a snapshot they are a tree of files: see `names` for how keys become paths, and
//! `attributes` for what is kept of their metadata.

mod address;
mod attributes;
mod bucket;
mod compare;
mod listing;
mod names;
mod places;
mod range;
mod reader;
mod refused;
mod restore;
mod source;
mod target;
mod upload;

pub use address::S3Address;
pub use places::S3Places;
pub use source::S3Source;

pub(crate) use bucket::Bucket;
pub(crate) use listing::{copy_source, decoded};
pub(crate) use range::ObjectRange;
pub(crate) use refused::Refused;
pub(crate) use upload::{Body, Headers, MULTIPART_ABOVE};
