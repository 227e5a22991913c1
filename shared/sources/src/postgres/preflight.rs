//! [`find_problems`]: what stands in the way of backups of a server, from facts alone.

use super::replication::SlotName;
use super::server::ServerFacts;

/// What a backup of a server needs of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectations {
    /// The slot that holds the log for us, where there should be one.
    pub slot: Option<SlotName>,
    /// The log that the slot may hold back on the server's disk, in bytes.
    pub most_lag_bytes: Option<u64>,
}

/// Something that stands in the way, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The log has too little in it.
    #[error("wal_level is minimal: set it to replica and restart the server")]
    MinimalLog,
    /// Replication is switched off.
    #[error("max_wal_senders is 0: raise it and restart the server")]
    NoSenders,
    /// A base backup or receiver finds no free connection.
    #[error("all {most} connections for replication are in use: raise max_wal_senders, or end one that is not needed")]
    SendersUsedUp {
        /// `max_wal_senders`.
        most: u32,
    },
    /// The role lacks the right.
    #[error("role {role} may not replicate: ALTER ROLE {role} REPLICATION")]
    MayNotReplicate {
        /// The role.
        role: String,
    },
    /// The slot is not there.
    #[error("there is no replication slot {slot}: create it, and make a new base backup if one was there before")]
    NoSlot {
        /// The slot.
        slot: String,
    },
    /// The server dropped log that the slot needed.
    #[error(
        "the server dropped log that slot {slot} needed: the chain is broken, make a new base backup and a new slot"
    )]
    SlotLost {
        /// The slot.
        slot: String,
    },
    /// The server is about to drop log that the slot needs.
    #[error(
        "the server will drop log that slot {slot} needs at its next checkpoint: receive now, or raise max_slot_wal_keep_size"
    )]
    SlotEndangered {
        /// The slot.
        slot: String,
    },
    /// The slot fills the server's disk.
    #[error(
        "slot {slot} holds {lag} bytes of log back, more than {most}: receive, or drop the slot before the server's disk is full"
    )]
    SlotLags {
        /// The slot.
        slot: String,
        /// What it holds back, in bytes.
        lag: u64,
        /// What it may, in bytes.
        most: u64,
    },
    /// Damage of pages cannot be seen.
    #[error(
        "pages have no checksums, so damage on the server's disk goes into backups unnoticed: pg_checksums --enable"
    )]
    NoChecksums,
}

impl Problem {
    /// Whether backups do not work, or not for long. The rest is worth knowing.
    pub fn is_blocking(&self) -> bool {
        match self {
            Problem::NoChecksums | Problem::SlotLags { .. } | Problem::SlotEndangered { .. } => false,
            Problem::MinimalLog
            | Problem::NoSenders
            | Problem::SendersUsedUp { .. }
            | Problem::MayNotReplicate { .. }
            | Problem::NoSlot { .. }
            | Problem::SlotLost { .. } => true,
        }
    }
}

/// Everything that stands in the way.
pub fn find_problems(facts: &ServerFacts, expected: &Expectations) -> Vec<Problem> {
    let mut problems = Vec::new();
    if facts.wal_level == "minimal" {
        problems.push(Problem::MinimalLog);
    }
    if facts.max_wal_senders == 0 {
        problems.push(Problem::NoSenders);
    } else if facts.senders >= facts.max_wal_senders {
        problems.push(Problem::SendersUsedUp {
            most: facts.max_wal_senders,
        });
    }
    if !facts.role.may_replicate && !facts.role.is_superuser {
        problems.push(Problem::MayNotReplicate {
            role: facts.role.name.clone(),
        });
    }
    if let Some(slot) = &expected.slot {
        problems.extend(of_slot(facts, slot, expected.most_lag_bytes));
    }
    if !facts.has_checksums {
        problems.push(Problem::NoChecksums);
    }
    problems
}

fn of_slot(facts: &ServerFacts, slot: &SlotName, most_lag_bytes: Option<u64>) -> Vec<Problem> {
    let name = slot.to_string();
    let Some(known) = facts.slots.iter().find(|known| known.name == name) else {
        return vec![Problem::NoSlot { slot: name }];
    };
    match known.wal_status.as_deref() {
        Some("lost") => return vec![Problem::SlotLost { slot: name }],
        Some("unreserved") => return vec![Problem::SlotEndangered { slot: name }],
        _ => {}
    }
    match (known.lag_bytes, most_lag_bytes) {
        (Some(lag), Some(most)) if lag > most => vec![Problem::SlotLags { slot: name, lag, most }],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lsn::Lsn;
    use super::super::replication::Identity;
    use super::super::server::{Role, SlotFacts};
    use super::*;

    fn good() -> ServerFacts {
        ServerFacts {
            version: 150_008,
            identity: Identity {
                system_identifier: 7,
                timeline: 1,
                flushed: Lsn(0x300_0000),
            },
            segment_bytes: 16 << 20,
            has_checksums: true,
            wal_level: "replica".to_owned(),
            max_wal_senders: 10,
            senders: 1,
            max_replication_slots: 10,
            is_in_recovery: false,
            role: Role {
                name: "backup".to_owned(),
                is_superuser: false,
                may_replicate: true,
            },
            slots: vec![SlotFacts {
                name: "holdfast".to_owned(),
                is_active: true,
                restart: Some(Lsn(0x200_0000)),
                wal_status: Some("reserved".to_owned()),
                lag_bytes: Some(1000),
                safe_bytes: None,
            }],
        }
    }

    #[test]
    fn every_problem_has_its_fact() {
        let slot = || "holdfast".to_owned();
        type Change = fn(&mut ServerFacts);
        let cases: [(Change, Option<Problem>); 11] = [
            (|_| {}, None),
            (
                |facts| facts.wal_level = "minimal".to_owned(),
                Some(Problem::MinimalLog),
            ),
            (|facts| facts.max_wal_senders = 0, Some(Problem::NoSenders)),
            (|facts| facts.senders = 10, Some(Problem::SendersUsedUp { most: 10 })),
            (
                |facts| facts.role.may_replicate = false,
                Some(Problem::MayNotReplicate {
                    role: "backup".to_owned(),
                }),
            ),
            (
                |facts| {
                    facts.role.may_replicate = false;
                    facts.role.is_superuser = true;
                },
                None,
            ),
            (|facts| facts.slots.clear(), Some(Problem::NoSlot { slot: slot() })),
            (
                |facts| facts.slots[0].wal_status = Some("lost".to_owned()),
                Some(Problem::SlotLost { slot: slot() }),
            ),
            (
                |facts| facts.slots[0].wal_status = Some("unreserved".to_owned()),
                Some(Problem::SlotEndangered { slot: slot() }),
            ),
            (
                |facts| facts.slots[0].lag_bytes = Some(5001),
                Some(Problem::SlotLags {
                    slot: slot(),
                    lag: 5001,
                    most: 5000,
                }),
            ),
            (|facts| facts.has_checksums = false, Some(Problem::NoChecksums)),
        ];
        let expected = Expectations {
            slot: Some("holdfast".parse().unwrap()),
            most_lag_bytes: Some(5000),
        };
        for (change, problem) in cases {
            let mut facts = good();
            change(&mut facts);
            assert_eq!(find_problems(&facts, &expected), Vec::from_iter(problem));
        }
    }
}
