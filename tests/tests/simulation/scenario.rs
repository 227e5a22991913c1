//! What a seed is about: resources, policies, a recovery plan, how faulty the world is, and what happens when.

use std::collections::BTreeMap;

use holdfast_core::domain::{
    BackupKind, Check, CopyRule, Drills, FailureKind, JobKind, Objectives, Patterns, PlanId, PolicyDraft, PolicyId,
    RecoveryPlan, Region, Resource, ResourceId, ResourceKind, Retention, Rule, RuleName, RunKind, Selection, Span,
    Step, StepAction, StepName, Vault, VaultName, VerifyRule,
};
use holdfast_testkit::seeds::SeededRandom;
use jiff::Timestamp;

use crate::chaos::PostOdds;

/// The zone of all rules.
const ZONE: &str = "Europe/Berlin";

/// Mornings before something that calendars are known for: both changes of the clock, a leap day, a year's end; and a plain one.
const STARTS: [&str; 6] = [
    "2026-03-28T17:10:00Z",
    "2026-10-24T17:10:00Z",
    "2028-02-27T09:30:00Z",
    "2026-12-30T09:30:00Z",
    "2026-06-08T05:00:00Z",
    "2026-09-14T17:45:00Z",
];

/// Something that happens to the system from outside.
#[derive(Debug, Clone)]
pub enum Incident {
    /// Nothing of the system runs for a while.
    Outage(Span),
    /// About half of all calls are refused for a while.
    Throttling(Span),
    EngineCrash,
    EngineFailure(JobKind, FailureKind),
    Unreachable(VaultName, Span),
    /// A bit of some artefact flips.
    Damage,
    /// Some artefact goes missing.
    Loss,
    /// A point is put under legal hold.
    Hold,
    /// Every legal hold is lifted.
    LiftHolds,
    AskBackup(ResourceId),
    AskRestore(Wish),
    AskVerification(ResourceId),
    AskRun(RunKind),
    /// Something that is no event arrives in a queue.
    Junk,
}

/// What a restore request asks for.
#[derive(Debug, Clone, Copy)]
pub enum Wish {
    Newest,
    SomePoint,
    UnknownPoint,
    BadTarget,
}

/// All of it.
pub struct Scenario {
    pub start: Timestamp,
    /// How long things go wrong.
    pub faulty_for: Span,
    /// How late an event is at most.
    pub latest: Span,
    /// By when every byte of a point that stays has been proven once more.
    pub proven_within: Span,
    pub resources: Vec<Resource>,
    pub policies: Vec<(PolicyId, PolicyDraft)>,
    pub plan: RecoveryPlan,
    pub vaults: Vec<Vault>,
    pub durations: Vec<(JobKind, Span)>,
    pub incidents: BTreeMap<Timestamp, Incident>,
    pub temper: Temper,
}

/// How often things go wrong by themselves.
#[derive(Debug, Clone, Copy)]
pub struct Temper {
    pub post: PostOdds,
    /// An invocation meets a fault at some port call.
    pub fault: f64,
    /// An executor stands still between two calls.
    pub pause: f64,
    /// Executors' clocks are wrong by up to two minutes.
    pub skew: bool,
}

pub const HOME: &str = "home";
pub const AWAY: &str = "away";
pub const THIRD: &str = "third";

pub fn vault(name: &str) -> VaultName {
    VaultName::new(name).unwrap()
}

const FAILURES: [FailureKind; 5] = [
    FailureKind::Transient,
    FailureKind::Transient,
    FailureKind::Throttled,
    FailureKind::Deferred,
    FailureKind::Denied,
];

const KINDS: [JobKind; 8] = [
    JobKind::Backup,
    JobKind::Copy,
    JobKind::Verify,
    JobKind::Repair,
    JobKind::Restore,
    JobKind::Delete,
    JobKind::Reclaim,
    JobKind::Clean,
];

impl Scenario {
    /// The scenario of a seed. A long one goes wrong for days, a short one for half a day and a night.
    pub fn new(seed: u64, long: bool) -> Self {
        let random = &mut SeededRandom::new(seed);
        let start: Timestamp = random.pick(&STARTS).parse().unwrap();
        let hours = if long {
            40 + random.below(60)
        } else {
            10 + random.below(6)
        };
        let latest = if long { Span::days(1) } else { Span::hours(3) };
        let proven_within = if long { Span::hours(30) } else { Span::hours(12) };
        let faulty_for = Span::hours(hours as i64);
        let names = ["alpha", "beta", "gamma"];
        let count = 2 + usize::from(long && random.chance(0.5));
        let resources: Vec<Resource> = names[..count].iter().map(|name| resource(name, start)).collect();
        let policies = policies(random, start, long);
        let plan = plan(random);
        let vaults = [(HOME, "eu-central-1"), (AWAY, "eu-west-1"), (THIRD, "eu-north-1")].map(|(name, region)| Vault {
            name: vault(name),
            region: Region::new(region).unwrap(),
        });
        let durations = KINDS
            .map(|kind| (kind, Span::seconds(20 + random.below(900) as i64)))
            .to_vec();
        let temper = temper(random);
        let incidents = incidents(random, start, hours, &resources);
        Self {
            start,
            faulty_for,
            latest,
            proven_within,
            resources,
            policies,
            plan,
            vaults: vaults.to_vec(),
            durations,
            incidents,
            temper,
        }
    }
}

