//! Typed records over the catalog: where each lives, when it wakes, and how it is written and read.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::{
    AuthorityRecord, Failure, FailureKind, Job, JobId, JobKind, LeftOut, Occurrence, OccurrenceKey, OccurrenceState,
    PlanId, Point, PointRef, Policy, PolicyId, RecoveryPlan, Resource, ResourceId, Run, RunId, RunState, VaultName,
    Watch, Window, WorkloadName,
};
use crate::ports::{Catalog, Draft, Entry, Inserted, Key, Wake};

/// Something that is stored as one record.
pub trait Record: Serialize + DeserializeOwned + Send + Sync {
    /// The word for this kind of record.
    const KIND: &'static str;
    /// The version of its stored form.
    const FORMAT: u32 = 1;
    /// Where it lives.
    fn key(&self) -> Key;
    /// When it must be looked at again.
    fn wake(&self) -> Option<Wake>;
}

/// A record together with the version it was read at.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// The version that the next write must find.
    pub version: u64,
}

fn draft<T: Record>(value: &T) -> Result<Draft, Failure> {
    let record = serde_json::to_value(value).map_err(|error| Failure::unreadable(T::KIND, error))?;
    let body = json!({ "kind": T::KIND, "format": T::FORMAT, "record": record });
    Ok(Draft {
        key: value.key(),
        body,
        wake: value.wake(),
    })
}

