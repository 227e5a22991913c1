//! What is said of drills: `[prices]`, the `rent` of an actuator, and `[plan.drills]`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::{Actuator, ActuatorName, Budget, DrillSchedule, DrillWindow, Drills, Move, Prices, Rent, Span};
use crate::planning::{Schedule, rate};

use super::names::Names;
use super::policy::read_zone;
use super::reader::{At, Problems, Table};

/// Reads `[prices]`.
pub(super) fn read_prices(file: &mut Table<'_>, problems: &mut Problems<'_>) -> Option<Prices> {
    let mut table = file.table("prices", "[prices]", problems)?;
    let noted_on: Option<At<Date>> = table.required("noted-on", problems);
    let currency: Option<At<String>> = table.required("currency", problems);
    let at = table.at;
    let list = table.table("list", "[prices.list]", problems);
    if list.is_none() {
        problems.add(at, "[prices] lacks [prices.list]: what a unit of each thing costs");
    }
    table.finish(problems);
    let prices = list?.amounts(problems);
    Some(Prices {
        noted_on: noted_on?.value.to_string(),
        currency: currency?.value,
        prices: prices.into_iter().map(|(key, price)| (key.to_owned(), price)).collect(),
    })
}

/// Reads what the stand-in of an actuator costs; its price must be among those of the file.
pub(super) fn read_rent(actuator: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Rent> {
    let mut table = actuator.table("rent", "[actuator.rent]", problems)?;
    if !actuator.has("drill") {
        let message =
            "[actuator.rent] says what a drill pays for it, and without [actuator.drill] no drill starts anything";
        problems.add(table.at, message);
    }
    let price: Option<At<String>> = table.required("price", problems);
    let units = match table.has("units") {
        true => table.number("units", 1..=100_000, problems),
        false => Some(1),
    };
    table.finish(problems);
    let price = price?;
    let rent = Rent {
        price: price.value,
        units: units?,
    };
    match &names.prices {
        Some(prices) => {
            if let Err(error) = rate(&rent, prices) {
                problems.add(price.at, error.to_string());
            }
        }
        None => problems.add(price.at, "[actuator.rent] names a price, and the file has no [prices]"),
    }
    Some(rent)
}

/// Reads `[plan.drills]`.
pub(super) fn read_drills(
    plan: &mut Table<'_>,
    moves: Option<&Move>,
    names: &Names,
    applied_at: Timestamp,
    problems: &mut Problems<'_>,
) -> Option<Drills> {
    let mut table = plan.table("drills", "[plan.drills]", problems)?;
    let zone = read_zone(&mut table, "UTC", problems);
    let schedule = read_cron(&mut table, "schedule", &zone, problems).map(|cron| DrillSchedule {
        cron,
        zone: zone.clone(),
        since: applied_at,
    });
    let windows = table.tables("window", "[[plan.drills.window]]", problems);
    let windows = windows
        .into_iter()
        .filter_map(|window| read_window(window, &zone, problems));
    let windows: Vec<DrillWindow> = windows.collect();
    let at = table.at;
    let amount = table.amount("budget", problems);
    if amount.is_some() && names.prices.is_none() {
        let message = "\"budget\" can only be held with prices: add [prices], as docs/holdfast.example.toml has it";
        problems.add(at, message);
    }
    table.finish(problems);
    let budget = amount.zip(names.prices.as_ref()).map(|(amount, prices)| {
        let actuators: &[Actuator] = moves.map_or(&[], |moves| &moves.actuators);
        let rents = actuators
            .iter()
            .filter_map(|actuator| names.rents.get_key_value(&actuator.name));
        let rents: BTreeMap<ActuatorName, Rent> = rents.map(|(name, rent)| (name.clone(), rent.clone())).collect();
        budget(amount, prices, rents)
    });
    Some(Drills {
        budget,
        schedule,
        windows,
    })
}

/// A budget with the prices of its rents, and no others.
fn budget(amount: f64, prices: &Prices, rents: BTreeMap<ActuatorName, Rent>) -> Budget {
    let mut prices = prices.clone();
    prices
        .prices
        .retain(|key, _| rents.values().any(|rent| &rent.price == key));
    Budget { amount, prices, rents }
}

fn read_window(mut table: Table<'_>, zone: &str, problems: &mut Problems<'_>) -> Option<DrillWindow> {
    if !table.has("opens") {
        problems.add(table.at, format!("{} lacks \"opens\": a cron expression", table.title));
    }
    let opens = read_cron(&mut table, "opens", zone, problems);
    let open_for: Option<At<Span>> = table.required("for", problems);
    if let Some(span) = open_for.filter(|span| span.value.as_seconds() == 0) {
        problems.add(span.at, "\"for\" is no time at all, so the window never opens");
    }
    table.finish(problems);
    Some(DrillWindow {
        opens: opens?,
        zone: zone.to_owned(),
        open_for: open_for?.value,
    })
}

/// A cron expression that comes due.
fn read_cron(table: &mut Table<'_>, key: &'static str, zone: &str, problems: &mut Problems<'_>) -> Option<String> {
    let cron: At<String> = table.word(key, problems)?;
    match Schedule::parse(&cron.value, zone) {
        Ok(_) => Some(cron.value),
        Err(error) => {
            problems.add(cron.at, error.to_string());
            None
        }
    }
}
