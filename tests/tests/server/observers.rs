//! A workload that goes away is moved by itself: the server, two observers, and commands that stand for the workload.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holdfast_cli::args::Place;
use holdfast_tests::holdfast_binary;

use crate::{Server, holdfast, wait_until};

/// A service in two Regions: each is a program that says what it was told.
fn configuration(program: &Path) -> String {
    let actuator = |region: &str| {
        format!(
            r#"
[[actuator]]
name = "orders-{region}"
kind = "command"
region = "{region}"
workload = "orders"
production = {{ program = "{}", arguments = "[\"{region}\"]" }}
"#,
            program.display()
        )
    };
    let (east, west) = (actuator("east"), actuator("west"));
    format!(
        r#"
region = "west"
[[vault]]
name = "primary"
region = "west"
[[workload]]
name = "orders"
home = "east"
{east}{west}
[[plan]]
name = "orders-to-west"
rpo = "1h"
rto = "1h"
[plan.moves]
workload = "orders"
from = "east"
to = "west"
automatic = {{ places = 2, down-for = "2s", cool-down = "1h" }}
[[plan.deactivate]]
name = "fence"
fence = "orders-east"
undo = "reverse"
[[plan.step]]
name = "start"
start = "orders-west"
undo = "reverse"
"#
    )
}

struct Scene {
    folder: tempfile::TempDir,
    place: Place,
    authority: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        let program = path("program");
        let text = format!(
            "#!/bin/sh\necho \"$HOLDFAST_ACT $1 $HOLDFAST_GENERATION\" >> {}\n",
            path("acts").display()
        );
        fs::write(&program, text).expect("program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("rights");
        fs::write(path("token"), "a secret of this test\n".replace(' ', "-")).expect("token");
        fs::write(path("holdfast.toml"), configuration(&program)).expect("configuration");
        Self {
            place: Place {
                config: path("holdfast.toml"),
                data: None,
            },
            authority: free_address(),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn acts(&self) -> String {
        fs::read_to_string(self.path("acts")).unwrap_or_default()
    }

    fn said(&self, log: &str, words: &str) -> bool {
        fs::read_to_string(self.path(log)).unwrap_or_default().contains(words)
    }

    fn spawn(&self, command: &mut Command, log: &str) -> Server {
        let log = fs::File::create(self.path(log)).expect("log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        Server(child.expect("a process"))
    }

    fn serve(&self) -> Server {
        let mut command = holdfast(&self.place, &["serve", "--authority", &self.authority]);
        command.arg("--token-file").arg(self.path("token"));
        let server = self.spawn(&mut command, "server");
        wait_until("the server", || self.said("server", "serving from"));
        server
    }

    fn observe(&self, place: &str, workload: &str) -> Server {
        let mut command = Command::new(holdfast_binary());
        let authority = format!("http://{}", self.authority);
        command
            .args([
                "observe", "orders", "--place", place, "--tcp", workload, "--every", "1s",
            ])
            // The first way leads nowhere.
            .args(["--authority", "http://127.0.0.1:1", "--authority", &authority])
            .arg("--token-file")
            .arg(self.path("token"));
        self.spawn(&mut command, place)
    }
}

/// An address that nobody listens on.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn a_workload_that_two_places_do_not_reach_is_moved_once() {
    let scene = Scene::new();
    let workload = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = workload.local_addr().expect("an address").to_string();
    let _server = scene.serve();
    let _east = scene.observe("east", &address);
    wait_until("the first observer", || scene.said("east", "is up"));
    drop(workload);
    wait_until("the first observer", || scene.said("east", "is DOWN"));
    // One place alone moves nothing, however long it says so.
    #[expect(clippy::disallowed_methods, reason = "real programs take real time")]
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(scene.acts(), "");
    let _north = scene.observe("north", &address);
    wait_until("the failover", || scene.acts().contains("start west"));
    assert_eq!(scene.acts(), "fence east 2\nstart west 2\n");
    let known = || {
        let asked = holdfast(&scene.place, &["report", "unknown"])
            .output()
            .expect("an answer");
        String::from_utf8_lossy(&asked.stderr).into_owned()
    };
    wait_until("the end of the run", || known().contains("disaster of orders-to-west"));
    let told = known();
    assert_eq!(told.matches("orders-to-west").count(), 1, "{told}");
    let (before, _) = told.split_once("  disaster").expect("a run");
    let run = before.rsplit(' ').next().expect("its id");
    let report = holdfast(&scene.place, &["report", run, "--json"])
        .output()
        .expect("a report");
    let report = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(
        report.contains("\"state\": \"succeeded\"") || report.contains("\"state\":\"succeeded\""),
        "{report}"
    );
    assert!(report.contains("observers: "), "{report}");
    assert!(
        !scene.said("server", "\"level\":\"ERROR\""),
        "{}",
        fs::read_to_string(scene.path("server")).unwrap()
    );
}

#[test]
fn an_observer_that_nobody_knows_or_that_asks_nothing_is_told_so() {
    let scene = Scene::new();
    let _server = scene.serve();
    fs::write(scene.path("token"), "another-secret-of-this-test\n").expect("token");
    let _stranger = scene.observe("east", "127.0.0.1:1");
    wait_until("the refusal", || scene.said("east", "the token is missing or wrong"));
    let mut command = Command::new(holdfast_binary());
    command.args([
        "observe",
        "orders",
        "--place",
        "east",
        "--authority",
        "http://127.0.0.1:1",
        "--token-file",
    ]);
    let refused = command.arg(scene.path("token")).output().expect("an answer");
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("--http") && told.contains("--tcp"), "{told}");
}