/// Reads an entry as a `T`; another kind or format is an error that names the record.
pub fn decode<T: Record>(mut entry: Entry) -> Result<Stored<T>, Failure> {
    let name = format!("{} record {} {}", T::KIND, entry.key.partition, entry.key.sort);
    let found = (
        entry.body["kind"].as_str().unwrap_or("none"),
        entry.body["format"].as_u64().unwrap_or(0),
    );
    if found != (T::KIND, u64::from(T::FORMAT)) {
        let message = format!(
            "{name}: found kind {} format {}, this version reads kind {} format {}; run the version that wrote it, or a newer one",
            found.0,
            found.1,
            T::KIND,
            T::FORMAT
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let record = std::mem::replace(&mut entry.body["record"], Value::Null);
    let value = serde_json::from_value(record).map_err(|error| Failure::unreadable(&name, error))?;
    Ok(Stored {
        value,
        version: entry.version,
    })
}

/// Reads the record at `key`.
pub async fn read<T: Record>(catalog: &dyn Catalog, key: &Key) -> Result<Option<Stored<T>>, Failure> {
    catalog.get(key).await?.map(decode).transpose()
}

/// Reads the record at `key`, which must be there.
pub async fn require<T: Record>(catalog: &dyn Catalog, key: &Key) -> Result<Stored<T>, Failure> {
    let missing = || {
        Failure::new(
            FailureKind::NotFound,
            format!("there is no {} at {} {}", T::KIND, key.partition, key.sort),
        )
    };
    read(catalog, key).await?.ok_or_else(missing)
}

/// Writes a record that must not exist yet; gives back the one that does.
pub async fn insert<T: Record>(catalog: &dyn Catalog, value: &T) -> Result<Option<Stored<T>>, Failure> {
    match catalog.insert(draft(value)?).await? {
        Inserted::Created => Ok(None),
        Inserted::Exists(entry) => decode(entry).map(Some),
    }
}

/// Writes a record back, provided that nobody wrote it since it was read.
pub async fn update<T: Record>(catalog: &dyn Catalog, stored: &mut Stored<T>) -> Result<(), Failure> {
    catalog.replace(draft(&stored.value)?, stored.version).await?;
    stored.version += 1;
    Ok(())
}

/// How often a change is decided anew when others write the same record.
const AMEND_TRIES: usize = 16;

/// Reads, changes and writes a record until no other writer comes between. `change` says whether there is anything to write.
pub async fn amend<T: Record>(
    catalog: &dyn Catalog,
    key: &Key,
    mut change: impl FnMut(&mut T) -> bool + Send,
) -> Result<T, Failure> {
    for _ in 0..AMEND_TRIES {
        let mut stored: Stored<T> = require(catalog, key).await?;
        if !change(&mut stored.value) {
            return Ok(stored.value);
        }
        match update(catalog, &mut stored).await {
            Ok(()) => return Ok(stored.value),
            Err(failure) if failure.kind == FailureKind::Conflict => {}
            Err(failure) => return Err(failure),
        }
    }
    let message = format!(
        "{} {} was changed by others {AMEND_TRIES} times in a row",
        key.partition, key.sort
    );
    Err(Failure::new(FailureKind::Transient, message))
}

/// A time as text whose byte order is the order of time.
pub fn sortable(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

fn key(partition: String, sort: impl Into<String>) -> Key {
    Key {
        partition,
        sort: sort.into(),
    }
}

/// Where a job lives.
pub fn job_key(id: &JobId) -> Key {
    key(format!("JOB#{id}"), "JOB")
}

/// Where an engine's receipt of a job lives.
pub fn receipt_key(id: &JobId) -> Key {
    key(format!("JOB#{id}"), "RECEIPT")
}

/// Where a recovery point lives.
pub fn point_key(point: &PointRef) -> Key {
    key(
        format!("RES#{}", point.resource),
        format!("POINT#{}#{}", sortable(point.taken_at), point.id),
    )
}

/// Where a resource lives.
pub fn resource_key(id: &ResourceId) -> Key {
    key(format!("RES#{id}"), "RESOURCE")
}

/// Where a version of a policy lives.
pub fn policy_key(id: &PolicyId, version: u32) -> Key {
    key(format!("POLICY#{id}"), format!("v#{version:06}"))
}

/// The partition of all occurrences of one rule for one resource.
pub fn occurrence_partition(policy: &PolicyId, rule: &str, resource: &ResourceId) -> String {
    format!("OCC#{policy}#{rule}#{resource}")
}

/// Where an occurrence lives.
pub fn occurrence_key(occurrence: &OccurrenceKey) -> Key {
    let partition = occurrence_partition(&occurrence.policy, occurrence.rule.as_str(), &occurrence.resource);
    key(partition, sortable(occurrence.due_at))
}

/// Where a recovery plan lives.
pub fn plan_key(id: &PlanId) -> Key {
    key(format!("PLAN#{id}"), "PLAN")
}

/// Where the authority over a workload lives.
pub fn authority_key(workload: &WorkloadName) -> Key {
    key(format!("AUTHORITY#{workload}"), "AUTHORITY")
}

impl Record for AuthorityRecord {
    const KIND: &'static str = "authority";
    fn key(&self) -> Key {
        authority_key(&self.workload)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// Where what observers have seen of a workload lives.
pub fn watch_key(workload: &WorkloadName) -> Key {
    key(format!("WATCH#{workload}"), "WATCH")
}

impl Record for Watch {
    const KIND: &'static str = "watch";
    fn key(&self) -> Key {
        watch_key(&self.workload)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// Where a run lives.
pub fn run_key(id: &RunId) -> Key {
    key(format!("RUN#{id}"), "RUN")
}

/// The word under which runs are found that have ended, by the time that they did.
pub const ENDED_RUN: &str = "run.ended";

/// The word under which open jobs of a kind wake.
pub fn job_status(kind: JobKind) -> String {
    format!("job.{}", kind.as_str())
}

/// The word under which jobs of a kind wake that gave up and are looked at once more.
pub fn gave_up_status(kind: JobKind) -> String {
    format!("job.{}.gave-up", kind.as_str())
}

fn wake(status: impl Into<String>, at: Timestamp) -> Option<Wake> {
    Some(Wake {
        status: status.into(),
        at,
    })
}

impl Record for Job {
    const KIND: &'static str = "job";
    fn key(&self) -> Key {
        job_key(&self.id)
    }
    fn wake(&self) -> Option<Wake> {
        let kind = self.order.kind();
        if self.state.is_final() {
            return wake(gave_up_status(kind), self.look_back_at?);
        }
        wake(job_status(kind), self.next_action_at)
    }
}

impl Record for Point {
    const KIND: &'static str = "point";
    fn key(&self) -> Key {
        point_key(&self.reference())
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// Where the window of a server in a vault lives.
pub fn window_key(resource: &ResourceId, vault: &VaultName) -> Key {
    key(format!("RES#{resource}"), format!("WINDOW#{vault}"))
}

impl Record for Window {
    const KIND: &'static str = "window";
    fn key(&self) -> Key {
        window_key(&self.resource, &self.vault)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

impl Record for Resource {
    const KIND: &'static str = "resource";
    fn key(&self) -> Key {
        resource_key(&self.id)
    }
    fn wake(&self) -> Option<Wake> {
        wake("resource", self.registered_at)
    }
}

impl Record for Policy {
    const KIND: &'static str = "policy";
    fn key(&self) -> Key {
        policy_key(&self.id, self.version)
    }
    fn wake(&self) -> Option<Wake> {
        if self.active {
            wake("policy", self.applied_at)
        } else {
            None
        }
    }
}

impl Record for Occurrence {
    const KIND: &'static str = "occurrence";
    fn key(&self) -> Key {
        occurrence_key(&self.key)
    }
    fn wake(&self) -> Option<Wake> {
        if self.state == OccurrenceState::Expected {
            wake("occurrence.expected", self.key.due_at)
        } else {
            None
        }
    }
}

/// The word under which plans stand that do something by themselves: a failover that observers declare, or drills that are due.
pub const AUTOMATIC_PLAN: &str = "plan.automatic";

impl Record for RecoveryPlan {
    const KIND: &'static str = "plan";
    fn key(&self) -> Key {
        plan_key(&self.id)
    }
    fn wake(&self) -> Option<Wake> {
        let is_automatic = self.moves.as_ref().is_some_and(|moves| moves.automatic.is_some());
        if !is_automatic && self.drills.schedule.is_none() {
            return None;
        }
        wake(AUTOMATIC_PLAN, Timestamp::UNIX_EPOCH)
    }
}

/// How far the drills of a plan have been asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillProgress {
    /// The plan.
    pub plan: PlanId,
    /// Every drill that was due by then was asked for, or another stands for it.
    pub settled_until: Timestamp,
}

/// Where the progress of a plan's drills lives.
pub fn drill_progress_key(plan: &PlanId) -> Key {
    key(format!("PLAN#{plan}"), "DRILLS")
}

impl Record for DrillProgress {
    const KIND: &'static str = "drill progress";
    fn key(&self) -> Key {
        drill_progress_key(&self.plan)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// The word under which runs wake that go on by themselves.
pub const OPEN_RUN: &str = "run";
/// The word under which runs stand that wait for a person.
pub const HELD_RUN: &str = "run.held";

impl Record for Run {
    const KIND: &'static str = "run";
    fn key(&self) -> Key {
        run_key(&self.id)
    }
    fn wake(&self) -> Option<Wake> {
        match self.state {
            RunState::Running | RunState::Undoing | RunState::Cleaning => wake(OPEN_RUN, self.next_action_at),
            RunState::Paused | RunState::Stuck => wake(HELD_RUN, self.next_action_at),
            RunState::Succeeded | RunState::Failed => wake(ENDED_RUN, self.finished_at?),
        }
    }
}

/// The word under which what failovers left out wakes, until it is done.
pub const LEFT_OUT: &str = "run.left-out";

/// Where what a failover left out lives.
pub fn left_out_key(id: &RunId) -> Key {
    key(format!("RUN#{id}"), "LEFT-OUT")
}

impl Record for LeftOut {
    const KIND: &'static str = "left out";
    fn key(&self) -> Key {
        left_out_key(&self.run)
    }
    fn wake(&self) -> Option<Wake> {
        self.steps.first()?;
        wake(LEFT_OUT, self.next_action_at)
    }
}

/// Whether somebody has been told of a matter, so that one matter is one alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Names the matter.
    pub matter: String,
    /// Since when it stands; none while all is well.
    pub raised_at: Option<Timestamp>,
}

/// The word under which alarms about something stand, for as long as they do.
pub fn alarm_status(about: &str) -> String {
    format!("alarm.{about}")
}

/// Where an alarm lives.
pub fn alarm_key(matter: &str) -> Key {
    key(format!("ALARM#{matter}"), "ALARM")
}

impl Record for Alarm {
    const KIND: &'static str = "alarm";
    fn key(&self) -> Key {
        alarm_key(&self.matter)
    }
    fn wake(&self) -> Option<Wake> {
        let (about, _) = self.matter.split_once('/')?;
        wake(alarm_status(about), self.raised_at?)
    }
}

/// Which configuration is in force, so that who read it once need not read it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationState {
    /// Grows when a configuration begins to be applied, and again when it stands.
    pub generation: u64,
    /// Whether one is being applied; it stays so where that was stopped half-way.
    pub is_being_applied: bool,
    /// When the generation grew last.
    pub changed_at: Timestamp,
}

/// Where the state of the configuration lives.
pub fn configuration_key() -> Key {
    key("CONFIGURATION".to_owned(), "STATE")
}

impl Record for ConfigurationState {
    const KIND: &'static str = "configuration state";
    fn key(&self) -> Key {
        configuration_key()
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// How far the schedule has been worked off, so that a look at it asks only for what became due since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleProgress {
    /// Every occurrence that was due by then is on record.
    pub recorded_until: Timestamp,
}

/// Where the progress of the schedule lives.
pub fn schedule_progress_key() -> Key {
    key("SCHEDULE".to_owned(), "PROGRESS")
}

impl Record for ScheduleProgress {
    const KIND: &'static str = "schedule progress";
    fn key(&self) -> Key {
        schedule_progress_key()
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}
