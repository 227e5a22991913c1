//! Receivers of servers' logs, kept at work beside the functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_core::config::Config;
use holdfast_core::domain::{Failure, FailureKind, Resource, Span, VaultName};
use holdfast_core::planning::plan_receivers;
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::{World, leases};
use holdfast_snapshot_trigger::pull_after_gap;
use holdfast_sources::content_engine::Listener;
use holdfast_sources::postgres::follow::Follower;
use holdfast_sources::postgres::{LogFile, PostgresError, SegmentSize};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{System, pause};

/// How long the log of a server stays with a receiver that died.
const TERM: Span = Span::seconds(15);
/// How often the lease is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// How long to wait before a receiver that broke off begins anew, doubling from the first to the second.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often to look whether all of it is to stop.
const LOOK: Duration = Duration::from_millis(200);

/// A server whose log this process receives.
struct Receiver {
    system: Arc<System>,
    resource: Resource,
    vault: VaultName,
    stopping: Arc<AtomicBool>,
    lease: String,
    owner: String,
}

/// Starts a receiver for every server whose log is received as it is written. They end once `stopping` is set, having stored what
/// they have.
pub fn start_receivers(system: &Arc<System>, config: &Config, stopping: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let drafts: Vec<_> = config.policies.iter().map(|(_, draft)| draft).collect();
    let start = |resource: &Resource, vault: &VaultName| {
        let receiver = Receiver {
            system: Arc::clone(system),
            resource: resource.clone(),
            vault: vault.clone(),
            stopping: Arc::clone(stopping),
            lease: format!("receive/{}", resource.id),
            owner: system.world.ids.fresh(),
        };
        tokio::spawn(receiver.run())
    };
    plan_receivers(&config.resources, &drafts)
        .into_iter()
        .map(|receiving| start(receiving.resource, receiving.vault))
        .collect()
}

/// Tells of a server that is waited for, has a gap told, and notes that log came.
struct Heard {
    world: World,
    resource: Resource,
    vault: VaultName,
    runtime: Handle,
    has_come: bool,
}

impl Listener for Heard {
    /// Where the pull cannot be asked for, the scheduled one tells of the gap.
    fn missed(&mut self, why: &Failure) {
        eprintln!("holdfast: the log of {}: {why}", self.resource.id);
        let pull = pull_after_gap(&self.world, &self.resource, &self.vault, why);
        if let Err(failure) = self.runtime.block_on(pull) {
            eprintln!("holdfast: the log of {}: {failure}", self.resource.id);
        }
    }
}

impl Follower for Heard {
    fn stored(&mut self, _files: &[LogFile], _size: SegmentSize) {
        self.has_come = true;
    }

    fn waiting(&mut self, why: &PostgresError, wait: Duration) {
        eprintln!(
            "holdfast: the log of {}: {why}; trying again in {} s",
            self.resource.id,
            wait.as_secs()
        );
    }
}

impl Receiver {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Receives until all of it is to stop. What breaks off begins anew, at longer intervals while nothing comes; people are told
    /// once until log comes again.
    async fn run(self) {
        let (mut wait, mut is_told) = (WAIT.0, false);
        while !self.is_stopping() {
            let (ended, has_come) = self.receive().await;
            if has_come {
                (wait, is_told) = (WAIT.0, false);
            }
            let Err(failure) = ended else { continue };
            eprintln!("holdfast: the log of {}: {failure}", self.resource.id);
            if !is_told && failure.kind != FailureKind::Deferred {
                is_told = self.tell(&failure).await.is_ok();
            }
            self.rest(wait).await;
            wait = (wait * 2).min(WAIT.1);
        }
    }

    /// Waits, or until all of it is to stop.
    async fn rest(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.is_stopping() {
            pause(left.min(LOOK)).await;
            left = left.saturating_sub(LOOK);
        }
    }

    /// Receives under the lease until that is lost, all of it is to stop, or something breaks off; whether anything came.
    async fn receive(&self) -> (Result<(), Failure>, bool) {
        let (world, who) = (&self.system.world, (self.lease.as_str(), self.owner.as_str()));
        match leases::take(world.catalog.as_ref(), who, world.now(), TERM).await {
            Ok(true) => {}
            Ok(false) => {
                let message = "another process receives it, or did so until just now";
                return (Err(Failure::deferred(message, TERM.after(world.now()))), false);
            }
            Err(failure) => return (Err(failure), false),
        }
        let received = self.receive_under_lease().await;
        // What cannot be given back expires.
        drop(leases::release(world.catalog.as_ref(), who.0, who.1).await);
        received
    }

    async fn receive_under_lease(&self) -> (Result<(), Failure>, bool) {
        let stop = Arc::new(AtomicBool::new(false));
        let (engine, resource, vault) = (self.system.engine.clone(), self.resource.clone(), self.vault.clone());
        let mut heard = Heard {
            world: self.system.world.clone(),
            resource: resource.clone(),
            vault: vault.clone(),
            runtime: Handle::current(),
            has_come: false,
        };
        let flag = Arc::clone(&stop);
        let mut receiving = tokio::task::spawn_blocking(move || {
            let received = engine.receive(&resource, &vault, &flag, &mut heard);
            (received, heard.has_come)
        });
        let ended = loop {
            tokio::select! {
                ended = &mut receiving => break ended,
                () = self.rest(RENEW) => {}
            }
            if self.is_stopping() || !self.keeps_lease().await {
                stop.store(true, Ordering::SeqCst);
                break receiving.await;
            }
        };
        let broken = |error| Failure::caused(FailureKind::Bug, "the receiver came to no end", error);
        ended.unwrap_or_else(|error| (Err(broken(error)), false))
    }

    /// Renews the lease. One that cannot be asked for is kept: no other process takes the log from a server's slot while this one
    /// does.
    async fn keeps_lease(&self) -> bool {
        let (world, who) = (&self.system.world, (self.lease.as_str(), self.owner.as_str()));
        leases::keep(world.catalog.as_ref(), who, world.now(), TERM)
            .await
            .unwrap_or(true)
    }

    async fn tell(&self, failure: &Failure) -> Result<(), Failure> {
        let page = Page {
            key: format!("receiver/{}", self.resource.id),
            severity: Severity::Warning,
            subject: format!("the log of {} is not received as it is written", self.resource.id),
            text: format!("{failure}; it is tried again and again, and meanwhile only pulls keep the log"),
        };
        self.system.world.pager.page(&page).await
    }
}
