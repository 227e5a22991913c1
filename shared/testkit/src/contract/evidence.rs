//! What every evidence store promises.

use std::sync::Arc;

use holdfast_core::domain::FailureKind;
use holdfast_core::ports::EvidenceStore;

/// Runs every promise, each on an empty store.
pub async fn suite(fresh: impl AsyncFn() -> Arc<dyn EvidenceStore>) {
    a_document_is_kept_as_it_was(&*fresh().await).await;
    a_document_is_written_once(&*fresh().await).await;
    names_are_listed_in_order(&*fresh().await).await;
}

/// What was put is got back byte by byte, and what was not is not there.
pub async fn a_document_is_kept_as_it_was(store: &dyn EvidenceStore) {
    assert_eq!(store.get("00000001.json").await.expect("get"), None);
    for (n, document) in [&b"{}"[..], b"", b"\x00\xff\r\n", &[7; 100_000]]
        .into_iter()
        .enumerate()
    {
        let name = format!("{n:08}.json");
        store.put(&name, document).await.expect("put");
        assert_eq!(store.get(&name).await.expect("get").as_deref(), Some(document));
    }
}

/// The same bytes again are fine; other bytes are refused and leave what was there.
pub async fn a_document_is_written_once(store: &dyn EvidenceStore) {
    store.put("00000001.json", b"first").await.expect("put");
    store.put("00000001.json", b"first").await.expect("the same again");
    for other in [&b"second"[..], b"", b"firs", b"first "] {
        let refused = store.put("00000001.json", other).await.expect_err("other bytes");
        assert_eq!(refused.kind, FailureKind::Integrity, "{refused}");
        assert!(refused.to_string().contains("00000001.json"), "{refused}");
    }
    let stored = store.get("00000001.json").await.expect("get");
    assert_eq!(stored.as_deref(), Some(&b"first"[..]));
    assert_eq!(store.list().await.expect("list"), ["00000001.json"]);
}

/// A listing is complete and ascending.
pub async fn names_are_listed_in_order(store: &dyn EvidenceStore) {
    assert!(store.list().await.expect("list").is_empty());
    let names: Vec<String> = (0..120).map(|n| format!("{n:08}.json")).collect();
    for name in names.iter().rev() {
        store.put(name, name.as_bytes()).await.expect("put");
    }
    assert_eq!(store.list().await.expect("list"), names);
}
