//! [`Config`]: the repository's one fixed file.

mod polynomial;

use serde::Deserialize;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::json::Object;

pub use polynomial::{is_irreducible, random_polynomial};

/// The format version this program reads and writes.
pub const VERSION: u32 = 2;

/// What the config file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Random identity of the repository; copies keep it.
    pub id: Id,
    /// restic's chunker polynomial: irreducible, degree 53. We never chunk with it, but restic refuses to open a
    /// repository without a good one.
    pub chunker_polynomial: u64,
}

#[derive(Deserialize)]
struct RawConfig {
    version: u32,
    id: String,
    #[serde(default)]
    chunker_polynomial: String,
}

impl Config {
    /// The JSON that is sealed into the config file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        let mut object = Object::begin(&mut out);
        object.number("version", VERSION.into());
        object.string("id", &self.id.to_string());
        object.string("chunker_polynomial", &format!("{:x}", self.chunker_polynomial));
        object.end();
        out
    }

    /// Reads the JSON of an opened config file. Another version than 2 is its own error.
    pub fn decode(json: &[u8]) -> Result<Config> {
        let damaged = |reason: String| RepositoryError::damaged("the config file", reason);
        let raw: RawConfig = serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?;
        if raw.version != VERSION {
            return Err(RepositoryError::UnsupportedVersion { version: raw.version });
        }
        let id = raw
            .id
            .parse()
            .map_err(|error: crate::id::ParseIdError| damaged(error.to_string()))?;
        let chunker_polynomial = u64::from_str_radix(&raw.chunker_polynomial, 16)
            .map_err(|error| damaged(format!("chunker polynomial `{}`: {error}", raw.chunker_polynomial)))?;
        if !is_irreducible(chunker_polynomial) {
            return Err(damaged(format!(
                "chunker polynomial `{}` is not irreducible",
                raw.chunker_polynomial
            )));
        }
        Ok(Config { id, chunker_polynomial })
    }
}
