//! A lost side that is killed while it becomes a follower: it ends as one, and nothing starts over a folder that is half of
//! each.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use holdfast_core::domain::{Act, Divergence, Failure, FailureKind, Seen};
use holdfast_core::ports::Actuators;
use holdfast_failover::guard::Role;
use holdfast_failover::uptime;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::network::Machine;
use crate::pair::Pair;
use crate::region::{LEASE_SECONDS, given_up};
use crate::server::{give_to_owner, pause, wait_until};
use crate::world::{A, B};

/// What the followed side has written since, so that a copy of it takes a while: 200 MB, and as much log.
const FILL: &str = "INSERT INTO orders SELECT -n, repeat('x', 1900) FROM generate_series(1, 100000) n";
/// The transactions that the lost side has taken alone.
const OWN: u64 = 3;
/// Segments that a server has made beforehand are empty; one that was killed while it made one leaves it shorter.
const BEFOREHAND: std::ops::Range<u32> = 0x40..0x80;

/// A pair whose Region a has transactions of its own and was stopped by its guard; Region b takes writes under generation 2.
fn parted(name: &str) -> Option<Pair> {
    let pair = Pair::build(name)?;
    pair.network.set_connected(Machine::RegionA, false);
    for row in 1..=OWN {
        pair.regions[A].sql(&format!("INSERT INTO orders VALUES ({row})"));
    }
    for number in BEFOREHAND {
        let path = beforehand(&pair, number);
        let length = if number % 2 == 0 { 0 } else { 16 << 20 };
        fs::File::create(&path).unwrap().set_len(length).unwrap();
        give_to_owner(&path);
    }
    wait_until("the side without authority stops", || {
        pair.state(A).is_some_and(|state| !state.may_write)
    });
    pair.set_authority(2, Some(B));
    give(&pair, B, Act::Promote { allow_loss: true }, 2);
    pair.regions[B].sql(FILL);
    pair.network.set_connected(Machine::RegionA, true);
    Some(pair)
}

fn beforehand(pair: &Pair, number: u32) -> PathBuf {
    pair.regions[A].path(&format!("data/pg_wal/0000000100000000{number:08X}"))
}

fn follow_b(pair: &Pair) -> Act {
    Act::Follow {
        leader: pair.actuator(B).name,
    }
}

fn unless_transient<T>(answer: Result<T, Failure>) -> Option<T> {
    answer
        .inspect_err(|failure| assert_eq!(failure.kind, FailureKind::Transient, "{failure}"))
        .ok()
}

/// Gives an order until the guard has taken it.
fn tell(pair: &Pair, region: usize, act: Act, generation: u64) {
    let (process, order) = (pair.process(), pair.order(region, act, generation));
    wait_until("the guard takes the order", || {
        unless_transient(block_on(process.begin(&order))).is_some()
    });
}

/// Gives an order, and waits until it stands.
fn give(pair: &Pair, region: usize, act: Act, generation: u64) -> Option<Divergence> {
    tell(pair, region, act.clone(), generation);
    let (process, order) = (pair.process(), pair.order(region, act, generation));
    let mut given_up = None;
    wait_until("the order stands", || {
        match unless_transient(block_on(process.look(&order))) {
            Some(Seen::Done { divergence, .. }) => {
                given_up = divergence;
                true
            }
            _ => false,
        }
    });
    given_up
}

/// Processes that were called with these words.
fn called(words: &[&str]) -> Vec<Pid> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let is_it = words.iter().all(|word| line.contains(word)) && !line.contains("--dry-run");
        is_it.then(|| Pid::from_raw(pid))?
    });
    pids.collect()
}

/// Waits without a rest for something that passes quickly.
fn catch(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = uptime() + Duration::from_secs(90);
    while !is_so() {
        assert!(uptime() < end, "it never came about that {what}");
        std::thread::yield_now();
    }
}

