//! Seeded simulation of the whole system: the real seven handlers over the fakes of the testkit, with the fault model of
//! the design let loose on them. See `docs/` for what the fault model promises; `invariants` holds the promises to it.
//!
//! `HOLDFAST_SIM_SEEDS=7,100..200` runs exactly those seeds. A seed that fails is printed with the end of its log, and
//! the whole of it is left in the target folder.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chaos;
mod due_times;
mod incidents;
mod invariants;
mod scenario;
mod sim;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use holdfast_testkit::seeds::seeds;
use sim::Sim;

/// How much of a failing seed's log is printed.
const SHOWN_LINES: usize = 100;

/// What the logs of a thousand seeds must tell of: every kind of work and of trouble.
const TRACES: [&str; 20] = [
    "was killed",
    "and the engine with it",
    "stands still",
    "injected: the answer to",
    "*** Outage",
    "*** Throttling",
    "*** Unreachable",
    "*** spoiled",
    "*** hold on",
    "began Backup",
    "began Copy",
    "began Verify",
    "began Repair",
    "began Restore",
    "began Delete",
    "began Reclaim",
    "began Clean",
    "kind: Differential",
    "--- occurrences were missed",
    "--- drills succeeded",
];

/// Lives through one seed; what went wrong, if something did.
fn live(seed: u64, long: bool, verbose: bool) -> (Vec<String>, Result<(), String>) {
    let mut sim = Sim::new(seed, long, verbose);
    let lived = catch_unwind(AssertUnwindSafe(|| sim.run()));
    let said = lived.map_err(|panic| match panic.downcast::<String>() {
        Ok(said) => *said,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| "panic".to_owned(), |said| (*said).to_owned()),
    });
    (sim.log, said)
}

/// Lives through one seed, and notes which kinds of work and of trouble it came to.
fn live_through(seed: u64, long: bool, reached: &mut BTreeSet<&'static str>) -> Result<(), String> {
    let (log, lived) = live(seed, long, false);
    let unreached = TRACES.into_iter().filter(|trace| !reached.contains(trace));
    let now_reached: Vec<_> = unreached
        .filter(|trace| log.iter().any(|line| line.contains(trace)))
        .collect();
    reached.extend(now_reached);
    let Err(why) = lived else { return Ok(()) };
    let (log, _) = live(seed, long, true);
    let size = if long { "long" } else { "short" };
    let whole = format!("{}/simulation-{size}-{seed}.log", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&whole, log.join("\n")).unwrap();
    let shown = log[log.len().saturating_sub(SHOWN_LINES)..].join("\n");
    Err(format!(
        "{shown}\nthe whole log: {whole}\nHOLDFAST_SIM_SEEDS={seed} ({size}): {why}"
    ))
}

/// Lives through the seeds, and says which kinds of work and of trouble no seed came to. Two threads, as the machines
/// that run this have at least two cores.
fn live_through_all(seeds: &[u64], long: bool) -> Vec<&'static str> {
    let halves: [Vec<u64>; 2] = [0, 1].map(|odd| seeds.iter().copied().filter(|seed| seed % 2 == odd).collect());
    let (failures, reached): (Vec<Vec<String>>, Vec<BTreeSet<&str>>) = std::thread::scope(|scope| {
        let threads = halves.map(|half| {
            scope.spawn(move || {
                let mut reached = BTreeSet::new();
                let failures = half
                    .into_iter()
                    .filter_map(|seed| live_through(seed, long, &mut reached).err())
                    .take(3)
                    .collect();
                (failures, reached)
            })
        });
        threads.into_iter().map(|thread| thread.join().unwrap()).unzip()
    });
    let failures = failures.concat();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let is_unreached = |trace: &&str| !reached.iter().any(|reached| reached.contains(trace));
    TRACES.into_iter().filter(is_unreached).collect()
}

#[test]
fn whatever_goes_wrong_for_a_day_the_promises_hold() {
    let seeds = seeds(0..1000);
    let unreached = live_through_all(&seeds, false);
    assert!(
        seeds.len() < 1000 || unreached.is_empty(),
        "no seed came to: {unreached:?}"
    );
}

#[test]
fn whatever_goes_wrong_for_days_the_promises_hold() {
    live_through_all(&seeds(0..4), true);
}

#[test]
fn a_restore_that_is_recorded_after_its_drill_gave_up_is_called_off() {
    live_through_all(&[7], false);
}

#[test]
fn a_damaged_copy_that_is_deleted_first_does_not_save_its_point_from_expiring() {
    live_through_all(&[269], false);
}

#[test]
fn a_point_with_a_copy_that_was_repaired_is_judged_the_same_whether_it_is_marked_or_not() {
    live_through_all(&[1558], false);
}

#[test]
fn a_backup_whose_outcome_was_seen_stays_done_when_its_vault_goes_away_and_its_engine_forgets() {
    live_through_all(&[609], false);
}

#[test]
fn a_backup_that_ended_well_unseen_is_adopted_after_its_job_gave_up() {
    live_through_all(&[2055], false);
}

#[test]
fn one_seed_lives_through_the_same_events_twice() {
    for seed in seeds(0..4) {
        let (first, _) = live(seed, false, true);
        let (second, _) = live(seed, false, true);
        let differs = first.iter().zip(&second).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
