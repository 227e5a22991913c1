//! Plans looked at before anybody needs them: what speaks against them, and what becomes of them under outages.

use holdfast_core::config::{Config, parse};
use holdfast_core::domain::{RecoveryPlan, Run, RunId, RunKind, RunState, StepName, StepRecord, StepState};
use holdfast_core::planning::{Estimate, Ground, Measured, Outage, Severity, check_plan, order_steps, simulate};
use holdfast_core::report::{draw_plan, runbook, simulation_text};
use jiff::Timestamp;

use crate::examples;
use crate::golden;
use crate::make::{at, span};

fn now() -> Timestamp {
    at("2026-01-01T00:00:00Z")
}

fn ground(config: &Config) -> Ground<'_> {
    Ground {
        home: &config.settings.region,
        vaults: &config.vaults,
        resources: &config.resources,
    }
}

fn configuration(text: &str) -> Config {
    let head = r#"
        region = "west"
        vault = [{ name = "primary", region = "west" }, { name = "recovery", region = "east" }]
        [[resource]]
        name = "photos"
        kind = "files"
        path = "/srv/photos"
        [[policy]]
        name = "photos"
        vault = "primary"
        select = { resources = ["photos"] }
        keep = { last = 48 }
        rule = [{ name = "hourly", cron = "0 * * * *", kind = "full" }]
        copy = [{ vault = "recovery", within = "30m" }]
    "#;
    parse(&format!("{head}\n{text}"), now()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn usual() -> Config {
    configuration(
        r#"
        [[plan]]
        name = "photos-in-east"
        rpo = "2h"
        rto = "1h"
        step = [
            { name = "proven", check = { that = "proven-point", resource = "photos", vault = "recovery" }, timeout = "1m" },
            { name = "restore", restore = { resource = "photos", vault = "recovery" }, after = ["proven"], timeout = "40m" },
            { name = "settle", wait = "30s", after = ["proven"], timeout = "1m" },
            { name = "compare", verify = { restored-by = "restore" }, timeout = "5m" },
        ]
        "#,
    )
}

/// A drill in which the steps took so many seconds.
fn drill(plan: &RecoveryPlan, seconds: &[i64]) -> Run {
    let began = now();
    let record = |(step, seconds): (&holdfast_core::domain::Step, &i64)| StepRecord {
        step: step.clone(),
        state: StepState::Succeeded,
        started_at: Some(began),
        finished_at: Some(holdfast_core::domain::Span::seconds(*seconds).after(began)),
        job: None,
        note: String::new(),
    };
    Run {
        id: RunId::derive(&["drill"]),
        plan: plan.clone(),
        kind: RunKind::Drill,
        requested_by: "test".to_owned(),
        state: RunState::Succeeded,
        declared_at: began,
        started_at: Some(began),
        recovered_at: None,
        finished_at: None,
        steps: plan.steps.iter().zip(seconds).map(record).collect(),
        point_age_seconds: None,
        data_loss_seconds: None,
        statement: None,
        conduct: holdfast_core::domain::Conduct::default(),
        next_action_at: began,
    }
}

/// What is said of the first plan, gravest first, as `severity code: message`.
fn said(config: &Config, measured: &Measured) -> Vec<String> {
    let findings = check_plan(&config.plans[0], &ground(config), &config.policies, measured, now());
    let told = |finding: &holdfast_core::planning::Finding| {
        let severity = format!("{:?}", finding.severity).to_lowercase();
        format!("{severity} {} {}: {}", finding.code, finding.subject, finding.message)
    };
    findings.iter().map(told).collect()
}

#[test]
fn the_recovery_time_is_that_of_the_longest_chain_between_its_shortest_and_longest_measurements() {
    let config = usual();
    let plan = &config.plans[0];
    let runs: Vec<Run> = [[1, 600, 30, 60], [2, 900, 30, 90], [1, 700, 30, 61]]
        .iter()
        .map(|seconds| drill(plan, seconds))
        .collect();
    let measured = Measured::of(plan, &runs);
    let simulated = simulate(plan, &ground(&config), &measured, None).unwrap();
    let path: Vec<&str> = simulated.path.iter().map(StepName::as_str).collect();
    assert_eq!(path, ["proven", "restore", "compare"]);
    let time = simulated.recovery.unwrap();
    assert_eq!(
        (time.least, time.expected, time.most),
        (span("661s"), span("762s"), span("992s"))
    );
    assert_eq!(time.runs, 3);
    assert_eq!(simulated.gives_up, span("46m"));
    assert_eq!(
        said(&config, &measured),
        Vec::<String>::new(),
        "nothing speaks against it"
    );
}

#[test]
fn only_steps_that_held_and_are_still_the_same_count_and_without_measurements_no_figure_is_given() {
    let config = usual();
    let plan = &config.plans[0];
    let mut failed = drill(plan, &[1, 600, 30, 60]);
    failed.steps[3].state = StepState::Failed;
    let mut simulation = drill(plan, &[0, 0, 0, 0]);
    simulation.kind = RunKind::Simulate;
    let mut other = drill(plan, &[5, 5, 5, 5]);
    other.steps[1].step.timeout = span("1h");
    let measured = Measured::of(plan, &[failed, simulation, other]);
    let counts: Vec<usize> = (plan.steps.iter())
        .map(|step| match measured.estimate(step) {
            Estimate::Measured { count, .. } => count,
            Estimate::Given(_) | Estimate::NotMeasured { .. } => 0,
        })
        .collect();
    assert_eq!(counts, [2, 1, 0, 1]);
    let nothing = simulate(plan, &ground(&config), &Measured::default(), None).unwrap();
    assert_eq!(nothing.recovery, None);
    let text = simulation_text(plan, &nothing);
    assert!(
        text.contains("not measured; the last step gives up after 46m at the latest"),
        "{text}"
    );
}

#[test]
fn an_objective_that_nothing_measured_or_scheduled_supports_is_refused_with_what_would_mend_it() {
    let config = usual();
    let plan = &config.plans[0];
    let slow = Measured::of(plan, &[drill(plan, &[10, 4000, 30, 300])]);
    assert_eq!(
        said(&config, &slow),
        [
            "refuse rto-below-measured photos-in-east: proven -> restore -> compare never took less than 4310s in 1 run, so an \
             RTO of 1h cannot be met: promise more, or make one of them shorter",
            "warn timeout-tight photos-in-east/restore: it took up to 4000s and gives up after 40m: give it at least twice what it \
             took",
            "warn timeout-tight photos-in-east/compare: it took up to 5m and gives up after 5m: give it at least twice what it took",
        ]
    );
    let strict = configuration(
        r#"
        [[plan]]
        name = "strict"
        rpo = "1h"
        rto = "10m"
        [[plan.step]]
        name = "restore"
        restore = { resource = "photos", vault = "recovery" }
        "#,
    );
    assert_eq!(
        said(&strict, &Measured::default()),
        [
            "refuse rpo-below-point-age strict/restore: what stands of photos in vault recovery may be 90m old, by the due times of \
             policy photos and the time that it gives the copy: more than the RPO of 1h. Back up more often, copy sooner, or \
             promise less",
            "warn restore-not-verified strict/restore: no step verifies what it restores: add one with verify = { restored-by = … }",
            "explain rto-not-measured strict: nothing measured supports the RTO of 10m: a drill has yet to measure restore",
            "explain timeouts-exceed-rto strict: its steps may work for 1h before the last of them gives up, longer than the RTO of \
             10m: timeouts that add up to less would show sooner that it is missed",
        ]
    );
}

#[test]
fn the_age_of_a_server_in_another_vault_counts_its_log_and_that_of_files_does_not() {
    let findings = |kind: &str, path: &str| {
        let text = format!(
            r#"
            region = "west"
            vault = [{{ name = "primary", region = "west" }}, {{ name = "recovery", region = "east" }}]
            [[resource]]
            name = "orders"
            kind = "{kind}"
            path = "{path}"
            [[policy]]
            name = "databases"
            vault = "primary"
            select = {{ resources = ["orders"] }}
            keep = {{ last = 7 }}
            rule = [{{ name = "base", cron = "0 2 * * *", kind = "full" }}, {{ name = "log", cron = "*/5 * * * *", kind = "log" }}]
            copy = [{{ vault = "recovery", within = "10m" }}]
            [[plan]]
            name = "orders-in-east"
            rpo = "15m"
            rto = "4h"
            [[plan.step]]
            name = "restore"
            restore = {{ resource = "orders", vault = "recovery" }}
            "#
        );
        let config = parse(&text, now()).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let said = said(&config, &Measured::default());
        said.into_iter()
            .filter(|line| line.contains("rpo-below-point-age"))
            .collect::<Vec<_>>()
    };
    assert_eq!(findings("postgres", "host=db user=backup"), [""; 0]);
    let of_files = findings("files", "/srv/orders");
    assert_eq!(of_files.len(), 1);
    assert!(of_files[0].contains("may be 1450m old"), "{}", of_files[0]);
}

#[test]
fn a_step_that_is_lost_with_its_region_is_named_and_what_waits_for_it_is_not_reached() {
    let mixed = configuration(
        r#"
        [[plan]]
        name = "mixed"
        rpo = "2h"
        rto = "2h"
        step = [
            { name = "near", restore = { resource = "photos", vault = "primary" }, timeout = "10m" },
            { name = "compare-near", verify = { restored-by = "near" }, timeout = "10m" },
            { name = "far", restore = { resource = "photos", vault = "recovery" }, timeout = "10m" },
            { name = "compare-far", verify = { restored-by = "far" }, timeout = "10m" },
        ]
        "#,
    );
    let refused: Vec<String> = (said(&mixed, &Measured::default()).into_iter())
        .filter(|said| said.starts_with("refuse"))
        .collect();
    assert_eq!(
        refused,
        [
            "refuse needs-lost-region mixed/near: it needs the server there in west, which is lost with Region west: use what stands \
          in the recovery Region"
        ]
    );
    let plan = &mixed.plans[0];
    let lost = simulate(plan, &ground(&mixed), &Measured::default(), Some(Outage::Region)).unwrap();
    assert!(!lost.comes_to_its_end());
    golden::check("plans/mixed_region.txt", &simulation_text(plan, &lost));
}

#[test]
fn a_drawing_and_a_runbook_let_no_text_out_of_its_place() {
    let config = configuration(
        r##"
        [[plan]]
        name = "told"
        description = "for | <b>people</b>"
        rpo = "2h"
        rto = "1h"
        [[plan.step]]
        name = "tell"
        notify = "say \"hello\" | to <all> #1 `now`"
        "##,
    );
    let plan = &config.plans[0];
    assert_eq!(
        draw_plan(plan),
        "flowchart TD\n    s0[\"<b>tell</b><br>tells people: say #quot;hello#quot; | to #lt;all#gt; #35;1 #96;now#96;\"]\n"
    );
    let simulated = simulate(plan, &ground(&config), &Measured::default(), None).unwrap();
    let text = runbook(plan, &simulated, &Measured::default());
    assert!(text.contains("for \\| &lt;b>people"), "{text}");
    assert!(text.contains("say \"hello\" \\| to &lt;all> #1 `now`"), "{text}");
}

/// Every plan of every example under every outage, in the words of `holdfast plan simulate`.
#[test]
fn the_plans_of_the_examples_are_simulated_under_every_outage() {
    for folder in examples::folders() {
        let config = examples::example(&folder);
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut said = String::new();
        for plan in &config.plans {
            assert!(order_steps(plan).is_ok());
            let findings = check_plan(plan, &ground(&config), &config.policies, &Measured::default(), now());
            for finding in findings {
                assert!(finding.severity < Severity::Refuse, "{name}: {finding:?}");
                said += &format!("{}: {}\n", finding.subject, finding.message);
            }
            for outage in std::iter::once(None).chain(Outage::ALL.map(Some)) {
                let simulated = simulate(plan, &ground(&config), &Measured::default(), outage).unwrap();
                said += &format!("\n{}", simulation_text(plan, &simulated));
            }
        }
        golden::check(&format!("plans/{name}.txt"), &said);
    }
}

/// The runbooks in the documents are what `holdfast plan runbook` writes for the plans of the examples.
#[test]
fn the_runbooks_in_the_documents_are_those_of_the_examples() {
    for folder in examples::folders() {
        let config = examples::example(&folder);
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for plan in &config.plans {
            let measured = Measured::default();
            let simulated = simulate(plan, &ground(&config), &measured, None).unwrap();
            let file = folder.join(format!("../../docs/runbooks/{name}-{}.md", plan.id));
            golden::check_file(&file, &runbook(plan, &simulated, &measured));
        }
    }
}

#[test]
fn a_name_that_is_to_be_led_back_says_where_to() {
    let text = |more: &str| {
        format!(
            r#"
region = "us-east-1"
[[vault]]
name = "primary"
region = "us-east-1"
[[workload]]
name = "orders"
home = "us-east-1"
[[actuator]]
name = "orders-dns"
kind = "dns"
region = "us-west-2"
workload = "orders"
production = {{ server = "10.3.0.2:53", zone = "shop.test.", name = "orders.shop.test.", address = "10.2.0.9", key_name = "k.", key_file = "/k"{more} }}
[[plan]]
name = "west"
rpo = "1h"
rto = "1h"
[plan.moves]
workload = "orders"
from = "us-east-1"
to = "us-west-2"
[[plan.step]]
name = "lead"
direct = "orders-dns"
undo = "reverse"
"#
        )
    };
    let told = |more| {
        said(
            &parse(&text(more), now()).unwrap_or_else(|problems| panic!("{problems:#?}")),
            &Measured::default(),
        )
    };
    let refused = told("");
    assert!(
        refused
            .iter()
            .any(|line| line.starts_with("refuse no-way-back west/lead") && line.contains("other_address")),
        "{refused:#?}"
    );
    let fine = told(r#", other_address = "10.1.0.9""#);
    assert!(fine.iter().all(|line| !line.contains("no-way-back")), "{fine:#?}");
}
