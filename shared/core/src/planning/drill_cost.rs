//! What a drill has cost so far, from what it rents, for how long, and a dated file of prices; and whether its budget ends it.
//!
//! Everything that a drill makes in a service carries three tags: `holdfast-run` with the run's id, `holdfast-price` with a key
//! of the price file, and `holdfast-units` with how many units of that it takes (gigabytes, instances). The key ends with the
//! length of time that its price is for: `_second`, `_hour` or `_month`. The cost is units x time x price: an actual of what
//! stood, not a bill. What is billed by request or by transfer is not in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{RunId, Span};

/// The tag with the id of the run that something was made for.
pub const RUN_TAG: &str = "holdfast-run";
/// The tag with the key of its price.
pub const PRICE_TAG: &str = "holdfast-price";
/// The tag with how many units of that it takes.
pub const UNITS_TAG: &str = "holdfast-units";

/// Lengths of time that prices are for, by the end of their keys. A month of a price list is 730 hours.
const PERIODS: [(&str, f64); 3] = [("_second", 1.0), ("_hour", 3600.0), ("_month", 730.0 * 3600.0)];

/// A dated file of prices, such as `docs/prices-2026-11.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Prices {
    /// When they were noted.
    pub noted_on: String,
    /// The currency of all of them.
    pub currency: String,
    /// What each thing costs, by its key.
    pub prices: BTreeMap<String, f64>,
}

/// Something that a drill made and that costs money while it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rented {
    /// What the service calls it.
    pub name: String,
    /// The key of its price.
    pub price: String,
    /// How many units of that it takes.
    pub units: f64,
    /// Since when it stands.
    pub since: Timestamp,
    /// Until when it stood; none while it does.
    pub until: Option<Timestamp>,
}

/// Why a cost cannot be told.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "fields are named as what the message says of them")]
pub enum CostError {
    /// A tag is not there.
    #[error("{name} was made for a drill and has no tag {tag}: what it costs cannot be told")]
    NoTag { name: String, tag: &'static str },
    /// A tag says nothing that can be counted.
    #[error("{name} has \"{units}\" in its tag {UNITS_TAG}: give a number above 0")]
    BadUnits { name: String, units: String },
    /// The price file does not know it.
    #[error(
        "{name} is priced as \"{key}\", which the prices noted on {noted_on} do not hold: add it to the price file"
    )]
    NoPrice {
        name: String,
        key: String,
        noted_on: String,
    },
    /// The price is not for a length of time.
    #[error(
        "{name} is priced as \"{key}\", which is for no length of time: its key must end with _second, _hour or _month"
    )]
    NoPeriod { name: String, key: String },
}

impl Rented {
    /// What stands for `run`, as its tags say; none when it was made for something else.
    pub fn of_tags(
        name: &str,
        tags: &BTreeMap<String, String>,
        run: &RunId,
        (since, until): (Timestamp, Option<Timestamp>),
    ) -> Result<Option<Self>, CostError> {
        if tags.get(RUN_TAG).map(String::as_str) != Some(run.as_str()) {
            return Ok(None);
        }
        let tag = |tag| {
            let name = name.to_owned();
            tags.get(tag).ok_or(CostError::NoTag { name, tag })
        };
        let (price, units) = (tag(PRICE_TAG)?, tag(UNITS_TAG)?);
        let count = units
            .parse()
            .ok()
            .filter(|count: &f64| count.is_finite() && *count > 0.0);
        let units = count.ok_or_else(|| CostError::BadUnits {
            name: name.to_owned(),
            units: units.chars().take(40).collect(),
        })?;
        Ok(Some(Self {
            name: name.to_owned(),
            price: price.clone(),
            units,
            since,
            until,
        }))
    }

    /// What it costs in a second.
    fn rate(&self, prices: &Prices) -> Result<f64, CostError> {
        let (name, key) = (self.name.clone(), self.price.clone());
        let Some(price) = prices.prices.get(&key) else {
            let noted_on = prices.noted_on.clone();
            return Err(CostError::NoPrice { name, key, noted_on });
        };
        let period = PERIODS.into_iter().find(|(end, _)| key.ends_with(end));
        let (_, seconds) = period.ok_or(CostError::NoPeriod { name, key })?;
        Ok(price * self.units / seconds)
    }
}

/// What a drill has cost so far.
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

/// What a drill has cost by `now`.
pub fn drill_cost(rented: &[Rented], prices: &Prices, now: Timestamp) -> Result<DrillCost, CostError> {
    let mut cost = DrillCost {
        total: 0.0,
        items: Vec::new(),
        per_second: 0.0,
        priced: format!("{}, prices noted on {}", prices.currency, prices.noted_on),
    };
    for thing in rented {
        let rate = thing.rate(prices)?;
        let until = thing.until.unwrap_or(now).min(now);
        let item = rate * Span::between(thing.since, until).as_seconds() as f64;
        cost.total += item;
        cost.items.push((thing.name.clone(), item));
        if thing.until.is_none() {
            cost.per_second += rate;
        }
    }
    cost.items.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(cost)
}

/// What a budget says of a drill.
#[derive(Debug, Clone, PartialEq)]
pub enum BudgetDecision {
    /// It may go on.
    GoOn,
    /// It ends now, so that cleaning up ends within the budget as well. With the reason.
    Stop {
        /// Why.
        reason: String,
    },
}

/// Whether a drill that has cost so much must end. `ahead` is the longest time until everything it rents can be gone: until
/// the next look at it, and what cleaning takes.
pub fn check_budget(cost: &DrillCost, budget: f64, ahead: Span) -> BudgetDecision {
    let by_then = cost.total + cost.per_second * ahead.as_seconds() as f64;
    if by_then <= budget {
        return BudgetDecision::GoOn;
    }
    let dearest = cost.items.first().map_or_else(String::new, |(name, item)| {
        format!("; most of it for {name}: {item:.2}")
    });
    let reason = format!(
        "it has cost {:.2} and would have cost {by_then:.2} once all is gone in {ahead}, of a budget of {budget:.2} ({}){dearest}",
        cost.total, cost.priced
    );
    BudgetDecision::Stop { reason }
}
