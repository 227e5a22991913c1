//! Receivers: a server's log, stored as it is written, for as long as this process runs.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_core::domain::{Failure, FailureKind, Resource, VaultName};
use holdfast_repository::backup::BackupOptions;
use holdfast_repository::progress::NoProgress;
use jiff::SignedDuration;

use super::backup::PACK_SIZE;
use super::servers::{Server, follow_failure, invalid, remove};
use super::{ContentEngine, Inner};
use crate::postgres::follow::{Acknowledge, FollowError, Follower, Following, follow};
use crate::postgres::{ClientOptions, PostgresError, Until};

/// How often the segment that is not full goes into the vault. Until then what came of it is safe in the spool, on the disk of
/// this machine; it goes there at once when the server goes away.
const PARTIAL_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Hears what a receiver does.
pub trait Listener: Follower {
    /// Log that had not come is gone from the server. The receiver goes on with what the server still has.
    fn missed(&mut self, why: &Failure);
}

impl ContentEngine {
    /// Receives the log of a server into a vault over a slot of its own, until `stop` is set: a server that goes away is waited
    /// for. What came is in the vault when this returns, also when it fails. Blocks; to be called from a thread that may. There
    /// must be no other at work on the same server, and the folder of spools must outlive this process.
    pub fn receive(
        &self,
        resource: &Resource,
        vault: &VaultName,
        stop: &Arc<AtomicBool>,
        listener: &mut dyn Listener,
    ) -> Result<(), Failure> {
        self.inner.receive(resource, vault, stop, listener)
    }
}

impl Inner {
    fn receive(
        &self,
        resource: &Resource,
        vault: &VaultName,
        stop: &Arc<AtomicBool>,
        listener: &mut dyn Listener,
    ) -> Result<(), Failure> {
        let id = &resource.id;
        let Some(access) = &resource.server else {
            let message = format!("resource {id} is no PostgreSQL server, and has no log");
            return Err(Failure::new(FailureKind::Invalid, message));
        };
        let slot = access.receiver_slot();
        let server = Server {
            resource: id,
            address: self.address(id, &resource.path, access)?,
            slot: slot.parse().map_err(|error| invalid(id, error))?,
            client: ClientOptions {
                now: self.repositories.ambient.now,
                stop: Arc::clone(stop),
            },
        };
        let repository = self.repositories.open_or_init(vault, id)?;
        // What came is stored to the end even when somebody asks to stop.
        let never = AtomicBool::new(false);
        let options = BackupOptions {
            readers: self.readers,
            workers: self.threads,
            pack_size: PACK_SIZE,
            ..BackupOptions::new((repository.ambient().now)(), &NoProgress, &never)
        };
        let spool = self.spools.join(format!("{id}-received"));
        let mut following = Following {
            address: &server.address,
            slot: &server.slot,
            create_slot: true,
            repository: &repository,
            resource: id.as_str(),
            spool: &spool,
            partial_every: PARTIAL_EVERY,
            acknowledge: Acknowledge::Spooled,
            from_slot: false,
            client: &server.client,
            options: &options,
        };
        let mut received = follow(&following, Until::Stopped, listener);
        if let Err(FollowError::Server(error @ PostgresError::LogGone { .. })) = &received {
            // What the server still has is worth receiving.
            listener.missed(&server.failed(error));
            server.drop_lost_slot()?;
            remove(&spool)?;
            following.from_slot = true;
            received = follow(&following, Until::Stopped, listener);
        }
        received.map(drop).map_err(|error| follow_failure(id, error))
    }
}
