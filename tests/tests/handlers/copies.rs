//! Copies, verification, repair, and the statements about them.

use crate::scene::*;

#[test]
fn damage_is_found_paged_repaired_from_the_copy_and_proven_again() {
    let system = settled();
    let point = system.point();
    system.damage(&point, HOME);
    system.verify_now(&point, HOME);
    system.pass(Span::minutes(20));
    let point = system.point();
    assert_eq!(point.state, PointState::Repaired);
    let copy = point.copy_in(&vault(HOME)).unwrap();
    let verdicts: Vec<bool> = copy.proofs.iter().map(|proof| proof.passed).collect();
    assert_eq!(verdicts, [true, false, true]);
    assert!(copy.proven(Level::L2).is_some());
    assert_eq!((system.pages("damaged/"), system.jobs(JobKind::Repair).len()), (1, 1));
    assert!(
        system
            .engine
            .artefacts(&vault(HOME), &photos())
            .values()
            .all(|artefact| !artefact.damaged)
    );
}

#[test]
fn a_copy_that_went_missing_is_damage_and_is_put_back() {
    let system = settled();
    let point = system.point();
    let artefact = point.copy_in(&vault(AWAY)).unwrap().artefact.clone();
    assert!(system.engine.lose(&vault(AWAY), &photos(), &artefact));
    system.verify_now(&point, AWAY);
    system.pass(Span::minutes(20));
    assert!(system.engine.artefacts(&vault(AWAY), &photos()).contains_key(&artefact));
    assert!(
        system
            .point()
            .copy_in(&vault(AWAY))
            .unwrap()
            .proven(Level::L2)
            .is_some()
    );
}

#[test]
fn damage_in_every_copy_is_paged_once_and_never_called_repaired() {
    let system = settled();
    let point = system.point();
    for name in [HOME, AWAY] {
        system.damage(&point, name);
        system.verify_now(&point, name);
    }
    system.pass(Span::hours(1));
    assert_eq!(system.point().state, PointState::Corrupt);
    assert!(
        system
            .point()
            .copies
            .iter()
            .all(|copy| copy.state == CopyState::Corrupt)
    );
    assert_eq!(system.pages("no-good-copy/"), 2, "one for each copy");
    assert!(
        system
            .pager
            .pages()
            .iter()
            .any(|page| page.severity == Severity::Critical)
    );
}

#[test]
fn a_repair_whose_source_turns_out_damaged_is_done_once_a_good_source_is_found() {
    let third = "third";
    let copies = [AWAY, third]
        .map(|name| CopyRule {
            vault: vault(name),
            within: Span::hours(1),
        })
        .to_vec();
    let system = System::new(PolicyDraft { copies, ..policy() });
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(20));
    let point = system.point();
    for name in [HOME, AWAY] {
        system.damage(&point, name);
    }
    system.verify_now(&point, HOME);
    system.pass(Span::minutes(10));
    assert_eq!(
        system.jobs(JobKind::Repair)[0].state,
        JobState::Partial,
        "its source was damaged too"
    );
    system.verify_now(&point, AWAY);
    system.pass(Span::hours(2));
    assert!(
        system
            .point()
            .copies
            .iter()
            .all(|copy| copy.proven(Level::L2).is_some()),
        "{:?}",
        system.point()
    );
}

#[test]
fn a_late_copy_is_paged_once_and_made_when_its_vault_answers() {
    let system = System::new(policy());
    system.engine.set_reachable(&vault(AWAY), false);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::hours(3));
    assert_eq!(system.pages("copy-late/"), 1);
    system.engine.set_reachable(&vault(AWAY), true);
    system.pass(Span::hours(2));
    assert!(
        system.points()[0]
            .copy_in(&vault(AWAY))
            .unwrap()
            .proven(Level::L2)
            .is_some()
    );
    assert_eq!(system.pages("copy-late/"), 1);
}

