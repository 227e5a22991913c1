//! Who orders: the record of authority with its endpoint, and the steps of moves, through the ports that recovery plans use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_core::domain::{
    Act, ActOrder, Actuator, ActuatorKind, ActuatorName, Authority, AuthorityRecord, Bound, Failure, Probe,
    Region as RegionName, Run, RunId, Seen, StepName, WorkloadName,
};
use holdfast_core::ports::{Actuators, Clock, Probes};
use holdfast_failover::actuators::EmbeddedActuators;
use holdfast_failover::authority::{self, Authorities, Hearer, Observation};
use holdfast_failover::probes::NetworkProbes;
use holdfast_failover::{Token, uptime};
use holdfast_local::SystemClock;
use serde_json::json;
use tokio::net::TcpListener;

use crate::application::PORT;
use crate::names::{KEY_NAME, NAME, ZONE};
use crate::network::{Machine, Network};
use crate::region::{AUTHORITY_PORT, LEASE_SECONDS, Region};
use crate::server::pause;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The record, of which there is one.
pub struct Record(Mutex<AuthorityRecord>);

#[async_trait]
impl Authorities for Record {
    async fn read(&self, _: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        Ok(Some(self.0.lock().unwrap().clone()))
    }
}

/// Nobody observes here: the test says when to move.
struct Deaf;

#[async_trait]
impl Hearer for Deaf {
    async fn hear(&self, workload: WorkloadName, _: Observation) -> Result<(), Failure> {
        panic!("somebody observes {workload}")
    }
}

pub struct Controller {
    record: Arc<Record>,
    actuators: Arc<EmbeddedActuators>,
    all: BTreeMap<String, Actuator>,
}

/// What came of a step.
pub struct Done {
    pub note: String,
    pub lag_seconds: Option<f64>,
}

