//! Everything together.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use holdfast_core::domain::{Run, RunState};
use holdfast_failover::guard::{GuardState, Role};
use holdfast_tests::holdfast_binary;
use tempfile::TempDir;

use crate::clients::Clients;
use crate::engine::Engine;
use crate::history::Ack;
use crate::names::NameServer;
use crate::network::{Machine, Network};
use crate::region::Region;
use crate::server::{folder, give_to_owner, wait_until};

pub struct World {
    pub engine: Engine,
    pub regions: [Region; 2],
    _names: NameServer,
    _program: TempDir,
    /// Last, as what lives in it goes first.
    pub network: Network,
}

/// Region a and Region b in [`World::regions`].
pub const A: usize = 0;
pub const B: usize = 1;

impl World {
    /// A workload in Region a with a standby in Region b; none where there are no namespaces. A promotion may take as long as
    /// `patience` says.
    pub fn build(name: &str, patience: &str) -> Option<World> {
        let network = Network::build(name)?;
        let program = folder();
        let holdfast = program.path().join("holdfast");
        fs::copy(holdfast_binary(), &holdfast).unwrap();
        give_to_owner(program.path());
        let names = NameServer::start(&network);
        let mut a = Region::new("a", Machine::RegionA, &holdfast);
        let mut b = Region::new("b", Machine::RegionB, &holdfast);
        let engine = Engine::start(&network, [&a, &b], &names.key_file(), &holdfast, patience);
        a.create_primary();
        a.start_guard(&network, None);
        wait_until("the first server takes writes", || is(&a, &network, Role::Writer));
        a.sql("CREATE TABLE orders (id text PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())");
        b.create_standby(&network, &a);
        b.start_guard(&network, Some(&a));
        wait_until("the standby follows", || {
            b.state(&network)
                .is_some_and(|state| state.role == Role::Standby && state.is_streaming)
        });
        for region in [&a, &b] {
            region.start_application(&network);
        }
        Some(World {
            engine,
            regions: [a, b],
            _names: names,
            _program: program,
            network,
        })
    }

    pub fn state(&self, region: usize) -> Option<GuardState> {
        self.regions[region].state(&self.network)
    }

    /// Moves the workload in order, to the end: what it left follows.
    pub fn switch_over(&self, to: usize) -> Run {
        let run = self.engine.switch_over(&self.network, &self.regions[to]);
        assert_eq!(run.state, RunState::Succeeded, "{run:?}");
        run
    }

    /// Waits until so many orders were acknowledged by a Region after the others that are known.
    pub fn wait_for_orders(&self, clients: &Clients, region: usize, after: Duration, count: usize) -> Vec<Ack> {
        let name = self.regions[region].name;
        let mut found = Vec::new();
        wait_until("orders are taken", || {
            found = clients.acks();
            found.retain(|ack| ack.region == name && ack.begun > after);
            found.len() >= count
        });
        found
    }

    pub fn orders(&self, region: usize) -> BTreeSet<String> {
        self.regions[region].orders()
    }
}

/// Whether a server is that.
pub fn is(region: &Region, network: &Network, role: Role) -> bool {
    region.state(network).is_some_and(|state| state.role == role)
}