#[test]
fn every_verdict_is_stated_once_and_each_proof_names_its_statement() {
    let system = settled();
    let point = system.point();
    system.damage(&point, AWAY);
    system.verify_now(&point, AWAY);
    system.restore("x1", None, "/restored/x1").unwrap();
    system.pass(Span::minutes(30));
    let statements = system.statements();
    let proofs: Vec<_> = system.point().copies.into_iter().flat_map(|copy| copy.proofs).collect();
    assert_eq!(statements.len(), proofs.len());
    for proof in proofs {
        let statement = &statements[proof.statement as usize - 1];
        assert!(statement.origin.starts_with(proof.job.as_str()), "{statement:?}");
        assert_eq!((statement.level, statement.passed), (proof.level, proof.passed));
    }
}

#[test]
fn a_region_that_is_away_for_two_weeks_gets_its_copies_when_it_returns() {
    let system = System::new(once());
    system.engine.set_reachable(&vault(AWAY), false);
    system.wake(FunctionName::Scheduler);
    system.pass(Span::minutes(10));
    for _ in 0..14 * 24 * 2 {
        system.clock.advance(Span::minutes(30));
        system.wake(FunctionName::Replicator);
    }
    let rounds = system.jobs(JobKind::Copy);
    assert!(rounds.len() > 48, "{} rounds", rounds.len());
    assert_eq!(system.pages("job/"), 1, "the same work pages once");
    system.engine.set_reachable(&vault(AWAY), true);
    for _ in 0..24 * 60 / 5 {
        system.clock.advance(Span::minutes(5));
        FunctionName::ALL.into_iter().for_each(|function| system.wake(function));
    }
    assert!(
        system.points()[0]
            .copy_in(&vault(AWAY))
            .unwrap()
            .proven(Level::L2)
            .is_some()
    );
}

impl System {
    /// Log was pulled to the vault of backups now.
    fn pulled(&self) -> Timestamp {
        let observed_at = self.clock.now();
        let state = LogState {
            stretches: Vec::new(),
            gaps: Vec::new(),
            covered_at: Some(observed_at),
            slot: None,
        };
        let window = Window {
            resource: photos(),
            vault: vault(HOME),
            observed_at,
            state,
        };
        now(inventory::advance_window(&self.world, &window)).unwrap();
        observed_at
    }

    fn log_copies(&self) -> Vec<Job> {
        let jobs = self.jobs(JobKind::Copy).into_iter();
        jobs.filter(|job| matches!(job.order, Order::CopyLog { .. })).collect()
    }

    fn copied_log(&self) -> Option<Window> {
        let windows = now(inventory::windows(&self.world, &photos())).unwrap();
        windows.into_iter().find(|window| window.vault == vault(AWAY))
    }
}

#[test]
fn log_that_is_pulled_while_a_copy_goes_on_comes_along_with_the_next_one() {
    let system = settled_server();
    system.pass(Span::minutes(5));
    assert_eq!(system.log_copies(), [], "no log was pulled");
    system.engine.set_reachable(&vault(AWAY), false);
    let first = system.pulled();
    let mut last = first;
    for _ in 0..4 {
        system.pass(Span::minutes(1));
        last = system.pulled();
    }
    assert_eq!((system.log_copies().len(), system.copied_log()), (1, None));
    system.engine.set_reachable(&vault(AWAY), true);
    system.pass(Span::minutes(30));
    let window = system.copied_log().unwrap();
    assert_eq!((window.observed_at, window.state.covered_at), (last, Some(last)));
    let mut pulled: Vec<Timestamp> = system.log_copies().iter().map(pulled_at).collect();
    pulled.sort_unstable();
    assert_eq!(pulled, [first, last], "what was pulled between goes with the last");
    system.pass(Span::minutes(10));
    assert_eq!(system.log_copies().len(), 2, "nothing was pulled since");
}

fn pulled_at(job: &Job) -> Timestamp {
    match &job.order {
        Order::CopyLog { pulled_at, .. } => *pulled_at,
        order => panic!("{order:?}"),
    }
}
