//! When drills are due and may begin, who is told of a run, and what of all that cannot be kept.

use holdfast_core::config::{Config, parse};
use holdfast_core::domain::{Drills, Run, RunId, RunKind};
use holdfast_core::planning::{
    Admission, DrillsDue, Ground, Measured, admit_drill, carry_over_drills, check_plan, contacts_due, plan_drills,
};
use jiff::Timestamp;
use serde_json::json;

use crate::make::{at, span};

/// A plan that moves a workload, with more of the file before it, in it, and after its first steps.
fn text(before: &str, of_plan: &str, steps: &str) -> String {
    format!(
        r#"
region = "east"
[[workload]]
name = "shop"
home = "east"
[prices]
noted-on = "2026-11-20"
currency = "USD"
list = {{ instance_hour = 0.36 }}
[[contact]]
name = "on-call"
reach = "12345"
[[contact]]
name = "chief"
reach = "67890"
{before}
[[actuator]]
name = "db"
kind = "aurora-global"
region = "west"
workload = "shop"
production = {{ global-cluster = "shop", cluster-arn = "arn:west" }}
[[actuator]]
name = "web"
kind = "ecs-service"
region = "west"
workload = "shop"
production = {{ cluster = "live", service = "web" }}
drill = {{ cluster = "drills", service = "web" }}
rent = {{ price = "instance_hour", units = 10 }}
[[actuator]]
name = "way"
kind = "route53-marker"
region = "west"
workload = "shop"
production = {{ bucket = "b", key = "k" }}
[[plan]]
name = "west"
rpo = "1h"
rto = "3h"
{of_plan}
[plan.moves]
workload = "shop"
from = "east"
to = "west"
{steps}
"#
    )
}

const STEPS: &str = r#"
[[plan.step]]
name = "promote"
promote = "db"
undo = "no-return"
[[plan.step]]
name = "start"
start = "web"
undo = "reverse"
timeout = "10m"
[[plan.step]]
name = "lead"
direct = "way"
undo = "reverse"
after = ["promote"]
"#;

fn read(before: &str, of_plan: &str, steps: &str) -> Result<Config, String> {
    let read = parse(&text(before, of_plan, steps), at("2026-01-01T00:00:00Z"));
    read.map_err(|problems| problems.iter().map(|problem| format!("{problem}\n")).collect())
}

fn drills(of_plan: &str) -> Drills {
    let config = read("", of_plan, STEPS).unwrap_or_else(|problems| panic!("{problems}"));
    config.plans[0].drills.clone()
}

/// The codes of what is said of a plan.
fn said(of_plan: &str) -> Vec<&'static str> {
    said_of(of_plan, STEPS)
}

fn said_of(of_plan: &str, steps: &str) -> Vec<&'static str> {
    let config = read("", of_plan, steps).unwrap_or_else(|problems| panic!("{problems}"));
    let ground = Ground {
        home: &config.settings.region,
        vaults: &config.vaults,
        resources: &config.resources,
    };
    let findings = check_plan(
        &config.plans[0],
        &ground,
        &config.policies,
        &Measured::default(),
        at("2026-01-01T00:00:00Z"),
    );
    findings.iter().map(|finding| finding.code).collect()
}

fn refused(before: &str, of_plan: &str, steps: &str, by: &str) {
    let problems = read(before, of_plan, steps).map(|_| ()).unwrap_err();
    assert!(problems.contains(by), "not refused by `{by}`: {problems}");
}

const NIGHTS: &str = r#"
[plan.drills]
zone = "Europe/Berlin"
schedule = "0 2 * * sun"
window = [{ opens = "0 22 * * sat", for = "8h" }]
"#;

#[test]
fn a_drill_begins_while_a_window_is_open_and_is_told_when_the_next_one_opens() {
    let windows = drills(NIGHTS).windows;
    let admitted = |text| admit_drill(&windows, at(text)).unwrap();
    let closed = |opens_at: &str| Admission::Closed {
        opens_at: Some(at(opens_at)),
    };
    // In winter 22:00 in Berlin is 21:00 UTC; the window is open for its length, its end not included.
    assert_eq!(admitted("2026-01-03T20:59:59Z"), closed("2026-01-03T21:00:00Z"));
    assert_eq!(admitted("2026-01-03T21:00:00Z"), Admission::Open);
    assert_eq!(admitted("2026-01-04T04:59:59Z"), Admission::Open);
    assert_eq!(admitted("2026-01-04T05:00:00Z"), closed("2026-01-10T21:00:00Z"));
    assert_eq!(admit_drill(&[], at("2026-01-01T00:00:00Z")).unwrap(), Admission::Open);
}

