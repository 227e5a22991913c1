//! Kind `dns`: a name that leads to the Region that is written to, by signed dynamic updates (RFC 2136, RFC 8945).
//!
//! Beside the name stands a TXT record with the generation that wrote it. Every update has the prerequisite that this record
//! is as it was read, so a stale executor is refused by the DNS server itself. Settings: `server` (`address:port` of the
//! zone's primary), `zone`, `name`, `address` (where the name leads in this actuator's Region), `other_address` (where it leads
//! when none of the traffic is this Region's), `ttl_seconds`, `key_name`, `key_file` (an HMAC-SHA256 key in base64).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hickory_proto::dnssec::rdata::tsig::TsigAlgorithm;
use hickory_proto::dnssec::tsig::TSigner;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode, UpdateMessage};
use hickory_proto::rr::rdata::{A, AAAA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use holdfast_core::domain::{Act, ActOrder, Bound, Failure, FailureKind, Seen};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::settings::{invalid, number_or, parsed, required};
use super::{blocking, unknown_act};
use crate::system::uptime;

/// How long resolvers may keep the name, where settings say nothing else, in seconds.
const TTL_SECONDS: u32 = 5;
/// Seconds by which the clocks of the two sides may differ.
const FUDGE: u16 = 300;
/// How long one packet is waited for, and how many are sent.
const PATIENCE: (Duration, u32) = (Duration::from_secs(1), 4);
/// The label below the name that holds the generation, and how its text begins.
const LABEL: &str = "_holdfast";
const WORD: &str = "generation=";

/// What there is under the name.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    addresses: Vec<IpAddr>,
    /// The TXT record as it is stored, and the generation in it.
    generation: Option<(TXT, u64)>,
}

/// What to change.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Update,
}

struct Place {
    server: SocketAddr,
    zone: Name,
    name: Name,
    marker: Name,
    address: IpAddr,
    ttl: u32,
    signer: TSigner,
    generation: Option<u64>,
}

/// Leads the name to the actuator's Region, or away from it.
pub async fn begin(order: &ActOrder, now: Timestamp) -> Result<(), Failure> {
    let place = Place::of(order)?;
    blocking(move || {
        let found = place.find()?;
        match place.change(&found)? {
            Change::Nothing => Ok(()),
            Change::Update => place.update(&found, now),
        }
    })
    .await
}

/// Where the name leads, as the zone's primary says.
pub async fn look(order: &ActOrder) -> Result<Seen, Failure> {
    let place = Place::of(order)?;
    blocking(move || {
        let found = place.find()?;
        Ok(match place.change(&found)? {
            Change::Update => Seen::NotDone,
            Change::Nothing => Seen::Done {
                note: format!("{} leads to {} within {} s", place.name, place.address, place.ttl),
                lag_seconds: None,
                divergence: None,
            },
        })
    })
    .await
}

impl Place {
    fn of(order: &ActOrder) -> Result<Self, Failure> {
        let on = &order.on;
        let address = match order.act {
            Act::Direct { share: 100 } => parsed(on, "address", "10.2.0.9")?,
            Act::Direct { share: 0 } => parsed(on, "other_address", "10.1.0.9")?,
            Act::Direct { share } => {
                let message = format!(
                    "step {}: a name leads to one Region or to the other, not {share} % of it: direct 100 or 0 %",
                    order.step
                );
                return Err(Failure::new(FailureKind::Invalid, message));
            }
            _ => return Err(unknown_act(order, "direct")),
        };
        let zone = name(on, "zone", "example.com.")?;
        let name = name(on, "name", "orders.example.com.")?;
        if !zone.zone_of(&name) {
            return Err(invalid(on, "name", &format!("orders.{zone}")));
        }
        let marker = Name::from_ascii(LABEL)
            .and_then(|label| label.append_domain(&name))
            .map_err(|_| invalid(on, "name", &format!("orders.{zone}")))?;
        Ok(Self {
            server: parsed(on, "server", "10.3.0.2:53")?,
            zone,
            name,
            marker,
            address,
            ttl: number_or(on, "ttl_seconds", TTL_SECONDS)?,
            signer: signer(on)?,
            generation: on.generation(),
        })
    }

    fn kind(&self) -> RecordType {
        match self.address {
            IpAddr::V4(_) => RecordType::A,
            IpAddr::V6(_) => RecordType::AAAA,
        }
    }

    fn find(&self) -> Result<Found, Failure> {
        let addresses = self.ask(&self.name, self.kind())?;
        let addresses = addresses.iter().filter_map(|data| match data {
            RData::A(A(address)) => Some(IpAddr::V4(*address)),
            RData::AAAA(AAAA(address)) => Some(IpAddr::V6(*address)),
            _ => None,
        });
        let texts = self.ask(&self.marker, RecordType::TXT)?;
        let generation = match texts.as_slice() {
            [] => None,
            [RData::TXT(text)] => Some((text.clone(), self.generation_in(text)?)),
            _ => return Err(self.unreadable()),
        };
        Ok(Found {
            addresses: addresses.collect(),
            generation,
        })
    }

