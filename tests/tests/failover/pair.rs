//! Two servers with their guards and a record of authority, without an engine: whoever tests them gives the orders.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use holdfast_core::domain::{
    Act, ActOrder, Actuator, ActuatorKind, AuthorityRecord, Failure, Region, Seen, WorkloadName,
};
use holdfast_core::ports::Actuators;
use holdfast_failover::Token;
use holdfast_failover::actuators::EmbeddedActuators;
use holdfast_failover::authority::{self, Authorities, Hearer, Observation};
use holdfast_failover::guard::{GuardState, Role};
use holdfast_local::SystemClock;
use holdfast_testkit::contract::actuators::order_under;
use holdfast_tests::holdfast_binary;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::network::{Machine, Network};
use crate::region::{self, AUTHORITY_PORT, LEASE_SECONDS};
use crate::server::{folder, give_to_owner, wait_until};
use crate::world::{A, B, is};

/// The record of authority, which a test sets.
struct Record(Mutex<AuthorityRecord>);

#[async_trait]
impl Authorities for Record {
    async fn read(&self, _: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        Ok(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }
}

/// No observer speaks here.
struct Deaf;

#[async_trait]
impl Hearer for Deaf {
    async fn hear(&self, _: WorkloadName, _: Observation) -> Result<(), Failure> {
        Ok(())
    }
}

/// What tells guards who may write, until it is dropped.
struct Endpoint {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    fn start(network: &Network, record: &Arc<Record>, token: Token) -> Self {
        let (stop, stopped) = oneshot::channel();
        let record = Arc::clone(record);
        let thread = network.spawn(Machine::Control, move || {
            runtime().block_on(async {
                let address = format!("{}:{AUTHORITY_PORT}", Machine::Control.address());
                let listener = TcpListener::bind(address).await.unwrap();
                tokio::select! {
                    ended = authority::run(listener, record, Arc::new(Deaf), token) => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The actuators of one process in the recovery Region.
pub struct Process {
    network: Arc<Network>,
    actuators: Arc<EmbeddedActuators>,
}

#[async_trait]
impl Actuators for Process {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let (actuators, order) = (Arc::clone(&self.actuators), order.clone());
        self.network
            .on(Machine::Control, move || runtime().block_on(actuators.begin(&order)))
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let (actuators, order) = (Arc::clone(&self.actuators), order.clone());
        self.network
            .on(Machine::Control, move || runtime().block_on(actuators.look(&order)))
    }
}

pub struct Pair {
    pub regions: [region::Region; 2],
    record: Arc<Record>,
    _endpoint: Endpoint,
    _program: TempDir,
    /// Last, as what lives in it goes first.
    pub network: Arc<Network>,
}

impl Pair {
    /// Region a takes writes under generation 1, and Region b follows it; none where there are no namespaces.
    pub fn build(name: &str) -> Option<Self> {
        let network = Arc::new(Network::build(name)?);
        let program = folder();
        let holdfast = program.path().join("holdfast");
        fs::copy(holdfast_binary(), &holdfast).unwrap();
        give_to_owner(program.path());
        let mut a = region::Region::new("a", Machine::RegionA, &holdfast);
        let mut b = region::Region::new("b", Machine::RegionB, &holdfast);
        let record = Arc::new(Record(Mutex::new(AuthorityRecord {
            workload: "shop".parse().unwrap(),
            generation: 1,
            writer: Some(place(&a)),
            claimed_by: None,
            since: Timestamp::UNIX_EPOCH,
        })));
        let token = Token::read(&a.path("token")).unwrap();
        let endpoint = Endpoint::start(&network, &record, token);
        a.create_primary();
        a.start_guard(&network, None);
        wait_until("the first server takes writes", || is(&a, &network, Role::Writer));
        a.sql("CREATE TABLE orders (id bigint PRIMARY KEY, padding text)");
        b.create_standby(&network, &a);
        b.start_guard(&network, Some(&a));
        let pair = Self {
            regions: [a, b],
            record,
            _endpoint: endpoint,
            _program: program,
            network,
        };
        pair.until_receives(B);
        Some(pair)
    }

    pub fn state(&self, region: usize) -> Option<GuardState> {
        self.regions[region].state(&self.network)
    }

    /// Waits until a server follows the other.
    pub fn until_receives(&self, region: usize) {
        wait_until("the standby follows", || {
            self.state(region)
                .is_some_and(|state| state.role == Role::Standby && state.is_streaming)
        });
    }

    /// Says who may write.
    pub fn set_authority(&self, generation: u64, writer: Option<usize>) {
        let writer = writer.map(|region| place(&self.regions[region]));
        let mut record = self.record.0.lock().unwrap();
        (record.generation, record.writer) = (generation, writer);
    }

    /// A process that gives orders.
    pub fn process(&self) -> Process {
        Process {
            network: Arc::clone(&self.network),
            actuators: Arc::new(EmbeddedActuators::new(self.record.clone(), Arc::new(SystemClock))),
        }
    }

    pub fn actuator(&self, region: usize) -> Actuator {
        let (own, peer) = (&self.regions[region], &self.regions[if region == A { B } else { A }]);
        let settings = [
            ("guard", own.guard_url()),
            ("peers", peer.guard_url()),
            ("server", own.server()),
            ("token_file", own.path("token").display().to_string()),
            ("lease_seconds", LEASE_SECONDS.to_string()),
        ];
        Actuator {
            name: format!("db-{}", own.name).parse().unwrap(),
            kind: ActuatorKind::Postgres,
            region: place(own),
            workload: "shop".parse().unwrap(),
            production: settings.map(|(name, value)| (name.to_owned(), value)).into(),
            drill: None,
        }
    }

    /// An order to a server by a run that claimed this generation.
    pub fn order(&self, region: usize, act: Act, generation: u64) -> ActOrder {
        let mut order = order_under(&self.actuator(region), act, generation);
        if let Act::Follow { leader } = &order.act {
            let all = [A, B].map(|region| self.actuator(region));
            let leader = all.iter().find(|actuator| &actuator.name == leader).unwrap();
            order.others = vec![order_under(leader, Act::Unfence, generation).on];
        }
        order
    }
}

fn place(region: &region::Region) -> Region {
    region.name.parse().unwrap()
}
