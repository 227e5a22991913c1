//! Everything together, and the moves between its Regions.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use holdfast_core::domain::Probe;
use holdfast_core::domain::{Act, ActuatorName};
use holdfast_failover::guard::{GuardState, Role};
use holdfast_tests::holdfast_binary;
use tempfile::TempDir;

use crate::clients::Clients;
use crate::controller::{Controller, Done, ask};
use crate::history::Ack;
use crate::names::NameServer;
use crate::network::{Machine, Network};
use crate::region::Region;
use crate::server::{folder, give_to_owner, wait_until};

pub struct World {
    pub controller: Controller,
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
    /// A workload in Region a with a standby in Region b; none where there are no namespaces.
    pub fn build(name: &str, settings: &[&str]) -> Option<World> {
        let network = Network::build(name)?;
        let program = folder();
        let holdfast = program.path().join("holdfast");
        fs::copy(holdfast_binary(), &holdfast).unwrap();
        give_to_owner(program.path());
        let names = NameServer::start(&network);
        let mut a = Region::new("a", Machine::RegionA, &holdfast);
        let mut b = Region::new("b", Machine::RegionB, &holdfast);
        let controller = Controller::start(&network, [&a, &b], &names.key_file());
        a.create_primary(settings);
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
        let world = World {
            controller,
            regions: [a, b],
            _names: names,
            _program: program,
            network,
        };
        let first = world.controller.claim();
        world.controller.name_writer("a");
        world.drive(&first, "db-a", Act::Unfence);
        world.drive(&first, "dns-a", Act::Direct { share: 100 });
        // A switchover has this as its check: a standby that receives nothing gets no end of the log either.
        world.wait_until_received(B);
        Some(world)
    }

    /// Waits until a standby receives from the server that takes writes now, by the probe that a plan would use.
    pub fn wait_until_received(&self, standby: usize) {
        let probe = Probe::Sql {
            server: self.regions[1 - standby].server(),
            query: "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'".to_owned(),
            expects: "1".to_owned(),
        };
        wait_until("the standby receives", || ask(&self.network, Machine::Control, &probe));
    }

    pub fn drive(&self, authority: &holdfast_core::domain::Authority, name: &str, act: Act) -> Done {
        self.controller.drive(&self.network, authority, name, act)
    }

    pub fn state(&self, region: usize) -> Option<GuardState> {
        self.regions[region].state(&self.network)
    }

    /// Fence, promote, direct: the other side follows later.
    pub fn move_to(&self, to: usize, allow_loss: bool) -> Done {
        let (from, to) = (self.regions[1 - to].name, self.regions[to].name);
        let authority = self.controller.claim();
        self.drive(&authority, &format!("db-{from}"), Act::Fence);
        self.controller.name_writer(to);
        let promoted = self.drive(&authority, &format!("db-{to}"), Act::Promote { allow_loss });
        self.drive(&authority, &format!("dns-{to}"), Act::Direct { share: 100 });
        promoted
    }

    /// Has the other side follow `leader`, under the authority that stands.
    pub fn follow(&self, leader: usize) -> Done {
        let (leader, other) = (self.regions[leader].name, self.regions[1 - leader].name);
        let authority = self.controller.hold();
        let leader = ActuatorName::new(format!("db-{leader}")).unwrap();
        self.drive(&authority, &format!("db-{other}"), Act::Follow { leader })
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
