//! The guard's main loop: decides ten times a second what to do, and does it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_sources::postgres::Lsn;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::api::FinalLog;
use super::decide::{self, Decision, Lease, decide};
use super::intent::{Divergence, Intent, Mode, Promotion, failed};
use super::lease::{Known, Shared, ask_authority, ask_server};
use super::server::Server;
use super::settings::Settings;
use super::watchdog::Watchdog;
use super::{control, endpoint, facts, rejoin};
use crate::system::{pause, uptime};
use crate::token::Token;

/// How often to decide.
const TURN: Duration = Duration::from_millis(100);
/// How long to wait after something failed, before it is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a server that need not end at once may take to stop in order, when the guard itself is stopped.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What a guard takes from the program.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The program itself: it knows `guard-child`.
    pub program: PathBuf,
    /// The time, for what is told to the server.
    pub now: fn() -> Timestamp,
    /// Set to end the guard, and its server in order.
    pub stop: Arc<AtomicBool>,
}

/// Guards until told to stop. It must run in a thread that lives as long as the program: the server ends with it.
pub fn run(settings: Settings, surroundings: &Surroundings, runtime: &Handle) -> Result<(), Failure> {
    let settings = Arc::new(settings);
    std::fs::create_dir_all(&settings.folder).map_err(|error| failed("make", &settings.folder, error))?;
    let token = Token::read(&settings.token_file)?;
    let server = Server::take_over(Arc::clone(&settings), surroundings.program.clone());
    let shared = Arc::new(Shared::open(Arc::clone(&settings), || {
        first_intent(&settings, &server)
    })?);
    let listener = runtime.block_on(TcpListener::bind(&settings.listen)).map_err(|error| {
        let message = format!("listen = \"{}\": {error}", settings.listen);
        Failure::caused(FailureKind::Invalid, message, error)
    })?;
    runtime.spawn(endpoint::serve(listener, Arc::clone(&shared), token.clone()));
    for authority in settings.authority.clone() {
        let (shared, token, surroundings) = (Arc::clone(&shared), token.clone(), surroundings.clone());
        std::thread::spawn(move || ask_authority(&shared, &authority, &token, &surroundings));
    }
    let (of_server, around) = (Arc::clone(&shared), surroundings.clone());
    std::thread::spawn(move || ask_server(&of_server, &around));
    let watchdog = Watchdog::over(&surroundings.program, &settings.data);
    let mut supervisor = Supervisor {
        shared,
        server,
        watchdog,
        surroundings: surroundings.clone(),
        rejoining: None,
        allowed_until: Duration::ZERO,
        not_before: Duration::ZERO,
    };
    // A server that was stopped in order before this guard began has an end of its log as well.
    supervisor.take_final_log();
    while !surroundings.stop.load(Ordering::SeqCst) {
        supervisor.turn(uptime());
        pause(TURN);
    }
    supervisor.end();
    Ok(())
}