#[test]
fn of_the_drills_that_became_due_the_newest_is_owed_and_the_others_are_missed() {
    let schedule = drills(NIGHTS).schedule.unwrap();
    let owed = |settled: Option<&str>, now: &str| plan_drills(&schedule, settled.map(at), at(now)).unwrap();
    let sundays = ["2026-01-04T01:00:00Z", "2026-01-11T01:00:00Z", "2026-01-18T01:00:00Z"].map(at);
    assert_eq!(owed(None, "2026-01-04T00:59:59Z"), DrillsDue::default());
    let one = DrillsDue {
        missed: vec![],
        due: Some(sundays[0]),
    };
    assert_eq!(owed(None, "2026-01-04T01:00:00Z"), one);
    assert_eq!(
        owed(Some("2026-01-04T01:00:00Z"), "2026-01-10T00:00:00Z"),
        DrillsDue::default()
    );
    let several = DrillsDue {
        missed: sundays[..2].to_vec(),
        due: Some(sundays[2]),
    };
    assert_eq!(owed(None, "2026-01-20T00:00:00Z"), several);
}

#[test]
fn a_schedule_that_stands_as_it_stood_keeps_the_time_since_which_it_does() {
    let since = |drills: &Drills| drills.schedule.as_ref().map(|schedule| schedule.since);
    let (mut old, mut same) = (drills(NIGHTS), drills(NIGHTS));
    old.schedule.as_mut().unwrap().since = Timestamp::UNIX_EPOCH;
    let mut moved = drills(&NIGHTS.replace("0 2 *", "0 3 *"));
    carry_over_drills(&old, &mut same);
    carry_over_drills(&old, &mut moved);
    assert_eq!(since(&same), Some(Timestamp::UNIX_EPOCH));
    assert_eq!(since(&moved), Some(at("2026-01-01T00:00:00Z")));
}

#[test]
fn what_a_plan_says_of_its_drills_and_cannot_keep_is_found() {
    for code in [
        "drill-outside-window",
        "budget-too-small",
        "budget-counts-nothing",
        "rent-never-ends",
    ] {
        assert!(!said(&format!("{NIGHTS}budget = 5.00")).contains(&code), "{code}");
    }
    assert!(said(&NIGHTS.replace("0 2 * * sun", "0 12 1 * *")).contains(&"drill-outside-window"));
    let short = NIGHTS.replace("0 22 * * sat", "0 2 * * sun").replace("8h", "1h");
    assert!(said(&short).contains(&"drill-outlasts-window"));
    assert!(said("drills = { budget = 0.5 }").contains(&"budget-too-small"));
    let budget = "drills = { budget = 5 }";
    let stops = STEPS.replace("start = \"web\"", "stop = \"web\"");
    assert!(said_of(budget, &stops).contains(&"budget-counts-nothing"));
    let stays = STEPS.replace(
        "start = \"web\"\nundo = \"reverse\"",
        "start = \"web\"\nundo = \"no-return\"",
    );
    assert!(said_of(budget, &stays).contains(&"rent-never-ends"));
}

#[test]
fn words_that_can_never_be_kept_are_refused_where_they_stand() {
    refused(
        "",
        "drills = { budget = 0 }",
        STEPS,
        "\"budget\" must be a number above 0",
    );
    refused("", "drills = { schedule = \"0 0 30 2 *\" }", STEPS, "never comes due");
    let window = |opens: &str, open_for: &str| {
        format!("[plan.drills]\nwindow = [{{ opens = \"{opens}\", for = \"{open_for}\" }}]")
    };
    refused("", &window("0 0 30 2 *", "1h"), STEPS, "never comes due");
    refused("", &window("0 0 1 * *", "0s"), STEPS, "the window never opens");
    let level = |number: &str, more: &str| format!("[[plan.level]]\nnumber = {number}\nrto = \"1h\"\n{more}");
    let once = r#"escalate = [{ contact = "on-call", after = "0s" }]"#;
    refused("", &level("5", once), STEPS, "from 1 to 4");
    refused(
        "",
        &format!("{}\n{}", level("2", once), level("2", once)),
        STEPS,
        "level 2 is there already",
    );
    refused("", &level("1", ""), STEPS, "tells nobody");
    let twice = r#"escalate = [{ contact = "on-call", after = "0s" }, { contact = "on-call", after = "5m" }]"#;
    refused("", &level("1", twice), STEPS, "\"on-call\" is told already");
    let back = r#"escalate = [{ contact = "on-call", after = "5m" }, { contact = "chief", after = "1m" }]"#;
    refused("", &level("1", back), STEPS, "sooner than that of the contact before");
    let nobody = r#"escalate = [{ contact = "off-call", after = "0s" }]"#;
    refused(
        "",
        &level("1", nobody),
        STEPS,
        "there is no contact \"off-call\"; did you mean \"on-call\"?",
    );
    let allowed = format!("{once}\nautomatic = \"allowed\"");
    refused("", &level("1", &allowed), STEPS, "no [plan.moves.automatic] says");
    let automatic = r#"automatic = { places = 2, down-for = "30s", cool-down = "1h" }"#;
    refused(
        "",
        &level("1", once),
        &format!("{automatic}\n{STEPS}"),
        "no [[plan.level]] allows that",
    );
    refused(
        "[[contact]]\nname = \"silent\"\nreach = \" \"",
        "",
        STEPS,
        "\"reach\" is empty",
    );
    refused("", "priority = 4", STEPS, "from 1 to 3");
    refused("", "at-once = 0", STEPS, "from 1 to 1000");
    let unpriced = text("", "drills = { budget = 1 }", STEPS).replace("[prices]", "[[tier]]");
    assert!(parse(&unpriced, at("2026-01-01T00:00:00Z")).is_err_and(|problems| {
        let said = |words: &str| problems.iter().any(|problem| problem.message.contains(words));
        said("can only be held with prices") && said("the file has no [prices]")
    }));
}

