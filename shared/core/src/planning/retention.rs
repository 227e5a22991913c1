//! Which recovery points stay, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::{BackupKind, Copy, CopyState, Point, PointId, PointState, ResourceId, Retention};

use super::schedule::{ScheduleError, time_zone};

/// Why a point stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepReason {
    /// It is the n-th newest.
    Last(u32),
    /// It is the newest of this day.
    Daily(Date),
    /// It is the newest of this ISO week.
    Weekly {
        /// The ISO year, which is not always the calendar's.
        year: i16,
        /// The week, 1 to 53.
        week: i8,
    },
    /// It is the newest of this month.
    Monthly {
        /// The year.
        year: i16,
        /// The month, 1 to 12.
        month: i8,
    },
    /// It is the newest of this year.
    Yearly(i16),
    /// It may not be deleted, by law or by order.
    LegalHold(String),
    /// It is the newest point that every byte was proven of.
    LastVerified,
    /// It is the newest point that can be restored whole.
    NewestPoint,
    /// A point that stays was made as a difference from it.
    BaseOf(PointId),
    /// It is still being made.
    BeingMade,
    /// It says that it was taken later than now: some clock is wrong, and what a wrong clock says deletes nothing.
    FromTheFuture,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(rank) => write!(f, "number {rank} of the newest"),
            Self::Daily(date) => write!(f, "newest of the day {date}"),
            Self::Weekly { year, week } => write!(f, "newest of the week {year}-W{week:02}"),
            Self::Monthly { year, month } => write!(f, "newest of the month {year}-{month:02}"),
            Self::Yearly(year) => write!(f, "newest of the year {year}"),
            Self::LegalHold(why) => write!(f, "under legal hold ({why})"),
            Self::LastVerified => f.write_str("newest proven point"),
            Self::NewestPoint => f.write_str("newest point that can be restored whole"),
            Self::BaseOf(point) => write!(f, "base of point {}", point.short()),
            Self::BeingMade => f.write_str("still being made"),
            Self::FromTheFuture => f.write_str("taken later than now, so some clock is wrong"),
        }
    }
}

/// What is to happen to one point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The point.
    pub point: PointId,
    /// The content is as of this time.
    pub taken_at: Timestamp,
    /// Why it stays; it expires when there is no reason.
    pub keep: Vec<KeepReason>,
    /// The same for people, also when it expires.
    pub reason: String,
}

/// What is to happen to the points of one resource, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionPlan {
    /// One for every point that is not deleted already.
    pub decisions: Vec<Decision>,
}

impl RetentionPlan {
    /// The decisions by which a point expires, newest first.
    pub fn expired(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.keep.is_empty())
    }
}

/// The points of one resource, as they were listed.
#[derive(Debug, Clone, Copy)]
pub struct Inventory<'a> {
    /// The points.
    pub points: &'a [Point],
    /// Whether the listing saw all of them.
    pub complete: bool,
}

/// Why no plan was made. Nothing may be deleted then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum RetentionRefusal {
    /// A deletion must never follow from something that was merely not seen.
    #[error("the listing is not complete ({listed} points were seen)")]
    PartialInventory { listed: usize },
    /// Slots count the points of one resource.
    #[error("the listing mixes resources {first} and {other}")]
    MixedResources { first: ResourceId, other: ResourceId },
    /// A listing that is wrong in one way may be wrong in others.
    #[error("the listing holds point {point} twice")]
    DuplicatePoint { point: PointId },
    /// A retention without any slot would delete all but one point.
    #[error("the retention keeps nothing: every keep number is 0")]
    KeepsNothing,
    /// Days cannot be counted.
    #[error(transparent)]
    Zone(#[from] ScheduleError),
}

