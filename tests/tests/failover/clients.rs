//! Clients that resolve and write all the time.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_failover::uptime;
use ureq::Agent;

use crate::application::PORT;
use crate::history::Ack;
use crate::names::{NAME, ask};
use crate::network::{Machine, Network};
use crate::server::pause;

/// Clients, which end with this.
pub struct Clients {
    stop: Arc<AtomicBool>,
    acks: Arc<Mutex<Vec<Ack>>>,
    refused: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

/// An HTTP client that waits two seconds at most.
pub fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(2)))
        .http_status_as_error(false)
        .max_idle_connections(0)
        .build()
        .into()
}

/// Sends an order; none unless it was acknowledged.
pub fn order(agent: &Agent, address: Ipv4Addr, id: &str) -> Option<Ack> {
    let mut response = agent.post(format!("http://{address}:{PORT}/orders")).send(id).ok()?;
    response
        .status()
        .is_success()
        .then(|| response.body_mut().read_json().ok())?
}

impl Clients {
    /// Two clients beside each Region.
    pub fn start(network: &Network) -> Clients {
        let since = uptime().as_millis();
        let stop = Arc::new(AtomicBool::new(false));
        let acks = Arc::new(Mutex::new(Vec::new()));
        let refused = Arc::new(AtomicUsize::new(0));
        let places = [Machine::ClientA, Machine::ClientB, Machine::ClientA, Machine::ClientB];
        let threads = places.into_iter().enumerate().map(|(number, machine)| {
            let (stop, acks, refused) = (Arc::clone(&stop), Arc::clone(&acks), Arc::clone(&refused));
            network.spawn(machine, move || {
                write(&format!("{since}-{number}"), &stop, &acks, &refused);
            })
        });
        Clients {
            threads: threads.collect(),
            stop,
            acks,
            refused,
        }
    }

    /// How many orders were refused, or not answered in time, so far.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// What was acknowledged so far.
    pub fn acks(&self) -> Vec<Ack> {
        self.acks.lock().unwrap().clone()
    }

    /// The end, and all that was acknowledged.
    pub fn stop(mut self) -> Vec<Ack> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.acks()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// One client: no order is sent twice, also by clients of another time, so each is there once or not at all. Where the DNS
/// server does not answer it goes on with what it knows.
fn write(name: &str, stop: &AtomicBool, acks: &Mutex<Vec<Ack>>, refused: &AtomicUsize) {
    let agent = agent();
    let mut known = None;
    let mut count = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        if count.is_multiple_of(20) || known.is_none() {
            known = ask(NAME).or(known);
        }
        count += 1;
        let Some(address) = known else {
            pause();
            continue;
        };
        match order(&agent, address, &format!("{name}-{count}")) {
            Some(ack) => acks.lock().unwrap().push(ack),
            None => {
                refused.fetch_add(1, Ordering::SeqCst);
                known = ask(NAME).or(known);
                pause();
            }
        }
    }
}