#[test]
fn traffic_is_led_only_after_what_can_serve_it() {
    let early = STEPS.replace("after = [\"promote\"]", "");
    refused(
        "",
        "",
        &early,
        "may run before promote, without which nothing there can serve it",
    );
    let through = format!(
        "{}\n[[plan.step]]\nname = \"looks\"\nwait = \"1s\"\nafter = [\"promote\"]\n",
        STEPS.replace("after = [\"promote\"]", "after = [\"looks\"]")
    );
    assert!(read("", "", &through).is_ok());
    let only_starts = STEPS
        .replace("promote = \"db\"", "wait = \"1s\"")
        .replacen("undo = \"no-return\"\n", "", 1);
    refused("", "", &only_starts, "may run before start");
    assert!(
        read(
            "",
            "",
            &only_starts.replace("after = [\"promote\"]", "after = [\"start\"]")
        )
        .is_ok()
    );
    let away = early.replace("direct = \"way\"", "direct = \"way\"\nshare = 0");
    assert!(read("", "", &away).is_ok());
}

const LEVELS: &str = r#"
[[plan.level]]
number = 3
rto = "2h"
escalate = [{ contact = "on-call", after = "0s" }, { contact = "chief", after = "15m" }]
[[plan.level]]
number = 1
rto = "30m"
escalate = [{ contact = "chief", after = "1h" }]
"#;

fn run(level: u8, kind: RunKind) -> Run {
    let config = read("", LEVELS, STEPS).unwrap();
    serde_json::from_value(json!({
        "id": RunId::derive(&["run"]), "plan": config.plans[0], "kind": kind, "requested_by": "ana", "state": "running",
        "declared_at": "2026-03-01T10:00:00Z", "steps": [], "next_action_at": "2026-03-01T10:00:00Z",
        "conduct": { "generation": null, "approvals": [], "goes_back": null, "stuck": null, "lag_milliseconds": null, "log": [],
            "level": level },
    }))
    .unwrap()
}

fn due(run: &Run, now: &str) -> Vec<String> {
    let due = contacts_due(run, at(now));
    due.iter().map(|step| step.contact.name.to_string()).collect()
}

#[test]
fn contacts_are_told_in_turn_until_somebody_acknowledges() {
    let mut run = run(3, RunKind::Disaster);
    assert_eq!(run.rto(), span("2h"));
    assert_eq!(due(&run, "2026-03-01T10:14:59Z"), ["on-call"]);
    assert_eq!(due(&run, "2026-03-01T10:15:00Z"), ["on-call", "chief"]);
    run.conduct.told.push("on-call".parse().unwrap());
    assert_eq!(due(&run, "2026-03-01T10:14:59Z"), Vec::<String>::new());
    assert_eq!(due(&run, "2026-03-01T10:15:00Z"), ["chief"]);
    run.conduct.acknowledged = serde_json::from_value(json!({ "by": "ben", "at": "2026-03-01T10:03:00Z" })).unwrap();
    assert_eq!(due(&run, "2026-03-01T12:00:00Z"), Vec::<String>::new());
}

#[test]
fn a_drill_tells_nobody_and_another_level_has_its_own_promise_and_people() {
    assert_eq!(
        due(&run(3, RunKind::Drill), "2026-03-01T12:00:00Z"),
        Vec::<String>::new()
    );
    let grave = run(1, RunKind::Planned);
    assert_eq!(grave.rto(), span("30m"));
    assert_eq!(due(&grave, "2026-03-01T10:59:00Z"), Vec::<String>::new());
    assert_eq!(due(&grave, "2026-03-01T11:00:00Z"), ["chief"]);
    assert_eq!(grave.plan.strictest_rto(), span("30m"));
}
