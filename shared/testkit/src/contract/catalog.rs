//! What every catalog promises.

use std::sync::Arc;

use futures::future::join_all;
use holdfast_core::domain::{FailureKind, Span};
use holdfast_core::ports::{Catalog, Draft, Entry, Inserted, Key, Wake};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How many records a listing must give completely: more than any page of any store.
const MANY: usize = 5_000;

/// Runs every promise, each on an empty catalog.
pub async fn suite(fresh: impl AsyncFn() -> Arc<dyn Catalog>) {
    a_record_is_inserted_once(&*fresh().await).await;
    a_record_is_replaced_at_its_version_and_at_no_other(&*fresh().await).await;
    of_many_writers_one_wins(&*fresh().await).await;
    a_listing_is_ordered_by_bytes_and_keeps_to_its_prefix(&*fresh().await).await;
    no_character_of_a_prefix_is_a_wildcard(&*fresh().await).await;
    the_last_record_is_the_end_of_the_listing(&*fresh().await).await;
    records_wake_in_the_order_of_their_times(&*fresh().await).await;
    a_replaced_record_wakes_as_its_new_version_says(&*fresh().await).await;
    bodies_come_back_as_they_were(&*fresh().await).await;
    long_listings_are_complete(&*fresh().await).await;
}

fn key(partition: &str, sort: &str) -> Key {
    Key {
        partition: partition.to_owned(),
        sort: sort.to_owned(),
    }
}

fn draft(sort: &str, body: Value) -> Draft {
    Draft {
        key: key("P", sort),
        body,
        wake: None,
    }
}

fn waking(sort: &str, status: &str, at: Timestamp) -> Draft {
    Draft {
        wake: Some(Wake {
            status: status.to_owned(),
            at,
        }),
        ..draft(sort, json!({}))
    }
}

async fn insert(catalog: &dyn Catalog, draft: Draft) {
    let inserted = catalog.insert(draft).await.expect("insert");
    assert_eq!(inserted, Inserted::Created);
}

fn sorts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.sort.as_str()).collect()
}

/// The first insertion creates the record at version 1; the second finds it and leaves it alone.
pub async fn a_record_is_inserted_once(catalog: &dyn Catalog) {
    assert_eq!(catalog.get(&key("P", "a")).await.expect("get"), None);
    insert(catalog, draft("a", json!({"n": 1}))).await;
    let stored = Entry {
        key: key("P", "a"),
        version: 1,
        body: json!({"n": 1}),
        wake: None,
    };
    let again = catalog.insert(draft("a", json!({"n": 2}))).await.expect("insert again");
    assert_eq!(again, Inserted::Exists(stored.clone()));
    assert_eq!(catalog.get(&key("P", "a")).await.expect("get"), Some(stored));
}

/// A replacement counts the version up by one. A stale version, a future one, and a missing record are conflicts that
/// change nothing.
pub async fn a_record_is_replaced_at_its_version_and_at_no_other(catalog: &dyn Catalog) {
    insert(catalog, draft("a", json!(1))).await;
    catalog.replace(draft("a", json!(2)), 1).await.expect("replace");
    for stale in [0, 1, 3, u64::MAX] {
        let mut late = waking("a", "late", Timestamp::UNIX_EPOCH);
        late.body = json!("stale");
        let refused = catalog.replace(late, stale).await.expect_err("another version");
        assert_eq!(refused.kind, FailureKind::Conflict, "version {stale}: {refused}");
    }
    let stored = catalog.get(&key("P", "a")).await.expect("get").expect("the record");
    assert_eq!((stored.version, stored.body, stored.wake), (2, json!(2), None));
    let missing = catalog
        .replace(draft("b", json!(1)), 0)
        .await
        .expect_err("a missing record");
    assert_eq!(missing.kind, FailureKind::Conflict);
    assert_eq!(catalog.get(&key("P", "b")).await.expect("get"), None);
    let woken = catalog.waking("late", Timestamp::MAX).await.expect("waking");
    assert_eq!(woken, [], "a refused write leaves the index alone");
}

