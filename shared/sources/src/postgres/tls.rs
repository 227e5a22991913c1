//! TLS as libpq's `sslmode` means it, on rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::address::TlsMode;
use super::error::{PostgresError, Result};

/// How far a certificate is looked at.
#[derive(Debug)]
enum Check {
    /// Not at all: whoever answers is believed, so this only keeps listeners out.
    Nobody,
    /// An authority vouches for it, for whatever host.
    Authority(Arc<WebPkiServerVerifier>),
}

/// Looks at less than rustls would.
#[derive(Debug)]
struct Lenient {
    check: Check,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Check::Authority(strict) = &self.check else {
            return Ok(ServerCertVerified::assertion());
        };
        match strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is what it looks at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A session with `host` that has not begun yet.
pub(super) fn session(mode: &TlsMode, host: &str, place: &str) -> Result<ClientConnection> {
    let failed = |error: Error| PostgresError::Tls {
        place: place.to_owned(),
        reason: error.to_string(),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let lenient = |check| Lenient {
        check,
        provider: Arc::clone(&provider),
    };
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        TlsMode::VerifyHost(roots) => strict(roots, &provider)?,
        TlsMode::VerifyAuthority(roots) => Arc::new(lenient(Check::Authority(strict(roots, &provider)?))),
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Arc::new(lenient(Check::Nobody)),
    };
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| PostgresError::Tls {
        place: place.to_owned(),
        reason: error.to_string(),
    })?;
    ClientConnection::new(Arc::new(config), name).map_err(failed)
}

fn strict(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let unusable = |reason: String| PostgresError::Authorities {
        path: path.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate in PEM form".to_owned()));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| unusable(error.to_string()))
}

/// What binds a password exchange to this session (`tls-server-end-point` of RFC 5929): the certificate's hash, by the
/// function its own signature uses. `None` where that function is unknown or there is none, as with Ed25519.
pub(super) fn end_point(session: &ClientConnection) -> Option<Vec<u8>> {
    let certificate = session.peer_certificates()?.first()?;
    hash_of_certificate(certificate)
}

fn hash_of_certificate(certificate: &[u8]) -> Option<Vec<u8>> {
    /// RSA with SHA-1, 256, 384, 512: 1.2.840.113549.1.1.(5, 11, 12, 13).
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
    /// ECDSA with SHA-256, 384, 512: 1.2.840.10045.4.3.(2, 3, 4).
    const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03];
    let (outer, _) = der_content(certificate)?;
    let (_, after_body) = der_content(outer)?;
    let (algorithm, _) = der_content(after_body)?;
    let (identifier, _) = der_content(algorithm)?;
    let (&function, family) = identifier.split_last()?;
    match (family, function) {
        // SHA-1 is too weak for this; the RFC takes SHA-256 instead.
        (RSA, 5 | 11) | (ECDSA, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The content of the DER element that `bytes` start with, and what follows the element.
fn der_content(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, mut rest) = bytes.get(1..)?.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let digits = rest.get(..usize::from(first & 0x7F))?;
        if digits.len() > 4 {
            return None;
        }
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = &rest[digits.len()..];
    }
    Some((rest.get(..length)?, &rest[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signed with ECDSA and SHA-384.
    const ECDSA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIUFYMG6sFVINhDVO9JvlvK1lsOYFAwCgYIKoZIzj0EAwMw
DDEKMAgGA1UEAwwBYTAeFw0yNjExMjgwNDI5MzhaFw0yNjExMzAwNDI5MzhaMAwx
CjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATf31HXTj68Kr7L
EqelAxJ0jgOcL13tP5c5Y/HZQ8+xL/7kaCogv9l3vrhetuXNvK7kr8fmKzPXLjSE
lJ9enn92o1MwUTAdBgNVHQ4EFgQUT2zoNLibolyXQZCUL/8G2O407mMwHwYDVR0j
BBgwFoAUT2zoNLibolyXQZCUL/8G2O407mMwDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAwNIADBFAiAtgNWH5rVN7mxjuJW9PtXGGEihNUsgOUA8XAHINoI8nwIh
AKUIpIge6wfNnFto1t/KFSHg1MjXsWoCZbFxNOUjmMFL
-----END CERTIFICATE-----";
    /// Signed with Ed25519.
    const ED25519: &str = "\
-----BEGIN CERTIFICATE-----
MIIBLDCB36ADAgECAhRw2DP8G4QEALS+RxXpezySbfCffjAFBgMrZXAwDDEKMAgG
A1UEAwwBYTAeFw0yNjExMjgwNDI5MzhaFw0yNjExMzAwNDI5MzhaMAwxCjAIBgNV
BAMMAWEwKjAFBgMrZXADIQCn1qVimag0uh/ME1Vvod7l61yvUBI7QlFei4n+fr+S
x6NTMFEwHQYDVR0OBBYEFCq4mWPQJwISG8URajiVB9Hh/rzpMB8GA1UdIwQYMBaA
FCq4mWPQJwISG8URajiVB9Hh/rzpMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EA
HAUyli3yRc0x81PCvPo2x6LAHEXrzZwcfGjm4ui12J7ChByJcc+V64e1m/qhwZss
cNAO+G1YCawqyR58P7+hDQ==
-----END CERTIFICATE-----";

    fn hash(pem: &str) -> Option<String> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        hash_of_certificate(&certificate).map(hex::encode)
    }

    #[test]
    fn a_certificate_is_hashed_as_its_signature_was() {
        let by_openssl =
            "713b1d07eb1b4b4f1489e856f0a399a01ded9cf5b02aa6c365accc86352f91aad6316ef6aa88016b2a90f86fcae658c0";
        assert_eq!(hash(ECDSA).as_deref(), Some(by_openssl));
        assert_eq!(hash(ED25519), None);
        for wrong in [&b""[..], &[0x30], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x7F, 1]] {
            assert_eq!(hash_of_certificate(wrong), None);
        }
    }
}
