//! What happens from outside: outages, damage, and people who ask for things.

use holdfast_core::domain::{
    Detail, Event, FunctionName, JobId, PlanId, PointId, PointState, ResourceId, RunId, RunKind, Span, VaultName,
};
use holdfast_core::ports::Queue;
use holdfast_core::workflow::inventory;
use jiff::Timestamp;

use crate::scenario::{AWAY, HOME, Incident, THIRD, Wish, vault};
use crate::sim::{Sim, now};

/// A request that a person made, as it went into the queue, and what it must become.
#[derive(Debug, Clone)]
pub struct Asked {
    pub body: String,
    pub becomes: Becomes,
}

#[derive(Debug, Clone)]
pub enum Becomes {
    Job(JobId),
    Run(RunId),
    /// It may be refused for good, by what the catalog says when it is read.
    JobOrRefusal(JobId),
    /// It must be refused.
    Refusal(JobId),
}

impl Sim {
    pub fn happens(&mut self, incident: Incident) {
        self.note(format!("*** {incident:?}"));
        let at = self.clock_now();
        match incident {
            Incident::Outage(span) => self.down_until = self.down_until.max(span.after(at)),
            Incident::Throttling(span) => self.throttled_until = self.throttled_until.max(span.after(at)),
            Incident::EngineCrash => self.engine.crash(),
            Incident::EngineFailure(kind, failure) => self.engine.fail_next_task(kind, failure),
            Incident::Unreachable(vault, span) => {
                self.engine.set_reachable(&vault, false);
                self.unreachable.insert(span.after(at), vault);
            }
            Incident::Damage => self.spoil(false),
            Incident::Loss => self.spoil(true),
            Incident::Hold => self.hold(),
            Incident::LiftHolds => self.lift_holds(),
            Incident::AskBackup(resource) => self.ask_backup(resource),
            Incident::AskRestore(wish) => self.ask_restore(wish),
            Incident::AskVerification(resource) => self.ask_verification(resource),
            Incident::AskRun(kind) => self.ask_run(kind),
            Incident::Junk => {
                let function = *self.random.pick(&FunctionName::ALL);
                now(self.queue.send(function, "{\"gremlin\":1}", Span::seconds(0))).unwrap();
            }
        }
    }

    /// Vaults come back whose time away is over.
    pub fn lift_outages(&mut self, by: Timestamp) {
        while let Some((at, vault)) = self
            .unreachable
            .first_key_value()
            .map(|(at, vault)| (*at, vault.clone()))
        {
            if at > by {
                return;
            }
            self.unreachable.remove(&at);
            if self.unreachable.values().all(|other| *other != vault) {
                self.note(format!("*** {vault} answers again"));
                self.engine.set_reachable(&vault, true);
            }
        }
    }

    fn spoil(&mut self, lose: bool) {
        let mut standing: Vec<(VaultName, ResourceId, String)> = Vec::new();
        for name in [HOME, AWAY, THIRD] {
            for resource in &self.scenario.resources {
                let names = self.engine.artefacts(&vault(name), &resource.id).into_keys();
                standing.extend(names.map(|artefact| (vault(name), resource.id.clone(), artefact)));
            }
        }
        if standing.is_empty() {
            return;
        }
        let (vault, resource, artefact) = self.random.pick(&standing).clone();
        self.note(format!("*** spoiled {vault} {resource} {artefact}"));
        let content = self.engine.artefacts(&vault, &resource)[&artefact].content.clone();
        let done = match lose {
            true => self.engine.lose(&vault, &resource, &artefact),
            false => self.engine.damage(&vault, &resource, &artefact),
        };
        assert!(done, "there is an artefact {artefact}");
        self.ledger.spoiled.insert((resource, content));
    }

