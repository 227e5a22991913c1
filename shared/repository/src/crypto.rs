//! [`MasterKey`]: the envelope around everything stored, `IV ‖ AES-256-CTR ‖ Poly1305-AES tag`.

use std::fmt;

use aes::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit, StreamCipher};
use aes::{Aes128Enc, Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use poly1305::universal_hash::UniversalHash;
use poly1305::{BLOCK_SIZE, Block, Poly1305};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::ambient::Ambient;
use crate::json::{self, Object};

/// Length of the IV before every ciphertext.
pub const IV_LENGTH: usize = 16;
/// Bytes an envelope adds: the IV before and the tag after.
pub const OVERHEAD: usize = 32;
const TAG_LENGTH: usize = 16;
/// Bytes that are copied, encrypted and authenticated before the next: they stay in the processor's nearest cache.
const PIECE: usize = 16 << 10;

/// The bits of `r` that Poly1305 ignores are zero.
const R_MASK: [u8; 16] = [
    255, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15,
];

/// The keys of a repository. They are wiped from memory when dropped and never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// An envelope did not open: the bytes are damaged, or sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Shorter than an empty envelope.
    #[error("it is too short to be encrypted data")]
    TooShort,
    /// An IV of zeroes is never drawn; restic refuses it too.
    #[error("its IV is zero")]
    ZeroIv,
    /// The tag does not fit the ciphertext.
    #[error("its authentication tag does not match: it was changed, or encrypted with another key")]
    WrongTag,
}

