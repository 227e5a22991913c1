use std::fs;

use holdfast_core::config::{Config, parse};
use holdfast_core::domain::{BackupKind, Check, ResourceKind, StepAction};
use holdfast_core::planning::{Severity, order_steps};

use crate::golden;
use crate::make::{at, span, vault_name};

const EXAMPLE: &str = include_str!("../../../../docs/holdfast.example.toml");

fn example() -> Config {
    parse(EXAMPLE, at("2026-01-01T00:00:00Z")).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_example_in_the_documents_reads_and_nothing_speaks_against_it() {
    let config = example();
    for (line, finding) in &config.warnings {
        assert_eq!(finding.severity, Severity::Explain, "line {line}: {finding:?}");
    }
    assert_eq!(config.settings.region.as_str(), "eu-central-1");
    assert_eq!(config.settings.data, None);
    let vaults: Vec<_> = config
        .vaults
        .iter()
        .map(|vault| (vault.name.as_str(), vault.region.as_str()))
        .collect();
    assert_eq!(vaults, [("primary", "eu-central-1"), ("recovery", "eu-west-1")]);
    let photos = &config.resources[0];
    assert_eq!(
        (photos.id.as_str(), photos.kind, photos.path.as_str()),
        ("photos", ResourceKind::Files, "/srv/photos")
    );
    assert_eq!(photos.heartbeat.as_deref(), Some("heartbeat"));
    assert_eq!(photos.tags.get("tier").map(String::as_str), Some("critical"));
    assert_eq!(photos.registered_at, at("2026-01-01T00:00:00Z"));
}

#[test]
fn a_policy_is_read_to_the_last_key() {
    let (id, policy) = &example().policies[0];
    assert_eq!(id.as_str(), "critical-files");
    assert_eq!(policy.description, "Hourly, with a copy in the recovery Region");
    assert_eq!(policy.selection.tags.get("tier").map(String::as_str), Some("critical"));
    assert_eq!(policy.patterns.exclude, ["*.tmp", ".cache"]);
    assert_eq!((policy.max_parallel, policy.bandwidth_limit), (2, Some(50_000_000)));
    assert_eq!((policy.delete_after, policy.verify.every), (span("3d"), span("30d")));
    assert_eq!(
        policy.objectives.map(|objectives| (objectives.rpo, objectives.rto)),
        Some((span("90m"), span("4h")))
    );
    let keep = policy.retention;
    let keep = [
        keep.keep_last,
        keep.keep_daily,
        keep.keep_weekly,
        keep.keep_monthly,
        keep.keep_yearly,
    ];
    assert_eq!(keep, [24, 7, 4, 12, 7]);
    let rules: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.kind, rule.start_within))
        .collect();
    let expected = [
        ("hourly", BackupKind::Incremental, span("20m")),
        ("weekly-full", BackupKind::Full, span("1h")),
    ];
    assert_eq!(rules, expected);
    assert_eq!(policy.rules[0].zone, "Europe/Berlin");
    assert_eq!(policy.rules[0].since, at("2026-01-01T00:00:00Z"));
    assert_eq!(
        (&policy.copies[0].vault, policy.copies[0].within),
        (&vault_name("recovery"), span("30m"))
    );
}

