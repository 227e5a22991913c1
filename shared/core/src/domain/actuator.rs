//! What a recovery plan can change in the world outside: servers, traffic, services.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ActuatorName, Authority, Failure, FailureKind, Region, Run, RunId, RunKind, StepName, WorkloadName};

/// What kind of thing an actuator works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActuatorKind {
    /// A PostgreSQL server with a guard beside it, which starts, stops, promotes and rejoins it.
    Postgres,
    /// A name in a DNS zone that takes signed dynamic updates (RFC 2136, RFC 8945).
    Dns,
    /// A command on this machine, such as a start of a service.
    Command,
    /// An object whose presence turns a Route 53 health check over, in a bucket of the recovery Region.
    Route53Marker,
    /// A routing control of Amazon Application Recovery Controller.
    ArcRoutingControl,
    /// An Aurora global database.
    AuroraGlobal,
    /// A read replica of an RDS instance.
    RdsReplica,
    /// The desired count of an ECS service.
    EcsService,
    /// The reserved concurrency of a Lambda function, or a call of it.
    LambdaFunction,
    /// The desired capacity of an Auto Scaling group.
    AutoScalingGroup,
}

impl ActuatorKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Postgres,
        Self::Dns,
        Self::Command,
        Self::Route53Marker,
        Self::ArcRoutingControl,
        Self::AuroraGlobal,
        Self::RdsReplica,
        Self::EcsService,
        Self::LambdaFunction,
        Self::AutoScalingGroup,
    ];

    /// The word for this kind in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Dns => "dns",
            Self::Command => "command",
            Self::Route53Marker => "route53-marker",
            Self::ArcRoutingControl => "arc-routing-control",
            Self::AuroraGlobal => "aurora-global",
            Self::RdsReplica => "rds-replica",
            Self::EcsService => "ecs-service",
            Self::LambdaFunction => "lambda-function",
            Self::AutoScalingGroup => "auto-scaling-group",
        }
    }
}

/// What an adapter reads of an actuator's [`Settings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownSettings {
    /// Those without which it cannot find the thing.
    pub required: &'static [&'static str],
    /// Those that some acts need, or that have a value of their own.
    pub optional: &'static [&'static str],
}

impl KnownSettings {
    /// All of them.
    pub fn all(self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.optional).copied()
    }
}

impl ActuatorKind {
    /// The settings of this kind; what they mean is said in `docs/guard.md` and, for AWS, in `docs/deploy.md`.
    pub fn settings(self) -> KnownSettings {
        let (required, optional): (&[&str], &[&str]) = match self {
            Self::Postgres => (&["guard", "token_file"], &["server", "peers", "lease_seconds"]),
            Self::Dns => (
                &["server", "zone", "name", "address", "key_name", "key_file"],
                &["other_address", "ttl_seconds"],
            ),
            Self::Command => (&["program"], &["arguments", "check", "timeout_seconds"]),
            Self::Route53Marker => (&["bucket", "key"], &[]),
            Self::ArcRoutingControl => (&["routing-control", "endpoints"], &["other-routing-control"]),
            Self::AuroraGlobal => (&["global-cluster", "cluster-arn"], &[]),
            Self::RdsReplica => (&["instance"], &[]),
            Self::EcsService => (&["cluster", "service"], &["count"]),
            Self::LambdaFunction => (&["function"], &["concurrency"]),
            Self::AutoScalingGroup => (&["group"], &["capacity"]),
        };
        KnownSettings { required, optional }
    }
}

/// What an actuator can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// Ends writes through it, for good: until an [`Act::Unfence`] or [`Act::Follow`] under a later generation.
    Fence,
    /// Lets writes through again.
    Unfence,
    /// Makes it the one that is written to.
    Promote {
        /// Whether it may go on without what it has not received. A switchover never may.
        allow_loss: bool,
    },
    /// Makes it follow the one that is written to: rewound where their histories parted, or seeded anew.
    Follow {
        /// The actuator that is written to.
        leader: ActuatorName,
    },
    /// Starts the service, or brings it to its capacity.
    Start,
    /// Stops the service.
    Stop,
    /// Leads this share of traffic to the actuator's Region.
    Direct {
        /// Percent, 0 to 100.
        share: u8,
    },
    /// Calls it.
    Invoke {
        /// What it is given.
        payload: String,
    },
}

impl Act {
    /// The word for this act in configuration and reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Unfence => "unfence",
            Self::Promote { .. } => "promote",
            Self::Follow { .. } => "follow",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Direct { .. } => "direct",
            Self::Invoke { .. } => "invoke",
        }
    }
}

