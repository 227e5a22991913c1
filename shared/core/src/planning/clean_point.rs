//! Finding the newest recovery point from before the damage: by what the backups saw, and by tests of restored points.
//!
//! Damage stays: what ransomware or a bad release did to the content at some moment is in every later point as well. So a
//! test that holds clears every earlier point, one that fails condemns every later one, and halving what is left finds the
//! last good one of n points with no more than 1 + log2(n) restores, rounded up.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::{Level, Point, PointId, PointRef};

/// The share of a resource's bytes that a day's work does not write anew.
const REWRITTEN: f64 = 0.3;
/// The share of its files that a day's work does not change, or remove.
const TOUCHED: f64 = 0.3;
/// New bytes that take at least this share of their length do not compress: they are media, archives, or encrypted.
const INCOMPRESSIBLE: f64 = 0.95;
/// What new bytes took before tells something where it was below this.
const COMPRESSIBLE: f64 = 0.8;
/// Fewer new bytes than these tell nothing about how they compress.
const TELLING_BYTES: u64 = 1 << 20;
/// Fewer files than these tell nothing by their share.
const TELLING_FILES: u64 = 10;

/// Something about a recovery point that speaks of damage. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Sign {
    /// A file that nobody changes holds something else than in the points before.
    CanaryChanged {
        /// The file.
        path: String,
    },
    /// A file that nobody changes is gone.
    CanaryGone {
        /// The file.
        path: String,
    },
    /// An application check on a restore of it failed.
    CheckFailed,
    /// Much of the content was written anew since the point before.
    Rewritten {
        /// New bytes against all bytes.
        share: f64,
    },
    /// What was new does not compress, and what was new before did.
    Incompressible {
        /// Stored bytes against new bytes.
        share: f64,
        /// The same of all earlier points together.
        before: f64,
    },
    /// Many files changed.
    FilesChanged {
        /// Changed files against those of the point before.
        share: f64,
    },
    /// Many files are gone, or bear another name.
    FilesGone {
        /// Files gone against those of the point before.
        share: f64,
    },
}

impl Sign {
    /// Whether it is enough by itself. Each other sign may be a day's work; two of them together are not.
    fn is_proof(&self) -> bool {
        matches!(
            self,
            Self::CanaryChanged { .. } | Self::CanaryGone { .. } | Self::CheckFailed
        )
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| (share * 100.0).round();
        match self {
            Self::CanaryChanged { path } => write!(f, "canary {path} was changed"),
            Self::CanaryGone { path } => write!(f, "canary {path} is gone"),
            Self::CheckFailed => write!(f, "an application check on a restore of it failed"),
            Self::Rewritten { share } => write!(f, "{} % of the content was new", percent(share)),
            Self::Incompressible { share, before } => write!(
                f,
                "new content was stored with {} % of its length, with {} % before: it may be encrypted",
                percent(share),
                percent(before)
            ),
            Self::FilesChanged { share } => write!(f, "{} % of the files were changed", percent(share)),
            Self::FilesGone { share } => write!(f, "{} % of the files were gone or renamed", percent(share)),
        }
    }
}

/// What is thought of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A test of it, or of a later point, held.
    Good,
    /// Nothing speaks against it, and nobody has tested it.
    Presumed,
    /// It shows signs of damage, or comes after a point that does.
    Suspect,
    /// A test of it, or of an earlier point, failed.
    Bad,
}

impl Standing {
    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Presumed => "nothing against it",
            Self::Suspect => "suspect",
            Self::Bad => "bad",
        }
    }
}

/// A point and what is thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The point.
    pub point: PointRef,
    /// What is thought of it.
    pub standing: Standing,
    /// Its own signs of damage.
    pub signs: Vec<Sign>,
}

/// How far the search for a clean point has come.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanPoint {
    /// Every restorable point, oldest first.
    pub points: Vec<Judged>,
    /// The newest that is good or has nothing against it.
    pub newest: Option<PointRef>,
    /// The one whose restore and test tells most; none when the newest good point is known.
    pub next_to_test: Option<PointRef>,
}

