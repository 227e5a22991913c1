//! Keys: wrapping data keys and signing evidence.

use async_trait::async_trait;

use crate::domain::Failure;

/// A signature and the key that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Names the key: its algorithm and the hash of its public half.
    pub key_id: String,
    /// The signature's bytes, as the key's algorithm makes them (Ed25519: 64; ECDSA: DER).
    pub bytes: Vec<u8>,
}

/// Wraps data keys and signs. Keys themselves never leave the adapter.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Encrypts a data key; `context` must be given again to unwrap.
    async fn wrap(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Failure>;

    /// Decrypts a wrapped data key. One that another key wrapped, that belongs to another context, or that was changed is
    /// [`FailureKind::Integrity`](crate::domain::FailureKind::Integrity).
    async fn unwrap(&self, wrapped: &[u8], context: &str) -> Result<Vec<u8>, Failure>;

    /// Signs a message.
    async fn sign(&self, message: &[u8]) -> Result<Signature, Failure>;

    /// Whether the signature is of this message by the key it names.
    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<bool, Failure>;
}