fn resource(name: &str, registered_at: Timestamp) -> Resource {
    Resource {
        id: ResourceId::new(name).unwrap(),
        kind: ResourceKind::Files,
        path: format!("/srv/{name}"),
        tags: BTreeMap::new(),
        heartbeat: Some("heartbeat".to_owned()),
        registered_at,
        retired_at: None,
        trial: None,
        server: None,
    }
}

fn temper(random: &mut SeededRandom) -> Temper {
    let post = *random.pick(&[
        PostOdds::default(),
        PostOdds {
            lose: 0.05,
            double: 0.1,
            delay: 0.1,
        },
        PostOdds {
            lose: 0.3,
            double: 0.3,
            delay: 0.3,
        },
        PostOdds {
            lose: 1.0,
            double: 0.0,
            delay: 0.0,
        },
    ]);
    Temper {
        post,
        fault: *random.pick(&[0.0, 0.03, 0.15, 0.4]),
        pause: *random.pick(&[0.0, 0.1, 0.4]),
        skew: random.chance(0.5),
    }
}

fn policies(random: &mut SeededRandom, since: Timestamp, long: bool) -> Vec<(PolicyId, PolicyDraft)> {
    let pool = [
        ("nightly", "30 2 * * *", BackupKind::Full),
        ("sunday", "15 2 * * 0", BackupKind::Full),
        ("steady", "15 */4 * * *", BackupKind::Incremental),
        ("shift", "45 2,8,14,20 * * *", BackupKind::Incremental),
        ("noon", "0 0,12 * * *", BackupKind::Differential),
        ("night-shift", "5 */6 * * *", BackupKind::Differential),
        ("early", "0 3 * * *", BackupKind::Incremental),
    ];
    let rules_of = |random: &mut SeededRandom, count: usize| {
        let mut rules: Vec<Rule> = Vec::new();
        while rules.len() < count {
            let (name, cron, kind) = *random.pick(&pool);
            if rules.iter().all(|known| known.name.as_str() != name) {
                rules.push(Rule {
                    name: RuleName::new(name).unwrap(),
                    cron: cron.to_owned(),
                    zone: ZONE.to_owned(),
                    kind,
                    start_within: Span::minutes(60),
                    since,
                });
            }
        }
        rules
    };
    let count = 1 + random.below(2) as usize + usize::from(long);
    let everything = draft(
        random,
        Selection {
            kinds: vec![ResourceKind::Files],
            ..Selection::default()
        },
        long,
    );
    let main = PolicyDraft {
        rules: rules_of(random, count),
        vault: vault(HOME),
        copies: copies(random, &[AWAY, THIRD]),
        ..everything
    };
    let only_beta = Selection {
        resources: vec![ResourceId::new("beta").unwrap()],
        ..Selection::default()
    };
    let only_beta = draft(random, only_beta, long);
    let (own, others) = *random.pick(&[(HOME, [AWAY, THIRD]), (THIRD, [HOME, AWAY])]);
    let extra = PolicyDraft {
        rules: rules_of(random, 1),
        vault: vault(own),
        copies: copies(random, &others[..1]),
        ..only_beta
    };
    vec![
        (PolicyId::new("main").unwrap(), main),
        (PolicyId::new("extra").unwrap(), extra),
    ]
}

fn copies(random: &mut SeededRandom, to: &[&str]) -> Vec<CopyRule> {
    let count = 1 + usize::from(to.len() > 1 && random.chance(0.3));
    let within = Span::hours(6);
    to[..count]
        .iter()
        .map(|name| CopyRule {
            vault: vault(name),
            within,
        })
        .collect()
}

