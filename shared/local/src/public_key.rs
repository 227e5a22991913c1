//! Verifying evidence offline, with nothing but the public key of whoever signed it: a key file, or KMS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use holdfast_core::domain::{Failure, FailureKind};
use p256::ecdsa;
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest, Sha512};

/// What stands before the 32 bytes of an Ed25519 public key in its DER form (SubjectPublicKeyInfo, RFC 8410).
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the 65 bytes of a point of NIST P-256 in its DER form (SubjectPublicKeyInfo, RFC 5480).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// The longest message that KMS signs with plain Ed25519.
const MOST_PLAIN: usize = 4096;

/// A public key of an algorithm that evidence is signed with. The key tells the algorithm, the envelope never does.
enum PublicKey {
    Ed25519(VerifyingKey),
    P256(ecdsa::VerifyingKey),
}

/// The public key as PEM.
pub(crate) fn pem_of(key: &VerifyingKey) -> String {
    let der = [&ED25519_PREFIX[..], key.as_bytes()].concat();
    format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", BASE64.encode(der))
}

/// Whether `signature` is of `message` by the key that `pem` holds: Ed25519, or ECDSA over SHA-256 with NIST P-256, in DER.
/// Text that holds neither's public key is [`FailureKind::Invalid`].
pub fn verify_with_public_key(pem: &str, message: &[u8], signature: &[u8]) -> Result<bool, Failure> {
    let invalid = || {
        let message = "the text holds no public key of Ed25519 or NIST P-256 in PEM form";
        Failure::new(FailureKind::Invalid, message)
    };
    Ok(match parse(pem).ok_or_else(invalid)? {
        PublicKey::Ed25519(key) => is_ed25519_of(&key, message, signature) || is_hashed_of(&key, message, signature),
        PublicKey::P256(key) => {
            let signature = ecdsa::Signature::from_der(signature);
            signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
        }
    })
}

fn parse(pem: &str) -> Option<PublicKey> {
    let inner = pem.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let base64: String = inner.split_ascii_whitespace().collect();
    let der = BASE64.decode(base64).ok()?;
    if let Some(raw) = der.strip_prefix(&ED25519_PREFIX) {
        let raw: [u8; 32] = raw.try_into().ok()?;
        return VerifyingKey::from_bytes(&raw).ok().map(PublicKey::Ed25519);
    }
    let point = der.strip_prefix(&P256_PREFIX)?;
    ecdsa::VerifyingKey::from_sec1_bytes(point).ok().map(PublicKey::P256)
}

/// Whether the 64 bytes of `signature` are of `message`.
pub(crate) fn is_ed25519_of(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

/// Whether the signature is Ed25519ph of a message that KMS does not sign as it is.
fn is_hashed_of(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    if (1..=MOST_PLAIN).contains(&message.len()) {
        return false;
    }
    let hash = Sha512::new().chain_update(message);
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_prehashed_strict(hash, None, &signature).is_ok())
}
