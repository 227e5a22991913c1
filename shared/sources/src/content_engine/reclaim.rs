//! Reclaim orders: what deleted points leave behind.

use holdfast_core::domain::{Failure, Outcome, ResourceId, VaultName};
use holdfast_repository::prune::{BATCH_BYTES, MAX_DEAD_PERCENT, MarkOptions, SweepOptions, mark, sweep};
use jiff::{SignedDuration, Timestamp};

use super::portions;
use super::task::Control;
use super::{Inner, failure};

/// Size of the packs that live blobs of packs with many dead ones are written into: that of backups on disk.
const PACK_SIZE: usize = 32 << 20;

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
        // Before anything else is listed: what the notes name was indexed before they were written.
        let open = portions::tidy(
            repository.storage().as_ref(),
            |job| Ok(self.receipts.find(job)?.is_some()),
            now.checked_sub(grace).unwrap_or(Timestamp::MIN),
        )?;
        let sweeping = SweepOptions {
            extra_roots: &open,
            dry_run: false,
            workers: self.threads,
            cancel,
        };
        let swept = sweep(&repository, now, grace, &sweeping).map_err(failure)?;
        let marking = MarkOptions {
            max_dead_percent: MAX_DEAD_PERCENT,
            pack_size: PACK_SIZE,
            batch_bytes: BATCH_BYTES,
            extra_roots: &open,
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
}
