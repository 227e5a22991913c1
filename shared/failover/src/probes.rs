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
use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

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
            Probe::Http { url, status, contains } => http(url, *status, contains.as_deref(), authorities),
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

/// The authorities that this system trusts, or those that `SSL_CERT_FILE` names.
fn authorities() -> Result<RootCerts, Failure> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let message = "this system trusts no authority, so that no https:// can be asked: install ca-certificates, or name a file \
                       of authorities as SSL_CERT_FILE";
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let owned = |certificate: &rustls::pki_types::CertificateDer<'_>| Certificate::from_der(certificate).to_owned();
    Ok(found.certs.iter().map(owned).into())
}

fn http(
    url: &str,
    status: u16,
    contains: Option<&str>,
    authorities: impl FnOnce() -> Result<RootCerts, Failure>,
) -> Result<Answer, Failure> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_idle_connections(0)
        .max_redirects(0)
        .proxy(None);
    if url.starts_with("https://") {
        let tls = TlsConfig::builder()
            .root_certs(authorities()?)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
        config = config.tls_config(tls.build());
    } else if !url.starts_with("http://") {
        let message = format!("probe of {url}: write http:// or https:// before it");
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    let agent: Agent = config.build().into();
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn openssl(folder: &Path, arguments: &str) -> Command {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments.split(' ')).current_dir(folder);
        openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        openssl
    }

    /// An authority of its own, and a server for `localhost` that it vouches for; its pages are of openssl.
    struct Server {
        folder: tempfile::TempDir,
        port: u16,
        child: Child,
    }

    impl Server {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("names"), "subjectAltName=DNS:localhost\n").unwrap();
            for step in [
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Authority -keyout root.key -out root.crt",
                "req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out server.csr",
                "x509 -req -in server.csr -days 2 -CA root.crt -CAkey root.key -CAcreateserial -extfile names -out server.crt",
            ] {
                assert!(openssl(folder.path(), step).status().unwrap().success(), "{step}");
            }
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let serve =
                format!("s_server -accept 127.0.0.1:{port} -cert server.crt -key server.key -www -naccept 100 -quiet");
            let child = openssl(folder.path(), &serve).spawn().unwrap();
            let server = Self { folder, port, child };
            server.until_it_answers();
            server
        }

        #[expect(clippy::disallowed_methods, reason = "a server takes its time to start")]
        fn until_it_answers(&self) {
            for _ in 0..100 {
                if tcp(&format!("127.0.0.1:{}", self.port)).unwrap().holds {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            panic!("openssl does not serve");
        }

        fn ask(&self, host: &str, trusts: &str) -> Answer {
            let pem = std::fs::read(self.folder.path().join(trusts)).unwrap();
            let roots = || Ok([Certificate::from_pem(&pem).unwrap()].into_iter().into());
            http(&format!("https://{host}:{}/", self.port), 200, Some("Cipher"), roots).unwrap()
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn whoever_answers_by_tls_must_be_vouched_for_by_name() {
        let server = Server::start();
        let answer = server.ask("localhost", "root.crt");
        assert!(answer.holds, "{answer:?}");
        let other_name = server.ask("127.0.0.1", "root.crt");
        assert!(
            !other_name.holds && other_name.note.contains("certificate"),
            "{other_name:?}"
        );
        let stranger = tempfile::tempdir().unwrap();
        let made =
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Stranger -keyout stranger.key -out stranger.crt";
        assert!(openssl(stranger.path(), made).status().unwrap().success());
        let (from, to) = (
            stranger.path().join("stranger.crt"),
            server.folder.path().join("stranger.crt"),
        );
        std::fs::copy(from, to).unwrap();
        let unknown = server.ask("localhost", "stranger.crt");
        assert!(!unknown.holds && unknown.note.contains("certificate"), "{unknown:?}");
    }

    #[test]
    fn the_authorities_of_the_system_are_read_only_for_tls() {
        let none = || Err(Failure::new(FailureKind::Invalid, "nobody is trusted"));
        let clear = http("http://127.0.0.1:9/", 200, None, none).unwrap();
        assert!(!clear.holds);
        let refused = http("https://127.0.0.1:9/", 200, None, none).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid);
    }
}