fn draft(random: &mut SeededRandom, selection: Selection, long: bool) -> PolicyDraft {
    let delete_after_minutes = if long {
        60 + random.below(300)
    } else {
        20 + random.below(80)
    };
    let verify_every_hours = if long {
        20 + random.below(10)
    } else {
        9 + random.below(3)
    };
    PolicyDraft {
        description: String::new(),
        selection,
        patterns: Patterns::default(),
        rules: Vec::new(),
        vault: vault(HOME),
        copies: Vec::new(),
        retention: Retention {
            keep_last: 1 + random.below(3) as u32,
            keep_daily: random.below(3) as u32,
            keep_weekly: random.below(2) as u32,
            keep_monthly: random.below(2) as u32,
            keep_yearly: 0,
        },
        zone: ZONE.to_owned(),
        delete_after: Span::minutes(delete_after_minutes as i64),
        verify: VerifyRule {
            every: Span::hours(verify_every_hours as i64),
        },
        objectives: Some(Objectives {
            rpo: Span::hours(26),
            rto: Span::hours(4),
        }),
        max_parallel: 1 + random.below(2) as u32,
        bandwidth_limit: None,
    }
}

fn plan(random: &mut SeededRandom) -> RecoveryPlan {
    let alpha = || ResourceId::new("alpha").unwrap();
    let beta = || ResourceId::new("beta").unwrap();
    let step = |name: &str, after: &[&str], action: StepAction, timeout: Span| Step {
        name: StepName::new(name).unwrap(),
        after: after.iter().map(|name| StepName::new(*name).unwrap()).collect(),
        action,
        timeout,
        graceful: false,
    };
    let restored_by = StepName::new("restore-alpha").unwrap();
    let short = *random.pick(&[Span::minutes(2), Span::hours(3)]);
    RecoveryPlan {
        id: PlanId::new("evacuate").unwrap(),
        moves: None,
        drills: Drills::default(),
        levels: Vec::new(),
        priority: None,
        at_once: None,
        description: String::new(),
        objectives: Objectives {
            rpo: Span::hours(26),
            rto: Span::hours(4),
        },
        steps: vec![
            step(
                "fresh",
                &[],
                StepAction::Check(Check::PointAge {
                    resource: alpha(),
                    at_most: Span::days(2),
                }),
                Span::hours(1),
            ),
            step(
                "proven",
                &[],
                StepAction::Check(Check::ProvenPoint {
                    resource: alpha(),
                    vault: vault(AWAY),
                }),
                Span::hours(1),
            ),
            step(
                "restore-alpha",
                &["fresh", "proven"],
                StepAction::Restore {
                    resource: alpha(),
                    vault: vault(AWAY),
                    target: None,
                },
                short,
            ),
            step(
                "restore-beta",
                &["proven"],
                StepAction::Restore {
                    resource: beta(),
                    vault: vault(HOME),
                    target: None,
                },
                Span::hours(6),
            ),
            step("compare", &[], StepAction::Verify { restored_by }, Span::hours(1)),
            step(
                "settle",
                &["compare"],
                StepAction::Wait {
                    span: Span::minutes(10),
                },
                Span::hours(1),
            ),
            step(
                "tell",
                &["settle", "restore-beta"],
                StepAction::Notify {
                    message: "recovered".to_owned(),
                },
                Span::hours(1),
            ),
        ],
    }
}

fn incidents(
    random: &mut SeededRandom,
    start: Timestamp,
    hours: u64,
    resources: &[Resource],
) -> BTreeMap<Timestamp, Incident> {
    let mut incidents = BTreeMap::new();
    let count = 6 + random.below(hours);
    for _ in 0..count {
        let at = Span::seconds(random.below(hours * 3600) as i64).after(start);
        let resource = random.pick(resources).id.clone();
        let hour = |n: u64| Span::hours(n as i64);
        let incident = match random.below(24) {
            0 | 20 => Incident::Outage(hour(1 + random.below(hours))),
            1 | 2 => Incident::Throttling(Span::minutes(10 + random.below(50) as i64)),
            3..=5 => Incident::EngineCrash,
            6 | 7 => Incident::EngineFailure(*random.pick(&KINDS), *random.pick(&FAILURES)),
            8 => Incident::Unreachable(
                vault([HOME, AWAY, THIRD][random.below(3) as usize]),
                hour(1 + random.below(hours / 3)),
            ),
            9..=11 => Incident::Damage,
            12 => Incident::Loss,
            13 | 21 | 22 => Incident::Hold,
            14 => Incident::LiftHolds,
            15 => Incident::AskBackup(resource),
            16 => Incident::AskRestore(*random.pick(&[
                Wish::Newest,
                Wish::SomePoint,
                Wish::UnknownPoint,
                Wish::BadTarget,
            ])),
            17 => Incident::AskVerification(resource),
            18 => Incident::AskRun(RunKind::Drill),
            19 => Incident::AskRun(RunKind::Simulate),
            _ => Incident::Junk,
        };
        incidents.insert(at, incident);
    }
    incidents
}
