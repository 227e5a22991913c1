//! The product's engine, as an operator runs it: `holdfast serve` in the recovery Region, observers in two places, and the
//! commands that order moves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use holdfast_core::domain::{AuthorityRecord, Run};
use serde_json::Value;
use tempfile::TempDir;

use crate::application::PORT;
use crate::clients::agent;
use crate::names::{KEY_NAME, NAME, REHEARSED, ZONE};
use crate::network::{Machine, Network};
use crate::region::{AUTHORITY_PORT, LEASE_SECONDS, Region, TOKEN};
use crate::server::wait_until;

/// What the recovery Region has beside databases: a vault, and a copy of what the database holds.
const CONTENT: &str = r#"
region = "b"
[[vault]]
name = "content"
region = "b"
[[workload]]
name = "shop"
home = "a"
[[resource]]
name = "orders-db"
kind = "postgres"
path = "<server>"
[[policy]]
name = "databases"
vault = "content"
select = { resources = ["orders-db"] }
keep = { last = 3 }
[[policy.rule]]
name = "nightly"
cron = "0 3 1 1 *"
kind = "full"
[[plan]]
name = "rehearsal"
rpo = "400d"
rto = "10m"
[[plan.step]]
name = "restore"
restore = { resource = "orders-db", vault = "content" }
[[plan.step]]
name = "compare"
verify = { restored-by = "restore" }
"#;