#[test]
fn a_policy_that_leaves_out_what_it_may_gets_the_documented_values() {
    let (_, policy) = &example().policies[1];
    assert_eq!((policy.max_parallel, policy.bandwidth_limit), (2, None));
    assert_eq!((policy.delete_after, policy.verify.every), (span("3d"), span("30d")));
    assert_eq!(policy.rules[0].start_within, span("1h"));
    let sparse = EXAMPLE.replace("zone = \"Europe/Berlin\"\ntier = \"standard\"", "tier = \"standard\"");
    let config = parse(&sparse, at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(
        (
            config.policies[1].1.zone.as_str(),
            config.policies[1].1.rules[0].zone.as_str()
        ),
        ("UTC", "UTC")
    );
}

#[test]
fn a_plan_is_read_with_its_steps_in_order() {
    let config = example();
    let plan = &config.plans[0];
    assert_eq!(plan.id.as_str(), "photos-in-west");
    assert_eq!((plan.objectives.rpo, plan.objectives.rto), (span("90m"), span("4h")));
    assert_eq!(order_steps(plan), Ok(vec![0, 1, 2, 3, 4]));
    assert!(
        matches!(&plan.steps[0].action, StepAction::Check(Check::ProvenPoint { vault, .. }) if vault.as_str() == "recovery")
    );
    assert!(
        matches!(&plan.steps[1].action, StepAction::Check(Check::PointAge { at_most, .. }) if *at_most == span("90m"))
    );
    assert!(matches!(&plan.steps[2].action, StepAction::Restore { resource, .. } if resource.as_str() == "photos"));
    assert!(matches!(&plan.steps[3].action, StepAction::Verify { restored_by } if restored_by.as_str() == "restore"));
    assert!(matches!(&plan.steps[4].action, StepAction::Notify { message } if message.contains("recovery Region")));
    assert_eq!((plan.steps[2].timeout, plan.steps[3].timeout), (span("3h"), span("1h")));
}

/// Every `<name>.toml` among the golden texts is a file with mistakes; `<name>.txt` is all that is said about it.
#[test]
fn every_mistake_in_a_file_is_reported_with_its_line() {
    let folder = golden::folder().join("config");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let text = fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        let said = match parse(&text, at("2026-01-01T00:00:00Z")) {
            Ok(config) => {
                let lines = config.warnings.iter().map(|(line, finding)| {
                    format!(
                        "line {line}: {:?} {}: {}: {}\n",
                        finding.severity, finding.code, finding.subject, finding.message
                    )
                });
                lines.collect::<String>()
            }
            Err(problems) => {
                assert!(!problems.is_empty(), "{name}");
                problems.iter().map(|problem| format!("{problem}\n")).collect()
            }
        };
        golden::check(&format!("config/{name}.txt"), &said);
    }
}

#[test]
fn a_problem_names_its_column_in_characters() {
    let problems = parse("region = \"ü\"\ndata = 'ä'; x", at("2026-01-01T00:00:00Z")).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (2, 11), "{problems:?}");
    let problems = parse("region = \"ü\"", at("2026-01-01T00:00:00Z")).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (1, 10), "{problems:?}");
}

#[test]
fn no_text_makes_the_reader_panic() {
    let applied_at = at("2026-01-01T00:00:00Z");
    // Looking at an hourly rule for a year would take most of the time.
    let text = EXAMPLE.replace("10 * * * *", "10 1 1 * *");
    for end in (0..text.len()).step_by(61) {
        let _ = parse(&text[..end], applied_at);
    }
    for place in (0..text.len()).step_by(97) {
        for wrong in ["\"", "[", "=", "\u{0}", "ä", "1", "\n"] {
            let _ = parse(&format!("{}{wrong}{}", &text[..place], &text[place + 1..]), applied_at);
        }
    }
}

#[test]
fn a_plan_that_restores_what_a_service_keeps_is_refused() {
    let orders = "
[[resource]]
name = \"orders\"
kind = \"rds\"
path = \"orders-db\"

[[plan]]
name = \"move-orders\"
rpo = \"4h\"
rto = \"1h\"

[[plan.step]]
name = \"restore\"
restore = { resource = \"orders\", vault = \"recovery\" }
";
    let problems = parse(&format!("{EXAMPLE}{orders}"), at("2026-01-01T00:00:00Z")).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("move-orders/restore") && told[0].contains("content only so far"),
        "{told:?}"
    );
}

#[test]
fn a_failover_restores_to_a_place_that_can_be_meant() {
    let moved = |target: &str| {
        format!(
            "[[workload]]\nname = \"album\"\nhome = \"west\"\n[[plan]]\nname = \"move-album\"\nrpo = \"1d\"\nrto = \"4h\"\n[plan.moves]\n\
             workload = \"album\"\nfrom = \"west\"\nto = \"east\"\n[[plan.step]]\nname = \"restore\"\nrestore = {{ resource = \"photos\", \
             vault = \"recovery\", target = \"{target}\" }}\n"
        )
    };
    let read = |target: &str| parse(&format!("{EXAMPLE}{}", moved(target)), at("2026-01-01T00:00:00Z"));
    let plans = read("/srv/album").unwrap().plans;
    assert!(plans.iter().any(|plan| plan.moves.is_some() && plan.restores()));
    let led_after = |step: &str| {
        let verified = format!(
            "[[plan.step]]\nname = \"compare\"\nverify = {{ restored-by = \"restore\" }}\n[[plan.step]]\nname = \"lead\"\ndirect = \"way\"\n\
             undo = \"reverse\"\nafter = [\"{step}\"]\n[[actuator]]\nname = \"way\"\nkind = \"command\"\nregion = \"east\"\nworkload = \
             \"album\"\nproduction = {{ program = \"/usr/bin/way\" }}\n"
        );
        let text = format!("{EXAMPLE}{}{verified}", moved("/srv/album"));
        parse(&text, at("2026-01-01T00:00:00Z"))
    };
    assert!(led_after("compare").is_ok(), "{:?}", led_after("compare"));
    let told = led_after("restore").unwrap_err()[0].to_string();
    assert!(told.contains("may run before compare"), "{told}");
    for target in ["srv/album", "/", "/srv/../etc", "s3://bucket"] {
        let told: Vec<String> = read(target).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("move-album/restore") && told[0].contains("target"),
            "{told:?}"
        );
    }
}