/// The JSON of a master key is malformed.
#[derive(Debug, thiserror::Error)]
#[error("this is not the JSON of a master key: {0}")]
pub struct ParseKeyError(String);

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct RawKey {
    mac: RawMac,
    encrypt: String,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct RawMac {
    k: String,
    r: String,
}

impl MasterKey {
    /// A new random key.
    pub fn generate(ambient: &Ambient) -> MasterKey {
        let random: Zeroizing<[u8; 64]> = Zeroizing::new(ambient.random());
        MasterKey::from_random(&random)
    }

    /// Splits 64 random bytes, such as scrypt's output, into keys the way restic does.
    pub(crate) fn from_random(random: &[u8; 64]) -> MasterKey {
        let mut key = MasterKey {
            encrypt: [0; 32],
            mac_k: [0; 16],
            mac_r: [0; 16],
        };
        key.encrypt.copy_from_slice(&random[..32]);
        key.mac_k.copy_from_slice(&random[32..48]);
        for (to, (from, mask)) in key.mac_r.iter_mut().zip(random[48..].iter().zip(R_MASK)) {
            *to = from & mask;
        }
        key
    }

    /// restic's JSON of a master key.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(256));
        let mut object = Object::begin(&mut out);
        let mut mac = Object::begin(object.field("mac"));
        json::write_base64(mac.field("k"), &self.mac_k);
        json::write_base64(mac.field("r"), &self.mac_r);
        mac.end();
        json::write_base64(object.field("encrypt"), &self.encrypt);
        object.end();
        out
    }

    /// Reads restic's JSON of a master key.
    pub fn from_json(json: &[u8]) -> Result<MasterKey, ParseKeyError> {
        let raw: RawKey = serde_json::from_slice(json).map_err(|error| ParseKeyError(error.to_string()))?;
        let key = MasterKey {
            encrypt: part(&raw.encrypt)?,
            mac_k: part(&raw.mac.k)?,
            mac_r: part(&raw.mac.r)?,
        };
        if key.encrypt == [0; 32] || key.mac_k == [0; 16] || key.mac_r == [0; 16] {
            return Err(ParseKeyError("a part of it is zero".into()));
        }
        Ok(key)
    }

    /// Appends the envelope of `plaintext` to `out`. An IV must be random and used once.
    pub fn seal(&self, plaintext: &[u8], iv: [u8; IV_LENGTH], out: &mut Vec<u8>) {
        out.reserve(plaintext.len() + OVERHEAD);
        out.extend_from_slice(&iv);
        let (mut cipher, mut mac) = (self.cipher(&iv), self.mac(&iv));
        for piece in plaintext.chunks(PIECE) {
            let start = out.len();
            out.extend_from_slice(piece);
            cipher.apply_keystream(&mut out[start..]);
            mac.update(Block::slice_as_chunks(&out[start..]).0);
        }
        let rest = out.len() - plaintext.len() % BLOCK_SIZE;
        let tag = mac.compute_unpadded(&out[rest..]);
        out.extend_from_slice(&tag);
    }

    /// The plaintext of an envelope; nothing of it leaves before the tag was compared.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (iv, rest) = sealed.split_first_chunk::<IV_LENGTH>().ok_or(OpenError::TooShort)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LENGTH>().ok_or(OpenError::TooShort)?;
        if *iv == [0; IV_LENGTH] {
            return Err(OpenError::ZeroIv);
        }
        let mut plaintext = Vec::with_capacity(ciphertext.len());
        let (mut cipher, mut mac) = (self.cipher(iv), self.mac(iv));
        for piece in ciphertext.chunks(PIECE) {
            mac.update(Block::slice_as_chunks(piece).0);
            let start = plaintext.len();
            plaintext.extend_from_slice(piece);
            cipher.apply_keystream(&mut plaintext[start..]);
        }
        let rest = ciphertext.len() - ciphertext.len() % BLOCK_SIZE;
        let found = mac.compute_unpadded(&ciphertext[rest..]).into();
        if same_in_constant_time(&found, tag) {
            Ok(plaintext)
        } else {
            plaintext.zeroize();
            Err(OpenError::WrongTag)
        }
    }

    /// A key for another use, such as `gear`: HMAC-SHA256 under the whole master key, so that nothing about the
    /// master key or other uses can be learnt from it.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut block = Zeroizing::new([0u8; 64]);
        block[..32].copy_from_slice(&self.encrypt);
        block[32..48].copy_from_slice(&self.mac_k);
        block[48..].copy_from_slice(&self.mac_r);
        let pad = |byte: u8| Zeroizing::new(block.map(|b| b ^ byte));
        let inner = Sha256::new()
            .chain_update(*pad(0x36))
            .chain_update(b"holdfast/1/")
            .chain_update(purpose.as_bytes())
            .finalize();
        Sha256::new()
            .chain_update(*pad(0x5c))
            .chain_update(inner)
            .finalize()
            .into()
    }

    fn cipher(&self, iv: &[u8; IV_LENGTH]) -> ctr::Ctr128BE<Aes256> {
        ctr::Ctr128BE::new(&self.encrypt.into(), &(*iv).into())
    }

    /// Poly1305-AES: the one-time key is `r` and the IV encrypted under `k`.
    fn mac(&self, iv: &[u8; IV_LENGTH]) -> Poly1305 {
        let mut nonce = (*iv).into();
        Aes128Enc::new(&self.mac_k.into()).encrypt_block(&mut nonce);
        let mut key = Zeroizing::new([0u8; 32]);
        key[..16].copy_from_slice(&self.mac_r);
        key[16..].copy_from_slice(&nonce);
        Poly1305::new((&*key).into())
    }
}

fn part<const N: usize>(base64: &str) -> Result<[u8; N], ParseKeyError> {
    let bytes = Zeroizing::new(
        BASE64
            .decode(base64)
            .map_err(|error| ParseKeyError(error.to_string()))?,
    );
    bytes
        .as_slice()
        .try_into()
        .map_err(|_| ParseKeyError(format!("a part has {} bytes, not {N}", bytes.len())))
}