    fn generation_in(&self, text: &TXT) -> Result<u64, Failure> {
        let number = text
            .to_string()
            .strip_prefix(WORD)
            .and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.unreadable())
    }

    fn unreadable(&self) -> Failure {
        let message = format!(
            "{}: one TXT record with {WORD}N is expected here: remove what stands there",
            self.marker
        );
        Failure::new(FailureKind::Integrity, message)
    }

    /// What is to be changed; an order of an earlier generation than stands there is refused.
    fn change(&self, found: &Found) -> Result<Change, Failure> {
        let leads_there = found.addresses == [self.address];
        let Some(own) = self.generation else {
            return Ok(if leads_there { Change::Nothing } else { Change::Update });
        };
        match &found.generation {
            Some((_, there)) if *there > own => {
                let message = format!(
                    "{} was written under generation {there}, after generation {own}",
                    self.name
                );
                Err(Failure::new(FailureKind::Fenced, message))
            }
            Some((_, there)) if *there == own && leads_there => Ok(Change::Nothing),
            _ => Ok(Change::Update),
        }
    }

    fn ask(&self, name: &Name, kind: RecordType) -> Result<Vec<RData>, Failure> {
        let mut message = numbered();
        message.add_query(Query::query(name.clone(), kind));
        let answer = self.exchange(&message)?;
        let answer = Message::from_vec(&answer).map_err(|error| self.failed(FailureKind::Transient, &error))?;
        match answer.response_code() {
            ResponseCode::NoError if answer.truncated() => {
                Err(self.failed(FailureKind::Integrity, &"a truncated answer"))
            }
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(answer
                .answers()
                .iter()
                .filter(|record| record.name() == name && record.record_type() == kind)
                .map(|record| record.data().clone())
                .collect()),
            code => Err(self.failed(FailureKind::Transient, &code)),
        }
    }

    /// One update: the marker as it was found is what it requires.
    fn message(&self, found: &Found) -> Message {
        let mut message = numbered();
        message
            .set_message_type(MessageType::Query)
            .set_op_code(OpCode::Update)
            .set_recursion_desired(false);
        let mut zone = Query::new();
        zone.set_name(self.zone.clone())
            .set_query_class(DNSClass::IN)
            .set_query_type(RecordType::SOA);
        message.add_zone(zone);
        if let Some(generation) = self.generation {
            message.add_pre_requisite(match &found.generation {
                Some((text, _)) => Record::from_rdata(self.marker.clone(), 0, RData::TXT(text.clone())),
                None => is_absent(&self.marker, RecordType::TXT),
            });
            message.add_update(without(&self.marker, RecordType::TXT));
            let text = RData::TXT(TXT::new(vec![format!("{WORD}{generation}")]));
            message.add_update(Record::from_rdata(self.marker.clone(), self.ttl, text));
        }
        message.add_update(without(&self.name, self.kind()));
        let address = match self.address {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        message.add_update(Record::from_rdata(self.name.clone(), self.ttl, address));
        message
    }

    fn update(&self, found: &Found, now: Timestamp) -> Result<(), Failure> {
        let mut message = self.message(found);
        let now = u32::try_from(now.as_second()).unwrap_or_default();
        let verify = message
            .finalize(&self.signer, now)
            .map_err(|error| self.failed(FailureKind::Bug, &error))?;
        let answer = self.exchange(&message)?;
        let said = Message::from_vec(&answer).map_err(|error| self.failed(FailureKind::Transient, &error))?;
        let is_genuine = verify.is_some_and(|mut verify| verify(&answer).is_ok());
        match said.response_code() {
            // An error that is not signed is believed too: nothing good follows from it.
            ResponseCode::NXRRSet | ResponseCode::YXRRSet => {
                let what = "somebody else changed the generation meanwhile";
                Err(self.failed(FailureKind::Conflict, &what))
            }
            ResponseCode::NotAuth | ResponseCode::Refused => {
                let what = format!(
                    "{}: the server does not take the key, or the clocks are more than {FUDGE} s apart",
                    said.response_code()
                );
                Err(self.failed(FailureKind::Denied, &what))
            }
            ResponseCode::NoError if is_genuine => Ok(()),
            ResponseCode::NoError => {
                Err(self.failed(FailureKind::Integrity, &"an answer that is not signed by the key"))
            }
            code => Err(self.failed(FailureKind::Transient, &code)),
        }
    }

    /// Sends a message until it is answered. One that was done twice is not done again: its prerequisite does not hold then.
    fn exchange(&self, message: &Message) -> Result<Vec<u8>, Failure> {
        let transient = |error: std::io::Error| self.failed(FailureKind::Transient, &error);
        let bytes = message
            .to_vec()
            .map_err(|error| self.failed(FailureKind::Bug, &error))?;
        let any: SocketAddr = match self.server {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(transient)?;
        socket.connect(self.server).map_err(transient)?;
        socket.set_read_timeout(Some(PATIENCE.0)).map_err(transient)?;
        let mut answer = vec![0; 4096];
        let mut last = None;
        for _ in 0..PATIENCE.1 {
            let received = socket.send(&bytes).and_then(|_| socket.recv(&mut answer));
            match received {
                Ok(count) if count >= 12 && answer.get(..2) == bytes.get(..2) => {
                    answer.truncate(count);
                    return Ok(answer);
                }
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => transient(error),
            None => self.failed(FailureKind::Transient, &"answers to other questions only"),
        })
    }

    fn failed(&self, kind: FailureKind, what: &dyn std::fmt::Display) -> Failure {
        Failure::new(kind, format!("DNS server {} about {}: {what}", self.server, self.name))
    }
}

/// A message with a number of its own. What makes forged answers hard is the port, which the system chooses, and for updates
/// the signature; the number only tells answers apart.
fn numbered() -> Message {
    let mut message = Message::new();
    message.set_id(u16::try_from(uptime().subsec_micros() & 0xffff).unwrap_or_default());
    message
}

fn name(on: &Bound, setting: &str, example: &str) -> Result<Name, Failure> {
    let mut name = Name::from_ascii(required(on, setting, example)?).map_err(|_| invalid(on, setting, example))?;
    name.set_fqdn(true);
    Ok(name)
}

fn signer(on: &Bound) -> Result<TSigner, Failure> {
    let path = required(on, "key_file", "/etc/holdfast/dns.key")?;
    let refused = |reason: String| {
        let message = format!("actuator {}: key_file {path}: {reason}", on.name());
        Failure::new(FailureKind::Invalid, message)
    };
    let text = std::fs::read_to_string(Path::new(path)).map_err(|error| refused(error.to_string()))?;
    let text = Zeroizing::new(text);
    let key = BASE64_STANDARD
        .decode(text.trim())
        .map_err(|_| refused("write the key in base64, and nothing else".to_owned()))?;
    let key_name = name(on, "key_name", "holdfast.")?;
    TSigner::new(key, TsigAlgorithm::HmacSha256, key_name, FUDGE).map_err(|error| refused(error.to_string()))
}

/// The prerequisite that there is no record of this type (RFC 2136, 2.4.3).
fn is_absent(name: &Name, kind: RecordType) -> Record {
    let mut record = Record::update0(name.clone(), 0, kind);
    record.set_dns_class(DNSClass::NONE);
    record
}

/// The removal of all records of this type (RFC 2136, 2.5.2).
fn without(name: &Name, kind: RecordType) -> Record {
    let mut record = Record::update0(name.clone(), 0, kind);
    record.set_dns_class(DNSClass::ANY);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(generation: Option<u64>) -> Place {
        let name = |text: &str| Name::from_ascii(text).unwrap();
        Place {
            server: "127.0.0.1:53".parse().unwrap(),
            zone: name("shop.test."),
            name: name("orders.shop.test."),
            marker: name("_holdfast.orders.shop.test."),
            address: "10.2.0.9".parse().unwrap(),
            ttl: 5,
            signer: TSigner::new(vec![7; 32], TsigAlgorithm::HmacSha256, name("holdfast."), FUDGE).unwrap(),
            generation,
        }
    }

    fn found(address: &str, generation: u64) -> Found {
        Found {
            addresses: vec![address.parse().unwrap()],
            generation: Some((TXT::new(vec![format!("{WORD}{generation}")]), generation)),
        }
    }

    #[test]
    fn a_later_generation_refuses_and_the_same_one_stands_or_leads_elsewhere() {
        assert_eq!(place(Some(4)).change(&found("10.2.0.9", 4)).unwrap(), Change::Nothing);
        assert_eq!(place(Some(4)).change(&found("10.1.0.9", 4)).unwrap(), Change::Update);
        assert_eq!(place(Some(4)).change(&found("10.2.0.9", 3)).unwrap(), Change::Update);
        let refused = place(Some(4)).change(&found("10.2.0.9", 5)).unwrap_err();
        assert_eq!(refused.kind, FailureKind::Fenced);
        // A drill's name has no other owner.
        assert_eq!(place(None).change(&found("10.2.0.9", 5)).unwrap(), Change::Nothing);
    }

    #[test]
    fn an_update_requires_the_generation_that_was_read() {
        let message = place(Some(4)).message(&found("10.1.0.9", 3));
        let [required] = message.prerequisites() else {
            panic!("{message:?}");
        };
        assert_eq!(required.data().to_string(), "generation=3");
        assert_eq!((required.dns_class(), required.ttl()), (DNSClass::IN, 0));
        let first = Found {
            addresses: Vec::new(),
            generation: None,
        };
        let message = place(Some(4)).message(&first);
        assert_eq!(message.prerequisites()[0].dns_class(), DNSClass::NONE);
        assert_eq!(message.updates().len(), 4);
    }
}
