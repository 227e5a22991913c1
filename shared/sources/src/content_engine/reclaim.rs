//! Reclaim and clean orders: what deleted points and finished drills leave behind.

use std::io::ErrorKind;
use std::path::{Component, Path};

use holdfast_core::domain::{Failure, FailureKind, Outcome, ResourceId, VaultName};
use holdfast_repository::prune::{MarkOptions, SweepOptions, mark, sweep};
use jiff::SignedDuration;
use rustix::io::Errno;

use super::task::Control;
use super::{Inner, failure};
use crate::files::Beneath;

/// Size of the packs that live blobs of mostly dead packs are written into: that of backups on disk.
const PACK_SIZE: usize = 32 << 20;

/// A pack with more dead bytes than this is written anew.
const REPACK_ABOVE_PERCENT: u8 = 50;

impl Inner {
    pub(super) fn reclaim(
        &self,
        resource: &ResourceId,
        vault: &VaultName,
        grace_seconds: i64,
        control: &Control,
    ) -> Result<Outcome, Failure> {
        let Some(repository) = self.repositories.find(vault, resource)? else {
            return Ok(Outcome::Reclaim {
                condemned: 0,
                deleted: 0,
                freed_bytes: 0,
            });
        };
        let now = (repository.ambient().now)();
        let grace = SignedDuration::from_secs(grace_seconds);
        let cancel = &control.cancel;
        let sweeping = SweepOptions {
            dry_run: false,
            workers: self.threads,
            cancel,
        };
        let swept = sweep(&repository, now, grace, &sweeping).map_err(failure)?;
        let marking = MarkOptions {
            repack_above_percent: REPACK_ABOVE_PERCENT,
            pack_size: PACK_SIZE,
            dry_run: false,
            workers: self.threads,
            progress: control,
            cancel,
        };
        let marked = mark(&repository, &marking).map_err(failure)?;
        Ok(Outcome::Reclaim {
            condemned: marked.condemned.len() as u64,
            deleted: swept.deleted.len() as u64,
            freed_bytes: swept.deleted_bytes,
        })
    }

    /// Removes a drill's folder. The path is checked against the drill area, whatever the order says, and leads through
    /// no symbolic link below it.
    pub(super) fn clean(&self, target: &str) -> Result<Outcome, Failure> {
        let target = Path::new(target);
        let outside = |reason: &str| {
            let (target, area) = (target.display(), self.drill_area.display());
            let message = format!("{target} does not lie in the drill area {area}{reason}");
            Failure::new(FailureKind::Invalid, message)
        };
        let relative = target
            .strip_prefix(&self.drill_area)
            .ok()
            .filter(|relative| {
                let mut parts = relative.components();
                parts.clone().next().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
            })
            .ok_or_else(|| outside(""))?;
        match Beneath::new(&self.drill_area).and_then(|area| area.folder(relative)) {
            Ok(_) => {}
            Err(Errno::NOENT) => return Ok(Outcome::Clean),
            Err(Errno::LOOP) => return Err(outside(": a symbolic link stands there")),
            Err(error) => return Err(cannot_remove(target, error.into())),
        }
        match std::fs::remove_dir_all(target) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot_remove(target, error)),
            _ => Ok(Outcome::Clean),
        }
    }
}

fn cannot_remove(target: &Path, error: std::io::Error) -> Failure {
    let message = format!("drill folder {} cannot be removed: {error}", target.display());
    Failure::caused(FailureKind::Transient, message, error)
}
