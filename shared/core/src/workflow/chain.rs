//! The evidence chain: in-toto statements in DSSE envelopes, each holding the hash of the one before.
//!
//! Sources: in-toto attestation framework, Statement v1; DSSE protocol v1.0.0 (pre-authentication encoding).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{Statement, Subject};
use crate::ports::Signature;

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "urn:holdfast:verdict:v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Stands in the first statement, which has none before it.
const NONE_BEFORE: &str = "none";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InToto {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Predicate {
    sequence: u64,
    previous: String,
    statement: Statement,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// The file name of a document, in the order of the chain.
pub fn document_name(sequence: u64) -> String {
    format!("{sequence:012}.dsse.json")
}

/// The SHA-256 of a document, by which the next one holds it.
pub fn document_hash(document: &[u8]) -> String {
    hex::encode(Sha256::digest(document))
}

/// The bytes that are signed: DSSE's pre-authentication encoding of the payload.
pub fn signed_bytes(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of the statement at a place in the chain. `previous` is the document before it.
pub fn payload(sequence: u64, previous: Option<&[u8]>, statement: &Statement) -> serde_json::Result<Vec<u8>> {
    let previous = previous.map_or_else(|| NONE_BEFORE.to_owned(), document_hash);
    serde_json::to_vec(&InToto {
        statement_type: STATEMENT_TYPE.to_owned(),
        subject: statement.subject.clone(),
        predicate_type: PREDICATE_TYPE.to_owned(),
        predicate: Predicate {
            sequence,
            previous,
            statement: statement.clone(),
        },
    })
}

/// The document: the payload in its envelope.
pub fn document(payload: &[u8], signature: &Signature) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Envelope {
        payload_type: PAYLOAD_TYPE.to_owned(),
        payload: BASE64.encode(payload),
        signatures: vec![EnvelopeSignature {
            keyid: signature.key_id.clone(),
            sig: BASE64.encode(&signature.bytes),
        }],
    })
}

/// A chain that holds from its first document to its last.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Its statements, in order.
    pub statements: Vec<Statement>,
    /// The hash of the last document. Whoever remembers it can tell that nothing was cut off the end.
    pub head: String,
}

/// The first place where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the evidence chain breaks at {document}: {reason}")]
pub struct BrokenLink {
    /// The document that should be there.
    pub document: String,
    /// What is wrong.
    pub reason: String,
}

/// Checks a whole chain offline: names without a gap, signatures, and each document's hold on the one before.
/// `documents` are all documents by name; `is_signed` tells whether a signature of a message is good.
pub fn verify(
    documents: &[(String, Vec<u8>)],
    is_signed: &dyn Fn(&[u8], &Signature) -> bool,
) -> Result<Chain, BrokenLink> {
    let mut sorted: Vec<&(String, Vec<u8>)> = documents.iter().collect();
    sorted.sort();
    let mut statements = Vec::new();
    let mut head = NONE_BEFORE.to_owned();
    for (sequence, (name, bytes)) in (1_u64..).zip(sorted) {
        let expected = document_name(sequence);
        let broken = |reason: String| BrokenLink {
            document: expected.clone(),
            reason,
        };
        if name != &expected {
            return Err(broken(format!("it is missing; the next document is {name}")));
        }
        statements.push(verify_document(sequence, &head, bytes, is_signed).map_err(broken)?);
        head = document_hash(bytes);
    }
    Ok(Chain { statements, head })
}

fn verify_document(
    sequence: u64,
    previous: &str,
    bytes: &[u8],
    is_signed: &dyn Fn(&[u8], &Signature) -> bool,
) -> Result<Statement, String> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| format!("it is no envelope: {error}"))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(format!("its payload is of type {}", envelope.payload_type));
    }
    let payload = BASE64
        .decode(&envelope.payload)
        .map_err(|error| format!("its payload is not base64: {error}"))?;
    let message = signed_bytes(&payload);
    let good = envelope.signatures.iter().any(|signature| {
        let bytes = BASE64.decode(&signature.sig).unwrap_or_default();
        is_signed(
            &message,
            &Signature {
                key_id: signature.keyid.clone(),
                bytes,
            },
        )
    });
    if !good {
        return Err("no signature on it is good: it was changed, or signed by another key".to_owned());
    }
    let statement: InToto =
        serde_json::from_slice(&payload).map_err(|error| format!("it holds no statement: {error}"))?;
    if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
        return Err(format!(
            "it states {} {}",
            statement.statement_type, statement.predicate_type
        ));
    }
    if statement.predicate.sequence != sequence {
        return Err(format!("it was written as number {}", statement.predicate.sequence));
    }
    if statement.predicate.previous != previous {
        return Err(format!(
            "it follows {}, but the document before it is {previous}",
            statement.predicate.previous
        ));
    }
    Ok(statement.predicate.statement)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::domain::Level;

    fn sign(message: &[u8]) -> Signature {
        Signature {
            key_id: "test".to_owned(),
            bytes: Sha256::digest(message).to_vec(),
        }
    }

    fn is_signed(message: &[u8], signature: &Signature) -> bool {
        sign(message) == *signature
    }

    fn chain(length: u64) -> Vec<(String, Vec<u8>)> {
        let mut documents: Vec<(String, Vec<u8>)> = Vec::new();
        for sequence in 1..=length {
            let statement = Statement {
                subject: vec![],
                level: Level::L2,
                passed: true,
                at: Timestamp::UNIX_EPOCH,
                origin: format!("job-{sequence}"),
                findings: BTreeMap::new(),
            };
            let previous = documents.last().map(|(_, bytes)| bytes.as_slice());
            let payload = payload(sequence, previous, &statement).unwrap();
            let document = document(&payload, &sign(&signed_bytes(&payload))).unwrap();
            documents.push((document_name(sequence), document));
        }
        documents
    }

    #[test]
    fn a_whole_chain_holds_and_tells_its_head() {
        let documents = chain(5);
        let verified = verify(&documents, &is_signed).unwrap();
        assert_eq!(verified.statements.len(), 5);
        assert_eq!(verified.head, document_hash(&documents[4].1));
    }

    #[test]
    fn a_changed_document_is_named() {
        for place in 0..5 {
            let mut documents = chain(5);
            let text = String::from_utf8(documents[place].1.clone()).unwrap();
            documents[place].1 = text.replacen("\"payload\":\"eyJ", "\"payload\":\"eyK", 1).into_bytes();
            let broken = verify(&documents, &is_signed).unwrap_err();
            assert_eq!(broken.document, document_name(place as u64 + 1));
        }
    }

    #[test]
    fn a_removed_document_is_named_unless_it_was_the_last() {
        for place in 0..4 {
            let mut documents = chain(5);
            documents.remove(place);
            assert_eq!(
                verify(&documents, &is_signed).unwrap_err().document,
                document_name(place as u64 + 1)
            );
        }
    }

    #[test]
    fn a_document_from_another_chain_does_not_fit() {
        let mut documents = chain(5);
        let statement = Statement {
            subject: vec![],
            level: Level::L2,
            passed: true,
            at: Timestamp::UNIX_EPOCH,
            origin: "forged".to_owned(),
            findings: BTreeMap::new(),
        };
        let payload = payload(3, Some(b"something else"), &statement).unwrap();
        documents[2].1 = document(&payload, &sign(&signed_bytes(&payload))).unwrap();
        let broken = verify(&documents, &is_signed).unwrap_err();
        assert!(broken.to_string().contains("000000000003"), "{broken}");
        assert!(broken.reason.contains("follows"), "{broken}");
    }
}
