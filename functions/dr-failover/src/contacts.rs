//! Telling the contacts of a run's incident level, one after the other, until somebody acknowledges it.

use holdfast_core::domain::{Escalation, Failure, Run};
use holdfast_core::planning::contacts_due;
use holdfast_core::ports::{Page, Severity};
use holdfast_core::workflow::World;
use holdfast_core::workflow::records::{self, Stored};

/// Tells those whose time has come. One who was told just before a stop is told again, under the same key.
pub async fn tell(world: &World, run: &mut Stored<Run>) -> Result<(), Failure> {
    let due: Vec<Escalation> = contacts_due(&run.value, world.now()).into_iter().cloned().collect();
    for step in due {
        world.pager.page(&page(&run.value, &step)).await?;
        run.value.conduct.told.push(step.contact.name);
        records::update(world.catalog.as_ref(), run).await?;
    }
    Ok(())
}

fn page(run: &Run, step: &Escalation) -> Page {
    let (id, contact) = (&run.id, &step.contact);
    let level = run
        .conduct
        .level
        .map_or_else(String::new, |level| format!(", level {level}"));
    Page {
        key: format!("contact/{}/run/{id}", contact.name),
        severity: Severity::Critical,
        subject: format!(
            "{}: {} of recovery plan {}{level}",
            contact.name,
            run.kind.as_str(),
            run.plan.id
        ),
        text: format!(
            "{} ({}) is told because {} asked for it at {} and nobody has acknowledged it for {}. Acknowledge it: holdfast run {id} \
             acknowledge --by NAME; on AWS invoke dr-failover with {{\"run\": \"{id}\", \"instruct\": \"acknowledge\", \"by\": \"NAME\"}}",
            contact.name, contact.reach, run.requested_by, run.declared_at, step.after
        ),
    }
}
