//! Four disasters on the embedded system, with what each costs: a bad release corrupts data, a Region is lost, files are
//! encrypted, the key is lost. `cargo test -p holdfast-cli --test scenarios -- --nocapture` prints the figures.

#![allow(missing_docs, reason = "tests are named as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod corruption;
mod lost_key;
mod lost_region;
mod ransomware;
mod world;
