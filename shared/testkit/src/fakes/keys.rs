//! Keys without cryptography worth the name.

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Keys, Signature};
use sha2::{Digest, Sha256};

/// Deterministic keys. Wrapping and signing rest on SHA-256 over a fixed secret: enough to notice a changed byte, another
/// context or another key in a test, and nothing more. A signature can be verified only by whoever could have made it.
#[derive(Debug)]
pub struct FakeKeys {
    secret: String,
}

impl Default for FakeKeys {
    fn default() -> Self {
        Self::named("fake-key")
    }
}

impl FakeKeys {
    /// Keys that differ from those of any other name.
    pub fn named(name: &str) -> Self {
        Self {
            secret: name.to_owned(),
        }
    }

    fn digest(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [self.secret.as_bytes(), purpose.as_bytes()].iter().chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Masks or unmasks `bytes`.
    fn mask(&self, bytes: &[u8], context: &str) -> Vec<u8> {
        let key_stream = (0u64..).flat_map(|n| self.digest("mask", &[context.as_bytes(), &n.to_be_bytes()]));
        bytes.iter().zip(key_stream).map(|(byte, mask)| byte ^ mask).collect()
    }
}

#[async_trait]
impl Keys for FakeKeys {
    async fn wrap(&self, plain: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        let mut wrapped = self.digest("seal", &[context.as_bytes(), plain]).to_vec();
        wrapped.extend(self.mask(plain, context));
        Ok(wrapped)
    }

    async fn unwrap(&self, wrapped: &[u8], context: &str) -> Result<Vec<u8>, Failure> {
        if let Some((seal, masked)) = wrapped.split_at_checked(32) {
            let plain = self.mask(masked, context);
            if self.digest("seal", &[context.as_bytes(), &plain]) == seal {
                return Ok(plain);
            }
        }
        Err(Failure::new(
            FailureKind::Integrity,
            format!("{} does not unwrap this data key for {context}", self.secret),
        ))
    }

    async fn sign(&self, message: &[u8]) -> Result<Signature, Failure> {
        let halves = [self.digest("sign", &[message]), self.digest("sign again", &[message])];
        Ok(Signature {
            key_id: self.secret.clone(),
            bytes: halves.concat(),
        })
    }

    async fn verify(&self, message: &[u8], signature: &Signature) -> Result<bool, Failure> {
        Ok(self.sign(message).await? == *signature)
    }
}