/// Of many insertions of one key one creates it, and of many replacements of one version one succeeds.
pub async fn of_many_writers_one_wins(catalog: &dyn Catalog) {
    let insertions = (0..16).map(|n| catalog.insert(draft("a", json!(n))));
    let inserted = join_all(insertions).await;
    let created = inserted
        .into_iter()
        .filter(|inserted| matches!(inserted, Ok(Inserted::Created)));
    assert_eq!(created.count(), 1);
    let replacements = (0..16).map(|n| catalog.replace(draft("a", json!(n)), 1));
    let replaced = join_all(replacements).await;
    assert_eq!(replaced.into_iter().filter(Result::is_ok).count(), 1);
}

/// Order is by bytes, a prefix is exact, and no other partition is seen, however alike its name.
pub async fn a_listing_is_ordered_by_bytes_and_keeps_to_its_prefix(catalog: &dyn Catalog) {
    let ordered = ["A", "a", "a#1", "a#10", "a#2", "a/1", "b", "é", "\u{ffff}", "𝄞"];
    for sort in ordered.iter().rev() {
        insert(catalog, draft(sort, json!(sort))).await;
    }
    for partition in ["P#", "PP", "p", "O", "Q", "P\u{1}"] {
        let mut elsewhere = draft("a#1", json!("elsewhere"));
        elsewhere.key.partition = partition.to_owned();
        insert(catalog, elsewhere).await;
    }
    let all = catalog.list("P", "").await.expect("list");
    assert_eq!(sorts(&all), ordered);
    assert!(all.iter().all(|entry| entry.body == json!(entry.key.sort)));
    let expected: [(&str, &[&str]); 5] = [
        ("a", &["a", "a#1", "a#10", "a#2", "a/1"]),
        ("a#1", &["a#1", "a#10"]),
        ("a#11", &[]),
        ("\u{ffff}", &["\u{ffff}"]),
        ("𝄞", &["𝄞"]),
    ];
    for (prefix, expected) in expected {
        let listed = catalog.list("P", prefix).await.expect("list");
        assert_eq!(sorts(&listed), expected, "prefix {prefix:?}");
    }
    assert_eq!(catalog.list("nobody", "").await.expect("list"), []);
}

/// Characters that stores give a meaning to stand for themselves.
pub async fn no_character_of_a_prefix_is_a_wildcard(catalog: &dyn Catalog) {
    for sort in ["a%b", "axb", "a_b", "a*b", "a[b", "a\\b", "a'b", "a\"b"] {
        insert(catalog, draft(sort, json!(sort))).await;
    }
    for prefix in ["a%", "a_", "a*", "a[", "a\\", "a'", "a\""] {
        let listed = catalog.list("P", prefix).await.expect("list");
        assert_eq!(sorts(&listed), [format!("{prefix}b")], "prefix {prefix}");
        let last = catalog.last("P", prefix).await.expect("last").expect("a record");
        assert_eq!(last.key.sort, format!("{prefix}b"));
    }
}

/// The last record is the greatest that has the prefix, and none where none has it.
pub async fn the_last_record_is_the_end_of_the_listing(catalog: &dyn Catalog) {
    assert_eq!(catalog.last("P", "").await.expect("last"), None);
    for sort in ["S#00000009", "S#00000010", "S#00000002", "T#1", "R\u{10ffff}z"] {
        insert(catalog, draft(sort, json!(sort))).await;
    }
    for prefix in ["", "S#", "S#0000000", "R", "R\u{10ffff}", "T#1", "U", "S#2"] {
        let listed = catalog.list("P", prefix).await.expect("list");
        let last = catalog.last("P", prefix).await.expect("last");
        assert_eq!(last.as_ref(), listed.last(), "prefix {prefix:?}");
    }
    let last = catalog.last("P", "S#").await.expect("last").expect("a record");
    assert_eq!(last.key.sort, "S#00000010");
}

