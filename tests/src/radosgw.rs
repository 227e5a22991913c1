//! [`Radosgw`]: an S3 server that really keeps versions, locks objects and decides races, from Debian's packages.
//!
//! It knows no SHA-256 checksums (see [`crate::s3s`]). One is shared by all tests of a process; each test has its own
//! bucket.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::front::Front;
use crate::workspace_root;

/// The credentials of the one user.
pub const ACCESS_KEY: &str = "emulated";
/// The secret that belongs to [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "emulated";

/// The server and its store. Everything ends when this is dropped, or when this process dies in any way: the script that
/// started it waits for its input to be closed.
pub struct Radosgw {
    script: Child,
    input: Option<ChildStdin>,
    address: SocketAddr,
    folder: TempDir,
}

impl Radosgw {
    /// The server of this process, started by whoever asks first; that takes some twenty seconds.
    pub fn shared() -> &'static Radosgw {
        static SHARED: OnceLock<Radosgw> = OnceLock::new();
        SHARED.get_or_init(Radosgw::start)
    }

    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When it does not come up; the message says where its logs are.
    pub fn start() -> Radosgw {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let [address, monitor, monitor_old] = free_ports();
        let mut script = Command::new(workspace_root().join("tests/emulators/radosgw/up.sh"))
            .arg(folder.path())
            .args([address, monitor, monitor_old].map(|free| free.port().to_string()))
            .args([ACCESS_KEY, SECRET_KEY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/emulators/radosgw/up.sh can be run");
        let input = script.stdin.take();
        let output = script.stdout.take().expect("a pipe");
        let mut said = String::new();
        BufReader::new(output)
            .read_line(&mut said)
            .expect("the script's output");
        let server = Radosgw {
            script,
            input,
            address,
            folder,
        };
        assert_eq!(
            said.trim(),
            "ready",
            "radosgw does not start (`cargo xtask setup` installs it): {}",
            server.log()
        );
        server.wait_until_it_answers();
        server
    }

    /// Its address, as in `http://127.0.0.1:5000`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same server behind a front of its own.
    pub fn watched(&self) -> Front {
        Front::before_endpoint(self.endpoint())
    }

    /// A name for a bucket that no other test of this process uses.
    pub fn fresh_name(&self) -> String {
        static BUCKETS: AtomicU32 = AtomicU32::new(0);
        format!("bucket-{}", BUCKETS.fetch_add(1, Ordering::Relaxed))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the tests are the edge: they wait for a server"
    )]
    fn wait_until_it_answers(&self) {
        for _ in 0..600 {
            // Any status will do: what matters is that somebody speaks HTTP.
            let answer = ureq::get(self.endpoint())
                .config()
                .http_status_as_error(false)
                .build()
                .call();
            if answer.is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("radosgw does not answer at {}: {}", self.endpoint(), self.log());
    }

    fn log(&self) -> String {
        let log = self.folder.path().join("log/up.log");
        std::fs::read_to_string(&log).unwrap_or_else(|error| format!("{}: {error}", log.display()))
    }
}

impl Drop for Radosgw {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.script.wait());
    }
}

/// Ports that are free now, all different.
fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address"))
}
