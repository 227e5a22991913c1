use holdfast_core::domain::{
    Check, Conduct, Divergence, DrillCost, Drills, Objectives, PlanId, RecoveryPlan, Run, RunId, RunKind, RunState,
    Step, StepAction, StepName, StepRecord, StepState,
};
use holdfast_core::report::{Signed, run_page};

use crate::golden;
use crate::make::{at, resource, span, vault_name};

fn name(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

fn record(step: &str, action: StepAction, state: StepState, time: Option<(&str, &str)>, note: &str) -> StepRecord {
    StepRecord {
        step: Step {
            name: name(step),
            after: Vec::new(),
            action,
            timeout: span("1h"),
            graceful: false,
        },
        state,
        started_at: time.map(|(from, _)| at(from)),
        finished_at: time.map(|(_, to)| at(to)),
        job: None,
        note: note.to_owned(),
    }
}

/// A drill that lost more than promised and whose last but one step failed.
fn drill() -> Run {
    let proven = StepAction::Check(Check::ProvenPoint {
        resource: resource().id,
        vault: vault_name("recovery"),
    });
    let restore = StepAction::Restore {
        resource: resource().id,
        vault: vault_name("recovery"),
        target: None,
    };
    let verify = StepAction::Verify {
        restored_by: name("restore"),
    };
    let notify = StepAction::Notify {
        message: "photos stand in the west".to_owned(),
    };
    use StepState::{Failed, Skipped, Succeeded};
    let time = |from, to| Some((from, to));
    let steps = vec![
        record(
            "point-is-proven",
            proven,
            Succeeded,
            time("2026-03-01T02:00:05Z", "2026-03-01T02:00:06Z"),
            "point 4f1e of 2026-03-01T00:10:00Z is proven",
        ),
        record(
            "restore",
            restore,
            Succeeded,
            time("2026-03-01T02:00:06Z", "2026-03-01T02:41:30Z"),
            "restored 12000 files, 48000000000 bytes",
        ),
        record(
            "compare",
            verify,
            Failed,
            time("2026-03-01T02:41:30Z", "2026-03-01T02:44:00Z"),
            "1 entries differ: <b>\"a & b\".jpg</b>",
        ),
        record("tell", notify, Skipped, None, "the run had failed"),
    ];
    Run {
        id: RunId::derive(&["report"]),
        plan: RecoveryPlan {
            id: PlanId::new("west").unwrap(),
            moves: None,
            drills: Drills::default(),
            levels: Vec::new(),
            priority: None,
            at_once: None,
            description: "Photos & reports from the recovery Region".to_owned(),
            objectives: Objectives {
                rpo: span("90m"),
                rto: span("30m"),
            },
            steps: steps.iter().map(|record| record.step.clone()).collect(),
        },
        kind: RunKind::Drill,
        requested_by: "operator <ops@example.org>".to_owned(),
        state: RunState::Failed,
        declared_at: at("2026-03-01T02:00:00Z"),
        started_at: Some(at("2026-03-01T02:00:05Z")),
        recovered_at: None,
        finished_at: Some(at("2026-03-01T02:45:10Z")),
        steps,
        point_age_seconds: Some(6600),
        data_loss_seconds: None,
        statement: Some(17),
        conduct: Conduct::default(),
        next_action_at: at("2026-03-01T02:45:10Z"),
    }
}

#[test]
fn a_page_tells_what_was_promised_measured_done_and_proven_and_runs_nothing() {
    let signed = Signed {
        number: 17,
        sha256: "ab".repeat(32),
    };
    let page = run_page(&drill(), Some(&signed));
    golden::check("report/failed_drill.html", &page);
    for active in ["<script", "http://", "https://", "javascript:", "<b>\"a", "onload"] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(active), "{active}");
    }
}

#[test]
fn a_run_that_took_longer_than_promised_says_by_how_much() {
    let mut run = drill();
    run.steps[2].state = StepState::Succeeded;
    run.steps.truncate(3);
    (run.state, run.recovered_at) = (RunState::Succeeded, run.steps[2].finished_at);
    run.data_loss_seconds = Some(30);
    golden::check("report/late_drill.html", &run_page(&run, None));
}

#[test]
fn a_run_of_which_nothing_was_measured_yet_says_so() {
    let mut run = drill();
    run.state = RunState::Running;
    (run.recovered_at, run.finished_at, run.point_age_seconds, run.statement) = (None, None, None, None);
    for step in &mut run.steps {
        (step.state, step.started_at, step.finished_at) = (StepState::Pending, None, None);
    }
    let page = run_page(&run, None);
    assert_eq!(page.matches("not measured").count(), 4);
    assert!(page.contains("No statement of this run is signed yet"));
    assert!(!page.contains("What failed"));
}

#[test]
fn what_a_failover_left_behind_and_what_the_lost_side_gave_up_is_told() {
    let mut run = drill();
    run.kind = RunKind::Disaster;
    run.conduct.lag_milliseconds = Some(12_001);
    run.conduct.divergences.push(Divergence {
        transactions: 7,
        from: "0/3000A50".to_owned(),
        to: "0/3000B60".to_owned(),
        records: "/guard/<2>.txt".to_owned(),
    });
    let page = run_page(&run, None);
    assert!(page.contains("Data left behind, at most<b>13 s</b>"), "{page}");
    let told = "7 transactions were committed on the lost side only, between 0/3000A50 and 0/3000B60; they are listed in \
                /guard/&lt;2&gt;.txt on its host.";
    assert!(page.contains(told), "{page}");
    assert!(!run_page(&drill(), None).contains("given up"));
}

#[test]
fn a_drill_that_its_budget_ended_shows_why_and_what_it_cost() {
    let mut run = drill();
    run.conduct.level = Some(3);
    run.conduct.goes_back = Some("the budget ends this drill <early>".to_owned());
    run.conduct.cost = Some(DrillCost {
        total: 1.256,
        items: vec![("web".to_owned(), 1.2), ("db".to_owned(), 0.056)],
        per_second: 0.0,
        priced: "USD, prices noted on 2026-11-20".to_owned(),
    });
    let page = run_page(&run, None);
    for words in [
        "Cost<b>1.26</b>",
        "web: 1.20, db: 0.06",
        "USD, prices noted on 2026-11-20",
        "the budget ends this drill &lt;early&gt;",
        "incident level 3",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
}
