//! What a plan says of its drills: when they are due, when they may begin, and what they may cost.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActuatorName, Span};

/// A dated list of prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// When they were noted.
    pub noted_on: String,
    /// The currency of all of them.
    pub currency: String,
    /// What a unit of each thing costs, by its key. The key ends with the length of time that the price is for: `_second`,
    /// `_hour` or `_month`.
    pub prices: BTreeMap<String, f64>,
}

/// What something costs while a drill has it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rent {
    /// The key of its price.
    pub price: String,
    /// How many units of that it takes: instances, tasks, gigabytes.
    pub units: u32,
}

/// What a drill may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// The most, in the currency of the prices.
    pub amount: f64,
    /// The prices of what it rents.
    pub prices: Prices,
    /// What stands for each actuator costs while a drill has it started.
    pub rents: BTreeMap<ActuatorName, Rent>,
}

/// What a drill has cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillCost {
    /// In the currency of the prices.
    pub total: f64,
    /// The same for each thing, dearest first.
    pub items: Vec<(String, f64)>,
    /// What a second costs more, while what stands now stands.
    pub per_second: f64,
    /// The currency, and when the prices were noted.
    pub priced: String,
}

/// When drills are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillSchedule {
    /// A cron expression of five fields.
    pub cron: String,
    /// The time zone that it is read in.
    pub zone: String,
    /// Nothing was due before then.
    pub since: Timestamp,
}

/// When drills may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillWindow {
    /// When it opens: a cron expression of five fields.
    pub opens: String,
    /// The time zone that it is read in.
    pub zone: String,
    /// For how long.
    pub open_for: Span,
}

/// What a plan says of its drills.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Drills {
    /// What one may cost; none lets it cost what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// When they are due by themselves; none leaves that to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<DrillSchedule>,
    /// When they may begin; none lets them begin at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<DrillWindow>,
}

impl Drills {
    /// Whether it says nothing.
    pub fn is_silent(&self) -> bool {
        self == &Self::default()
    }
}
