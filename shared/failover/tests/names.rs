//! Names in DNS, on a real server that takes signed updates: BIND, from Debian's package bind9.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use holdfast_core::domain::{Act, ActOrder, Actuator, ActuatorKind, AuthorityRecord, Failure, Seen, WorkloadName};
use holdfast_core::ports::{Actuators, Clock};
use holdfast_failover::actuators::EmbeddedActuators;
use holdfast_failover::authority::Authorities;
use holdfast_testkit::contract::actuators::{ActuatorWorld, order_under, suite};
use jiff::Timestamp;
use tempfile::TempDir;

const NAMED: &str = "/usr/sbin/named";
const KEY: &str = "Q2V0dGUgY2zDqSBuZSB2YXV0IHF1ZSBwb3VyIGxlIHRlc3Q=";

/// Nobody keeps authority here: the generation stands beside the name.
struct Nowhere;

#[async_trait]
impl Authorities for Nowhere {
    async fn read(&self, _: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure> {
        Ok(None)
    }
}

/// Signatures are of the time at which they are made.
struct Today;

impl Clock for Today {
    #[expect(clippy::disallowed_methods, reason = "the server has the machine's own clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A server with one zone, and the name in it.
struct Zone {
    folder: TempDir,
    named: Child,
    actuator: Actuator,
}

impl Zone {
    async fn new() -> Self {
        assert!(Path::new(NAMED).exists(), "{NAMED} is missing: apt-get install bind9");
        let folder = tempfile::tempdir().unwrap();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = folder.path().display();
        let zone =
            "$TTL 1\n@ IN SOA ns.shop.test. admin.shop.test. 1 60 60 60 1\n@ IN NS ns.shop.test.\nns IN A 127.0.0.1\n";
        let conf = format!(
            "options {{ directory \"{at}\"; pid-file none; session-keyfile none; listen-on port {port} {{ 127.0.0.1; }}; \
             listen-on-v6 {{ none; }}; recursion no; managed-keys-directory \"{at}\"; }};\ncontrols {{ }};\n\
             key \"holdfast.\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};\n\
             zone \"shop.test.\" {{ type primary; file \"{at}/zone\"; allow-update {{ key \"holdfast.\"; }}; }};\n"
        );
        for (name, text) in [("zone", zone), ("key", KEY), ("named.conf", conf.as_str())] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut named = Command::new(NAMED);
        named
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"));
        let log = File::create(folder.path().join("log")).unwrap();
        let named = named.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let named = named.spawn().unwrap();
        let settings = [
            ("server", format!("127.0.0.1:{port}")),
            ("zone", "shop.test.".to_owned()),
            ("name", "orders.shop.test.".to_owned()),
            ("address", "10.2.0.9".to_owned()),
            ("other_address", "10.1.0.9".to_owned()),
            ("key_name", "holdfast.".to_owned()),
            ("key_file", folder.path().join("key").display().to_string()),
        ];
        let actuator = Actuator {
            name: "orders-dns".parse().unwrap(),
            kind: ActuatorKind::Dns,
            region: "b".parse().unwrap(),
            workload: "shop".parse().unwrap(),
            production: BTreeMap::from(settings.map(|(name, value)| (name.to_owned(), value))),
            drill: None,
        };
        let zone = Self {
            folder,
            named,
            actuator,
        };
        zone.until_it_answers().await;
        zone
    }

    #[expect(clippy::disallowed_methods, reason = "a server takes its time to start")]
    async fn until_it_answers(&self) {
        for _ in 0..100 {
            if self.process().look(&self.order(1)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the DNS server does not answer: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        let _ = self.named.kill();
        let _ = self.named.wait();
    }
}

#[async_trait]
impl ActuatorWorld for Zone {
    fn process(&self) -> Arc<dyn Actuators> {
        Arc::new(EmbeddedActuators::new(Arc::new(Nowhere), Arc::new(Today)))
    }

    fn order(&self, generation: u64) -> ActOrder {
        order_under(&self.actuator, Act::Direct { share: 100 }, generation)
    }

    fn back(&self, generation: u64) -> Option<ActOrder> {
        Some(order_under(&self.actuator, Act::Direct { share: 0 }, generation))
    }

    fn changes(&self) -> usize {
        self.log().matches("adding an RR at 'orders.shop.test' A ").count()
    }

    async fn pass(&self) {}
}

#[tokio::test]
async fn names_obey_the_contract_of_actuators() {
    suite(async || Zone::new().await).await;
}

/// The prerequisite that goes with each update is for whoever changes it between the look and the update.
#[tokio::test]
async fn the_name_leads_where_the_last_generation_said() {
    let zone = Zone::new().await;
    let actuators = zone.process();
    actuators.begin(&zone.order(3)).await.unwrap();
    let seen = actuators.look(&zone.order(3)).await.unwrap();
    assert!(
        matches!(&seen, Seen::Done { note, .. } if note.contains("10.2.0.9")),
        "{seen:?}"
    );
    actuators.begin(&zone.back(4).unwrap()).await.unwrap();
    let refused = actuators.look(&zone.order(3)).await.unwrap_err();
    assert!(refused.message.contains("generation 4"), "{refused}");
}
