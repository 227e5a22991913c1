//! Machines as network namespaces, on two bridges that can be parted.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread::{self, JoinHandle};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The machines: two Regions, the place of the engine and the DNS server, and clients beside each Region. The engine
/// stands on the side of Region b, which is where authority is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    RegionA,
    RegionB,
    Control,
    ClientA,
    ClientB,
}

impl Machine {
    const ALL: [Self; 5] = [
        Self::RegionA,
        Self::RegionB,
        Self::Control,
        Self::ClientA,
        Self::ClientB,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::RegionA => "region-a",
            Self::RegionB => "region-b",
            Self::Control => "control",
            Self::ClientA => "client-a",
            Self::ClientB => "client-b",
        }
    }

    fn bridge(self) -> &'static str {
        match self {
            Self::RegionA | Self::ClientA => "side-a",
            Self::RegionB | Self::Control | Self::ClientB => "side-b",
        }
    }

    /// Its address.
    pub fn address(self) -> &'static str {
        match self {
            Self::RegionA => "10.77.0.1",
            Self::RegionB => "10.77.0.2",
            Self::Control => "10.77.0.3",
            Self::ClientA => "10.77.0.4",
            Self::ClientB => "10.77.0.5",
        }
    }
}

/// The network, which ends with this.
pub struct Network {
    prefix: String,
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split_whitespace()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {words}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

impl Network {
    /// Builds it; none, with a line that says so, where the kernel lets nobody make namespaces here.
    pub fn build(name: &str) -> Option<Network> {
        let network = Network {
            prefix: format!("hf{}{name}", rustix::process::getpid().as_raw_pid()),
        };
        if let Err(refused) = ip(&format!("netns add {}", network.hub())) {
            eprintln!("SKIPPED: this kernel gives no network namespaces: {refused}");
            return None;
        }
        network.connect().unwrap();
        Some(network)
    }

    fn connect(&self) -> Result<(), String> {
        let hub = self.hub();
        for side in ["side-a", "side-b"] {
            ip(&format!("-n {hub} link add name {side} type bridge"))?;
            ip(&format!("-n {hub} link set {side} up"))?;
        }
        ip(&format!("-n {hub} link add name across-a type veth peer name across-b"))?;
        for side in ["a", "b"] {
            ip(&format!("-n {hub} link set across-{side} master side-{side} up"))?;
        }
        for machine in Machine::ALL {
            let (space, port) = (self.space(machine), machine.word());
            ip(&format!("netns add {space}"))?;
            ip(&format!(
                "-n {hub} link add name {port} type veth peer name eth0 netns {space}"
            ))?;
            ip(&format!("-n {hub} link set {port} master {} up", machine.bridge()))?;
            ip(&format!("-n {space} addr add {}/24 dev eth0", machine.address()))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        Ok(())
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn space(&self, machine: Machine) -> String {
        format!("{}-{}", self.prefix, machine.word())
    }

    /// Starts a thread on a machine. Processes and threads that it starts are there too.
    pub fn spawn<T: Send + 'static>(
        &self,
        machine: Machine,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let space = format!("/run/netns/{}", self.space(machine));
        thread::spawn(move || {
            let space = File::open(space).unwrap();
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        })
    }

    /// Does something on a machine.
    pub fn on<T: Send + 'static>(&self, machine: Machine, work: impl FnOnce() -> T + Send + 'static) -> T {
        let done = self.spawn(machine, work).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Cuts a machine off, or connects it again.
    pub fn set_connected(&self, machine: Machine, connected: bool) {
        let state = if connected { "up" } else { "down" };
        ip(&format!("-n {} link set {} {state}", self.hub(), machine.word())).unwrap();
    }

    /// Parts the two sides, or joins them again.
    pub fn set_joined(&self, joined: bool) {
        let state = if joined { "up" } else { "down" };
        ip(&format!("-n {} link set across-a {state}", self.hub())).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for machine in Machine::ALL {
            let _ = ip(&format!("netns del {}", self.space(machine)));
        }
        let _ = ip(&format!("netns del {}", self.hub()));
    }
}