/// Judges the points of one resource, oldest first; what cannot be restored is passed over. `tested` holds what people, or
/// their programs, found in restored points: true for good.
pub fn find_clean_point(points: &[Point], tested: &BTreeMap<PointId, bool>) -> CleanPoint {
    let restorable: Vec<&Point> = points.iter().filter(|point| point.is_restorable()).collect();
    let signs: Vec<Vec<Sign>> = (0..restorable.len()).map(|place| signs(&restorable, place)).collect();
    let result = |point: &&Point| tested.get(&point.id).copied();
    // Positions count from 1, so that 0 stands for "none is good".
    let good = restorable
        .iter()
        .rposition(|point| result(point) == Some(true))
        .map_or(0, |place| place + 1);
    let bad = (good..restorable.len()).find(|place| result(&restorable[*place]) == Some(false));
    let suspect = (good..restorable.len()).find(|place| speak_of_damage(&signs[*place]));
    let end = restorable.len();
    let (bad, suspect) = (bad.unwrap_or(end), suspect.unwrap_or(end));
    let standing = |place: usize| match place {
        place if place < good => Standing::Good,
        place if place >= bad => Standing::Bad,
        place if place >= suspect => Standing::Suspect,
        _ => Standing::Presumed,
    };
    let clean = suspect.min(bad);
    let next = match (good, bad) {
        (good, bad) if good == bad => None,
        // The first test: what seems to be the newest clean point.
        (0, bad) if bad == end && clean > 0 => Some(clean - 1),
        (good, bad) => Some(good + (bad - good) / 2),
    };
    let reference = |place: usize| restorable[place].reference();
    CleanPoint {
        newest: clean.checked_sub(1).map(reference),
        next_to_test: next.map(reference),
        points: (signs.into_iter().enumerate())
            .map(|(place, signs)| Judged {
                point: reference(place),
                standing: standing(place),
                signs,
            })
            .collect(),
    }
}

fn speak_of_damage(signs: &[Sign]) -> bool {
    signs.len() >= 2 || signs.iter().any(Sign::is_proof)
}

/// The signs of damage of the point at `place`, against all before it.
fn signs(points: &[&Point], place: usize) -> Vec<Sign> {
    let (earlier, point) = (&points[..place], points[place]);
    let mut signs = canary_signs(earlier, point);
    let failed = |level, passed: bool| level == Level::L5 && !passed;
    let mut proofs = point.copies.iter().flat_map(|copy| &copy.proofs);
    if proofs.any(|proof| failed(proof.level, proof.passed)) {
        signs.push(Sign::CheckFailed);
    }
    if let (Some(before), Some(changes)) = (earlier.last(), &point.changes) {
        let share = ratio(changes.new_bytes, point.size_bytes);
        if changes.new_bytes >= TELLING_BYTES && share >= REWRITTEN {
            signs.push(Sign::Rewritten { share: share.min(1.0) });
        }
        signs.extend(incompressible(earlier, point));
        signs.extend(file_signs(before, point));
    }
    signs
}

fn canary_signs(earlier: &[&Point], point: &Point) -> Vec<Sign> {
    let Some(changes) = &point.changes else {
        return Vec::new();
    };
    let before = |path: &String| {
        let held = |point: &&&Point| point.changes.as_ref()?.canaries.get(path).cloned().flatten();
        earlier.iter().rev().find_map(|point| held(&point))
    };
    let sign = |(path, now): (&String, &Option<String>)| {
        let path = path.clone();
        match (before(&path)?, now) {
            (_, None) => Some(Sign::CanaryGone { path }),
            (before, Some(now)) => (before != *now).then_some(Sign::CanaryChanged { path }),
        }
    };
    changes.canaries.iter().filter_map(sign).collect()
}

fn incompressible(earlier: &[&Point], point: &Point) -> Option<Sign> {
    let changes = point.changes.as_ref()?;
    let told = earlier
        .iter()
        .filter_map(|point| point.changes.as_ref().map(|changes| (point, changes)));
    let (stored, new) = told.fold((0, 0), |(stored, new), (point, changes)| {
        (stored + point.added_bytes, new + changes.new_bytes)
    });
    let (share, before) = (ratio(point.added_bytes, changes.new_bytes), ratio(stored, new));
    let telling = changes.new_bytes >= TELLING_BYTES && new >= TELLING_BYTES;
    (telling && share >= INCOMPRESSIBLE && before < COMPRESSIBLE).then_some(Sign::Incompressible { share, before })
}

fn file_signs(before: &Point, point: &Point) -> Vec<Sign> {
    let compared = point.base.as_ref() == Some(&before.id);
    let files = point
        .changes
        .as_ref()
        .and_then(|changes| changes.files)
        .filter(|_| compared);
    let (new, changed) = files.map_or((0, 0), |files| (files.new, files.changed));
    let gone = (before.files + new).saturating_sub(point.files);
    let mut signs = Vec::new();
    if before.files >= TELLING_FILES {
        let (changed, gone) = (ratio(changed, before.files), ratio(gone, before.files));
        if changed >= TOUCHED {
            signs.push(Sign::FilesChanged { share: changed });
        }
        if gone >= TOUCHED {
            signs.push(Sign::FilesGone { share: gone });
        }
    }
    signs
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
