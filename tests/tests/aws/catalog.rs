//! What the catalog meets on AWS beyond its contract: many writers at once, many pages, an index that lags.

use std::sync::Arc;

use holdfast_aws::DynamoCatalog;
use holdfast_core::domain::FailureKind;
use holdfast_core::ports::{Catalog, Draft, Inserted, Key, Wake};
use jiff::Timestamp;
use serde_json::json;

use crate::ground::Ground;

const WRITERS: usize = 8;

fn draft(sort: &str, body: serde_json::Value) -> Draft {
    Draft {
        key: Key {
            partition: "P".to_owned(),
            sort: sort.to_owned(),
        },
        body,
        wake: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_writers_in_many_processes_exactly_one_wins() {
    let ground = Ground::new().await;
    let table = ground.table();
    for round in 0..10 {
        let sort = round.to_string();
        // Each writer has a connection of its own, as each function has.
        let tasks: Vec<_> = (0..WRITERS)
            .map(|n| {
                let catalog = DynamoCatalog::new(ground.clients.home().dynamodb(), &table);
                let draft = draft(&sort, json!(n));
                tokio::spawn(async move {
                    let created = catalog.insert(draft.clone()).await.unwrap() == Inserted::Created;
                    let replaced = match catalog.replace(draft, 1).await {
                        Ok(()) => true,
                        Err(failure) if failure.kind == FailureKind::Conflict => false,
                        Err(failure) => panic!("{failure}"),
                    };
                    (created, replaced)
                })
            })
            .collect();
        let mut won = (0, 0);
        for task in tasks {
            let (created, replaced) = task.await.unwrap();
            won.0 += usize::from(created);
            won.1 += usize::from(replaced);
        }
        assert_eq!(won, (1, 1), "round {round}: insertions and replacements that won");
    }
}

#[tokio::test]
async fn whatever_does_not_fit_into_one_answer_is_read_all_the_same() {
    let ground = Ground::new().await;
    let catalog = Arc::new(ground.catalog());
    // 250 records of 10 kB: more than one page of 1 MB, more than two batches of 100 keys.
    let long = "x".repeat(10_000);
    for n in 0..250_i64 {
        let mut draft = draft(&format!("{n:03}"), json!(long));
        draft.wake = Some(Wake {
            status: "waiting".to_owned(),
            at: Timestamp::from_second(n).unwrap(),
        });
        catalog.insert(draft).await.unwrap();
    }
    let listed = catalog.list("P", "").await.unwrap();
    assert_eq!(listed.len(), 250);
    let waking = catalog
        .waking("waiting", Timestamp::from_second(239).unwrap())
        .await
        .unwrap();
    assert_eq!(waking, listed[..240]);
}

#[tokio::test]
async fn what_a_batch_leaves_unread_is_asked_for_again() {
    let ground = Ground::new().await;
    let catalog = ground.catalog();
    // One answer holds 16 MB; these records have 18.
    let long = "x".repeat(300_000);
    for n in 0..60 {
        let mut draft = draft(&format!("{n:02}"), json!(long));
        draft.wake = Some(Wake {
            status: "waiting".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        });
        catalog.insert(draft).await.unwrap();
    }
    let waking = catalog.waking("waiting", Timestamp::MAX).await.unwrap();
    let sorts: Vec<String> = waking.into_iter().map(|entry| entry.key.sort).collect();
    assert_eq!(sorts, (0..60).map(|n| format!("{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_index_still_tells_and_the_table_does_not_is_left_out() {
    let ground = Ground::new().await;
    let catalog = ground.catalog();
    let mut waiting = draft("a", json!(1));
    waiting.wake = Some(Wake {
        status: "waiting".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    });
    catalog.insert(waiting).await.unwrap();
    ground.moto.freeze_indexes(true);
    catalog.replace(draft("a", json!(2)), 1).await.unwrap();
    assert_eq!(catalog.waking("waiting", Timestamp::MAX).await.unwrap(), []);
    ground.moto.freeze_indexes(false);
    assert_eq!(
        catalog.get(&draft("a", json!(2)).key).await.unwrap().unwrap().version,
        2
    );
}