/// What an adapter needs to find a thing, by name. Names of things and of secrets' places only, no secret.
pub type Settings = BTreeMap<String, String>;

/// Something that a recovery plan can change, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actuator {
    /// Its name.
    pub name: ActuatorName,
    /// What it works on.
    pub kind: ActuatorKind,
    /// The Region in which it stands.
    pub region: Region,
    /// The workload whose authority guards it.
    pub workload: WorkloadName,
    /// Where it is in production.
    pub production: Settings,
    /// What stands for it in a drill; none where a drill leaves its steps out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Settings>,
}

/// By what right something is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Right {
    /// The thing is the drill's own.
    Drill,
    /// The run has authority over the workload.
    Authority(Authority),
}

/// An actuator in the hand of a run. A drill can only be given what stands for it; production needs an [`Authority`],
/// which is given to no drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    actuator: Actuator,
    run: RunId,
    right: Right,
}

impl Bound {
    /// What stands for the actuator in a drill.
    pub fn for_drill(actuator: &Actuator, run: &Run) -> Result<Self, Failure> {
        if run.kind != RunKind::Drill {
            let message = format!(
                "run {} is no drill: it may not be given what stands for {}",
                run.id, actuator.name
            );
            return Err(Failure::new(FailureKind::Bug, message));
        }
        if actuator.drill.is_none() {
            let message = format!(
                "actuator {} has nothing that stands for it in a drill: add [actuator.drill]",
                actuator.name
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        Ok(Self {
            actuator: actuator.clone(),
            run: run.id.clone(),
            right: Right::Drill,
        })
    }

    /// The actuator itself, under this authority over its workload.
    pub fn for_production(actuator: &Actuator, authority: &Authority) -> Result<Self, Failure> {
        if authority.workload() != &actuator.workload {
            let message = format!(
                "authority over {} is none over {}, to which actuator {} belongs",
                authority.workload(),
                actuator.workload,
                actuator.name
            );
            return Err(Failure::new(FailureKind::Bug, message));
        }
        Ok(Self {
            actuator: actuator.clone(),
            run: authority.run().clone(),
            right: Right::Authority(authority.clone()),
        })
    }

    /// Its name.
    pub fn name(&self) -> &ActuatorName {
        &self.actuator.name
    }

    /// What it works on.
    pub fn kind(&self) -> ActuatorKind {
        self.actuator.kind
    }

    /// The Region in which it stands.
    pub fn region(&self) -> &Region {
        &self.actuator.region
    }

    /// The workload whose authority guards it.
    pub fn workload(&self) -> &WorkloadName {
        &self.actuator.workload
    }

    /// The run in whose hand it is.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Where the thing is that this run may change.
    pub fn settings(&self) -> &Settings {
        match (&self.right, &self.actuator.drill) {
            (Right::Drill, Some(stand_in)) => stand_in,
            (Right::Drill, None) | (Right::Authority(_), _) => &self.actuator.production,
        }
    }

    /// The generation under which the change is made; every change that a stale executor could make is conditional on it.
    /// None in a drill, whose things nobody else has.
    pub fn generation(&self) -> Option<u64> {
        match &self.right {
            Right::Drill => None,
            Right::Authority(authority) => Some(authority.generation()),
        }
    }
}

/// An act, on whom, and for which step. The same order given twice is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActOrder {
    /// The step that asks.
    pub step: StepName,
    /// What to do.
    pub act: Act,
    /// On whom, and by what right.
    pub on: Bound,
    /// Those that the act names besides, bound by the same right: the leader of an [`Act::Follow`].
    pub others: Vec<Bound>,
}

/// What a server gave up of its own history to follow another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// How many transactions were committed on it only.
    pub transactions: u64,
    /// The position in its log at which the histories part.
    pub from: String,
    /// The last position beyond.
    pub to: String,
    /// The file on its host that lists them.
    pub records: String,
}

/// What is seen of an act.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Seen {
    /// No trace of it.
    NotDone,
    /// It is being done.
    Working {
        /// How far it is, for people.
        note: String,
    },
    /// It stands.
    Done {
        /// What came of it, for people.
        note: String,
        /// Replication lag that was accepted, in seconds: data that a promotion left behind, as the service itself tells.
        lag_seconds: Option<f64>,
        /// What a server that follows now had to give up, where it did.
        divergence: Option<Divergence>,
    },
}