#[test]
fn trials_of_a_server_are_read_strictly() {
    let text = |kind: &str, more: &str| {
        format!(
            "region = \"west\"\n[[vault]]\nname = \"primary\"\nregion = \"west\"\n[[resource]]\nname = \"orders\"\nkind = \
             \"{kind}\"\npath = \"x\"\n[resource.trial]\n{more}\n"
        )
    };
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let read = |kind: &str, more: &str| holdfast_core::config::parse(&text(kind, more), at);
    let whole = "every = \"7d\"\nfolder = \"/trials\"\nassert = [{ database = \"shop\", sql = \"SELECT true\" }]\n\
                 heartbeat = { database = \"shop\", column = \"public.beats.at\" }";
    let rule = read("postgres", whole).unwrap().resources[0].trial.clone().unwrap();
    assert_eq!(
        (rule.every.to_string(), rule.trial.timeout.to_string()),
        ("1w".into(), "4h".into())
    );
    assert_eq!((rule.trial.superuser.as_str(), rule.trial.programs), ("postgres", None));
    assert_eq!(rule.trial.checks.assertions[0].expects, "t");
    assert_eq!(
        rule.trial.checks.heartbeat.unwrap().column.to_string(),
        "public.beats.at"
    );
    for (kind, more, said) in [
        ("files", "every = \"7d\"", "trial"),
        ("postgres", "folder = \"/trials\"", "lacks \"every\""),
        ("postgres", "every = \"7d\"", "lacks \"folder\""),
        (
            "postgres",
            "every = \"7d\"\nfolder = \"/t\"\ncron = \"0 4 * * *\"",
            "cron",
        ),
        (
            "postgres",
            "every = \"7d\"\nfolder = \"/t\"\nassert = [{ sql = \"SELECT true\" }]",
            "lacks \"database\"",
        ),
        (
            "postgres",
            "every = \"7d\"\nfolder = \"/t\"\nheartbeat = { database = \"shop\", column = \"at\" }",
            "schema.table.column",
        ),
    ] {
        let problems = read(kind, more).unwrap_err();
        let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(said), "{more}: {told}");
    }
}

#[test]
fn a_server_is_named_without_its_password() {
    let text = |more: &str| {
        format!(
            "region = \"west\"\n[[vault]]\nname = \"primary\"\nregion = \"west\"\n[[resource]]\nname = \"orders\"\nkind = \"postgres\"\n{more}\n"
        )
    };
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let read = |more: &str| holdfast_core::config::parse(&text(more), at);
    let config = read("path = \"host=db user=u\"\npassword-file = \"secret\"").unwrap();
    let server = config.resources[0].server.clone().unwrap();
    assert_eq!(
        (server.password.as_deref(), server.slot.as_str()),
        (Some("secret"), "holdfast")
    );
    for (more, said) in [
        ("path = \"host=db password=geheim\"", "holds a password"),
        ("path = \"postgresql://u:geheim@db/postgres\"", "holds a password"),
        ("path = \"host=db\"\nslot = \"Big\"", "names a replication slot"),
        ("path = \"host=db\"\nlog = \"always\"", "\"scheduled\", \"continuous\""),
        (
            "path = \"host=db\"\nlog = \"continuous\"",
            "looks after what is received",
        ),
        ("path = \"host=db\"\npassword-secret = \"x\"", "ARN of a secret"),
        (
            "path = \"host=db\"\npassword-file = \"x\"\npassword-secret = \"arn:x\"",
            "not both",
        ),
    ] {
        let problems = read(more).unwrap_err();
        let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.contains(said) && !told.contains("geheim"), "{told}");
    }
}