fn same_in_constant_time(a: &[u8; TAG_LENGTH], b: &[u8; TAG_LENGTH]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::from_random(&std::array::from_fn(|at| at as u8 ^ 0x5a))
    }

    /// From the paper's appendix B, "Poly1305-AES", by D. J. Bernstein.
    #[test]
    fn tags_are_those_of_the_poly1305_aes_paper() {
        let parts = |k: &str, r: &str| MasterKey {
            encrypt: [1; 32],
            mac_k: hex::decode(k).unwrap().try_into().unwrap(),
            mac_r: hex::decode(r).unwrap().try_into().unwrap(),
        };
        let case = |k: &str, r: &str, n: &str, message: &str| {
            let n: [u8; 16] = hex::decode(n).unwrap().try_into().unwrap();
            hex::encode(parts(k, r).mac(&n).compute_unpadded(&hex::decode(message).unwrap()))
        };
        assert_eq!(
            case(
                "ec074c835580741701425b623235add6",
                "851fc40c3467ac0be05cc20404f3f700",
                "fb447350c4e868c52ac3275cf9d4327e",
                "f3f6"
            ),
            "f4c633c3044fc145f84f335cb81953de"
        );
        assert_eq!(
            case(
                "75deaa25c09f208e1dc4ce6b5cad3fbf",
                "a0f3080000f46400d0c7e9076c834403",
                "61ee09218d29b0aaed7e154a2c5509cc",
                ""
            ),
            "dd3fab2251f11ac759f0887129cc2ee7"
        );
    }

    #[test]
    fn an_envelope_opens_and_a_changed_one_does_not() {
        let mut sealed = Vec::new();
        key().seal(b"some plaintext", [7; 16], &mut sealed);
        assert_eq!(sealed.len(), 14 + OVERHEAD);
        assert_eq!(key().open(&sealed).unwrap(), b"some plaintext");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key().open(&changed), Err(OpenError::WrongTag), "byte {at}");
        }
        assert_eq!(key().open(&sealed[..31]), Err(OpenError::TooShort));
        sealed[..16].fill(0);
        assert_eq!(key().open(&sealed), Err(OpenError::ZeroIv));
    }

    #[test]
    fn pieces_make_the_envelope_that_one_go_makes() {
        for length in [0, 1, 15, 16, 17, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 100] {
            let plaintext: Vec<u8> = (0..length).map(|at| (at * 31) as u8).collect();
            let (mut sealed, mut expected) = (Vec::new(), plaintext.clone());
            key().seal(&plaintext, [9; 16], &mut sealed);
            key().cipher(&[9; 16]).apply_keystream(&mut expected);
            let tag: [u8; TAG_LENGTH] = key().mac(&[9; 16]).compute_unpadded(&expected).into();
            assert_eq!(sealed, [&[9; 16], &expected[..], &tag].concat(), "{length}");
            assert_eq!(key().open(&sealed).unwrap(), plaintext);
        }
    }

    #[test]
    fn the_counter_carries_through_all_128_bits() {
        let (mut sealed, mut expected) = (Vec::new(), vec![0u8; 32]);
        key().seal(&[0; 32], [255; 16], &mut sealed);
        for (block, counter) in expected.chunks_exact_mut(16).zip([[255u8; 16], [0; 16]]) {
            let mut bytes = counter.into();
            aes::Aes256Enc::new(&key().encrypt.into()).encrypt_block(&mut bytes);
            block.copy_from_slice(&bytes);
        }
        assert_eq!(sealed[16..48], expected);
    }

    #[test]
    fn a_key_survives_json_and_shows_nothing() {
        let json = key().to_json();
        assert_eq!(MasterKey::from_json(&json).unwrap(), key());
        assert!(json.starts_with(b"{\"mac\":{\"k\":\""));
        assert_eq!(format!("{:?}", key()), "MasterKey(…)");
        assert!(MasterKey::from_json(b"{\"mac\":{\"k\":\"AA==\",\"r\":\"AA==\"},\"encrypt\":\"AA==\"}").is_err());
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_by_key() {
        assert_ne!(key().derive("gear"), key().derive("other"));
        assert_ne!(key().derive("gear"), MasterKey::from_random(&[3; 64]).derive("gear"));
        assert_eq!(key().derive("gear"), key().derive("gear"));
    }
}
