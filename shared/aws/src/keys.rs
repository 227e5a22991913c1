//! Keys in KMS: a symmetric key wraps the master keys of repositories, an asymmetric one signs evidence.

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::operation::verify::VerifyError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, MessageType, SigningAlgorithmSpec};
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Keys, Signature};
use sha2::{Digest, Sha256, Sha512};
use tokio::sync::OnceCell;

use crate::failure::failure;

/// First byte of what is encrypted: the data key follows as it is. KMS encrypts no empty text, and a later layout is known
/// by another byte.
const LAYOUT: u8 = 1;
/// The most bytes that KMS encrypts or signs as they are.
const MOST: usize = 4096;
/// The encryption context's name for the context of a data key; it shows in CloudTrail.
const CONTEXT: &str = "holdfast";

/// Keys that never leave KMS.
///
/// A signature is what KMS makes with a key of its kind, and anybody can verify it offline with the public key
/// (`aws kms get-public-key`):
///
/// - a key of kind `ECC_NIST_P256` signs with ECDSA over SHA-256, in DER, as OpenSSL writes it;
/// - a key of kind `ECC_NIST_EDWARDS25519` signs with Ed25519, and what KMS does not take as it is (nothing at all, or more
///   than 4096 bytes) with Ed25519ph over SHA-512.
///
/// The key id in an envelope names the algorithm and the hash of the public key, as in `ecdsa-p256:…`.
#[derive(Debug)]
pub struct KmsKeys {
    client: Client,
    wrapping_key: String,
    signing: Signing,
}

#[derive(Debug)]
struct Signing {
    client: Client,
    key: String,
    public: OnceCell<Public>,
}

/// What the public half of the signing key tells.
#[derive(Debug, Clone)]
struct Public {
    kind: Kind,
    key_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
}

/// What KMS is given to sign.
struct Signed {
    message: Blob,
    message_type: MessageType,
    algorithm: SigningAlgorithmSpec,
}

impl Kind {
    fn of(spec: Option<&KeySpec>) -> Option<Self> {
        match spec? {
            KeySpec::EccNistEdwards25519 => Some(Self::Ed25519),
            KeySpec::EccNistP256 => Some(Self::P256),
            _ => None,
        }
    }

    /// The key's id: its algorithm, and the beginning of the hash of its raw public key, which ends the DER form.
    fn key_id(self, der: &[u8]) -> Option<String> {
        let (name, length) = match self {
            Self::Ed25519 => ("ed25519", 32),
            Self::P256 => ("ecdsa-p256", 65),
        };
        let raw = der.get(der.len().checked_sub(length)?..)?;
        Some(format!("{name}:{}", hex::encode(&Sha256::digest(raw)[..16])))
    }

    fn signed(self, message: &[u8]) -> Signed {
        let (message, message_type, algorithm) = match self {
            Self::P256 => (
                Sha256::digest(message).to_vec(),
                MessageType::Digest,
                SigningAlgorithmSpec::EcdsaSha256,
            ),
            Self::Ed25519 if (1..=MOST).contains(&message.len()) => {
                (message.to_vec(), MessageType::Raw, SigningAlgorithmSpec::Ed25519Sha512)
            }
            Self::Ed25519 => (
                Sha512::digest(message).to_vec(),
                MessageType::Digest,
                SigningAlgorithmSpec::Ed25519PhSha512,
            ),
        };
        Signed {
            message: Blob::new(message),
            message_type,
            algorithm,
        }
    }
}

impl KmsKeys {
    /// Keys of these ARNs. The clients are those of the keys' Regions.
    pub fn new(wrapping: (Client, String), signing: (Client, String)) -> Self {
        let (client, wrapping_key) = wrapping;
        Self {
            client,
            wrapping_key,
            signing: Signing {
                client: signing.0,
                key: signing.1,
                public: OnceCell::new(),
            },
        }
    }

    fn not_its_own(&self, context: &str) -> Failure {
        let message = format!(
            "KMS key {} does not unwrap the data key of {context}: it was wrapped by another key, or changed",
            self.wrapping_key
        );
        Failure::new(FailureKind::Integrity, message)
    }
}

