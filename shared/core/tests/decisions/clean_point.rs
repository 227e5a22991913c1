use std::collections::BTreeMap;

use holdfast_core::domain::{BackupKind, Changes, FileChanges, Level, Point, PointId};
use holdfast_core::planning::{Standing, find_clean_point};

use crate::make::{at, point, proof};

const MB: u64 = 1_000_000;

/// An ordinary point of each hour: 100 files of 100 MB, of which two changed and one is new.
fn history(count: usize) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for place in 0..count {
        let taken_at = at(&format!("2026-03-{:02}T{:02}:00:00Z", 1 + place / 24, place % 24));
        let base = points.last().map(|before| before.id.clone());
        let canary = ("docs/.canary".to_owned(), Some("aa".to_owned()));
        points.push(Point {
            kind: if base.is_some() {
                BackupKind::Incremental
            } else {
                BackupKind::Full
            },
            files: 100,
            size_bytes: 100 * MB,
            added_bytes: if base.is_some() { MB } else { 50 * MB },
            changes: Some(Changes {
                new_bytes: if base.is_some() { 2 * MB } else { 100 * MB },
                files: base.is_some().then_some(FileChanges { new: 0, changed: 2 }),
                canaries: [canary].into(),
            }),
            base,
            ..point(taken_at)
        });
    }
    points
}

fn changes(point: &mut Point) -> &mut Changes {
    point.changes.as_mut().unwrap()
}

/// Everything is encrypted where it lies.
fn encrypt(point: &mut Point) {
    point.added_bytes = 100 * MB;
    changes(point).new_bytes = 100 * MB;
    changes(point).files = Some(FileChanges { new: 0, changed: 99 });
}

fn untested() -> BTreeMap<PointId, bool> {
    BTreeMap::new()
}

fn told(points: &[Point], place: usize) -> Vec<String> {
    let judged = &find_clean_point(points, &untested()).points[place];
    judged.signs.iter().map(ToString::to_string).collect()
}

#[test]
fn ordinary_work_is_suspected_of_nothing() {
    let points = history(48);
    let found = find_clean_point(&points, &untested());
    assert!(found.points.iter().all(|judged| judged.signs.is_empty()));
    assert!(found.points.iter().all(|judged| judged.standing == Standing::Presumed));
    assert_eq!(found.newest, Some(points[47].reference()));
    assert_eq!(found.next_to_test, found.newest, "the newest is the first to test");
}

#[test]
fn encryption_in_place_shows_by_what_was_new_and_does_not_compress() {
    let mut points = history(30);
    encrypt(&mut points[20]);
    assert_eq!(
        told(&points, 20),
        [
            "100 % of the content was new",
            "new content was stored with 100 % of its length, with 50 % before: it may be encrypted",
            "99 % of the files were changed"
        ]
    );
    let found = find_clean_point(&points, &untested());
    assert_eq!(found.newest, Some(points[19].reference()));
    assert_eq!(found.next_to_test, Some(points[19].reference()));
    let standings: Vec<Standing> = found.points.iter().map(|judged| judged.standing).collect();
    assert!(standings[20..].iter().all(|standing| *standing == Standing::Suspect));
    assert!(
        found.points[25].signs.is_empty(),
        "what comes after is suspect without signs of its own"
    );
}

#[test]
fn encryption_into_other_names_shows_by_what_is_gone() {
    let mut points = history(12);
    points[6].added_bytes = 100 * MB;
    changes(&mut points[6]).new_bytes = 100 * MB;
    changes(&mut points[6]).files = Some(FileChanges { new: 99, changed: 0 });
    assert_eq!(told(&points, 6)[2], "99 % of the files were gone or renamed");
    // The same, seen by a full point, which compares with nothing: files that are fewer are still seen.
    points[6].base = None;
    points[6].files = 40;
    changes(&mut points[6]).files = None;
    assert_eq!(told(&points, 6)[2], "60 % of the files were gone or renamed");
}