fn run_of(id: &RunId) -> Run {
    let plan = json!({"id": "shop", "description": "", "objectives": {"rto": "1h", "rpo": "1h"}, "steps": []});
    serde_json::from_value(json!({
        "id": id, "plan": plan, "kind": "disaster", "requested_by": "test", "state": "running",
        "declared_at": "2026-01-01T00:00:00Z", "steps": [], "next_action_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

impl Controller {
    /// Starts with authority in the first Region.
    pub fn start(network: &Network, regions: [&Region; 2], key_file: &Path) -> Controller {
        let first = RegionName::new(regions[0].name).unwrap();
        let record = Arc::new(Record(Mutex::new(AuthorityRecord {
            workload: WorkloadName::new("shop").unwrap(),
            generation: 1,
            writer: Some(first),
            claimed_by: None,
            since: SystemClock.now(),
        })));
        let token = Token::read(&regions[0].path("token")).unwrap();
        let served = Arc::clone(&record);
        network.spawn(Machine::Control, move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let address = (Machine::Control.address(), AUTHORITY_PORT);
                let listener = TcpListener::bind(address).await.unwrap();
                authority::run(listener, served, Arc::new(Deaf), token).await.unwrap();
            });
        });
        let mut all = BTreeMap::new();
        for (region, other) in [(regions[0], regions[1]), (regions[1], regions[0])] {
            let database = json!({
                "guard": region.guard_url(), "peers": other.guard_url(), "token_file": region.path("token"),
                "server": region.server(), "lease_seconds": LEASE_SECONDS.to_string(),
            });
            let name = json!({
                "server": format!("{}:53", Machine::Control.address()), "zone": ZONE, "name": NAME, "ttl_seconds": "1",
                "address": region.machine.address(), "key_name": KEY_NAME, "key_file": key_file,
            });
            for (what, kind, settings) in [
                ("db", ActuatorKind::Postgres, database),
                ("dns", ActuatorKind::Dns, name),
            ] {
                let actuator = Actuator {
                    name: ActuatorName::new(format!("{what}-{}", region.name)).unwrap(),
                    kind,
                    region: RegionName::new(region.name).unwrap(),
                    workload: WorkloadName::new("shop").unwrap(),
                    production: serde_json::from_value(settings).unwrap(),
                    drill: None,
                };
                all.insert(actuator.name.to_string(), actuator);
            }
        }
        let actuators = Arc::new(EmbeddedActuators::new(record.clone(), Arc::new(SystemClock)));
        Controller { record, actuators, all }
    }

    /// Takes the next generation, in which nobody may write yet.
    pub fn claim(&self) -> Authority {
        let mut record = self.record.0.lock().unwrap();
        let run = RunId::derive(&[&(record.generation + 1).to_string()]);
        record.generation += 1;
        record.writer = None;
        record.claimed_by = Some(run.clone());
        Authority::of(&record, &run_of(&run)).unwrap()
    }

    /// Authority as it stands, in the hand of the run that claimed it.
    pub fn hold(&self) -> Authority {
        let record = self.record.0.lock().unwrap();
        Authority::of(&record, &run_of(record.claimed_by.as_ref().unwrap())).unwrap()
    }

    /// Gives the right to write to a Region.
    pub fn name_writer(&self, region: &str) {
        self.record.0.lock().unwrap().writer = Some(RegionName::new(region).unwrap());
    }

    pub fn generation(&self) -> u64 {
        self.record.0.lock().unwrap().generation
    }

    fn bound(&self, name: &str, authority: &Authority) -> Bound {
        Bound::for_production(&self.all[name], authority).unwrap()
    }

    /// An order to an actuator.
    pub fn order(&self, authority: &Authority, name: &str, act: Act) -> ActOrder {
        let others = match &act {
            Act::Follow { leader } => vec![self.bound(leader.as_str(), authority)],
            _ => Vec::new(),
        };
        ActOrder {
            step: StepName::new(format!("{}-{name}", act.as_str())).unwrap(),
            act,
            on: self.bound(name, authority),
            others,
        }
    }

    /// Begins an order once and says what the actuator answers.
    pub fn begin(&self, network: &Network, order: ActOrder) -> Result<(), Failure> {
        let actuators = Arc::clone(&self.actuators);
        network.on(Machine::Control, move || here(async { actuators.begin(&order).await }))
    }

    /// Brings an order to its end, as the engine would: looks, begins, looks again.
    pub fn drive(&self, network: &Network, authority: &Authority, name: &str, act: Act) -> Done {
        let order = self.order(authority, name, act);
        let actuators = Arc::clone(&self.actuators);
        network.on(Machine::Control, move || {
            here(async {
                let begun = uptime();
                let until = begun + PATIENCE;
                let mut last = String::new();
                while uptime() < until {
                    match step(actuators.as_ref(), &order).await {
                        Ok(Seen::Done { note, lag_seconds }) => {
                            println!("{}: {:?}: {note}", order.step, uptime() - begun);
                            return Done { note, lag_seconds };
                        }
                        Ok(seen) => last = format!("{seen:?}"),
                        Err(failure) if failure.kind.may_pass() => last = failure.message,
                        Err(failure) => panic!("step {}: {failure}", order.step),
                    }
                    pause();
                }
                panic!("step {} waits in vain: {last}", order.step)
            })
        })
    }
}

async fn step(actuators: &dyn Actuators, order: &ActOrder) -> Result<Seen, Failure> {
    match actuators.look(order).await? {
        Seen::NotDone => {
            actuators.begin(order).await?;
            actuators.look(order).await
        }
        seen => Ok(seen),
    }
}

/// Runs work on the machine of the calling thread: its blocking threads are made by it.
fn here<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// Waits until observers in two places agree, three times running each, that a Region takes no orders.
pub fn wait_for_agreement(network: &Network, region: Machine) {
    let observers = [Machine::Control, Machine::ClientB].map(|place| {
        network.spawn(place, move || {
            let probe = Probe::Http {
                url: format!("http://{}:{PORT}/health", region.address()),
                status: 200,
                contains: Some("takes orders".to_owned()),
            };
            let probes = NetworkProbes::new(now);
            let mut in_a_row = 0;
            while in_a_row < 3 {
                match here(async { probes.ask(&probe).await }).unwrap().holds {
                    true => in_a_row = 0,
                    false => in_a_row += 1,
                }
                for _ in 0..20 {
                    pause();
                }
            }
        })
    });
    for observer in observers {
        observer.join().unwrap();
    }
}

/// Whether a probe holds, asked from a machine.
pub fn ask(network: &Network, machine: Machine, probe: &Probe) -> bool {
    let probe = probe.clone();
    network.on(machine, move || {
        here(async { NetworkProbes::new(now).ask(&probe).await }).unwrap().holds
    })
}

fn now() -> jiff::Timestamp {
    SystemClock.now()
}