/// Decides for every point of one resource whether it stays, and why.
///
/// Slots are filled newest first: the newest point of each of the last n days, weeks, months and years *that have one*,
/// in the given zone. Only sound points count (complete, restorable, no damaged copy). A lesser point stays where it would
/// fill a slot that no sound one fills, but never takes a slot from a sound one. The newest point that can be restored
/// whole and the newest proven one stay whatever the slots say, and so do points under legal hold, points that are being
/// made, and the base of a differential that stays.
///
/// The plan depends on nothing but its arguments; applied and made again, it expires nothing more.
pub fn plan_retention(
    retention: &Retention,
    zone: &str,
    inventory: &Inventory<'_>,
    now: Timestamp,
) -> Result<RetentionPlan, RetentionRefusal> {
    let zone = time_zone(zone)?;
    check(retention, inventory)?;
    let mut points: Vec<&Point> = inventory
        .points
        .iter()
        .filter(|point| point.state != PointState::Deleted)
        .collect();
    points.sort_by(|a, b| (b.taken_at, b.created_at, &b.id).cmp(&(a.taken_at, a.created_at, &a.id)));

    let mut keep = Reasons::default();
    protect(&mut keep, &points, now);
    let settled: Vec<&Point> = points.iter().copied().filter(|point| counts(point, now)).collect();
    for least in [Quality::Sound, Quality::Restorable, Quality::Damaged] {
        fill_slots(&mut keep, retention, &zone, &settled, least);
    }
    keep_bases(&mut keep, &points);

    let slots = describe_slots(retention);
    let decisions = points.into_iter().map(|point| keep.decide(point, &slots)).collect();
    Ok(RetentionPlan { decisions })
}

fn check(retention: &Retention, inventory: &Inventory<'_>) -> Result<(), RetentionRefusal> {
    if !inventory.complete {
        return Err(RetentionRefusal::PartialInventory {
            listed: inventory.points.len(),
        });
    }
    if *retention == Retention::default() {
        return Err(RetentionRefusal::KeepsNothing);
    }
    let mut seen: BTreeSet<&PointId> = BTreeSet::new();
    for point in inventory.points {
        let first = &inventory.points[0].resource;
        if &point.resource != first {
            return Err(RetentionRefusal::MixedResources {
                first: first.clone(),
                other: point.resource.clone(),
            });
        }
        if !seen.insert(&point.id) {
            return Err(RetentionRefusal::DuplicatePoint {
                point: point.id.clone(),
            });
        }
    }
    Ok(())
}

/// How much a point is worth, the better the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Quality {
    /// No copy of it can be read whole.
    Damaged,
    /// It can be restored, but is partial, has a damaged copy, or is being deleted.
    Restorable,
    /// It can be restored whole and nothing speaks against it.
    Sound,
}

fn quality(point: &Point) -> Quality {
    // Marking a point hides behind its state that a copy was damaged and is not proven again; its copies still tell.
    let unsound = |copy: &Copy| matches!(copy.state, CopyState::Corrupt | CopyState::Repaired);
    let damaged = point.state == PointState::Corrupt || point.copies.iter().any(unsound);
    // A deletion that has begun must not make a point look better than the judgement that ordered it.
    let is_going = point.expiry.is_some() && point.copies.iter().any(|copy| copy.state == CopyState::Deleted);
    match point.is_restorable() {
        true if point.is_partial() || damaged || is_going => Quality::Restorable,
        true => Quality::Sound,
        false => Quality::Damaged,
    }
}

/// Whether a point takes part in slots.
fn counts(point: &Point, now: Timestamp) -> bool {
    point.state != PointState::Creating && point.taken_at <= now
}

/// Reasons found so far, by point.
#[derive(Default)]
struct Reasons<'a>(BTreeMap<&'a PointId, Vec<KeepReason>>);

impl<'a> Reasons<'a> {
    fn add(&mut self, point: &'a Point, reason: KeepReason) {
        let reasons = self.0.entry(&point.id).or_default();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }

    fn decide(&self, point: &Point, slots: &str) -> Decision {
        let keep = self.0.get(&point.id).cloned().unwrap_or_default();
        let reason = if keep.is_empty() {
            format!("nothing keeps it: others fill {slots}")
        } else {
            let sentences: Vec<String> = keep.iter().map(ToString::to_string).collect();
            sentences.join("; ")
        };
        Decision {
            point: point.id.clone(),
            taken_at: point.taken_at,
            keep,
            reason,
        }
    }
}

