//! What each function does, one sentence a test: the real handlers over the fakes, where nothing goes wrong by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backups;
mod configuration;
mod copies;
mod deletions;
mod failovers;
mod recovery;
mod scene;
mod trials;
mod trouble;
