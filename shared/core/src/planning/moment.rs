//! From which base backup a server is restored to a moment.

use jiff::Timestamp;

use super::choose_restore_source;
use crate::domain::{Copy, Moment, Point, PointId, Stretch, VaultName, Window};

/// Where the recovery of a server begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryStart<'a> {
    /// The base backup.
    pub point: &'a Point,
    /// The copy of it beside which the log stands.
    pub copy: &'a Copy,
    /// What can be restored from that vault.
    pub window: &'a Window,
    /// The stretch of it that holds the moment.
    pub stretch: &'a Stretch,
    /// Until when that can be restored.
    pub until: Timestamp,
    /// Why this base backup, for people.
    pub reason: String,
}

/// A moment that a server cannot be restored to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum MomentRefusal {
    /// No log leads on from a base backup there.
    #[error(
        "no log is known that leads on from a base backup{place}: a rule of kind \"log\" pulls it, and `holdfast points` shows \
         from when on"
    )]
    NoLog { place: String },
    /// Nothing leads there.
    #[error("it cannot be restored to {to}; what can be restored: {restorable}")]
    Outside { to: Moment, restorable: String },
    /// The log is there and what it leads on from is not.
    #[error("it cannot be restored to {to}: {why}; what can be restored otherwise: {restorable}")]
    NoBase {
        to: Moment,
        why: String,
        restorable: String,
    },
}

/// The newest base backup that was consistent before the moment, can be read, and from which log leads there without a gap; or
/// the one that is asked for, if it is such. Where several timelines hold the moment it is the newest one that counts, and where
/// several vaults do that with the newest log whose base backup can be read.
pub fn choose_recovery_start<'a>(
    windows: &'a [Window],
    points: &'a [Point],
    to: Moment,
    vault: Option<&VaultName>,
    base: Option<&PointId>,
) -> Result<RecoveryStart<'a>, MomentRefusal> {
    let asked = |window: &&Window| vault.is_none_or(|vault| &window.vault == vault);
    let mut windows: Vec<&Window> = windows.iter().filter(asked).collect();
    // Log reaches the vaults of copies later.
    windows.sort_by_key(|window| std::cmp::Reverse(window.state.covered_at));
    if windows.iter().all(|window| window.state.stretches.is_empty()) {
        let place = vault.map_or_else(String::new, |vault| format!(" in vault {vault}"));
        return Err(MomentRefusal::NoLog { place });
    }
    let holding = windows.iter().filter_map(|window| Some((*window, newest(window, to)?)));
    let mut refused: Vec<String> = Vec::new();
    for (window, stretch) in holding {
        match base_of((window, stretch), points, to, base) {
            Ok(mut start) => {
                start.reason.extend(refused.iter().map(|why| passed_over(why)));
                return Ok(start);
            }
            Err(why) => refused.push(why),
        }
    }
    let restorable = windows.iter().map(|window| told(window)).collect::<Vec<_>>().join("; ");
    if refused.is_empty() {
        return Err(MomentRefusal::Outside { to, restorable });
    }
    let why = refused.join("; ");
    Err(MomentRefusal::NoBase { to, why, restorable })
}

/// Until when a stretch can be restored. Where the newest one leads on, nothing was committed between its last commit and the
/// last look at the server.
fn until(window: &Window, stretch: &Stretch) -> Timestamp {
    let is_newest = window
        .state
        .stretches
        .iter()
        .all(|other| order(other) <= order(stretch));
    let covered_at = window.state.covered_at.filter(|_| is_newest);
    covered_at.map_or(stretch.latest_at, |at| at.max(stretch.latest_at))
}

fn order(stretch: &Stretch) -> (u32, Timestamp) {
    (stretch.timeline, stretch.latest_at)
}

/// The stretch of the newest timeline that holds a moment.
fn newest(window: &Window, to: Moment) -> Option<&Stretch> {
    let holds = |stretch: &&Stretch| match to {
        Moment::Latest => true,
        Moment::At(time) => stretch.earliest_at <= time && time <= until(window, stretch),
    };
    window
        .state
        .stretches
        .iter()
        .filter(holds)
        .max_by_key(|stretch| order(stretch))
}

/// The base backup of a stretch to begin from, or what speaks against those that lead there.
fn base_of<'a>(
    (window, stretch): (&'a Window, &'a Stretch),
    points: &'a [Point],
    to: Moment,
    wanted: Option<&PointId>,
) -> Result<RecoveryStart<'a>, String> {
    let (vault, mut refused) = (&window.vault, Vec::new());
    for (place, artefact) in stretch.bases.iter().enumerate().rev() {
        let holds = |point: &&Point| point.copy_in(vault).is_some_and(|copy| &copy.artefact == artefact);
        let Some(point) = points.iter().find(holds) else {
            continue;
        };
        // Of the first it is known when it was consistent; each of the others was by the time that it was recorded.
        let consistent_at = if place == 0 {
            stretch.earliest_at
        } else {
            point.created_at
        };
        let is_before = match to {
            Moment::Latest => true,
            Moment::At(time) => consistent_at <= time,
        };
        if !is_before || wanted.is_some_and(|wanted| wanted != &point.id) {
            continue;
        }
        match choose_restore_source(point, Some(vault)) {
            Ok((copy, _)) => {
                return Ok(RecoveryStart {
                    point,
                    copy,
                    window,
                    stretch,
                    until: until(window, stretch),
                    reason: reason(window, stretch, wanted.is_some(), &refused),
                });
            }
            Err(refusal) => refused.push(refusal.to_string()),
        }
    }
    if refused.is_empty() {
        refused.push(match wanted {
            Some(id) => format!("recovery point {id} is no base backup in vault {vault} that leads there"),
            None => format!("no base backup in vault {vault} that was consistent before then is recorded"),
        });
    }
    Err(refused.join("; "))
}

fn reason(window: &Window, stretch: &Stretch, is_wanted: bool, refused: &[String]) -> String {
    let which = if is_wanted {
        "the one that was asked for"
    } else {
        "the newest"
    };
    let passed_over: String = refused.iter().map(|why| passed_over(why)).collect();
    format!(
        "{which} in vault {} that was consistent before then, with log that leads there on timeline {}{passed_over}",
        window.vault, stretch.timeline
    )
}

fn passed_over(why: &str) -> String {
    format!("; passed over: {why}")
}

/// What can be restored from a vault, for people.
pub fn told(window: &Window) -> String {
    let stretch = |stretch: &Stretch| {
        let (from, until) = (stretch.earliest_at, until(window, stretch));
        format!("any moment from {from} until {until} on timeline {}", stretch.timeline)
    };
    let stretches = window.state.stretches.iter().map(stretch);
    let gaps = window.state.gaps.iter().map(|gap| format!("log is missing {gap}"));
    let parts: Vec<String> = stretches.chain(gaps).collect();
    format!("in vault {}: {}", window.vault, parts.join(", "))
}
