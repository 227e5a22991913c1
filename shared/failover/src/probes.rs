//! Questions to the world outside: HTTP, TCP, SQL.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use holdfast_core::domain::{Answer, Failure, FailureKind, Probe};
use holdfast_core::ports::Probes;
use holdfast_sources::postgres::{Address, ClientOptions, Connection, Purpose};
use jiff::Timestamp;
use ureq::Agent;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a body that are looked at.
const LONGEST: u64 = 1 << 20;

/// Asks over the network.
#[derive(Debug, Clone)]
pub struct NetworkProbes {
    now: fn() -> Timestamp,
}

impl NetworkProbes {
    /// `now` is told to the servers that are asked by SQL.
    pub fn new(now: fn() -> Timestamp) -> Self {
        Self { now }
    }
}

#[async_trait]
impl Probes for NetworkProbes {
    async fn ask(&self, probe: &Probe) -> Result<Answer, Failure> {
        let (probe, now) = (probe.clone(), self.now);
        let asked = tokio::task::spawn_blocking(move || match &probe {
            Probe::Http { url, status, contains } => http(url, *status, contains.as_deref()),
            Probe::Tcp { address } => tcp(address),
            Probe::Sql { server, query, expects } => sql(server, query, expects, now),
        });
        asked
            .await
            .unwrap_or_else(|error| Err(Failure::caused(FailureKind::Bug, "a probe ended badly", error)))
    }
}

fn answer(holds: bool, note: impl Into<String>) -> Answer {
    Answer {
        holds,
        note: note.into(),
    }
}

fn http(url: &str, status: u16, contains: Option<&str>) -> Result<Answer, Failure> {
    if !url.starts_with("http://") {
        let message =
            format!("probe of {url}: only http:// can be asked here: let something that ends TLS stand before it");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_idle_connections(0)
        .max_redirects(0)
        .proxy(None)
        .build()
        .into();
    let mut response = match agent.get(url).call() {
        Ok(response) => response,
        Err(error) => return Ok(answer(false, format!("{url}: {error}"))),
    };
    let got = response.status().as_u16();
    if got != status {
        return Ok(answer(false, format!("{url} answers {got}, not {status}")));
    }
    let Some(wanted) = contains else {
        return Ok(answer(true, format!("{url} answers {got}")));
    };
    let body = response
        .body_mut()
        .with_config()
        .limit(LONGEST)
        .lossy_utf8(true)
        .read_to_string();
    match body {
        Ok(body) if body.contains(wanted) => Ok(answer(true, format!("{url} answers {got} with {wanted:?}"))),
        Ok(_) => Ok(answer(false, format!("{url} answers {got} without {wanted:?}"))),
        Err(error) => Ok(answer(false, format!("{url}: its answer breaks off: {error}"))),
    }
}

fn tcp(address: &str) -> Result<Answer, Failure> {
    let found = match address.to_socket_addrs() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            let message = format!("probe of {address}: write host:port");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        Err(error) => return Ok(answer(false, format!("{address}: {error}"))),
    };
    let mut note = format!("{address} has no address");
    for place in found {
        match TcpStream::connect_timeout(&place, PATIENCE) {
            Ok(_) => return Ok(answer(true, format!("{place} takes connections"))),
            Err(error) => note = format!("{place}: {error}"),
        }
    }
    Ok(answer(false, note))
}

fn sql(server: &str, query: &str, expects: &str, now: fn() -> Timestamp) -> Result<Answer, Failure> {
    let mut address = Address::parse(server)
        .map_err(|error| Failure::caused(FailureKind::Invalid, format!("probe by SQL: {error}"), error))?;
    address.connect_timeout.get_or_insert(PATIENCE);
    let options = ClientOptions {
        now,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let asked = Connection::open(&address, Purpose::Sql, &options).and_then(|mut server| server.query(query));
    let rows = match asked {
        Ok(rows) => rows.rows,
        Err(error) => return Ok(answer(false, error.to_string())),
    };
    match rows.first().and_then(|row| row.text(0)) {
        Some(text) if text == expects => Ok(answer(true, format!("it answers {text:?}"))),
        Some(text) => {
            let text: String = text.chars().take(100).collect();
            Ok(answer(false, format!("it answers {text:?}, not {expects:?}")))
        }
        None => Ok(answer(false, "it answers with no value".to_owned())),
    }
}