/// The plan that moves the workload from Region `<from>` to Region `<to>`.
const PLAN: &str = r#"
[[plan]]
name = "shop-to-<to>"
rpo = "1m"
rto = "1m"
[plan.moves]
workload = "shop"
from = "<from>"
to = "<to>"
<automatic>
[[plan.deactivate]]
name = "receives"
check = { that = "sql", server = "<server>", query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", expects = "1" }
only-in = "switchover"
timeout = "30s"
[[plan.deactivate]]
name = "fence"
fence = "db-<from>"
undo = "reverse"
after = ["receives"]
timeout = "1m"
[[plan.step]]
name = "promote"
promote = "db-<to>"
loss = "allowed"
undo = "no-return"
timeout = "<patience>"
[[plan.step]]
name = "answers"
check = { that = "http", url = "http://<address>:<port>/health", contains = "takes orders" }
after = ["promote"]
timeout = "1m"
[[plan.step]]
name = "direct"
direct = "dns-<to>"
undo = "reverse"
after = ["answers"]
timeout = "1m"
[[plan.post-recovery]]
name = "follow"
follow = "db-<from>"
leader = "db-<to>"
undo = "no-return"
timeout = "1h"
"#;

/// A failover that nobody orders: of a primary that both observers have not reached for so long.
const AUTOMATIC: &str = r#"automatic = { places = 2, down-for = "3s", cool-down = "1s" }"#;

pub struct Engine {
    folder: TempDir,
    holdfast: PathBuf,
    processes: Vec<Child>,
}

impl Engine {
    /// The server, with a configuration over these Regions and the DNS server's key. A promotion may take that long.
    pub fn start(network: &Network, regions: [&Region; 2], key: &Path, holdfast: &Path, patience: &str) -> Engine {
        let [a, b] = regions;
        let folder = tempfile::tempdir().unwrap();
        let mut text = CONTENT.replace("<server>", &a.server());
        for (own, other) in [(a, b), (b, a)] {
            text.push_str(&actuators(own, other, key));
        }
        for (from, to, automatic) in [(a, b, AUTOMATIC), (b, a, "")] {
            let plan = PLAN
                .replace("<from>", from.name)
                .replace("<to>", to.name)
                .replace("<automatic>", automatic)
                .replace("<server>", &from.server())
                .replace("<patience>", patience)
                .replace("<address>", to.machine.address())
                .replace("<port>", &PORT.to_string());
            text.push_str(&plan);
        }
        fs::write(folder.path().join("holdfast.toml"), text).unwrap();
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        let mut engine = Engine {
            folder,
            holdfast: holdfast.to_owned(),
            processes: Vec::new(),
        };
        let mut serve = engine.command(&["serve"]);
        let address = format!("{}:{AUTHORITY_PORT}", Machine::Control.address());
        serve
            .args(["--authority", &address, "--token-file"])
            .arg(engine.path("token"));
        engine.begin(network, Machine::Control, serve, "serve");
        wait_until("the server serves", || {
            fs::read_to_string(engine.path("serve"))
                .unwrap()
                .contains("serving from")
        });
        engine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.holdfast);
        command.arg(words[0]).arg("--config").arg(self.path("holdfast.toml"));
        command.args(&words[1..]);
        command
    }

    fn begin(&mut self, network: &Network, machine: Machine, mut command: Command, log: &str) {
        let log = fs::File::create(self.path(log)).unwrap();
        let child = network.on(machine, move || {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            command.spawn().unwrap()
        });
        self.processes.push(child);
    }

    /// Has two places look at the application of a Region.
    pub fn observe(&mut self, network: &Network, region: Machine) {
        for place in [Machine::Control, Machine::ClientB] {
            let mut observe = Command::new(&self.holdfast);
            observe.args(["observe", "shop", "--every", "1s", "--place", place.address()]);
            observe.args(["--http", &format!("http://{}:{PORT}/health", region.address())]);
            observe
                .args(["--authority", &endpoint(), "--token-file"])
                .arg(self.path("token"));
            self.begin(network, place, observe, place.address());
        }
    }

    /// Runs a command of an operator to its end.
    pub fn tell(&self, network: &Network, words: &[&str]) -> Output {
        let mut command = self.command(words);
        network.on(Machine::Control, move || command.stdin(Stdio::null()).output().unwrap())
    }

    /// The same, for what must succeed; what it says in JSON.
    pub fn ask(&self, network: &Network, words: &[&str]) -> Value {
        let words = [words, &["--json"]].concat();
        let output = self.tell(network, &words);
        let (said, told) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{words:?}: {said}{told}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{words:?}: {error}: {said}"))
    }

    /// Moves the workload in order.
    pub fn switch_over(&self, network: &Network, to: &Region) -> Run {
        let plan = format!("shop-to-{}", to.name);
        serde_json::from_value(self.ask(network, &["switchover", &plan, "--by", "ana"])).unwrap()
    }

    /// The runs that observers have declared, the oldest first, as people were told.
    pub fn declared(&self) -> Vec<String> {
        let pages = fs::read_to_string(self.path("holdfast-data/pages.jsonl")).unwrap_or_default();
        let pages = pages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let run = |page: Value| {
            Some(
                page["key"]
                    .as_str()?
                    .strip_prefix("run/")?
                    .strip_suffix("/declared")?
                    .to_owned(),
            )
        };
        pages.filter_map(run).collect()
    }

    /// Waits for the end of a run.
    pub fn ended(&self, network: &Network, run: &str) -> Run {
        let mut ended = None;
        wait_until("the run is over", || {
            let output = self.tell(network, &["report", run, "--json"]);
            ended = output.status.success().then_some(output.stdout);
            ended.is_some()
        });
        serde_json::from_slice(&ended.unwrap()).unwrap()
    }

    /// The page of a run that has ended.
    pub fn page(&self, network: &Network, run: &str) -> String {
        let page = self.path("page.html");
        let written = self.tell(network, &["report", run, "--page", page.to_str().unwrap()]);
        assert!(written.status.success(), "{written:?}");
        fs::read_to_string(page).unwrap()
    }

    /// Has the program check every statement that was ever signed, as an auditor would.
    pub fn verify_evidence(&self, network: &Network) {
        let (data, mut verify) = (self.path("holdfast-data"), Command::new(&self.holdfast));
        verify.args(["evidence", "verify"]).arg(data.join("regions/b/evidence"));
        verify.arg("--public-key").arg(data.join("keys.pub.pem"));
        let verified = network.on(Machine::Control, move || verify.output().unwrap());
        assert!(verified.status.success(), "{verified:?}");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            for log in ["serve", Machine::Control.address(), Machine::ClientB.address()] {
                let said = fs::read_to_string(self.path(log)).unwrap_or_default();
                let lines: Vec<&str> = said.lines().rev().take(20).collect();
                eprintln!("{log}:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

/// Who may write, as guards are told.
pub fn authority(network: &Network) -> AuthorityRecord {
    network.on(Machine::Control, || {
        let asked = agent()
            .get(format!("{}/authority/shop", endpoint()))
            .header("authorization", format!("Bearer {TOKEN}"))
            .call();
        asked.unwrap().body_mut().read_json().unwrap()
    })
}

fn endpoint() -> String {
    format!("http://{}:{AUTHORITY_PORT}", Machine::Control.address())
}

/// What plans can change in a Region.
fn actuators(own: &Region, other: &Region, key: &Path) -> String {
    let (name, address) = (own.name, own.machine.address());
    let of = format!("region = \"{name}\"\nworkload = \"shop\"\n");
    let dns = |led: &str| {
        format!(
            "{{ server = \"{}:53\", zone = \"{ZONE}\", name = \"{led}\", address = \"{address}\", other_address = \"{}\", \
             ttl_seconds = \"1\", key_name = \"{KEY_NAME}\", key_file = \"{}\" }}",
            Machine::Control.address(),
            other.machine.address(),
            key.display()
        )
    };
    format!(
        "[[actuator]]\nname = \"db-{name}\"\nkind = \"postgres\"\n{of}production = {{ guard = \"{}\", peers = \"{}\", \
         server = \"{}\", token_file = \"{}\", lease_seconds = \"{LEASE_SECONDS}\" }}\n\
         [[actuator]]\nname = \"dns-{name}\"\nkind = \"dns\"\n{of}production = {}\ndrill = {}\n",
        own.guard_url(),
        other.guard_url(),
        own.server(),
        own.path("token").display(),
        dns(NAME),
        dns(REHEARSED),
    )
}
