//! Who is told of a run, and when.

use jiff::Timestamp;

use crate::domain::{Escalation, Run};

/// The contacts who are to be told of a run now: those of its level whose time has come, for as long as it goes on, changes
/// production, and nobody has acknowledged it.
pub fn contacts_due(run: &Run, now: Timestamp) -> Vec<&Escalation> {
    let told = &run.conduct.told;
    let waits = run.kind.touches_production() && !run.state.is_over() && run.conduct.acknowledged.is_none();
    let level = run.incident_level().filter(|_| waits);
    let escalation = level.map_or(&[][..], |level| &level.escalation);
    let is_due = |step: &&Escalation| step.after.after(run.declared_at) <= now && !told.contains(&step.contact.name);
    escalation.iter().filter(is_due).collect()
}