    fn hold(&mut self) {
        let points = self.points();
        let live: Vec<_> = points
            .iter()
            .filter(|point| point.state != PointState::Deleted)
            .collect();
        if live.is_empty() {
            return;
        }
        let expiring = live.iter().filter(|point| point.state == PointState::Expiring);
        let expiring: Vec<_> = expiring.copied().collect();
        let candidates = if expiring.is_empty() || self.random.chance(0.3) {
            &live
        } else {
            &expiring
        };
        let point = self.random.pick(candidates).reference();
        self.note(format!("*** hold on {} of {}", point.id, point.resource));
        let world = self.clean_world();
        now(inventory::amend_point(&world, &point, |point| {
            point.legal_hold = Some("case 7".to_owned());
            true
        }))
        .unwrap();
    }

    fn lift_holds(&mut self) {
        let world = self.clean_world();
        for point in self.points() {
            now(inventory::amend_point(&world, &point.reference(), |point| {
                point.legal_hold.take().is_some()
            }))
            .unwrap();
        }
    }

    fn ask(&mut self, function: FunctionName, detail: Detail, becomes: Becomes) {
        let body = serde_json::to_string(&Event::new(detail, self.clock_now())).unwrap();
        let copies = if self.random.chance(0.3) { 2 } else { 1 };
        for copy in 0..copies {
            let delay = Span::minutes(copy * self.random.below(300) as i64);
            now(self.queue.send(function, &body, delay)).unwrap();
        }
        self.asked.push(Asked { body, becomes });
    }

    fn request_name(&self) -> String {
        format!("request-{}", self.asked.len())
    }

    fn ask_backup(&mut self, resource: ResourceId) {
        let request = self.request_name();
        let becomes = Becomes::Job(JobId::derive(&["backup-request", &request]));
        let detail = Detail::BackupRequested {
            request,
            resource,
            requested_by: "ann".to_owned(),
        };
        self.ask(FunctionName::SnapshotTrigger, detail, becomes);
    }

    fn ask_restore(&mut self, wish: Wish) {
        let request = self.request_name();
        let points = self.points();
        let id = JobId::derive(&["restore", &request]);
        let (mut target, mut resource, mut point) =
            (format!("/restored/{request}"), ResourceId::new("alpha").unwrap(), None);
        let becomes = match wish {
            Wish::Newest => Becomes::JobOrRefusal(id),
            Wish::SomePoint if points.is_empty() => return,
            Wish::SomePoint => {
                let wanted = self.random.pick(&points);
                resource = wanted.resource.clone();
                point = Some(wanted.id.clone());
                Becomes::JobOrRefusal(id)
            }
            Wish::UnknownPoint => {
                point = Some(PointId::derive(&["no such point"]));
                Becomes::Refusal(id)
            }
            Wish::BadTarget => {
                target = "/restored/../etc".to_owned();
                Becomes::Refusal(id)
            }
        };
        let detail = Detail::RestoreRequested {
            request,
            resource,
            point,
            vault: None,
            target,
            include: Vec::new(),
            overwrite: false,
            to: None,
            requested_by: "ann".to_owned(),
        };
        self.ask(FunctionName::RestoreRunner, detail, becomes);
    }

    fn ask_verification(&mut self, resource: ResourceId) {
        let request = self.request_name();
        let points: Vec<_> = self
            .points()
            .into_iter()
            .filter(|point| point.resource == resource)
            .collect();
        let Some(point) = points.last() else { return };
        let becomes = Becomes::JobOrRefusal(JobId::derive(&["verify-request", &request]));
        let (point, vault) = (point.id.clone(), point.copies[0].vault.clone());
        let detail = Detail::VerificationRequested {
            request,
            resource,
            point,
            vault,
            requested_by: "ann".to_owned(),
        };
        self.ask(FunctionName::Verifier, detail, becomes);
    }

    fn ask_run(&mut self, kind: RunKind) {
        let request = self.request_name();
        let becomes = Becomes::Run(RunId::derive(&["run", &request]));
        let plan = PlanId::new("evacuate").unwrap();
        let detail = Detail::RunRequested {
            request,
            plan,
            kind,
            level: None,
            requested_by: "ann".to_owned(),
        };
        self.ask(FunctionName::DrFailover, detail, becomes);
    }
}
