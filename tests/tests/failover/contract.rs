//! The guards of real servers keep what guards promise.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use holdfast_core::domain::{Act, ActOrder, ActuatorName, Divergence};
use holdfast_core::ports::Actuators;
use holdfast_failover::uptime;
use holdfast_testkit::contract::guards::{GuardWorld, Side, suite};

use crate::network::{Machine, Network};
use crate::pair::Pair;
use crate::region::{LEASE_SECONDS, given_up};
use crate::server::{pause, wait_until};
use crate::world::{A, B};

/// What ending a server takes once its lease is over.
const AT_ONCE: Duration = Duration::from_secs(1);

struct Guarded {
    pair: Mutex<Pair>,
    written: AtomicU64,
    /// The rows of the home side by the transactions that wrote them.
    transactions: Mutex<BTreeMap<u64, u64>>,
}

fn place(side: Side) -> usize {
    match side {
        Side::Home => A,
        Side::Away => B,
    }
}

impl GuardWorld for Guarded {
    fn process(&self) -> Arc<dyn Actuators> {
        Arc::new(self.pair.lock().unwrap().process())
    }

    fn name(&self, side: Side) -> ActuatorName {
        self.pair.lock().unwrap().actuator(place(side)).name
    }

    fn order(&self, side: Side, act: Act, generation: u64) -> ActOrder {
        self.pair.lock().unwrap().order(place(side), act, generation)
    }

    fn set_authority(&self, generation: u64, writer: Option<Side>) {
        self.pair.lock().unwrap().set_authority(generation, writer.map(place));
    }

    fn set_cut(&self, side: Side, cut: bool) {
        let machine = [Machine::RegionA, Machine::RegionB][place(side)];
        self.pair.lock().unwrap().network.set_connected(machine, !cut);
    }

    fn kill(&self, side: Side) {
        self.pair.lock().unwrap().regions[place(side)].kill();
    }

    fn start(&self, side: Side) {
        let mut pair = self.pair.lock().unwrap();
        let network = Arc::clone(&pair.network);
        pair.regions[place(side)].start_guard_again(&network);
    }

    fn write(&self, side: Side) -> Option<u64> {
        let row = self.written.fetch_add(1, Ordering::SeqCst);
        let insert = format!("INSERT INTO orders VALUES ({row}) RETURNING pg_current_xact_id()");
        let transaction = self.pair.lock().unwrap().regions[place(side)].answer(&insert)?;
        if side == Side::Home {
            let transaction = transaction.parse().unwrap();
            self.transactions.lock().unwrap().insert(transaction, row);
        }
        Some(row)
    }

    fn rows(&self, side: Side) -> BTreeSet<u64> {
        let mut rows = None;
        wait_until("the server answers", || {
            rows = self.pair.lock().unwrap().regions[place(side)].answer("SELECT id FROM orders");
            rows.is_some()
        });
        rows.unwrap().lines().map(|row| row.parse().unwrap()).collect()
    }

    fn listed(&self, divergence: &Divergence) -> BTreeSet<u64> {
        let transactions = self.transactions.lock().unwrap();
        let listed = given_up(&divergence.records).into_iter();
        listed.map(|transaction| transactions[&transaction]).collect()
    }

    fn promotions(&self, side: Side) -> u64 {
        let state = self.pair.lock().unwrap().state(place(side));
        state.and_then(|state| state.timeline).unwrap().into()
    }

    fn now(&self) -> Duration {
        uptime()
    }

    fn moment(&self) {
        pause();
    }

    fn stated(&self) -> Duration {
        Duration::from_secs(LEASE_SECONDS) + AT_ONCE
    }
}

#[test]
fn guards_of_real_servers_obey_their_contract() {
    if Network::build("k").is_none() {
        return;
    }
    let worlds = AtomicU64::new(0);
    block_on(suite(async || {
        let name = format!("k{}", worlds.fetch_add(1, Ordering::SeqCst));
        Guarded {
            pair: Mutex::new(Pair::build(&name).unwrap()),
            written: AtomicU64::new(0),
            transactions: Mutex::default(),
        }
    }));
}