/// Keeps what must stay whatever the slots say. `points` are newest first.
fn protect<'a>(keep: &mut Reasons<'a>, points: &[&'a Point], now: Timestamp) {
    for point in points {
        if let Some(why) = &point.legal_hold {
            keep.add(point, KeepReason::LegalHold(why.clone()));
        }
        if point.state == PointState::Creating {
            keep.add(point, KeepReason::BeingMade);
        } else if point.taken_at > now {
            keep.add(point, KeepReason::FromTheFuture);
        }
    }
    let settled = || points.iter().filter(|point| counts(point, now));
    let whole = |point: &&&Point| point.is_restorable() && !point.is_partial();
    let proven = |point: &&&Point| point.is_restorable() && point.is_routinely_proven();
    if let Some(point) = settled().find(whole) {
        keep.add(point, KeepReason::NewestPoint);
    }
    let newest_proven = settled().find(proven);
    let newest_whole_proven = settled().filter(whole).find(proven);
    for point in newest_proven.into_iter().chain(newest_whole_proven) {
        keep.add(point, KeepReason::LastVerified);
    }
}

/// The day, week, month or year that a date lies in.
type PeriodOf = fn(Date) -> KeepReason;

/// Fills the slots with the points that are at least as good as `least`, and keeps those that are no better: the better
/// ones had their turn, with more slots for themselves. In a period that has better points, the newest of the best kind
/// stands for it.
fn fill_slots<'a>(
    keep: &mut Reasons<'a>,
    retention: &Retention,
    zone: &TimeZone,
    newest_first: &[&'a Point],
    least: Quality,
) {
    let eligible = || newest_first.iter().copied().filter(|point| quality(point) >= least);
    for (rank, point) in (1..=retention.keep_last).zip(eligible()) {
        if quality(point) == least {
            keep.add(point, KeepReason::Last(rank));
        }
    }
    let periods: [(u32, PeriodOf); 4] = [
        (retention.keep_daily, KeepReason::Daily),
        (retention.keep_weekly, week_of),
        (retention.keep_monthly, month_of),
        (retention.keep_yearly, |date| KeepReason::Yearly(date.year())),
    ];
    for (slots, period_of) in periods {
        let mut filled: Vec<(KeepReason, &Point)> = Vec::new();
        for point in eligible() {
            let period = period_of(zone.to_datetime(point.taken_at).date());
            let is_full = filled.len() as u64 == u64::from(slots);
            match filled.iter_mut().rev().find(|(known, _)| *known == period) {
                Some((_, best)) if quality(point) > quality(best) => *best = point,
                Some(_) => {}
                None if is_full => {}
                None => filled.push((period, point)),
            }
        }
        for (period, point) in filled {
            if quality(point) == least {
                keep.add(point, period);
            }
        }
    }
}

fn week_of(date: Date) -> KeepReason {
    let week = date.iso_week_date();
    KeepReason::Weekly {
        year: week.year(),
        week: week.week(),
    }
}

fn month_of(date: Date) -> KeepReason {
    KeepReason::Monthly {
        year: date.year(),
        month: date.month(),
    }
}

/// Keeps what a differential that stays was compared with. `points` are newest first.
fn keep_bases<'a>(keep: &mut Reasons<'a>, points: &[&'a Point]) {
    let by_id: BTreeMap<&PointId, &'a Point> = points.iter().map(|point| (&point.id, *point)).collect();
    let mut dependants: Vec<&'a Point> = points.iter().copied().filter(|p| keep.0.contains_key(&p.id)).collect();
    let mut bases: BTreeSet<&'a PointId> = BTreeSet::new();
    dependants.reverse();
    while let Some(dependant) = dependants.pop() {
        let base = dependant.base.as_ref().and_then(|base| by_id.get(base));
        let Some(base) = base.filter(|_| dependant.kind == BackupKind::Differential) else {
            continue;
        };
        if bases.insert(&base.id) {
            keep.add(base, KeepReason::BaseOf(dependant.id.clone()));
            dependants.push(base);
        }
    }
}

fn describe_slots(retention: &Retention) -> String {
    let slots = [
        (retention.keep_last, "last"),
        (retention.keep_daily, "daily"),
        (retention.keep_weekly, "weekly"),
        (retention.keep_monthly, "monthly"),
        (retention.keep_yearly, "yearly"),
    ];
    let words: Vec<String> = slots
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    words.join(", ")
}
