//! What a guard does next, decided from what it was told and what it sees.

use std::time::Duration;

use holdfast_core::domain::Region;

use super::intent::{Intent, Mode};

/// What the authority endpoint said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When it was asked, as time since the machine started.
    pub asked_at: Duration,
    /// The generation of the record.
    pub generation: u64,
    /// The Region that may write.
    pub writer: Option<Region>,
}

/// The right to be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Until this time since the machine started.
    Until(Duration),
    /// The record gives it to nobody here.
    Withheld,
    /// Nobody said so for too long.
    RunOut,
}

/// What there is of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// No process.
    Down {
        /// Whether its data folder is that of a standby.
        is_standby: bool,
    },
    /// Processes that cannot write.
    Standby {
        /// Whether it has replayed all that a promotion must have.
        has_all: bool,
    },
    /// Processes that can write, or may be able to in a moment.
    Writable,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Stay,
    /// Start the server as its data folder is.
    Start,
    /// Make the data folder that of a standby of its leader.
    Rejoin,
    /// End recovery and let writes in.
    Promote,
    /// Stop in order: no client is served from now on, and followers get all there is.
    StopInOrder(&'static str),
    /// Stop at once.
    StopAtOnce(&'static str),
    /// Nothing, although something was ordered.
    Refuse(&'static str),
}

/// What right the last sighting gives at this time.
pub fn lease(intent: &Intent, seen: Option<&Sighting>, region: &Region, length: Duration, now: Duration) -> Lease {
    let Some(seen) = seen else { return Lease::RunOut };
    let until = seen.asked_at + length;
    if until <= now {
        return Lease::RunOut;
    }
    if seen.writer.as_ref() == Some(region) && seen.generation == intent.generation {
        return Lease::Until(until);
    }
    Lease::Withheld
}

/// What to do next. `in_order_until` is until when writes were allowed last: what stops in order must be down by then.
pub fn decide(intent: &Intent, lease: Lease, server: Server, in_order_until: Duration, now: Duration) -> Decision {
    let stop = |reason| {
        if now < in_order_until {
            Decision::StopInOrder(reason)
        } else {
            Decision::StopAtOnce(reason)
        }
    };
    let has_right = matches!(lease, Lease::Until(_));
    match (server, &intent.mode) {
        (Server::Writable, Mode::Fenced | Mode::Standby { .. }) => stop("it may be written to no more"),
        (Server::Writable, Mode::Writer { .. }) => match lease {
            Lease::Until(_) => Decision::Stay,
            Lease::Withheld => stop("authority is with nobody here"),
            Lease::RunOut => Decision::StopAtOnce("its lease has run out"),
        },
        (Server::Standby { .. }, Mode::Fenced) => Decision::StopInOrder("it is fenced"),
        (Server::Standby { .. }, Mode::Standby { .. }) if intent.has_joined => Decision::Stay,
        (Server::Standby { .. }, Mode::Standby { .. }) => Decision::StopInOrder("it follows another from now on"),
        (Server::Standby { has_all: true }, Mode::Writer { .. }) if has_right => Decision::Promote,
        (Server::Standby { .. }, Mode::Writer { .. }) | (Server::Down { .. }, Mode::Fenced) => Decision::Stay,
        (Server::Down { .. }, Mode::Standby { .. }) if intent.rewinding.is_some() => Decision::Rejoin,
        (Server::Down { .. }, Mode::Writer { .. }) if intent.rewinding.is_some() => {
            Decision::Refuse("a rewinding of its data folder was broken off: it can only follow another")
        }
        (Server::Down { is_standby: true }, Mode::Standby { .. }) if intent.has_joined => Decision::Start,
        (Server::Down { .. }, Mode::Standby { .. }) => Decision::Rejoin,
        (Server::Down { is_standby }, Mode::Writer { .. }) if is_standby || has_right => Decision::Start,
        (Server::Down { .. }, Mode::Writer { .. }) => Decision::Stay,
    }
}

#[cfg(test)]
mod tests {
    use super::super::intent::Divergence;
    use super::*;

    const LENGTH: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn intent(mode: Mode) -> Intent {
        Intent {
            generation: 3,
            mode,
            has_joined: true,
            promotion: None,
            divergence: None,
            rewinding: None,
        }
    }

    /// What a rewinding gives up.
    fn given_up() -> Divergence {
        Divergence {
            generation: 3,
            timeline: 1,
            from: "0/3000A50".into(),
            to: "0/3000B60".into(),
            committed: 2,
            records: "/guard/divergence-3.txt".into(),
        }
    }

    fn seen(generation: u64, writer: Option<&str>) -> Sighting {
        Sighting {
            asked_at: at(10),
            generation,
            writer: writer.map(region),
        }
    }

    const WRITER: Mode = Mode::Writer { through: None };

    #[test]
    fn a_lease_is_for_this_region_under_this_generation_and_runs_from_the_question() {
        let home = region("a");
        let of = |seen: Option<&Sighting>, now| lease(&intent(WRITER), seen, &home, LENGTH, now);
        assert_eq!(of(None, at(10)), Lease::RunOut);
        assert_eq!(of(Some(&seen(3, Some("a"))), at(14)), Lease::Until(at(15)));
        assert_eq!(of(Some(&seen(3, Some("a"))), at(15)), Lease::RunOut);
        for other in [
            seen(3, Some("b")),
            seen(3, None),
            seen(4, Some("a")),
            seen(2, Some("a")),
        ] {
            assert_eq!(of(Some(&other), at(11)), Lease::Withheld, "{other:?}");
        }
    }

    #[test]
    fn without_the_right_nothing_that_can_write_starts_or_goes_on() {
        let servers = [
            Server::Down { is_standby: false },
            Server::Down { is_standby: true },
            Server::Standby { has_all: true },
            Server::Writable,
        ];
        let leader = || Mode::Standby {
            leader: "host=b".into(),
        };
        for mode in [Mode::Fenced, WRITER, leader()] {
            for right in [Lease::Withheld, Lease::RunOut] {
                for server in servers {
                    let decision = decide(&intent(mode.clone()), right, server, at(0), at(20));
                    assert_ne!(decision, Decision::Promote, "{mode:?} {right:?} {server:?}");
                    if server == Server::Writable {
                        assert!(matches!(decision, Decision::StopAtOnce(_)), "{decision:?}");
                    }
                    if server == (Server::Down { is_standby: false }) {
                        assert_ne!(decision, Decision::Start, "{mode:?} {right:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_withdrawn_in_time_stops_in_order_and_what_ran_out_at_once() {
        let of = |right| decide(&intent(WRITER), right, Server::Writable, at(15), at(12));
        assert!(matches!(of(Lease::Withheld), Decision::StopInOrder(_)));
        assert!(matches!(of(Lease::RunOut), Decision::StopAtOnce(_)));
        assert_eq!(of(Lease::Until(at(15))), Decision::Stay);
    }

    #[test]
    fn a_standby_is_promoted_once_it_has_all_and_the_right() {
        let of = |has_all, right| decide(&intent(WRITER), right, Server::Standby { has_all }, at(0), at(12));
        assert_eq!(of(true, Lease::Until(at(15))), Decision::Promote);
        assert_eq!(of(false, Lease::Until(at(15))), Decision::Stay);
        assert_eq!(of(true, Lease::Withheld), Decision::Stay);
    }

    #[test]
    fn a_fenced_server_becomes_a_standby_by_rejoining_and_a_standby_just_starts() {
        let mut following = intent(Mode::Standby {
            leader: "host=b".into(),
        });
        let of =
            |intent: &Intent, is_standby| decide(intent, Lease::Withheld, Server::Down { is_standby }, at(0), at(12));
        assert_eq!(of(&following, true), Decision::Start);
        assert_eq!(of(&following, false), Decision::Rejoin);
        following.has_joined = false;
        assert_eq!(of(&following, true), Decision::Rejoin);
    }

    #[test]
    fn a_half_rewound_server_starts_for_nobody_and_goes_on_rejoining() {
        let leader = Mode::Standby {
            leader: "host=b".into(),
        };
        for is_standby in [false, true] {
            let of = |mode: &Mode| {
                let half = Intent {
                    rewinding: Some(given_up()),
                    ..intent(mode.clone())
                };
                decide(&half, Lease::Until(at(15)), Server::Down { is_standby }, at(15), at(12))
            };
            assert!(matches!(of(&WRITER), Decision::Refuse(_)), "{:?}", of(&WRITER));
            assert_eq!(of(&leader), Decision::Rejoin);
            assert_eq!(of(&Mode::Fenced), Decision::Stay);
        }
    }
}