/// What a server is meant to be before the first order: what its data folder is.
fn first_intent(settings: &Settings, server: &Server) -> Result<Intent, Failure> {
    let mode = match (server.is_standby(), &settings.leader) {
        (false, _) => Mode::Writer { through: None },
        (true, Some(leader)) => Mode::Standby { leader: leader.clone() },
        (true, None) => {
            let message = format!(
                "{} is the folder of a standby: say with leader = \"host=…\" whom it follows",
                settings.data.display()
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
    };
    Ok(Intent {
        generation: 0,
        has_joined: server.is_standby(),
        mode,
        promotion: None,
        divergence: None,
        rewinding: None,
    })
}

/// A rejoining under way.
struct Rejoining {
    /// Whom it is to follow.
    mode: Mode,
    /// Under which generation.
    generation: u64,
    work: JoinHandle<Result<(), Failure>>,
}

struct Supervisor {
    shared: Arc<Shared>,
    server: Server,
    watchdog: Watchdog,
    surroundings: Surroundings,
    rejoining: Option<Rejoining>,
    /// Until when writes were allowed last.
    allowed_until: Duration,
    /// When to try again what failed.
    not_before: Duration,
}

impl Supervisor {
    fn turn(&mut self, now: Duration) {
        let was_running = self.shared.known().is_running;
        let is_running = self.server.is_running();
        if was_running && !is_running {
            self.take_final_log();
        }
        let rejoined = self.take_rejoined();
        self.tell(rejoined, now);
        let may_write = self.server.may_write();
        let (decision, lease) = {
            let mut known = self.shared.known();
            known.is_running = is_running;
            known.may_write = may_write;
            let lease = self.shared.lease(&known, now);
            if let Lease::Until(until) = lease {
                self.allowed_until = until;
            }
            let seen = self.seen(&known, is_running, may_write);
            (decide(&known.intent, lease, seen, self.allowed_until, now), lease)
        };
        // What stops in order has until the end of its last lease.
        let left = may_write.then(|| self.allowed_until.saturating_sub(now));
        let is_watched = self.watchdog.feed(left);
        if !is_watched && may_write {
            return self.stop_at_once("no watchdog is there");
        }
        let starts_writing =
            matches!(decision, Decision::Promote) || (matches!(decision, Decision::Start) && !self.server.is_standby());
        if starts_writing && !(is_watched && matches!(lease, Lease::Until(_))) {
            return;
        }
        let carried_out = self.carry_out(decision, now);
        self.tell(carried_out, now);
    }

    /// Tells what went wrong, and has it rest before it is tried again.
    fn tell(&mut self, outcome: Result<(), Failure>, now: Duration) {
        if let Err(failure) = outcome {
            self.not_before = now + AGAIN;
            tracing::error!(kind = ?failure.kind, "{failure}");
            self.shared.known().trouble = Some(failure.message);
        }
    }

    fn seen(&self, known: &Known, is_running: bool, may_write: bool) -> decide::Server {
        if !is_running {
            let is_standby = self.server.is_standby();
            return decide::Server::Down { is_standby };
        }
        if may_write {
            return decide::Server::Writable;
        }
        let facts = known.facts.as_ref().filter(|facts| facts.is_in_recovery);
        let has_all = facts.is_some_and(|facts| match &known.intent.mode {
            Mode::Writer { through: Some(last) } => {
                let last = last.parse::<Lsn>().ok();
                last.is_some_and(|last| facts.position.is_some_and(|position| position > last))
            }
            _ => true,
        });
        decide::Server::Standby { has_all }
    }

    fn carry_out(&mut self, decision: Decision, now: Duration) -> Result<(), Failure> {
        match decision {
            Decision::StopAtOnce(reason) => {
                self.stop_at_once(reason);
                Ok(())
            }
            Decision::StopInOrder(reason) => {
                tracing::info!("the server is stopped in order: {reason}");
                self.server.stop_in_order();
                Ok(())
            }
            Decision::Promote => self.promote(),
            Decision::Stay => Ok(()),
            _ if now < self.not_before || self.rejoining.is_some() => Ok(()),
            Decision::Refuse(reason) => Err(Failure::new(FailureKind::Conflict, reason)),
            Decision::Start => self.start(now),
            Decision::Rejoin => {
                self.rejoin();
                Ok(())
            }
        }
    }

    fn stop_at_once(&mut self, reason: &str) {
        tracing::warn!("the server ends at once: {reason}");
        self.server.stop_at_once();
        let mut known = self.shared.known();
        known.is_running = false;
        known.may_write = false;
        known.final_log = None;
    }

    fn start(&mut self, now: Duration) -> Result<(), Failure> {
        let leader = match &self.shared.known().intent.mode {
            Mode::Standby { leader } => Some(leader.clone()),
            Mode::Writer { .. } | Mode::Fenced => None,
        };
        // One that ends by itself is not started without a rest.
        self.not_before = now + AGAIN;
        {
            let mut known = self.shared.known();
            known.final_log = None;
            known.facts = None;
            known.is_running = true;
            known.may_write = !self.server.is_standby();
        }
        self.server.start(leader.as_deref())?;
        self.shared.known().trouble = None;
        Ok(())
    }

    /// What is left behind is written down before the server is promoted.
    fn promote(&mut self) -> Result<(), Failure> {
        {
            let mut known = self.shared.known();
            let Some(facts) = known.facts.clone() else {
                return Ok(());
            };
            let mut intent = known.intent.clone();
            let is_first = intent
                .promotion
                .as_ref()
                .is_none_or(|last| last.generation != intent.generation);
            if is_first {
                intent.promotion = Some(Promotion {
                    generation: intent.generation,
                    replayed: facts.position.unwrap_or_default().to_string(),
                    lag_seconds: facts.lag_seconds,
                });
            }
            self.shared.intend(&mut known, intent)?;
            known.wants_checkpoint = true;
            known.may_write = true;
        }
        self.server.promote()
    }

    fn rejoin(&mut self) {
        let (mode, generation) = {
            let known = self.shared.known();
            (known.intent.mode.clone(), known.intent.generation)
        };
        let Mode::Standby { leader } = mode.clone() else { return };
        let shared = Arc::clone(&self.shared);
        let options = facts::client(self.surroundings.now, &self.surroundings.stop);
        let work = std::thread::spawn(move || rejoin::rejoin(&shared, &leader, generation, &options));
        self.rejoining = Some(Rejoining { mode, generation, work });
    }

    /// Takes what a rejoining came to that has ended. What was given up and that the data folder is whole is one record.
    fn take_rejoined(&mut self) -> Result<(), Failure> {
        let Some(ended) = self.rejoining.take_if(|rejoining| rejoining.work.is_finished()) else {
            return Ok(());
        };
        let outcome = ended.work.join();
        outcome.unwrap_or_else(|_| Err(Failure::new(FailureKind::Bug, "the rejoining ended badly")))?;
        let mut known = self.shared.known();
        let mut intent = known.intent.clone();
        if let Some(given_up) = intent.rewinding.take() {
            intent.divergence = Some(Divergence {
                generation: ended.generation,
                ..given_up
            });
        }
        intent.has_joined = intent.mode == ended.mode;
        known.trouble = None;
        known.final_log = None;
        self.shared.intend(&mut known, intent)
    }

    /// Where its log ends, of a server that was stopped in order.
    fn take_final_log(&mut self) {
        let read = control::read(&self.shared.settings);
        let mut known = self.shared.known();
        known.facts = None;
        known.final_log = match read {
            Ok(control) => (control.is_clean && !control.was_standby).then(|| FinalLog {
                position: control.checkpoint.to_string(),
                timeline: control.timeline,
            }),
            Err(failure) => {
                known.trouble = Some(failure.message);
                None
            }
        };
    }

    /// Stops the server in order, within what is left of its lease.
    fn end(&mut self) {
        let until = match self.server.may_write() {
            true => self.allowed_until,
            false => uptime() + LAST_WORDS,
        };
        self.server.stop_in_order();
        while self.server.is_running() && uptime() < until {
            let left = self.server.may_write().then(|| until.saturating_sub(uptime()));
            if !self.watchdog.feed(left) {
                break;
            }
            pause(TURN);
        }
        self.server.stop_at_once();
    }
}
