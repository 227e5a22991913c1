//! Trials of servers: made as often as the configuration says, and what becomes of what they find.

use holdfast_core::domain::{Assertion, Checks, Copy, Order, Statement, Trial, TrialRule};

use crate::scene::*;

/// A server that is backed up once, after its first trial.
fn tried(every: Span) -> System {
    let selection = Selection {
        resources: vec![photos()],
        ..Selection::default()
    };
    let draft = PolicyDraft { selection, ..once() };
    let system = System::new(draft.clone());
    let known: Vec<Resource> = system.records();
    let rule = TrialRule {
        every,
        trial: Trial {
            folder: "/trials".to_owned(),
            superuser: "postgres".to_owned(),
            programs: None,
            timeout: Span::hours(4),
            checks: Checks {
                assertions: vec![Assertion {
                    database: "shop".to_owned(),
                    sql: "SELECT true".to_owned(),
                    expects: Assertion::truth(),
                }],
                heartbeat: None,
            },
        },
    };
    let server = Resource {
        kind: ResourceKind::Postgres,
        trial: Some(rule),
        ..known[0].clone()
    };
    let policies = [(PolicyId::new("main").unwrap(), draft)];
    now(apply::apply(&system.world, &[server], &policies, &[])).unwrap();
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(30));
    system
}

fn trials(system: &System) -> Vec<Job> {
    let is_trial = |job: &Job| matches!(&job.order, Order::Verify { trial: Some(_), .. });
    system.jobs(JobKind::Verify).into_iter().filter(is_trial).collect()
}

fn last(system: &System) -> Statement {
    let of_trial = |statement: &Statement| statement.findings.contains_key("verdict");
    system.statements().into_iter().rfind(of_trial).unwrap()
}

#[test]
fn a_server_is_tried_as_often_as_it_says_and_once_where_some_were_missed() {
    let system = tried(Span::hours(6));
    let first = trials(&system);
    assert_eq!((first.len(), first[0].state), (1, JobState::Completed));
    let statement = last(&system);
    assert_eq!((statement.level, statement.passed), (Level::L5, true));
    assert_eq!(statement.findings["verdict"], "passed");
    assert_eq!(statement.findings["trial"]["recovery_millis"], 1);
    assert!(system.point().is_proven(Level::L5));
    system.pass(Span::hours(4));
    assert_eq!(trials(&system).len(), 1);
    system.pass(Span::hours(2));
    assert_eq!(trials(&system).len(), 2);
    // Nobody looked for two days.
    system.clock.advance(Span::days(2));
    system.pass(Span::hours(1));
    assert_eq!(trials(&system).len(), 3);
    assert_eq!(system.pages(""), 0, "{:?}", system.pager.pages());
}

#[test]
fn what_is_refuted_is_paged_and_signed_and_changes_nothing_about_the_point() {
    for (corrupt, refuted, level, word, subject) in [
        (
            &[][..],
            &["database shop: SELECT true: f, where t is expected"][..],
            Level::L5,
            "refuted",
            "does not hold",
        ),
        (
            &["base/5/1: page 3: its checksum"][..],
            &[][..],
            Level::L5,
            "corrupt",
            "not sound",
        ),
    ] {
        let system = tried(Span::hours(6));
        system.engine.set_trials(corrupt, refuted);
        system.pass(Span::hours(6));
        let statement = last(&system);
        assert_eq!((statement.level, statement.passed), (level, false));
        assert_eq!(statement.findings["verdict"], word);
        let pages = system.pager.pages();
        assert_eq!(pages.len(), 1, "{pages:?}");
        assert!(
            pages[0].key.starts_with("trial/") && pages[0].subject.contains(subject),
            "{pages:?}"
        );
        assert!(
            pages[0].text.contains(corrupt.iter().chain(refuted).next().unwrap()),
            "{pages:?}"
        );
        let point = system.point();
        assert_eq!(point.state, PointState::Available);
        assert!(point.copies.iter().all(|copy| copy.state == CopyState::Available));
        assert!(point.is_routinely_proven());
        assert_eq!(system.jobs(JobKind::Repair).len(), 0);
        // The next one holds again.
        system.engine.set_trials(&[], &[]);
        system.pass(Span::hours(6));
        assert!(last(&system).passed);
        assert_eq!(system.pages(""), 1);
    }
}

#[test]
fn a_copy_that_cannot_be_restored_is_damaged_is_repaired_and_tried_again() {
    let system = tried(Span::hours(6));
    system.damage(&system.point(), HOME);
    system.pass(Span::hours(6));
    assert_eq!((system.pages("damaged/"), system.jobs(JobKind::Repair).len()), (1, 1));
    let point = system.point();
    assert_eq!(point.state, PointState::Repaired);
    assert!(point.copies.iter().all(Copy::is_usable));
    assert!(last(&system).passed);
    assert_eq!(
        trials(&system).len(),
        3,
        "one that held, one that found the damage, and one more"
    );
}

#[test]
fn a_trial_that_could_not_be_made_is_no_verdict_and_pages_once() {
    let system = tried(Span::hours(6));
    let before = system.statements().len();
    for _ in 0..3 {
        system.engine.fail_next_task(JobKind::Verify, FailureKind::Invalid);
    }
    system.pass(Span::minutes(345));
    let failed = |jobs: &[Job]| jobs.iter().filter(|job| job.state == JobState::Failed).count();
    assert_eq!(failed(&trials(&system)), 1);
    assert_eq!((system.statements().len(), system.pages("")), (before, 1));
    assert_eq!(system.point().state, PointState::Available);
    // It is tried again each hour, and nobody is told again.
    system.pass(Span::hours(2));
    assert_eq!((failed(&trials(&system)), system.pages("")), (3, 1));
    system.pass(Span::hours(1));
    assert!(last(&system).passed);
    assert_eq!(system.statements().len(), before + 1);
}

#[test]
fn a_server_that_left_the_configuration_is_tried_no_more() {
    let system = tried(Span::hours(6));
    now(apply::apply(&system.world, &[], &[], &[])).unwrap();
    system.pass(Span::hours(12));
    assert_eq!(trials(&system).len(), 1);
}