impl Signing {
    async fn public(&self) -> Result<&Public, Failure> {
        self.public.get_or_try_init(|| self.fetch()).await
    }

    async fn fetch(&self) -> Result<Public, Failure> {
        let request = self.client.get_public_key().key_id(&self.key);
        let answer = request
            .send()
            .await
            .map_err(|error| failure("KMS GetPublicKey", &self.key, &error))?;
        let unusable = || {
            let message = format!(
                "KMS key {} cannot sign evidence: make a key of kind ECC_NIST_P256 or ECC_NIST_EDWARDS25519 that signs",
                self.key
            );
            Failure::new(FailureKind::Invalid, message)
        };
        let kind = Kind::of(answer.key_spec.as_ref()).ok_or_else(unusable)?;
        let der = answer.public_key.map(Blob::into_inner).unwrap_or_default();
        let key_id = kind.key_id(&der).ok_or_else(unusable)?;
        Ok(Public { kind, key_id })
    }
}

#[async_trait]
impl Keys for KmsKeys {
    async fn wrap(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        if plain.len() >= MOST {
            let message = format!(
                "a data key of {} bytes cannot be wrapped for {context}: KMS takes 4095",
                plain.len()
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let answer = self
            .client
            .encrypt()
            .key_id(&self.wrapping_key)
            .plaintext(Blob::new([&[LAYOUT], plain].concat()))
            .encryption_context(CONTEXT, context)
            .send()
            .await
            .map_err(|error| {
                failure(
                    "KMS Encrypt",
                    format_args!("{context} by {}", self.wrapping_key),
                    &error,
                )
            })?;
        let wrapped = answer.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
        if wrapped.is_empty() {
            let message = format!("KMS Encrypt on {context} by {}: an empty answer", self.wrapping_key);
            return Err(Failure::new(FailureKind::Transient, message));
        }
        Ok(wrapped)
    }

    async fn unwrap(&self, wrapped: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        if wrapped.is_empty() {
            return Err(self.not_its_own(context));
        }
        let answer = self
            .client
            .decrypt()
            .key_id(&self.wrapping_key)
            .ciphertext_blob(Blob::new(wrapped))
            .encryption_context(CONTEXT, context)
            .send()
            .await
            .map_err(|error| match error.as_service_error() {
                Some(DecryptError::InvalidCiphertextException(_) | DecryptError::IncorrectKeyException(_)) => {
                    self.not_its_own(context)
                }
                _ => failure(
                    "KMS Decrypt",
                    format_args!("{context} by {}", self.wrapping_key),
                    &error,
                ),
            })?;
        let plain = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
        match plain.split_first() {
            Some((&LAYOUT, data_key)) => Ok(data_key.to_vec()),
            _ => Err(self.not_its_own(context)),
        }
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, Failure> {
        let public = self.signing.public().await?;
        let signed = public.kind.signed(message);
        let answer = self
            .signing
            .client
            .sign()
            .key_id(&self.signing.key)
            .message(signed.message)
            .message_type(signed.message_type)
            .signing_algorithm(signed.algorithm)
            .send()
            .await
            .map_err(|error| failure("KMS Sign", &self.signing.key, &error))?;
        let bytes = answer.signature.map(Blob::into_inner).unwrap_or_default();
        if bytes.is_empty() {
            let message = format!("KMS Sign on {}: an empty answer", self.signing.key);
            return Err(Failure::new(FailureKind::Transient, message));
        }
        Ok(Signature {
            key_id: public.key_id.clone(),
            bytes,
        })
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<bool, Failure> {
        let public = self.signing.public().await?;
        if public.key_id != signature.key_id || signature.bytes.is_empty() {
            return Ok(false);
        }
        let signed = public.kind.signed(message);
        let answer = self
            .signing
            .client
            .verify()
            .key_id(&self.signing.key)
            .message(signed.message)
            .message_type(signed.message_type)
            .signing_algorithm(signed.algorithm)
            .signature(Blob::new(signature.bytes.clone()))
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(answer.signature_valid),
            Err(error) => match error.as_service_error() {
                Some(VerifyError::KmsInvalidSignatureException(_)) => Ok(false),
                _ => Err(failure("KMS Verify", &self.signing.key, &error)),
            },
        }
    }
}
