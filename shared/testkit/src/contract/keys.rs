//! What all keys promise.

use std::sync::Arc;

use holdfast_core::domain::FailureKind;
use holdfast_core::ports::{Keys, Signature};

/// Runs every promise. The maker gives the same keys for the same name, and others for another.
pub async fn suite(keys_named: impl AsyncFn(&str) -> Arc<dyn Keys>) {
    let ours = keys_named("ours").await;
    let others = keys_named("others").await;
    what_was_wrapped_is_unwrapped(&*ours, &*keys_named("ours").await).await;
    another_context_or_key_unwraps_nothing(&*ours, &*others).await;
    a_changed_byte_unwraps_nothing(&*ours).await;
    a_signature_is_of_its_message_alone(&*ours, &*keys_named("ours").await).await;
    a_changed_signature_is_of_nothing(&*ours).await;
    another_key_does_not_vouch(&*ours, &*others).await;
}

const CONTEXT: &str = "repository photos in vault local";

/// Wrapping hides the data key, and the same keys give it back later.
pub async fn what_was_wrapped_is_unwrapped(keys: &dyn Keys, again: &dyn Keys) {
    let data_key: Vec<u8> = (0..96).collect();
    for plain in [&data_key[..], &data_key[..1], &[]] {
        let wrapped = keys.wrap(plain, CONTEXT).await.expect("wrap");
        assert!(wrapped.len() > plain.len());
        assert!(
            plain.len() < 8 || !wrapped.windows(8).any(|part| part == &plain[..8]),
            "hidden"
        );
        assert_eq!(again.unwrap(&wrapped, CONTEXT).await.expect("unwrap"), plain);
    }
}

/// A data key belongs to its context and to the key that wrapped it.
pub async fn another_context_or_key_unwraps_nothing(keys: &dyn Keys, others: &dyn Keys) {
    let wrapped = keys.wrap(b"a data key", CONTEXT).await.expect("wrap");
    for context in ["", "repository photos in vault remote", &CONTEXT[1..]] {
        let denied = keys.unwrap(&wrapped, context).await.expect_err("another context");
        assert_eq!(denied.kind, FailureKind::Integrity, "{denied}");
    }
    let denied = others.unwrap(&wrapped, CONTEXT).await.expect_err("another key");
    assert_eq!(denied.kind, FailureKind::Integrity, "{denied}");
}

/// Every byte of a wrapped data key counts, and so does its length.
pub async fn a_changed_byte_unwraps_nothing(keys: &dyn Keys) {
    let wrapped = keys.wrap(b"a data key", CONTEXT).await.expect("wrap");
    for place in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[place] ^= 1;
        keys.unwrap(&changed, CONTEXT).await.expect_err("a changed byte");
        keys.unwrap(&wrapped[..place], CONTEXT)
            .await
            .expect_err("a missing end");
    }
    let longer = [&wrapped[..], b"x"].concat();
    keys.unwrap(&longer, CONTEXT).await.expect_err("an added byte");
}

/// The same keys vouch for a signature later, and for no other message.
pub async fn a_signature_is_of_its_message_alone(keys: &dyn Keys, again: &dyn Keys) {
    for message in [&b"a statement"[..], b"", &[0; 70_000]] {
        let signature = keys.sign(message).await.expect("sign");
        assert!(!signature.bytes.is_empty());
        assert!(again.verify(message, &signature).await.expect("verify"));
        let longer = [message, b" "].concat();
        assert!(!again.verify(&longer, &signature).await.expect("verify"));
    }
    let signature = keys.sign(b"a statement").await.expect("sign");
    assert!(!keys.verify(b"A statement", &signature).await.expect("verify"));
}

/// Bytes that are no signature of the message are a plain no, also when they are no signature at all.
pub async fn a_changed_signature_is_of_nothing(keys: &dyn Keys) {
    let signature = keys.sign(b"a statement").await.expect("sign");
    for place in 0..signature.bytes.len() {
        let mut changed = signature.clone();
        changed.bytes[place] ^= 1;
        assert!(!keys.verify(b"a statement", &changed).await.expect("verify"));
    }
    for length in [0, 1, 63, 65] {
        let changed = Signature {
            key_id: signature.key_id.clone(),
            bytes: signature.bytes.iter().copied().chain([0]).take(length).collect(),
        };
        assert!(
            !keys.verify(b"a statement", &changed).await.expect("verify"),
            "{length} bytes"
        );
    }
}

/// A signature by another key is not ours, whatever name it bears.
pub async fn another_key_does_not_vouch(keys: &dyn Keys, others: &dyn Keys) {
    let ours = keys.sign(b"a statement").await.expect("sign");
    let theirs = others.sign(b"a statement").await.expect("sign");
    assert_ne!(ours.key_id, theirs.key_id);
    assert!(!keys.verify(b"a statement", &theirs).await.expect("verify"));
    let forged = Signature {
        key_id: ours.key_id.clone(),
        bytes: theirs.bytes,
    };
    assert!(!keys.verify(b"a statement", &forged).await.expect("verify"));
}
