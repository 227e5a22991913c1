//! What a pull of a server's log came to: the window that it moved on, and what people must know of it.

use holdfast_core::domain::{
    BackupKind, Failure, Job, JobId, LogState, Order, Origin, Patterns, Resource, ResourceId, SlotState, VaultName,
    Window,
};
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::records::{self, Alarm};
use holdfast_core::workflow::{World, inventory, jobs};

/// A slot without a limit that keeps more than this is told of: pulls move it on each time.
const MOST_KEPT_BYTES: u64 = 16 << 30;

/// Records the window, and asks for a base backup at once where the log leads on from none. Doing it again changes nothing.
pub async fn record(
    world: &World,
    job: &Job,
    (resource, vault): (&ResourceId, &VaultName),
    state: &LogState,
) -> Result<(), Failure> {
    let window = Window {
        resource: resource.clone(),
        vault: vault.clone(),
        observed_at: job.started_at.unwrap_or(job.created_at),
        state: state.clone(),
    };
    inventory::advance_window(world, &window).await?;
    if state.is_broken() {
        begin_anew(world, job, state).await?;
    }
    let chain = Matter {
        name: format!("log/{resource}/{vault}"),
        severity: Severity::Critical,
        subject: format!("the log of {resource} in vault {vault} is broken"),
        text: format!(
            "log is missing {}; moments after it can be restored once the base backup that was asked for stands",
            state.gaps.last().map_or("from the last base backup on", String::as_str)
        ),
        well_again: format!("the log of {resource} in vault {vault} leads on from a base backup again"),
    };
    chain.set(world, state.is_broken()).await?;
    let slot = Matter {
        name: format!("slot/{resource}"),
        severity: Severity::Warning,
        subject: format!("{resource} keeps much log for its replication slot"),
        text: state.slot.as_ref().map_or_else(String::new, |slot| {
            let kept = slot.kept_bytes >> 20;
            let safe = slot.safe_bytes.map_or_else(
                || "max_slot_wal_keep_size sets no limit, so the server's disk may fill up".to_owned(),
                |safe| {
                    format!(
                        "after {} MiB more the server drops what the slot needs",
                        safe.max(0) >> 20
                    )
                },
            );
            format!("it kept {kept} MiB when the log was pulled; {safe}; pull the log more often")
        }),
        well_again: format!("{resource} keeps little log for its replication slot again"),
    };
    slot.set(world, state.slot.as_ref().is_some_and(is_much)).await
}

/// Whether a slot may cost the chain or the disk before long: less room is left than is taken.
fn is_much(slot: &SlotState) -> bool {
    match slot.safe_bytes {
        Some(safe) => u64::try_from(safe).unwrap_or_default() < slot.kept_bytes,
        None => slot.kept_bytes > MOST_KEPT_BYTES,
    }
}

/// Asks for a base backup that the newest log leads on from.
async fn begin_anew(world: &World, job: &Job, state: &LogState) -> Result<(), Failure> {
    let mut order = job.order.clone();
    let Order::Backup {
        kind, resource, vault, ..
    } = &mut order
    else {
        return Ok(());
    };
    *kind = BackupKind::Full;
    let gap = state.gaps.last().map_or("", String::as_str);
    let work = ["base-after-gap", resource.as_str(), vault.as_str(), gap].map(str::to_owned);
    let work = work.each_ref().map(String::as_str);
    let reason = format!("the log of {resource} leads on from no base backup");
    jobs::request_planned(world, &work, order, reason).await.map(|_| ())
}

/// Has the log of a server pulled now, because its receiver found a gap: the pull tells of it, and asks for the base backup that
/// the log leads on from again.
pub async fn pull_after_gap(
    world: &World,
    resource: &Resource,
    vault: &VaultName,
    why: &Failure,
) -> Result<(), Failure> {
    let order = Order::Backup {
        resource: resource.id.clone(),
        path: resource.path.clone(),
        vault: vault.clone(),
        kind: BackupKind::Log,
        base: None,
        patterns: Patterns::default(),
        bandwidth_limit: None,
        server: resource.server.clone(),
    };
    let id = JobId::derive(&["pull-after-gap", resource.id.as_str(), &world.ids.fresh()]);
    let reason = format!("log that was not received yet is gone: {why}");
    let job = Job::pending(id, order, Origin::Plan { reason }, world.now());
    jobs::request(world, job).await.map(|_| ())
}

/// Something that people hear of once, and once more when it is over.
struct Matter {
    name: String,
    severity: Severity,
    subject: String,
    text: String,
    well_again: String,
}

impl Matter {
    async fn set(self, world: &World, is_raised: bool) -> Result<(), Failure> {
        let key = records::alarm_key(&self.name);
        let known = records::read::<Alarm>(world.catalog.as_ref(), &key).await?;
        let was_raised = known.as_ref().is_some_and(|known| known.value.raised_at.is_some());
        if is_raised == was_raised {
            return Ok(());
        }
        let page = Page {
            key: self.name.clone(),
            severity: if is_raised { self.severity } else { Severity::Info },
            subject: if is_raised { self.subject } else { self.well_again },
            text: self.text,
        };
        world.pager.page(&page).await?;
        let raised_at = is_raised.then(|| world.now());
        let alarm = Alarm {
            matter: self.name,
            raised_at,
        };
        match known {
            None => records::insert(world.catalog.as_ref(), &alarm).await.map(|_| ()),
            Some(_) => {
                let set = |alarm: &mut Alarm| std::mem::replace(&mut alarm.raised_at, raised_at) != raised_at;
                records::amend(world.catalog.as_ref(), &key, set).await.map(|_| ())
            }
        }
    }
}
