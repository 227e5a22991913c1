//! Reclaim and clean orders: what deleted points and finished drills leave behind.

use std::io::ErrorKind;
use std::path::{Component, Path};

use holdfast_core::domain::{Failure, FailureKind, Outcome, ResourceId, Span, VaultName};
use holdfast_repository::prune::{MarkOptions, SweepOptions, mark, sweep};

use super::{Inner, failure};

impl Inner {
    pub(super) fn reclaim(&self, resource: &ResourceId, vault: &VaultName, grace_seconds: i64) -> Result<Outcome, Failure> {
        let Some(repository) = self.repositories.find(vault, resource)? else {
            return Ok(Outcome::Reclaim { condemned: 0, deleted: 0, freed_bytes: 0 });
        };
        let now = (repository.ambient().now)();
        let grace = Span::seconds(grace_seconds);
        let swept = sweep(&repository, now, grace_of(grace), &SweepOptions::default()).map_err(failure)?;
        let marked = mark(&repository, &MarkOptions::default()).map_err(failure)?;
        Ok(Outcome::Reclaim {
            condemned: marked.condemned.len() as u64,
            deleted: swept.deleted.len() as u64,
            freed_bytes: swept.freed_bytes,
        })
    }

    /// Removes a drill's folder. The path is checked against the drill area, whatever the order says.
    pub(super) fn clean(&self, target: &str) -> Result<Outcome, Failure> {
        let target = Path::new(target);
        let beneath = target.strip_prefix(&self.drill_area).ok().filter(|rest| {
            rest.components().next().is_some() && rest.components().all(|part| matches!(part, Component::Normal(_)))
        });
        if beneath.is_none() {
            let message = format!("{} does not lie in the drill area {}", target.display(), self.drill_area.display());
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        match std::fs::remove_dir_all(target) {
            Ok(()) => Ok(Outcome::Clean),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::Clean),
            Err(error) => {
                let message = format!("drill folder {} cannot be removed: {error}", target.display());
                Err(Failure::caused(FailureKind::Transient, message, error))
            }
        }
    }
}

fn grace_of(span: Span) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(span.as_seconds())
}
