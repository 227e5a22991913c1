//! Keys in a file.

use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Key, KeyInit, Nonce};
use async_trait::async_trait;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Keys, Signature};
use holdfast_repository::Ambient;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::files::{self, Written};
use crate::public_key;

/// The layout of the key file that this version knows.
const FILE_VERSION: u32 = 1;
/// First byte of a wrapped data key: AES-256-GCM, then 12 bytes of nonce, then the sealed key.
const WRAPPED_VERSION: u8 = 1;
const NONCE_LENGTH: usize = 12;

/// A wrapping key (AES-256-GCM, the context as associated data) and a signing key (Ed25519), kept in a file that only its
/// owner may read. Whoever loses the file loses every repository whose key it wraps, unless that key was escrowed.
pub struct FileKeys {
    path: PathBuf,
    wrapping: Aes256Gcm,
    signing: SigningKey,
    key_id: String,
    fill_random: fn(&mut [u8]),
}

/// The file, with both keys as hexadecimal digits.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    wrapping_key: String,
    signing_key: String,
}

impl FileKeys {
    /// Opens the key file, making it with fresh keys where there is none. An existing file is never written to.
    ///
    /// Fails with [`FailureKind::Denied`] when others may read the file, and with [`FailureKind::Integrity`] when it is
    /// damaged: fresh keys in its place would lock everything out that the old ones wrapped.
    pub fn open_or_create(path: impl Into<PathBuf>, ambient: &Ambient) -> Result<Self, Failure> {
        let path = path.into();
        if files::read(&path)?.is_none() {
            create(&path, ambient)?;
        }
        files::require_private(&path)?;
        let missing = || Failure::new(FailureKind::NotFound, format!("{} is gone", path.display()));
        let text = Zeroizing::new(files::read(&path)?.ok_or_else(missing)?);
        let (wrapping, signing) = parse(&path, &text)?;
        let signing = SigningKey::from_bytes(&signing);
        Ok(Self {
            wrapping: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*wrapping)),
            key_id: key_id(&signing.verifying_key()),
            signing,
            fill_random: ambient.fill_random,
            path,
        })
    }

    /// The public key as PEM: enough for anybody to verify evidence with
    /// [`verify_with_public_key`](crate::verify_with_public_key) or OpenSSL.
    pub fn public_key_pem(&self) -> String {
        public_key::pem_of(&self.signing.verifying_key())
    }

    /// Writes the public key as PEM, unless it is there. Another file under that name is [`FailureKind::Integrity`].
    pub fn export_public_key(&self, path: &Path) -> Result<(), Failure> {
        let pem = self.public_key_pem();
        if files::write_once(path, pem.as_bytes())? == Written::Created
            || files::read(path)?.as_deref() == Some(pem.as_bytes())
        {
            return Ok(());
        }
        let message = format!(
            "{} does not hold the public key of {}: find out who changed which of them, and put the right one back",
            path.display(),
            self.path.display()
        );
        Err(Failure::new(FailureKind::Integrity, message))
    }

    fn not_its_own(&self, context: &str) -> Failure {
        let path = self.path.display();
        let message =
            format!("{path} does not unwrap the data key of {context}: it was wrapped by another key, or changed");
        Failure::new(FailureKind::Integrity, message)
    }
}

/// Names a key by the hash of its public half.
fn key_id(key: &VerifyingKey) -> String {
    format!("ed25519:{}", hex::encode(&Sha256::digest(key.as_bytes())[..16]))
}

fn create(path: &Path, ambient: &Ambient) -> Result<(), Failure> {
    let random_hex = || {
        let bytes = Zeroizing::new(ambient.random::<32>());
        hex::encode(*bytes)
    };
    let file = KeyFile {
        version: FILE_VERSION,
        wrapping_key: random_hex(),
        signing_key: random_hex(),
    };
    let text = serde_json::to_vec_pretty(&file)
        .map_err(|error| Failure::caused(FailureKind::Bug, "the key file cannot be written", error))?;
    // Another process may have been faster; then its keys are the keys.
    files::write_once(path, &Zeroizing::new(text))?;
    Ok(())
}

type Secret = Zeroizing<[u8; 32]>;

fn parse(path: &Path, text: &[u8]) -> Result<(Secret, Secret), Failure> {
    let damaged = |reason: String| {
        let path = path.display();
        Failure::new(
            FailureKind::Integrity,
            format!("the key file {path} is damaged ({reason}): put back a copy of it"),
        )
    };
    let file: KeyFile = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    if file.version != FILE_VERSION {
        let message = format!(
            "the key file {} has version {}, and this Holdfast knows version {FILE_VERSION}: use a newer Holdfast",
            path.display(),
            file.version
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let secret = |name: &str, digits: &str| {
        let mut bytes = Secret::default();
        hex::decode_to_slice(digits, &mut *bytes).map_err(|error| damaged(format!("{name}: {error}")))?;
        Ok::<Secret, Failure>(bytes)
    };
    Ok((
        secret("wrapping_key", &file.wrapping_key)?,
        secret("signing_key", &file.signing_key)?,
    ))
}

#[async_trait]
impl Keys for FileKeys {
    async fn wrap(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        let mut nonce = [0; NONCE_LENGTH];
        (self.fill_random)(&mut nonce);
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self.wrapping.encrypt(&Nonce::from(nonce), payload).map_err(|_| {
            let message = format!("a data key of {} bytes cannot be wrapped for {context}", plain.len());
            Failure::new(FailureKind::Invalid, message)
        })?;
        Ok([&[WRAPPED_VERSION][..], &nonce, &sealed].concat())
    }

    async fn unwrap(&self, wrapped: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        let denied = || self.not_its_own(context);
        let (version, rest) = wrapped.split_first().ok_or_else(denied)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LENGTH>().ok_or_else(denied)?;
        if *version != WRAPPED_VERSION {
            return Err(denied());
        }
        let payload = Payload {
            msg: sealed,
            aad: context.as_bytes(),
        };
        self.wrapping
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| denied())
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, Failure> {
        Ok(Signature {
            key_id: self.key_id.clone(),
            bytes: self.signing.sign(message).to_bytes().to_vec(),
        })
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<bool, Failure> {
        let key = self.signing.verifying_key();
        Ok(signature.key_id == self.key_id && public_key::is_ed25519_of(&key, message, &signature.bytes))
    }
}
