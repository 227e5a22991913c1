//! The deployment, checked without AWS: what linters say of the templates and `infra/`, what Terraform makes of them, and
//! whether events, queues, rights and parameters fit the code that they are for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cost;
mod definition;
mod example;
mod infra;
mod linters;
mod pattern;
mod recovery;
mod rights;
mod template;
mod tools;
mod wiring;
