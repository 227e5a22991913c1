//! What observers have seen of a workload.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::WorkloadName;

/// Changes of its word that are kept of one place.
const CHANGES: usize = 8;

/// What one place said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeing {
    /// The place.
    pub place: String,
    /// Whether it reached the workload.
    pub up: bool,
    /// What it saw, for people.
    pub note: String,
    /// Since when it says so.
    pub since: Timestamp,
    /// When it said so last.
    pub seen_at: Timestamp,
    /// When it changed its word, the newest last; a few.
    pub changes: Vec<Timestamp>,
}

/// A person's word that nothing is to be declared by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forbidden {
    /// Until when.
    pub until: Timestamp,
    /// Who.
    pub by: String,
    /// Why, as for maintenance.
    pub reason: String,
}

/// What all places said last of one workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The workload.
    pub workload: WorkloadName,
    /// The places.
    pub places: Vec<Seeing>,
    /// Whether a person has forbidden failovers that nobody orders.
    pub forbidden: Option<Forbidden>,
}

impl Watch {
    /// Nobody has looked yet.
    pub fn of(workload: WorkloadName) -> Self {
        Self {
            workload,
            places: Vec::new(),
            forbidden: None,
        }
    }

    /// Takes in what a place says. A word that is older than what it said last changes nothing.
    pub fn hear(&mut self, place: &str, up: bool, note: &str, at: Timestamp) {
        let Some(known) = self.places.iter_mut().find(|known| known.place == place) else {
            self.places.push(Seeing {
                place: place.to_owned(),
                up,
                note: note.to_owned(),
                since: at,
                seen_at: at,
                changes: Vec::new(),
            });
            return;
        };
        if at < known.seen_at {
            return;
        }
        if known.up != up {
            known.since = at;
            known.changes.push(at);
            let surplus = known.changes.len().saturating_sub(CHANGES);
            known.changes.drain(..surplus);
        }
        known.up = up;
        known.seen_at = at;
        known.note = note.to_owned();
    }
}