/// Kills the guard of Region a while its data folder is rewound, cuts its leader off, and starts the guard again. Where the
/// watchdog goes with it, nobody is left to end what rewinds.
fn break_off(pair: &mut Pair, with_watchdog: bool) {
    let data = pair.regions[A].path("data").display().to_string();
    let rewinding = || called(&["pg_rewind", &data]);
    catch("the folder is half rewound", || {
        !beforehand(pair, BEFOREHAND.start).exists() && !rewinding().is_empty()
    });
    for pid in rewinding() {
        kill_process(pid, Signal::STOP).unwrap();
    }
    pair.network.set_connected(Machine::RegionB, false);
    if with_watchdog {
        for pid in called(&["guard-child", "watch", &data]) {
            kill_process(pid, Signal::KILL).unwrap();
        }
    }
    pair.regions[A].signal_guard(Signal::KILL);
    if with_watchdog {
        assert!(!rewinding().is_empty(), "nobody has ended it");
    } else {
        wait_until("the watchdog has ended what rewinds", || rewinding().is_empty());
    }
    let network = Arc::clone(&pair.network);
    pair.regions[A].start_guard_again(&network);
    wait_until("the new guard is there, and nothing rewinds", || {
        pair.state(A).is_some() && rewinding().is_empty()
    });
}

/// A side whose folder is half rewound has authority again, and its leader does not answer.
fn refuses_to_write(pair: &Pair) {
    let folder = pair.regions[A].path("guard/intent.json");
    let intent: Value = serde_json::from_slice(&fs::read(folder).unwrap()).unwrap();
    assert_eq!(intent["rewinding"]["committed"], OWN);
    pair.set_authority(3, Some(A));
    tell(pair, A, Act::Unfence, 3);
    let until = uptime() + Duration::from_secs(2 * LEASE_SECONDS);
    while uptime() < until {
        assert_eq!(pair.regions[A].processes(), [], "a server starts over half a folder");
        pause();
    }
    let state = pair.state(A).unwrap();
    assert!(state.role == Role::Down && state.lease_left_ms.is_some(), "{state:?}");
    assert!(state.trouble.unwrap().contains("it can only follow another"));
}

fn ends_as_a_follower(name: &str, with_watchdog: bool) {
    let Some(mut pair) = parted(name) else { return };
    let network = Arc::clone(&pair.network);
    tell(&pair, A, follow_b(&pair), 2);
    break_off(&mut pair, with_watchdog);
    refuses_to_write(&pair);

    network.set_connected(Machine::RegionB, true);
    pair.set_authority(4, Some(B));
    give(&pair, B, Act::Unfence, 4);
    tell(&pair, A, follow_b(&pair), 4);
    let (data, copy) = (pair.regions[A].path("data"), pair.regions[A].path("data.seed"));
    let is_copied = || copy.join("base").exists();
    let is_in_place = || data.join("standby.signal").exists() && data.join("backup_label").exists();
    let moments: [(&str, &dyn Fn() -> bool); 2] =
        [("a fresh copy is made", &is_copied), ("it is in place", &is_in_place)];
    for (what, is_so) in moments {
        catch(what, is_so);
        pair.regions[A].kill();
        pair.regions[A].start_guard_again(&network);
    }
    let divergence = give(&pair, A, follow_b(&pair), 4).expect("what was given up");
    assert_eq!(divergence.transactions, OWN);
    assert_eq!(given_up(&divergence.records).len() as u64, OWN);
    let aside = pair.regions[A].path("data.given-up-4");
    assert!(aside.exists() && !aside.join("standby.signal").exists() && !copy.exists());
    follows(&pair);
}

/// Region a holds what Region b does, and takes no write.
fn follows(pair: &Pair) {
    pair.regions[B].sql("INSERT INTO orders VALUES (1000)");
    let count = |region: usize| pair.regions[region].answer("SELECT count(*), sum(id) FROM orders");
    wait_until("both sides hold the same", || {
        count(A).is_some() && count(A) == count(B)
    });
    assert_eq!(pair.regions[A].answer("INSERT INTO orders VALUES (1001)"), None);
}

#[test]
fn a_rewinding_whose_guard_is_killed_ends_in_a_follower() {
    ends_as_a_follower("r", false);
}

#[test]
fn a_rewinding_that_has_lost_guard_and_watchdog_ends_in_a_follower() {
    ends_as_a_follower("o", true);
}

#[test]
fn what_was_given_up_is_listed_where_the_log_has_files_that_were_made_beforehand() {
    let Some(pair) = parted("w") else { return };
    let divergence = give(&pair, A, follow_b(&pair), 2).expect("what was given up");
    assert_eq!(divergence.transactions, OWN);
    assert_eq!(given_up(&divergence.records).len() as u64, OWN);
    assert!(!pair.regions[A].path("data.given-up-2").exists(), "it was rewound");
    follows(&pair);
}
