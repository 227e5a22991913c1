use std::sync::Arc;

use super::*;
use crate::storage::{MemoryStorage, Storage};
use crate::testing::{memory, now, pass, through};

fn foreign(repo: &Repository, change: impl FnOnce(&mut LockHolder)) -> Id {
    let mut holder = LockHolder::of(repo, LockKind::Shared);
    holder.hostname = "elsewhere".to_owned();
    holder.pid = 4711;
    change(&mut holder);
    write(repo, &holder).unwrap()
}

fn count(store: &MemoryStorage) -> usize {
    store.list(FileKind::Lock).unwrap().len()
}

#[test]
fn shared_locks_stand_together_and_an_exclusive_one_alone() {
    let (store, repo) = memory();
    let one = Lock::acquire(&repo, LockKind::Shared).unwrap();
    let two = Lock::acquire(&repo, LockKind::Shared).unwrap();
    assert_eq!(count(&store), 2);
    assert_eq!(
        Lock::acquire(&repo, LockKind::Exclusive).err().unwrap().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(count(&store), 2);
    one.release().unwrap();
    drop(two);
    assert_eq!(count(&store), 0);
    let alone = Lock::acquire(&repo, LockKind::Exclusive).unwrap();
    for kind in [LockKind::Shared, LockKind::Exclusive] {
        assert_eq!(Lock::acquire(&repo, kind).err().unwrap().kind(), ErrorKind::Conflict);
    }
    drop(alone);
    assert_eq!(count(&store), 0);
}

#[test]
fn a_conflict_names_host_process_and_time() {
    let (_store, repo) = memory();
    foreign(&repo, |holder| holder.exclusive = true);
    let error = Lock::acquire(&repo, LockKind::Shared).err().unwrap().to_string();
    for part in ["elsewhere", "4711", &now().to_string()] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_lock_that_was_not_refreshed_for_half_an_hour_is_stale() {
    let (store, repo) = memory();
    foreign(&repo, |holder| holder.exclusive = true);
    pass(SignedDuration::from_mins(30));
    assert!(Lock::acquire(&repo, LockKind::Shared).is_err());
    pass(SignedDuration::from_secs(1));
    let lock = Lock::acquire(&repo, LockKind::Exclusive).unwrap();
    assert_eq!(count(&store), 1);
    drop(lock);
}

#[test]
fn the_lock_of_a_dead_process_on_this_host_is_stale() {
    let (_store, repo) = memory();
    let dead = {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    foreign(&repo, |holder| (holder.pid, holder.exclusive) = (dead, true));
    assert!(
        Lock::acquire(&repo, LockKind::Shared).is_err(),
        "the same number on another host says nothing"
    );
    for (id, _) in locks(&repo).unwrap() {
        repo.storage().delete(&FileName::Object(FileKind::Lock, id)).unwrap();
    }
    foreign(&repo, |holder| {
        (holder.pid, holder.exclusive) = (dead, true);
        holder.hostname = repo.ambient().hostname.clone();
    });
    Lock::acquire(&repo, LockKind::Exclusive).unwrap();
}

#[test]
fn a_clock_that_is_behind_makes_no_lock_stale() {
    let (_store, repo) = memory();
    foreign(&repo, |holder| holder.time = now() + SignedDuration::from_mins(2));
    assert!(Lock::acquire(&repo, LockKind::Exclusive).is_err());
}

#[test]
fn a_refresh_writes_a_new_file_and_deletes_the_old() {
    let (store, repo) = memory();
    let lock = Lock::acquire(&repo, LockKind::Shared).unwrap();
    let before = locks(&repo).unwrap();
    pass(SignedDuration::from_mins(29));
    lock.held.refresh().unwrap();
    let after = locks(&repo).unwrap();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0].0, after[0].0);
    assert_eq!(after[0].1.time, now());
    pass(SignedDuration::from_mins(29));
    lock.verify().unwrap();
    drop(lock);
    assert_eq!(count(&store), 0);
}

#[test]
fn a_lock_that_ran_out_is_not_revived() {
    let (_store, repo) = memory();
    let lock = Lock::acquire(&repo, LockKind::Shared).unwrap();
    pass(SignedDuration::from_mins(31));
    assert!(matches!(lock.verify(), Err(RepositoryError::LockLost { .. })));
    assert!(matches!(lock.held.refresh(), Err(RepositoryError::LockLost { .. })));
}

#[test]
fn of_two_that_come_at_once_at_most_one_gets_an_exclusive_lock() {
    let (store, repo) = memory();
    let held = std::thread::scope(|scope| {
        let others: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Lock::acquire(&repo, LockKind::Exclusive)))
            .collect();
        let all: Vec<_> = others.into_iter().map(|other| other.join().unwrap()).collect();
        all.iter().filter(|lock| lock.is_ok()).count()
    });
    assert!(held <= 1);
    assert_eq!(count(&store), 0);
}

#[test]
fn a_lock_file_that_cannot_be_read_is_named() {
    let (store, repo) = memory();
    let id = Id::of(b"garbage");
    store.overwrite(FileName::Object(FileKind::Lock, id), b"garbage".to_vec());
    let error = Lock::acquire(&repo, LockKind::Shared).err().unwrap();
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    let other = through(&repo, Arc::clone(repo.storage()));
    assert!(locks(&other).is_err());
}

#[test]
fn a_lock_file_is_restics() {
    let (_store, repo) = memory();
    let holder = LockHolder {
        exclusive: true,
        uid: 1000,
        ..LockHolder::of(&repo, LockKind::Shared)
    };
    let json = serde_json::to_string(&holder).unwrap();
    let time = now();
    assert_eq!(
        json,
        format!(
            "{{\"time\":\"{time}\",\"exclusive\":true,\"hostname\":\"test-host\",\"username\":\"tester\",\"pid\":1,\
             \"uid\":1000}}"
        )
    );
    let restics =
        r#"{"time":"2023-02-03T04:05:06.123456789+01:00","exclusive":false,"hostname":"h","username":"u","pid":7}"#;
    let read: LockHolder = serde_json::from_str(restics).unwrap();
    assert_eq!((read.pid, read.uid, read.exclusive), (7, 0, false));
    assert_eq!(read.time.to_string(), "2023-02-03T03:05:06.123456789Z");
}
