//! Repositories, sources and restore targets on S3: on a server that refuses damaged bytes, and on one that keeps
//! versions, locks objects and decides races.

mod contract;
mod judge;
mod restore;
mod source;
mod world;
