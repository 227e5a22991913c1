//! A DNS server that takes signed updates, and how clients ask it.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tempfile::TempDir;

use crate::network::{Machine, Network};

/// BIND, from Debian's package bind9.
const NAMED: &str = "/usr/sbin/named";
pub const ZONE: &str = "shop.test.";
pub const NAME: &str = "orders.shop.test.";
/// What a drill leads in the place of [`NAME`].
pub const REHEARSED: &str = "rehearsed.shop.test.";
pub const KEY_NAME: &str = "holdfast.";
const KEY: &str = "Q2V0dGUgY2zDqSBuZSB2YXV0IHF1ZSBwb3VyIGxlIHRlc3Q=";

pub struct NameServer {
    folder: TempDir,
    child: Child,
}

impl NameServer {
    pub fn start(network: &Network) -> NameServer {
        assert!(Path::new(NAMED).exists(), "{NAMED} is missing: apt-get install bind9");
        let folder = tempfile::Builder::new()
            .prefix("holdfast-dns-")
            .tempdir_in("/tmp")
            .unwrap();
        let at = folder.path().display().to_string();
        let zone = format!(
            "$TTL 1\n@ IN SOA ns.{ZONE} admin.{ZONE} 1 60 60 60 1\n@ IN NS ns.{ZONE}\nns IN A {address}\n{NAME} IN A {first}\n",
            address = Machine::Control.address(),
            first = Machine::RegionA.address()
        );
        fs::write(folder.path().join("zone"), zone).unwrap();
        fs::write(folder.path().join("key"), KEY).unwrap();
        let conf = format!(
            "options {{ directory \"{at}\"; pid-file none; session-keyfile none; listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; recursion no; managed-keys-directory \"{at}\"; }};\n\
             controls {{ }};\n\
             key \"{KEY_NAME}\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{at}/zone\"; allow-update {{ key \"{KEY_NAME}\"; }}; }};\n",
            address = Machine::Control.address()
        );
        fs::write(folder.path().join("named.conf"), conf).unwrap();
        let path = folder.path().join("named.conf");
        let child = network.on(Machine::Control, move || {
            let mut named = Command::new(NAMED);
            named.args(["-f", "-n", "1", "-c"]).arg(path);
            named.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            named.spawn().unwrap()
        });
        let server = NameServer { folder, child };
        crate::server::wait_until("the DNS server answers", || {
            network.on(Machine::Control, || ask("ns.shop.test.").is_some())
        });
        server
    }

    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a name leads, asked from the machine of the calling thread; none without an answer.
pub fn ask(name: &str) -> Option<Ipv4Addr> {
    let mut question = Message::new();
    question.set_id(4711);
    question.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    socket
        .send_to(&question.to_vec().ok()?, (Machine::Control.address(), 53))
        .ok()?;
    let mut answer = [0; 1500];
    let count = socket.recv(&mut answer).ok()?;
    let answer = Message::from_vec(&answer[..count]).ok()?;
    answer.answers().iter().find_map(|record| match record.data() {
        RData::A(address) => Some(address.0),
        _ => None,
    })
}
