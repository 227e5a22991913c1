//! `docs/cost.md` beside the prices that it is worked out from, and beside what the template really makes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::template::{of_type, of_type_in, recovery_template, template};
use crate::tools::text;

/// Minutes of a month of 30.4 days.
const MINUTES: f64 = 43_800.0;

struct Prices(BTreeMap<String, f64>);

impl Prices {
    fn read() -> Self {
        let file: Value = serde_json::from_str(&text("docs/prices-2026-11.json")).unwrap();
        let prices = file["prices"].as_object().unwrap().iter();
        Self(
            prices
                .map(|(name, price)| (name.clone(), price.as_f64().unwrap()))
                .collect(),
        )
    }

    fn of(&self, name: &str) -> f64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no price {name}"))
    }

    fn millions(&self, name: &str, count: f64) -> f64 {
        count / 1e6 * self.of(name)
    }
}

/// How many metrics a function writes; each is paid for by the month once it was written.
fn metrics() -> f64 {
    text("shared/runtime/src/telemetry.rs").matches("metric(\"").count() as f64
}

/// The month of a deployment that protects nothing, by the names of the rows in `docs/cost.md`: of what its template makes,
/// with so many keys and secrets.
fn idle(prices: &Prices, template: &Value, (keys, secrets): (f64, f64)) -> Vec<(&'static str, f64)> {
    let functions = of_type_in(template, "AWS::Lambda::Function");
    let wake_ups = MINUTES * of_type_in(template, "AWS::Scheduler::Schedule").len() as f64;
    let memory: f64 = functions
        .values()
        .map(|function| function["MemorySize"].as_f64().unwrap() / 1024.0)
        .sum();
    // 60 ms each: the few reads that find nothing to do.
    let compute = MINUTES * 0.06 * memory * prices.of("lambda_gb_second_x86");
    // Lambda polls each queue with five long polls of 20 seconds; a message is sent and deleted besides.
    let polls = MINUTES * 15.0 * functions.len() as f64;
    let rows = vec![
        (
            "Lambda",
            compute + prices.millions("lambda_request_per_million", wake_ups),
        ),
        (
            "SQS",
            prices.millions("sqs_request_per_million", polls + 2.0 * wake_ups),
        ),
        (
            "EventBridge Scheduler",
            prices.millions("eventbridge_scheduler_invocation_per_million", wake_ups),
        ),
        (
            "DynamoDB",
            prices.millions("dynamodb_read_unit_per_million", wake_ups * 5.0),
        ),
        ("KMS keys", keys * prices.of("kms_key_month")),
        (
            "Alarms",
            of_type_in(template, "AWS::CloudWatch::Alarm").len() as f64 * prices.of("cloudwatch_alarm_month"),
        ),
        ("Secrets", secrets * prices.of("secret_month")),
        (
            "Metrics",
            functions.len() as f64 * metrics() * prices.of("cloudwatch_metric_month"),
        ),
        // 1,300 bytes for each wake-up: our line and that of the metrics, Lambda's start, end and report, and 26 bytes that
        // CloudWatch adds to each of them.
        ("Logs", wake_ups * 1300.0 / 1e9 * prices.of("cloudwatch_log_gb")),
    ];
    let total = rows.iter().map(|(_, cost)| cost).sum();
    rows.into_iter().chain([("Idle, in all", total)]).collect()
}

