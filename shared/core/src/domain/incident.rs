//! Incident levels of a plan: how grave it is, how soon service must be back then, and who is told.

use serde::{Deserialize, Serialize};

use super::{ContactName, Span};

/// Somebody who is told of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Their name: the keys of pages to them begin with `contact/` and it.
    pub name: ContactName,
    /// How they are reached, for people: a telephone number, a channel.
    pub reach: String,
}

/// When a contact is told, for as long as nobody has acknowledged the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Who.
    pub contact: Contact,
    /// How long after the run was declared.
    pub after: Span,
}

/// How grave an incident is, and what follows from that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentLevel {
    /// Its number, 1 to 4.
    pub number: u8,
    /// Recovery time objective at this level.
    pub rto: Span,
    /// Whether a failover at this level may be declared by observers.
    #[serde(default)]
    pub automatic: bool,
    /// Who is told, the soonest first; each once.
    pub escalation: Vec<Escalation>,
}
