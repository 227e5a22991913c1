//! [`KeyFile`]: the master key wrapped with a password, in restic's format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::ambient::Ambient;
use crate::crypto::{IV_LENGTH, MasterKey};
use crate::error::{RepositoryError, Result};
use crate::json::{self, Object};
use crate::tree::NodeTime;

/// Cost of the password hash of new key files: 64 MiB of memory.
const LOG_N: u8 = 16;
const R: u32 = 8;
const P: u32 = 1;

/// What a key file may ask for at most, so that a hostile one cannot exhaust memory.
const MAX_MEMORY: u64 = 1 << 30;

/// One file under `keys/`.
#[derive(Clone, Debug)]
pub struct KeyFile {
    created: NodeTime,
    username: String,
    hostname: String,
    log_n: u8,
    r: u32,
    p: u32,
    salt: Vec<u8>,
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct RawKeyFile {
    created: NodeTime,
    #[serde(default)]
    username: String,
    #[serde(default)]
    hostname: String,
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

impl KeyFile {
    /// Wraps `master` with a password.
    pub fn wrap(master: &MasterKey, password: &str, ambient: &Ambient) -> Result<KeyFile> {
        let mut file = KeyFile {
            created: created_at((ambient.now)()),
            username: ambient.username.clone(),
            hostname: ambient.hostname.clone(),
            log_n: LOG_N,
            r: R,
            p: P,
            salt: ambient.random::<64>().to_vec(),
            data: Vec::new(),
        };
        let iv: [u8; IV_LENGTH] = ambient.random();
        file.password_key(password)?.seal(&master.to_json(), iv, &mut file.data);
        Ok(file)
    }

    /// The master key; `None` when the password is not the one of this key file.
    pub fn unwrap(&self, password: &str) -> Result<Option<MasterKey>> {
        let Ok(json) = self.password_key(password)?.open(&self.data).map(Zeroizing::new) else {
            return Ok(None);
        };
        MasterKey::from_json(&json)
            .map(Some)
            .map_err(|error| RepositoryError::damaged("a key file", error))
    }

    fn password_key(&self, password: &str) -> Result<MasterKey> {
        let invalid =
            |error: &dyn ToString| RepositoryError::damaged("the scrypt part of a key file", error.to_string());
        let params = scrypt::Params::new(self.log_n, self.r, self.p).map_err(|error| invalid(&error))?;
        let mut random = Zeroizing::new([0u8; 64]);
        scrypt::scrypt(password.as_bytes(), &self.salt, &params, &mut *random).map_err(|error| invalid(&error))?;
        Ok(MasterKey::from_random(&random))
    }

    /// The stored JSON, which is not encrypted.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let mut object = Object::begin(&mut out);
        object.string("created", &self.created.to_string());
        object.string("username", &self.username);
        object.string("hostname", &self.hostname);
        object.string("kdf", "scrypt");
        object.number("N", 1 << self.log_n);
        object.number("r", self.r.into());
        object.number("p", self.p.into());
        json::write_base64(object.field("salt"), &self.salt);
        json::write_base64(object.field("data"), &self.data);
        object.end();
        out
    }

    /// Reads stored JSON. Refuses a password hash that would need more than 1 GiB of memory or is no scrypt.
    pub fn decode(name: &str, json: &[u8]) -> Result<KeyFile> {
        let refuse = |reason: &dyn ToString| RepositoryError::damaged(name, reason.to_string());
        let raw: RawKeyFile = serde_json::from_slice(json).map_err(|error| refuse(&error))?;
        if raw.kdf != "scrypt" {
            return Err(refuse(&format!("its password hash `{}` is not scrypt", raw.kdf)));
        }
        let cost = raw.n.checked_mul(128).and_then(|cost| cost.checked_mul(raw.r.into()));
        let whole = u64::from(raw.r)
            .checked_mul(raw.p.into())
            .is_some_and(|work| (1..=128).contains(&work));
        if !raw.n.is_power_of_two() || raw.n < 2 || !whole || cost.is_none_or(|cost| cost > MAX_MEMORY) {
            return Err(refuse(&format!(
                "its scrypt parameters N={}, r={}, p={} are out of bounds (at most 1 GiB of memory)",
                raw.n, raw.r, raw.p
            )));
        }
        Ok(KeyFile {
            created: raw.created,
            username: raw.username,
            hostname: raw.hostname,
            log_n: u8::try_from(raw.n.ilog2()).map_err(|error| refuse(&error))?,
            r: raw.r,
            p: raw.p,
            salt: BASE64.decode(raw.salt).map_err(|error| refuse(&error))?,
            data: BASE64.decode(raw.data).map_err(|error| refuse(&error))?,
        })
    }
}

fn created_at(now: Timestamp) -> NodeTime {
    NodeTime::from(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_scrypt_parameters_are_refused() {
        let file = |n: u64, r: u64, p: u64| {
            format!(
                r#"{{"created":"2026-01-01T00:00:00Z","username":"u","hostname":"h","kdf":"scrypt","N":{n},"r":{r},"p":{p},"salt":"AAAA","data":"AAAA"}}"#
            )
        };
        assert!(KeyFile::decode("k", file(32768, 8, 1).as_bytes()).is_ok());
        assert!(KeyFile::decode("k", file(1 << 20, 8, 1).as_bytes()).is_ok());
        for (n, r, p) in [
            (1 << 21, 8, 1),
            (32768, 1 << 20, 1),
            (1 << 62, 8, 1),
            (3, 8, 1),
            (0, 8, 1),
            (32768, 0, 1),
            (2, 8, 1 << 20),
        ] {
            let error = KeyFile::decode("k", file(n, r, p).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("scrypt"), "{n} {r} {p}: {error}");
        }
        assert!(KeyFile::decode("k", file(2, 8, 1).replace("scrypt", "argon2").as_bytes()).is_err());
    }
}