/// The month of 1,000 S3 prefixes of 10 GiB, each backed up daily with 1 % changed, copied and proven; storage apart.
fn thousand_prefixes(prices: &Prices) -> Vec<(&'static str, f64)> {
    let backups = 1000.0 * 30.4;
    let changed_gb = 0.1;
    // Read, hash and compress 100 MiB and list the rest: 20 s of one vCPU; a copy 10 s. Once a month every byte is read: 60 s.
    let gb = 1769.0 / 1024.0;
    // Verifier, replicator and lifecycle look at one in sixteen resources each minute, a few milliseconds each.
    let looks = 43_800.0 * 3.0 * 1000.0 / 16.0;
    let seconds = backups * (20.0 + 10.0) + 1000.0 * 2.0 * 60.0 + looks * 0.008;
    // 10,000 objects a prefix: 10 pages of listing, 100 changed objects read, 4 packs and 12 other files written, twice.
    let puts = backups * (10.0 + 2.0 * 16.0);
    let gets = backups * 200.0 + 1000.0 * 2.0 * 700.0;
    let rows = vec![
        ("Compute", seconds * gb * prices.of("lambda_gb_second_x86")),
        (
            "S3 requests",
            puts / 1000.0 * prices.of("s3_put_per_1000") + gets / 1000.0 * prices.of("s3_get_per_1000"),
        ),
        ("Transfer", backups * changed_gb * prices.of("inter_region_transfer_gb")),
        // 60 writes of 2 units (table and index) for each backup with its copy and proofs, and as many again for the replica.
        (
            "Catalog writes",
            prices.millions("dynamodb_write_unit_per_million", backups * 60.0 * 2.0 * 2.0),
        ),
        (
            "Catalog reads",
            prices.millions("dynamodb_read_unit_per_million", backups * 300.0),
        ),
        // A resource's points are 40 kB after a month.
        (
            "Catalog reads at wake-ups",
            prices.millions("dynamodb_read_unit_per_million", looks * 10.0),
        ),
        (
            "Events",
            prices.millions("eventbridge_custom_event_per_million", backups * 8.0),
        ),
        (
            "Messages",
            prices.millions("sqs_request_per_million", backups * 8.0 * 2.0 * 3.0),
        ),
        (
            "Keys",
            backups * 6.0 / 1e4 * prices.of("kms_request_per_10000")
                + backups * 2.0 / 1e4 * prices.of("kms_asymmetric_request_per_10000"),
        ),
        ("Log lines", backups * 20_000.0 / 1e9 * prices.of("cloudwatch_log_gb")),
    ];
    let total = rows.iter().map(|(_, cost)| cost).sum();
    rows.into_iter().chain([("Running, in all", total)]).collect()
}

/// Every row of the document's tables whose last column is dollars.
fn written() -> BTreeMap<String, String> {
    let document = text("docs/cost.md");
    let rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let cost = cells.last()?.trim_matches('*').strip_prefix('$')?;
        Some((cells[0].trim_matches('*').to_owned(), cost.to_owned()))
    });
    rows.collect()
}

#[test]
fn the_costs_that_are_documented_follow_from_the_prices_and_the_template() {
    let prices = Prices::read();
    let written = written();
    let mut wrong = Vec::new();
    let home = idle(&prices, template(), (13.0, 2.0));
    // Its own: signing, topics, evidence, and the catalog's in two Regions.
    let recovery = idle(&prices, recovery_template(), (5.0, 0.0));
    let recovery = recovery
        .last()
        .map(|(_, total)| ("In the recovery Region, in all", *total));
    for (row, cost) in home.into_iter().chain(recovery).chain(thousand_prefixes(&prices)) {
        let right = format!("{cost:.2}");
        if written.get(row) != Some(&right) {
            wrong.push(format!("{row}: ${right}, and the document says {:?}", written.get(row)));
        }
    }
    assert!(wrong.is_empty(), "docs/cost.md: {wrong:#?}");
}

/// What SAM makes is seen by the budget, whose filter is a tag.
#[test]
fn the_budget_sees_what_sam_makes() {
    assert!(text("infra/modules/budget/main.tf").contains("user:application$holdfast"));
    assert!(text("README.md").contains("--tags application=holdfast"));
    for (name, function) in of_type("AWS::Lambda::Function") {
        let tags = function["Tags"].as_array().unwrap();
        assert!(
            tags.contains(&serde_json::json!({"Key": "application", "Value": "holdfast"})),
            "{name}: {tags:?}"
        );
        assert_eq!(
            function["TracingConfig"]["Mode"], "PassThrough",
            "{name}: a trace of each wake-up costs"
        );
    }
}

#[test]
fn every_key_that_costs_a_dollar_a_month_is_counted() {
    // Of these nine, vault, evidence, catalog and escrow are made in each of two Regions: 13 keys, as in the table above.
    let keys: usize = ["vault", "evidence", "catalog", "keys", "alerts"]
        .iter()
        .map(|module| text(&format!("infra/modules/{module}/main.tf")))
        .map(|text| text.matches("resource \"aws_kms_").count() - text.matches("resource \"aws_kms_alias").count())
        .sum();
    assert_eq!(keys, 9, "count the keys of docs/cost.md again");
}