#[test]
fn one_weak_sign_is_told_and_condemns_nothing() {
    let mut points = history(10);
    // A large import of photos: much that is new and does not compress, beside what is there.
    points[5].added_bytes = 20 * MB;
    changes(&mut points[5]).new_bytes = 20 * MB;
    assert_eq!(told(&points, 5).len(), 1);
    assert_eq!(
        find_clean_point(&points, &untested()).newest,
        Some(points[9].reference())
    );
    // Content that never compressed says nothing by not compressing.
    let mut photos = history(10);
    for point in &mut photos {
        point.added_bytes = changes(point).new_bytes;
    }
    encrypt(&mut photos[5]);
    assert_eq!(
        told(&photos, 5),
        ["100 % of the content was new", "99 % of the files were changed"]
    );
}

#[test]
fn a_canary_is_enough_and_one_that_is_new_is_none() {
    let mut points = history(10);
    let path = "docs/.canary".to_owned();
    changes(&mut points[4])
        .canaries
        .insert(path.clone(), Some("bb".to_owned()));
    assert_eq!(told(&points, 4), ["canary docs/.canary was changed"]);
    assert_eq!(
        find_clean_point(&points, &untested()).newest,
        Some(points[3].reference())
    );
    changes(&mut points[4]).canaries.insert(path.clone(), None);
    assert_eq!(told(&points, 4), ["canary docs/.canary is gone"]);
    for point in &mut points[..4] {
        changes(point).canaries.clear();
    }
    assert!(told(&points, 4).is_empty(), "it was never there before");
}

#[test]
fn an_application_check_that_failed_is_enough() {
    let mut points = history(6);
    let when = points[3].taken_at;
    points[3].copies[0].proofs.push(proof(Level::L5, false, when));
    assert_eq!(told(&points, 3), ["an application check on a restore of it failed"]);
    assert_eq!(
        find_clean_point(&points, &untested()).newest,
        Some(points[2].reference())
    );
}

/// Tests what it is told to until nothing is left to test; how many tests that took.
fn search(points: &[Point], first_bad: usize) -> (usize, Option<usize>) {
    let mut tested = untested();
    let place = |found: &holdfast_core::domain::PointRef| points.iter().position(|point| point.id == found.id).unwrap();
    loop {
        let found = find_clean_point(points, &tested);
        let Some(next) = found.next_to_test else {
            return (tested.len(), found.newest.as_ref().map(place));
        };
        let is_good = place(&next) < first_bad;
        assert!(tested.insert(next.id, is_good).is_none(), "nothing is tested twice");
    }
}

#[test]
fn halving_finds_the_last_good_point_of_any_history_with_few_restores() {
    for count in [0, 1, 2, 3, 7, 30, 100, 365] {
        let points = history(count);
        let most = 1 + (count.max(1) as f64).log2().ceil() as usize;
        for first_bad in 0..=count {
            let (tests, newest) = search(&points, first_bad);
            assert_eq!(newest, first_bad.checked_sub(1), "of {count} points");
            assert!(tests <= most, "{tests} tests of {count} points, damage at {first_bad}");
        }
    }
}

#[test]
fn signs_save_tests_and_a_false_alarm_costs_one() {
    let mut points = history(365);
    encrypt(&mut points[200]);
    let (tests, newest) = search(&points, 200);
    assert_eq!(newest, Some(199));
    assert!(tests <= 10, "{tests}");
    for first_bad in [0, 10, 150, 200, 201, 364, 365] {
        let (tests, newest) = search(&points, first_bad);
        assert_eq!(newest, first_bad.checked_sub(1));
        assert!(tests <= 10, "{tests} tests, damage at {first_bad}");
    }
}

#[test]
fn what_cannot_be_restored_is_passed_over_and_a_later_good_point_clears_an_earlier_bad_one() {
    let mut points = history(8);
    points[7].copies.clear();
    let found = find_clean_point(&points, &untested());
    assert_eq!((found.points.len(), found.newest), (7, Some(points[6].reference())));
    let tested = [(points[2].id.clone(), false), (points[5].id.clone(), true)].into();
    let found = find_clean_point(&points, &tested);
    assert_eq!(found.newest, Some(points[6].reference()));
    assert_eq!(found.points[2].standing, Standing::Good, "it was mended since");
}
