//! Questions to the world outside, and their answers.

use serde::{Deserialize, Serialize};

/// A question to the world outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "probe", rename_all = "kebab-case")]
pub enum Probe {
    /// A GET of a URL.
    Http {
        /// The URL, `http://` or `https://`.
        url: String,
        /// The status that it must answer with.
        status: u16,
        /// What the body must hold; none takes every body.
        contains: Option<String>,
    },
    /// A connection to `host:port`.
    Tcp {
        /// The address.
        address: String,
    },
    /// A query whose first column of its first row must be `expects`.
    Sql {
        /// The server, as libpq's connection strings name it; the password comes from the environment or a password file.
        server: String,
        /// The query.
        query: String,
        /// The text that it must answer with.
        expects: String,
    },
}

/// What a probe said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is as it should be.
    pub holds: bool,
    /// What was seen, for people.
    pub note: String,
}
