//! Names that are declared in the file, and references to them.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::domain::{
    Actuator, ActuatorName, Contact, ContactName, Objectives, PlanId, PolicyId, Prices, Region, Rent, ResourceId,
    VaultName, WorkloadName,
};

use super::reader::{At, Problems, did_you_mean};

/// Names of one kind and where each is declared. A name counts as declared even when the rest of its table is wrong, so
/// that one mistake is reported once.
pub(super) struct Placed<T> {
    what: &'static str,
    places: BTreeMap<T, usize>,
}

impl<T: Ord + Clone + Display> Placed<T> {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            places: BTreeMap::new(),
        }
    }

    /// Takes a name in; a second one of the same name is a problem.
    pub(super) fn declare(&mut self, name: &T, at: usize, problems: &mut Problems<'_>) {
        match self.places.get(name) {
            Some(first) => {
                let line = problems.line(*first);
                problems.add(at, format!("{} \"{name}\" is there already, on line {line}", self.what));
            }
            None => {
                self.places.insert(name.clone(), at);
            }
        }
    }

    /// A reference to a name that is not declared is a problem.
    pub(super) fn check(&self, reference: Option<&At<T>>, problems: &mut Problems<'_>) {
        if let Some(reference) = reference
            && !self.places.contains_key(&reference.value)
        {
            let name = reference.value.to_string();
            let known: Vec<String> = self.places.keys().map(ToString::to_string).collect();
            let hint = did_you_mean(&name, known.iter().map(String::as_str));
            problems.add(reference.at, format!("there is no {} \"{name}\"{hint}", self.what));
        }
    }

    /// Where a declared name stands; the beginning of the file for others.
    pub(super) fn place(&self, name: &T) -> usize {
        self.places.get(name).copied().unwrap_or_default()
    }

    pub(super) fn into_places(self) -> BTreeMap<T, usize> {
        self.places
    }
}

/// All names of a file.
pub(super) struct Names {
    pub(super) vaults: Placed<VaultName>,
    pub(super) resources: Placed<ResourceId>,
    pub(super) tiers: Placed<String>,
    pub(super) policies: Placed<PolicyId>,
    pub(super) plans: Placed<PlanId>,
    pub(super) workloads: Placed<WorkloadName>,
    pub(super) actuators: Placed<ActuatorName>,
    pub(super) contacts: Placed<ContactName>,
    /// How each contact is reached.
    pub(super) of_contacts: Vec<Contact>,
    /// Where each workload takes writes before anything ever moved.
    pub(super) homes: BTreeMap<WorkloadName, Region>,
    /// What each actuator is.
    pub(super) of_actuators: Vec<Actuator>,
    /// The prices of the file.
    pub(super) prices: Option<Prices>,
    /// What the stand-in of each actuator costs.
    pub(super) rents: BTreeMap<ActuatorName, Rent>,
    /// What each tier promises.
    pub(super) objectives: BTreeMap<String, Objectives>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            vaults: Placed::new("vault"),
            resources: Placed::new("resource"),
            tiers: Placed::new("tier"),
            policies: Placed::new("policy"),
            plans: Placed::new("plan"),
            workloads: Placed::new("workload"),
            actuators: Placed::new("actuator"),
            contacts: Placed::new("contact"),
            of_contacts: Vec::new(),
            homes: BTreeMap::new(),
            of_actuators: Vec::new(),
            prices: None,
            rents: BTreeMap::new(),
            objectives: BTreeMap::new(),
        }
    }
}
