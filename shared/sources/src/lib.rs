//! Readers and restorers of protected resources, and the content engine that backs them up.

pub mod content_engine;
pub mod files;
pub mod postgres;
