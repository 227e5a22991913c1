//! Authority over workloads: who may write is one record, which only a run that touches production can claim.
//!
//! A claim takes the writer away before anything is fenced: a guard that reads the record stops the writes of its side by
//! itself. Nobody is named again before every fence stands.

use super::World;
use super::records::{self, Stored};
use crate::domain::{Authority, AuthorityRecord, Failure, FailureKind, Move, Region, Run};

/// Makes the record of a workload that has none: its home takes its writes.
pub async fn establish(world: &World, moves: &Move) -> Result<(), Failure> {
    let first = AuthorityRecord {
        workload: moves.workload.clone(),
        generation: 1,
        writer: Some(moves.home.clone()),
        claimed_by: None,
        since: world.now(),
    };
    records::insert(world.catalog.as_ref(), &first).await.map(|_| ())
}

/// Who may write the workload now.
pub async fn of(world: &World, moves: &Move) -> Result<Stored<AuthorityRecord>, Failure> {
    records::require(world.catalog.as_ref(), &records::authority_key(&moves.workload)).await
}

/// Claims the next generation for a run, unless it holds one already. From then on nobody may write until the run says who.
/// [`FailureKind::Fenced`] where another run has it and is not over, [`FailureKind::Invalid`] where the workload is not
/// where the plan moves it from.
pub async fn claim(world: &World, run: &Run, moves: &Move) -> Result<Authority, Failure> {
    let mut stored = of(world, moves).await?;
    if stored.value.claimed_by.as_ref() == Some(&run.id) {
        refuse_turned_back(world, run).await?;
        return Authority::of(&stored.value, run);
    }
    if let Some(other) = &stored.value.claimed_by {
        let other: Option<Stored<Run>> = records::read(world.catalog.as_ref(), &records::run_key(other)).await?;
        if let Some(other) = other.filter(|other| !other.value.state.is_over()) {
            let message = format!(
                "run {} of plan {} holds the authority over {}: end it first",
                other.value.id, other.value.plan.id, moves.workload
            );
            return Err(Failure::new(FailureKind::Fenced, message));
        }
    }
    refuse_elsewhere(&stored.value, moves)?;
    stored.value = AuthorityRecord {
        generation: stored.value.generation + 1,
        writer: None,
        claimed_by: Some(run.id.clone()),
        since: world.now(),
        ..stored.value
    };
    records::update(world.catalog.as_ref(), &mut stored).await?;
    Authority::of(&stored.value, run)
}

/// Refuses an executor that has slept while another turned the run back: with the authority as it is now, it would change
/// again what was taken back. The run says that it goes back before it claims a generation for that.
async fn refuse_turned_back(world: &World, run: &Run) -> Result<(), Failure> {
    let stored: Stored<Run> = records::require(world.catalog.as_ref(), &records::run_key(&run.id)).await?;
    if stored.value.conduct.goes_back.is_none() && !stored.value.state.is_over() {
        return Ok(());
    }
    let message = format!(
        "run {} goes forward no more: another execution has turned it back or ended it",
        run.id
    );
    Err(Failure::new(FailureKind::Conflict, message))
}

/// Refuses a plan that moves the workload from where it is not.
pub fn refuse_elsewhere(record: &AuthorityRecord, moves: &Move) -> Result<(), Failure> {
    if record.writer.as_ref() == Some(&moves.from) {
        return Ok(());
    }
    let stands = match &record.writer {
        Some(region) => format!("is written in {region}"),
        None => "is written nowhere".to_owned(),
    };
    let message = format!(
        "the plan moves {} from {}, but it {stands} since {}",
        moves.workload, moves.from, record.since
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

/// The authority that the run still has; [`FailureKind::Fenced`] when it has moved on.
pub async fn hold(world: &World, run: &Run, moves: &Move) -> Result<Authority, Failure> {
    Authority::of(&of(world, moves).await?.value, run)
}

/// Says who may write from now on, under the generation that the run holds.
pub async fn grant(world: &World, run: &Run, moves: &Move, region: &Region) -> Result<Authority, Failure> {
    let mut stored = of(world, moves).await?;
    let authority = Authority::of(&stored.value, run)?;
    if stored.value.writer.as_ref() != Some(region) {
        stored.value.writer = Some(region.clone());
        stored.value.since = world.now();
        records::update(world.catalog.as_ref(), &mut stored).await?;
    }
    Ok(authority)
}

/// Claims a generation of its own for the way back of a run that holds the authority, so that nothing of its way forward that
/// is still under way takes effect after what takes it back. Nobody may write until the run says who.
pub async fn retreat(world: &World, run: &Run, moves: &Move) -> Result<Authority, Failure> {
    let mut stored = of(world, moves).await?;
    Authority::of(&stored.value, run)?;
    stored.value.generation += 1;
    stored.value.writer = None;
    stored.value.since = world.now();
    records::update(world.catalog.as_ref(), &mut stored).await?;
    Authority::of(&stored.value, run)
}
