use std::collections::BTreeMap;

use holdfast_core::domain::RunId;
use holdfast_core::planning::{BudgetDecision, Prices, Rented, check_budget, drill_cost};
use jiff::Timestamp;

use crate::make::{at, span};

/// The project's own file; instances are priced by whoever runs drills with them.
fn prices() -> Prices {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/prices-2026-11.json");
    let mut prices: Prices = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    prices.prices.insert("instance_hour".to_owned(), 0.36);
    prices
}

fn run() -> RunId {
    RunId::derive(&["drill"])
}

fn rented(name: &str, price: &str, units: &str, since: &str, until: Option<&str>) -> Rented {
    let tags = [
        ("holdfast-run", run().to_string()),
        ("holdfast-price", price.to_owned()),
        ("holdfast-units", units.to_owned()),
    ];
    let tags: BTreeMap<String, String> = tags.map(|(key, value)| (key.to_owned(), value)).into();
    Rented::of_tags(name, &tags, &run(), (at(since), until.map(at)))
        .unwrap()
        .unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:00Z")
}

#[test]
fn cost_is_units_times_time_times_price_and_what_is_gone_costs_no_more() {
    let stood = [
        rented("orders-db", "instance_hour", "2", "2026-03-01T10:00:00Z", None),
        rented(
            "old-db",
            "instance_hour",
            "1",
            "2026-03-01T09:00:00Z",
            Some("2026-03-01T10:00:00Z"),
        ),
        rented("bucket", "s3_standard_gb_month", "730", "2026-03-01T11:00:00Z", None),
    ];
    let cost = drill_cost(&stood, &prices(), now()).unwrap();
    let items: Vec<(String, String)> = (cost.items.iter())
        .map(|(name, item)| (name.clone(), format!("{item:.4}")))
        .collect();
    let expected = [("orders-db", "1.4400"), ("old-db", "0.3600"), ("bucket", "0.0230")];
    assert_eq!(items, expected.map(|(name, item)| (name.to_owned(), item.to_owned())));
    assert_eq!(format!("{:.4}", cost.total), "1.8230");
    assert_eq!(format!("{:.6}", cost.per_second * 3600.0), "0.743000");
}

#[test]
fn a_budget_ends_a_drill_while_cleaning_still_fits_in() {
    let stood = [rented("orders-db", "instance_hour", "1", "2026-03-01T10:00:00Z", None)];
    let cost = drill_cost(&stood, &prices(), now()).unwrap();
    assert_eq!(check_budget(&cost, 1.0, span("10m")), BudgetDecision::GoOn);
    let BudgetDecision::Stop { reason } = check_budget(&cost, 0.75, span("10m")) else {
        panic!("0.72 were spent, 0.06 follow");
    };
    assert_eq!(
        reason,
        "it has cost 0.72 and would have cost 0.78 once all is gone in 10m, of a budget of 0.75 (USD, prices noted on \
         2026-11-20); most of it for orders-db: 0.72"
    );
    let nothing = drill_cost(&[], &prices(), now()).unwrap();
    assert_eq!(check_budget(&nothing, 0.0, span("1d")), BudgetDecision::GoOn);
}

#[test]
fn what_cannot_be_priced_is_named_and_what_is_of_another_run_is_not_counted() {
    let error = |thing| drill_cost(&[thing], &prices(), now()).unwrap_err().to_string();
    let since = "2026-03-01T10:00:00Z";
    assert_eq!(
        error(rented("orders-db", "db_hour", "1", since, None)),
        "orders-db is priced as \"db_hour\", which the prices noted on 2026-11-20 do not hold: add it to the price file"
    );
    assert_eq!(
        error(rented("calls", "lambda_request_per_million", "1", since, None)),
        "calls is priced as \"lambda_request_per_million\", which is for no length of time: its key must end with _second, \
         _hour or _month"
    );
    let mut tags: BTreeMap<String, String> = [("holdfast-run".to_owned(), "another".to_owned())].into();
    let of_tags = |tags: &BTreeMap<String, String>| Rented::of_tags("db", tags, &run(), (now(), None));
    assert_eq!(of_tags(&tags), Ok(None));
    tags.insert("holdfast-run".to_owned(), run().to_string());
    tags.insert("holdfast-price".to_owned(), "instance_hour".to_owned());
    assert_eq!(
        of_tags(&tags).unwrap_err().to_string(),
        "db was made for a drill and has no tag holdfast-units: what it costs cannot be told"
    );
    for units in ["0", "-1", "many", "inf"] {
        tags.insert("holdfast-units".to_owned(), units.to_owned());
        let message = of_tags(&tags).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("db has \"{units}\" in its tag holdfast-units: give a number above 0")
        );
    }
}
