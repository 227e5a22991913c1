//! Who is told of what: the `[[contact]]` tables, and the `[[plan.level]]` tables.

use std::collections::BTreeSet;

use crate::domain::{Contact, ContactName, Escalation, IncidentLevel, Move, Span};

use super::names::Names;
use super::reader::{At, Problems, Table};

/// Reads a contact.
pub(super) fn read_contact(mut table: Table<'_>, names: &mut Names, problems: &mut Problems<'_>) {
    let name: Option<At<ContactName>> = table.required("name", problems);
    if let Some(name) = &name {
        names.contacts.declare(&name.value, name.at, problems);
    }
    let reach: Option<At<String>> = table.required("reach", problems);
    if let Some(reach) = reach.as_ref().filter(|reach| reach.value.trim().is_empty()) {
        problems.add(
            reach.at,
            "\"reach\" is empty: write how they are reached, such as a telephone number",
        );
    }
    table.finish(problems);
    if let (Some(name), Some(reach)) = (name, reach) {
        names.of_contacts.push(Contact {
            name: name.value,
            reach: reach.value,
        });
    }
}

/// Reads the incident levels of a plan.
pub(super) fn read_levels(
    plan: &mut Table<'_>,
    moves: Option<&Move>,
    names: &Names,
    problems: &mut Problems<'_>,
) -> Vec<IncidentLevel> {
    let declares = moves.is_some_and(|moves| moves.automatic.is_some());
    let mut levels: Vec<IncidentLevel> = Vec::new();
    for table in plan.tables("level", "[[plan.level]]", problems) {
        let at = table.at;
        let Some(level) = read_level(table, names, problems) else {
            continue;
        };
        if levels.iter().any(|known| known.number == level.number) {
            problems.add(at, format!("level {} is there already", level.number));
        }
        levels.push(level);
    }
    let allows = levels.iter().any(|level| level.automatic);
    if declares && !levels.is_empty() && !allows {
        let message = "[plan.moves.automatic] lets observers declare a failover, and no [[plan.level]] allows that: write \
                       automatic = \"allowed\" at the level that they may declare";
        problems.add(plan.at, message);
    }
    if allows && !declares {
        let message =
            "a [[plan.level]] allows what observers declare, and no [plan.moves.automatic] says when they are believed";
        problems.add(plan.at, message);
    }
    levels
}

fn read_level(mut table: Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<IncidentLevel> {
    if !table.has("number") {
        problems.add(table.at, "[[plan.level]] lacks \"number\": 1 to 4");
    }
    let number = table.number("number", 1..=4, problems);
    let rto: Option<At<Span>> = table.required("rto", problems);
    let automatic = table
        .has("automatic")
        .then(|| table.required_choice("automatic", &[("allowed", true)], problems));
    let escalation = read_escalation(&mut table, names, problems);
    table.finish(problems);
    Some(IncidentLevel {
        number: u8::try_from(number?).ok()?,
        rto: rto?.value,
        automatic: automatic.flatten().unwrap_or(false),
        escalation,
    })
}

/// Reads who is told: each contact once and none sooner than the one before, so that an escalation always comes to an end.
fn read_escalation(level: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Vec<Escalation> {
    let at = level.at;
    let mut escalation: Vec<Escalation> = Vec::new();
    let mut seen = BTreeSet::new();
    for mut table in level.tables("escalate", "[[plan.level.escalate]]", problems) {
        let contact: Option<At<ContactName>> = table.required("contact", problems);
        names.contacts.check(contact.as_ref(), problems);
        let after: Option<At<Span>> = table.required("after", problems);
        table.finish(problems);
        let (Some(contact), Some(after)) = (contact, after) else {
            continue;
        };
        if !seen.insert(contact.value.clone()) {
            problems.add(contact.at, format!("contact \"{}\" is told already", contact.value));
        }
        if escalation.last().is_some_and(|before| before.after > after.value) {
            problems.add(
                after.at,
                "\"after\" is sooner than that of the contact before: write them in their order",
            );
        }
        if let Some(found) = names.of_contacts.iter().find(|known| known.name == contact.value) {
            escalation.push(Escalation {
                contact: found.clone(),
                after: after.value,
            });
        }
    }
    if seen.is_empty() {
        problems.add(
            at,
            "[[plan.level]] tells nobody: add [[plan.level.escalate]] with a contact",
        );
    }
    escalation
}
