//! Leases: who may do a thing now. A lease has an owner, a fencing counter and an expiry that code checks, so that a dead
//! owner blocks nobody for longer than the lease.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::World;
use super::records::{self, Record, Stored};
use crate::domain::{BackupKind, Failure, FailureKind, Job, JobId, Order, Span};
use crate::ports::{Catalog, Key, Wake};

/// A lease on a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What it is a lease on.
    pub name: String,
    /// Who holds it; none after it was given back.
    pub owner: Option<String>,
    /// Grows by one whenever the owner changes.
    pub fencing: u64,
    /// Free for anybody from here on.
    pub expires_at: Timestamp,
}

fn lease_key(name: &str) -> Key {
    Key {
        partition: format!("LEASE#{name}"),
        sort: "LEASE".to_owned(),
    }
}

impl Record for Lease {
    const KIND: &'static str = "lease";
    fn key(&self) -> Key {
        lease_key(&self.name)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

impl Lease {
    /// Whether more than half of `term` is left of the owner's time: most looks at running work then write nothing.
    fn lasts(&self, owner: &str, now: Timestamp, term: Span) -> bool {
        let left = Span::between(now, self.expires_at).as_seconds();
        self.owner.as_deref() == Some(owner) && left * 2 > term.as_seconds()
    }

    fn is_held_by_another(&self, owner: &str, now: Timestamp) -> bool {
        self.expires_at > now && self.owner.as_deref().is_some_and(|holder| holder != owner)
    }
}

/// Takes a lease, or renews it once half of it is over. False when somebody else holds it.
pub async fn acquire(world: &World, name: &str, owner: &str) -> Result<bool, Failure> {
    let held = records::read::<Lease>(world.catalog.as_ref(), &lease_key(name)).await?;
    if held.is_some_and(|held| held.value.lasts(owner, world.now(), world.settings.lease)) {
        return Ok(true);
    }
    take(world.catalog.as_ref(), (name, owner), world.now(), world.settings.lease).await
}

/// Takes or renews a lease from `now` for `term`; who, and on what, is the pair. False when somebody else holds it.
pub async fn take(
    catalog: &dyn Catalog,
    (name, owner): (&str, &str),
    now: Timestamp,
    term: Span,
) -> Result<bool, Failure> {
    let expires_at = term.after(now);
    let fresh = Lease {
        name: name.to_owned(),
        owner: Some(owner.to_owned()),
        fencing: 1,
        expires_at,
    };
    let mut stored: Stored<Lease> = match records::read(catalog, &lease_key(name)).await? {
        Some(stored) => stored,
        None => match records::insert(catalog, &fresh).await? {
            None => return Ok(true),
            Some(existing) => existing,
        },
    };
    if stored.value.is_held_by_another(owner, now) {
        return Ok(false);
    }
    if stored.value.owner.as_deref() != Some(owner) {
        stored.value.fencing += 1;
    }
    stored.value.owner = Some(owner.to_owned());
    stored.value.expires_at = expires_at;
    match records::update(catalog, &mut stored).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.kind == FailureKind::Conflict => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Renews a lease from `now` for `term`. False when `owner` does not hold it any more, even where it is free again: what
/// it guards may have been taken over, and given back, by another.
pub async fn keep(
    catalog: &dyn Catalog,
    (name, owner): (&str, &str),
    now: Timestamp,
    term: Span,
) -> Result<bool, Failure> {
    let holds = |lease: &Lease| lease.owner.as_deref() == Some(owner);
    let renew = |lease: &mut Lease| {
        let holds = holds(lease);
        if holds {
            lease.expires_at = term.after(now);
        }
        holds
    };
    match records::amend(catalog, &lease_key(name), renew).await {
        Ok(lease) => Ok(holds(&lease)),
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Whether somebody other than `owner` holds the lease now.
pub async fn is_taken(catalog: &dyn Catalog, (name, owner): (&str, &str), now: Timestamp) -> Result<bool, Failure> {
    let lease = records::read::<Lease>(catalog, &lease_key(name)).await?;
    Ok(lease.is_some_and(|lease| lease.value.is_held_by_another(owner, now)))
}

/// Gives a lease back if `owner` still holds it.
pub async fn release(catalog: &dyn Catalog, name: &str, owner: &str) -> Result<(), Failure> {
    if records::read::<Lease>(catalog, &lease_key(name)).await?.is_none() {
        return Ok(());
    }
    let give_back = |lease: &mut Lease| lease.owner.as_deref() == Some(owner) && lease.owner.take().is_some();
    records::amend(catalog, &lease_key(name), give_back).await.map(|_| ())
}

fn slot_names(job: &Job) -> Vec<String> {
    match job.origin.policy() {
        Some(_) if is_log(job) => Vec::new(),
        Some((policy, _)) => (0..job.max_parallel)
            .map(|slot| format!("policy/{policy}/slot-{slot}"))
            .collect(),
        None => Vec::new(),
    }
}

fn is_log(job: &Job) -> bool {
    matches!(
        &job.order,
        Order::Backup {
            kind: BackupKind::Log,
            ..
        }
    )
}

fn resource_name(job: &Job) -> Option<String> {
    match &job.order {
        // A base backup may take hours, and the log must not wait for it.
        Order::Backup { resource, .. } if is_log(job) => Some(format!("log/{resource}")),
        Order::Backup { resource, .. } => Some(format!("resource/{resource}")),
        _ => None,
    }
}

/// Whether a job may run now, or what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It holds all that it needs.
    Admitted,
    /// Another job works on its resource.
    ResourceTaken(String),
    /// Its policy has as many jobs at work as it may.
    SlotsFull(String),
}

/// Takes or renews what a job needs before it may run: one of its policy's slots, and its resource, so that a resource has
/// one backup job at a time. A job that waits for its resource leaves the slot to others.
pub async fn acquire_for(world: &World, job: &Job) -> Result<Admission, Failure> {
    let owner = job.id.as_str();
    let slots = slot_names(job);
    if !slots.is_empty() && !acquire_one(world, &slots, owner).await? {
        return Ok(Admission::SlotsFull(format!(
            "{} jobs of the policy run already",
            slots.len()
        )));
    }
    if let Some(name) = resource_name(job)
        && !acquire(world, &name, owner).await?
        && !(give_back_if_over(world, &name).await? && acquire(world, &name, owner).await?)
    {
        for slot in &slots {
            release(world.catalog.as_ref(), slot, owner).await?;
        }
        return Ok(Admission::ResourceTaken(format!("another backup job works on {name}")));
    }
    Ok(Admission::Admitted)
}

/// Keeps the lease that the owner has of these, or else takes the first that is free.
async fn acquire_one(world: &World, names: &[String], owner: &str) -> Result<bool, Failure> {
    let (now, term) = (world.now(), world.settings.lease);
    let mut free = Vec::new();
    for name in names {
        let lease = records::read::<Lease>(world.catalog.as_ref(), &lease_key(name)).await?;
        match lease.map(|lease| lease.value) {
            Some(lease) if lease.lasts(owner, now, term) => return Ok(true),
            Some(lease) if lease.owner.as_deref() == Some(owner) => free.insert(0, name),
            Some(lease) if lease.is_held_by_another(owner, now) && !give_back_if_over(world, name).await? => {}
            Some(_) | None => free.push(name),
        }
    }
    for name in free {
        if take(world.catalog.as_ref(), (name, owner), now, term).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives back what a job holds that is over; false when its holder may be at work. An execution that looked at a job just as
/// another one ended it takes the job's leases anew, and may die before it gives them back: nobody looks at that job again.
async fn give_back_if_over(world: &World, name: &str) -> Result<bool, Failure> {
    let catalog = world.catalog.as_ref();
    let lease = records::read::<Lease>(catalog, &lease_key(name)).await?;
    let Some(holder) = lease.and_then(|lease| lease.value.owner) else {
        return Ok(true);
    };
    let id = JobId::try_from(holder.clone()).map_err(|error| {
        let message = format!("the lease on {name} is held by {holder:?}, which is no job");
        Failure::caused(FailureKind::Bug, message, error)
    })?;
    let job = records::read::<Job>(catalog, &records::job_key(&id)).await?;
    if !job.is_some_and(|job| job.value.state.is_final()) {
        return Ok(false);
    }
    release(catalog, name, &holder).await?;
    Ok(true)
}

/// Gives back all that a job may hold.
pub async fn release_for(world: &World, job: &Job) -> Result<(), Failure> {
    for name in resource_name(job).into_iter().chain(slot_names(job)) {
        release(world.catalog.as_ref(), &name, job.id.as_str()).await?;
    }
    Ok(())
}
