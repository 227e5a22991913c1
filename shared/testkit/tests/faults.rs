//! Faults break the call they are told to break, in the way they are told.

use std::sync::Arc;

use futures::FutureExt;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Catalog, Draft, Inserted, Key, Page, Pager, Severity};
use holdfast_testkit::fakes::{FakeCatalog, FakePager};
use holdfast_testkit::faults::{Fault, FaultPlan, Faulty};
use serde_json::json;

fn draft(sort: &str) -> Draft {
    Draft {
        key: Key {
            partition: "P".to_owned(),
            sort: sort.to_owned(),
        },
        body: json!({}),
        wake: None,
    }
}

/// A catalog whose first call breaks, and what stands behind it.
fn broken(fault: Fault) -> (Faulty<dyn Catalog>, Arc<FakeCatalog>) {
    let inner = Arc::new(FakeCatalog::default());
    (Faulty::new(inner.clone(), FaultPlan::scripted([(1, fault)])), inner)
}

fn insert(catalog: &dyn Catalog, sort: &str) -> Option<Result<Inserted, Failure>> {
    catalog.insert(draft(sort)).now_or_never()
}

#[test]
fn a_refused_call_fails_with_its_kind_and_has_no_effect() {
    let (catalog, inner) = broken(Fault::Refuse(FailureKind::Throttled));
    let refused = insert(&catalog, "a").expect("an answer").expect_err("refused");
    assert_eq!(refused.kind, FailureKind::Throttled);
    assert!(inner.entries().is_empty());
    insert(&catalog, "a")
        .expect("an answer")
        .expect("the second call is whole");
}

#[test]
fn a_lost_answer_is_a_failure_after_the_effect() {
    let (catalog, inner) = broken(Fault::LoseAnswer);
    let lost = insert(&catalog, "a").expect("an answer").expect_err("lost");
    assert_eq!(lost.kind, FailureKind::Transient);
    assert_eq!(inner.entries().len(), 1);
}

#[test]
fn a_crash_never_answers_before_or_after_the_effect() {
    for (fault, effects) in [(Fault::CrashBefore, 0), (Fault::CrashAfter, 1)] {
        let (catalog, inner) = broken(fault);
        assert!(insert(&catalog, "a").is_none(), "{fault:?}");
        assert_eq!(inner.entries().len(), effects, "{fault:?}");
    }
}

#[test]
fn all_ports_of_a_world_share_one_count() {
    let plan = FaultPlan::scripted([(2, Fault::LoseAnswer)]);
    let catalog = Faulty::<dyn Catalog>::new(Arc::new(FakeCatalog::default()), plan.clone());
    let people = Arc::new(FakePager::default());
    let pager = Faulty::<dyn Pager>::new(people.clone(), plan.clone());
    insert(&catalog, "a")
        .expect("an answer")
        .expect("the first call is whole");
    let page = Page {
        key: "k".to_owned(),
        severity: Severity::Info,
        subject: "s".to_owned(),
        text: "t".to_owned(),
    };
    pager
        .page(&page)
        .now_or_never()
        .expect("an answer")
        .expect_err("the second call is not");
    assert_eq!(people.pages(), [page]);
    assert_eq!(plan.calls(), 2);
    assert_eq!(plan.log(), ["1 catalog.insert P/a", "2 pager.page k ! LoseAnswer"]);
}

#[test]
fn one_seed_breaks_the_same_calls_and_a_disarmed_plan_breaks_none() {
    let run = |seed| {
        let plan = FaultPlan::seeded(seed, 0.3);
        let catalog = Faulty::<dyn Catalog>::new(Arc::new(FakeCatalog::default()), plan.clone());
        for n in 0..50 {
            // Broken or whole: the log says which.
            let _broken_or_whole = insert(&catalog, &n.to_string());
        }
        plan.disarm();
        for n in 50..100 {
            insert(&catalog, &n.to_string()).expect("an answer").expect("disarmed");
        }
        plan.log()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let kinds = ["Refuse", "LoseAnswer", "CrashBefore", "CrashAfter"];
    assert!(kinds.iter().all(|kind| run(7).iter().any(|line| line.contains(kind))));
}