/// A word gives its own records alone, until the given time inclusive, the longest waiting first.
pub async fn records_wake_in_the_order_of_their_times(catalog: &dyn Catalog) {
    let noon = Timestamp::from_second(1_800_000_000).expect("a time");
    let a_moment_later = Timestamp::new(1_800_000_000, 1).expect("a time");
    let later = Span::hours(1).after(noon);
    insert(catalog, waking("later", "job", later)).await;
    insert(catalog, waking("moment", "job", a_moment_later)).await;
    insert(catalog, waking("noon", "job", noon)).await;
    insert(catalog, waking("ancient", "job", Timestamp::MIN)).await;
    insert(
        catalog,
        waking("before 1970", "job", Timestamp::from_second(-5).expect("a time")),
    )
    .await;
    insert(catalog, waking("other", "jobs", noon)).await;
    insert(catalog, waking("another", "jo", noon)).await;
    insert(catalog, draft("silent", json!({}))).await;
    let due = catalog.waking("job", noon).await.expect("waking");
    assert_eq!(sorts(&due), ["ancient", "before 1970", "noon"], "until noon inclusive");
    let all = catalog.waking("job", Timestamp::MAX).await.expect("waking");
    assert_eq!(sorts(&all), ["ancient", "before 1970", "noon", "moment", "later"]);
    let times: Vec<Timestamp> = all.iter().filter_map(|e| e.wake.as_ref()).map(|w| w.at).collect();
    assert_eq!(
        times[2..],
        [noon, a_moment_later, later],
        "times come back to the nanosecond"
    );
    assert_eq!(catalog.waking("nobody", Timestamp::MAX).await.expect("waking"), []);
}

/// A replacement moves the record in the index, and takes it out when it does not wait any more.
pub async fn a_replaced_record_wakes_as_its_new_version_says(catalog: &dyn Catalog) {
    let at = |second| Timestamp::from_second(second).expect("a time");
    insert(catalog, waking("a", "pending", at(10))).await;
    catalog
        .replace(waking("a", "pending", at(20)), 1)
        .await
        .expect("replace");
    assert_eq!(catalog.waking("pending", at(10)).await.expect("waking"), []);
    let moved = catalog.waking("pending", at(20)).await.expect("waking");
    assert_eq!((moved.len(), moved[0].version), (1, 2));
    catalog
        .replace(waking("a", "running", at(20)), 2)
        .await
        .expect("replace");
    assert_eq!(catalog.waking("pending", Timestamp::MAX).await.expect("waking"), []);
    assert_eq!(
        catalog.waking("running", Timestamp::MAX).await.expect("waking").len(),
        1
    );
    catalog.replace(draft("a", json!({})), 3).await.expect("replace");
    assert_eq!(catalog.waking("running", Timestamp::MAX).await.expect("waking"), []);
    let stored = catalog.get(&key("P", "a")).await.expect("get").expect("the record");
    assert_eq!((stored.version, stored.wake), (4, None));
}

/// Every JSON value that the domain may write comes back equal, also what stores like to bend.
pub async fn bodies_come_back_as_they_were(catalog: &dyn Catalog) {
    let bodies = [
        json!(null),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1),
        json!(""),
        json!({"": {"a.b": [], "$c": {}, "#d": [null, true, [[]]]}}),
        json!("NUL \u{0}, bell \u{7}, quote \" and \\, line\u{2028}separator, byte order mark \u{feff}, 𝄞, e\u{301}"),
        json!({"long": "ä".repeat(50_000)}),
        json!({"time": "2026-03-29T01:30:00.123456789Z", "number as text": "007"}),
    ];
    for (n, body) in bodies.iter().enumerate() {
        insert(catalog, draft(&format!("{n}"), body.clone())).await;
        let stored = catalog.get(&key("P", &format!("{n}"))).await.expect("get");
        assert_eq!(&stored.expect("the record").body, body);
    }
    let listed = catalog.list("P", "").await.expect("list");
    assert_eq!(listed.into_iter().map(|entry| entry.body).collect::<Vec<_>>(), bodies);
}

/// A listing gives every record, however many pages a store would need.
pub async fn long_listings_are_complete(catalog: &dyn Catalog) {
    let at = |n: usize| Timestamp::from_second(n as i64).expect("a time");
    for n in 0..MANY {
        insert(catalog, waking(&format!("{n:05}"), "many", at(n))).await;
    }
    let expected: Vec<String> = (0..MANY).map(|n| format!("{n:05}")).collect();
    assert_eq!(sorts(&catalog.list("P", "").await.expect("list")), expected);
    assert_eq!(
        sorts(&catalog.waking("many", Timestamp::MAX).await.expect("waking")),
        expected
    );
    assert_eq!(
        sorts(&catalog.list("P", "041").await.expect("list")),
        &expected[4100..4200]
    );
    let last = catalog.last("P", "").await.expect("last").expect("a record");
    assert_eq!(last.key.sort, expected[MANY - 1]);
}
