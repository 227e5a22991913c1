//! Locks that restic understands: small files that say who works in the repository.
//!
//! Many programs may hold a shared lock at once; an exclusive lock stands alone. A lock is refreshed every five minutes
//! by writing a new file and deleting the old one. One that was not refreshed for thirty minutes, or whose process no
//! longer runs on this host, is stale: it stands in nobody's way and is removed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::repository::Repository;
use crate::storage::{FileKind, FileName};

/// A lock that was not refreshed for so long is stale (restic's rule).
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);
/// Time between refreshes.
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
/// Time until a refresh that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Who else may work in the repository meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Others with a shared lock: backups, copies, checks.
    Shared,
    /// Nobody: for work that deletes.
    Exclusive,
}

/// The content of a lock file, as restic writes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LockHolder {
    /// When the lock was made or last refreshed.
    pub time: Timestamp,
    /// Whether nobody else may work meanwhile.
    pub exclusive: bool,
    /// Host of the process.
    pub hostname: String,
    /// User of the process.
    pub username: String,
    /// The process.
    pub pid: u32,
    /// Numeric user id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// Numeric group id.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl LockHolder {
    fn of(repo: &Repository, kind: LockKind) -> Self {
        let ambient = repo.ambient();
        Self {
            time: (ambient.now)(),
            exclusive: kind == LockKind::Exclusive,
            hostname: ambient.hostname.clone(),
            username: ambient.username.clone(),
            pid: ambient.pid,
            uid: ambient.uid,
            gid: ambient.gid,
        }
    }

    /// Whether the holder is certainly gone: not refreshed for thirty minutes, or dead on this very host.
    pub fn is_stale(&self, now: Timestamp, hostname: &str) -> bool {
        now.duration_since(self.time) > STALE_AFTER || (self.hostname == hostname && !process_runs(self.pid))
    }
}

fn process_runs(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// A lock that is held; dropping it removes it.
pub struct Lock {
    held: Arc<Held>,
    stop: Option<Sender<()>>,
    refresher: Option<JoinHandle<()>>,
}

struct Held {
    repo: Repository,
    kind: LockKind,
    began_alone: bool,
    file: Mutex<LockFile>,
}

#[derive(Clone, Copy)]
struct LockFile {
    id: Id,
    refreshed_at: Timestamp,
}

impl Lock {
    /// Takes a lock, or fails with [`ErrorKind::Conflict`] naming the holder of the one in the way.
    pub fn acquire(repo: &Repository, kind: LockKind) -> Result<Lock> {
        refuse_conflicts(repo, kind, None)?;
        let holder = LockHolder::of(repo, kind);
        let id = write(repo, &holder)?;
        // Of two that wrote at the same time at least one sees the other here, because each lists after it wrote.
        let others = refuse_conflicts(repo, kind, Some(id));
        let file = Mutex::new(LockFile {
            id,
            refreshed_at: holder.time,
        });
        let held = Arc::new(Held {
            repo: repo.clone(),
            kind,
            began_alone: matches!(others, Ok(0)),
            file,
        });
        if let Err(conflict) = others {
            held.remove()?;
            return Err(conflict);
        }
        let (stop, stopped) = bounded(0);
        let refreshed = Arc::clone(&held);
        let refresher = std::thread::Builder::new().name("lock".to_owned()).spawn(move || {
            let mut wait = REFRESH_EVERY;
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                // A failed refresh shows in `verify` once the lock has run out.
                wait = if refreshed.refresh().is_ok() {
                    REFRESH_EVERY
                } else {
                    RETRY_AFTER
                };
            }
        });
        match refresher {
            Ok(refresher) => Ok(Lock {
                held,
                stop: Some(stop),
                refresher: Some(refresher),
            }),
            Err(e) => {
                held.remove()?;
                Err(RepositoryError::io("start the thread that refreshes the lock")(e))
            }
        }
    }

    /// Fails when the lock has run out because it could not be refreshed: then others may have ignored it, and work
    /// that depends on it must stop.
    pub fn verify(&self) -> Result<()> {
        self.held.verify()
    }

    /// Whether nobody else held a lock when this one was taken.
    pub fn began_alone(&self) -> bool {
        self.held.began_alone
    }

    /// Removes the lock, and says so when that fails. Dropping does the same, but keeps silent.
    pub fn release(mut self) -> Result<()> {
        self.stop();
        self.held.remove()
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(refresher) = self.refresher.take() {
            // A panic of the refresher has been reported by its thread.
            let _ = refresher.join();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.stop.is_some() {
            self.stop();
            // A lock that cannot be removed now goes stale by itself.
            let _ = self.held.remove();
        }
    }
}

impl Held {
    fn file(&self) -> MutexGuard<'_, LockFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verify(&self) -> Result<()> {
        let refreshed_at = self.file().refreshed_at;
        if (self.repo.ambient().now)().duration_since(refreshed_at) > STALE_AFTER {
            return Err(RepositoryError::LockLost {
                location: self.repo.storage().location(),
                refreshed_at,
            });
        }
        Ok(())
    }

    /// Replaces the lock file by one with the present time.
    fn refresh(&self) -> Result<()> {
        self.verify()?;
        let holder = LockHolder::of(&self.repo, self.kind);
        let new = LockFile {
            id: write(&self.repo, &holder)?,
            refreshed_at: holder.time,
        };
        let old = std::mem::replace(&mut *self.file(), new);
        self.repo.storage().delete(&FileName::Object(FileKind::Lock, old.id))
    }

    fn remove(&self) -> Result<()> {
        let id = self.file().id;
        self.repo.storage().delete(&FileName::Object(FileKind::Lock, id))
    }
}

fn write(repo: &Repository, holder: &LockHolder) -> Result<Id> {
    let json = serde_json::to_vec(holder).map_err(|e| RepositoryError::Bug(format!("cannot encode a lock: {e}")))?;
    repo.save_unpacked(FileKind::Lock, &json)
}

/// Every lock in the repository, the stale ones too. A lock that goes away meanwhile is left out.
pub fn locks(repo: &Repository) -> Result<Vec<(Id, LockHolder)>> {
    locks_of_others(repo, None)
}

fn locks_of_others(repo: &Repository, own: Option<Id>) -> Result<Vec<(Id, LockHolder)>> {
    let mut found = Vec::new();
    for (id, _) in repo.storage().list(FileKind::Lock)? {
        if Some(id) == own {
            continue;
        }
        let json = match repo.load_unpacked(FileKind::Lock, &id) {
            Ok(json) => json,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let holder = serde_json::from_slice(&json)
            .map_err(|e| RepositoryError::damaged(FileName::Object(FileKind::Lock, id).to_string(), e))?;
        found.push((id, holder));
    }
    Ok(found)
}

/// Fails when another lock is in the way; else, how many others there are.
fn refuse_conflicts(repo: &Repository, kind: LockKind, own: Option<Id>) -> Result<usize> {
    let now = (repo.ambient().now)();
    let mut others = 0;
    for (id, holder) in locks_of_others(repo, own)? {
        others += 1;
        if holder.is_stale(now, &repo.ambient().hostname) {
            repo.storage().delete(&FileName::Object(FileKind::Lock, id))?;
        } else if holder.exclusive || kind == LockKind::Exclusive {
            return Err(RepositoryError::Locked {
                location: repo.storage().location(),
                holder: Box::new(holder),
            });
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests;
