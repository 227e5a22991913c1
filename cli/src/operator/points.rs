//! `holdfast points`.

use holdfast_core::domain::{Point, PointState, ResourceId, Window};
use holdfast_core::workflow::inventory;

use crate::args::PointsOptions;
use crate::embedded::Session;
use crate::error::{CliError, Done};
use crate::output::{self, say};

/// Lists recovery points, newest first.
pub async fn run(options: PointsOptions, json: bool) -> Result<Done, CliError> {
    let only = options.resource.as_deref().map(ResourceId::new).transpose();
    let only = only.map_err(|error| CliError::usage(error.to_string()))?;
    let (session, _) = Session::open(&options.place).await?;
    let world = &session.system.world;
    let resources = match only {
        Some(id) => vec![inventory::resource(world, &id).await?],
        None => inventory::resources(world).await?,
    };
    let (mut points, mut windows) = (Vec::new(), Vec::new());
    for resource in resources {
        points.extend(inventory::points(world, &resource.id).await?);
        windows.extend(inventory::windows(world, &resource.id).await?);
    }
    points.sort_by_key(|point| std::cmp::Reverse(point.taken_at));
    if json {
        output::json(&points)?;
        return Ok(Done::Done);
    }
    let standing: Vec<&Point> = points
        .iter()
        .filter(|point| point.state != PointState::Deleted)
        .collect();
    let rows: Vec<Vec<String>> = standing.into_iter().map(row).collect();
    output::table(
        &[
            "POINT",
            "RESOURCE",
            "TAKEN AT",
            "KIND",
            "STATE",
            "FILES",
            "SIZE",
            "COPIES AND PROOFS",
        ],
        &rows,
    );
    windows.iter().for_each(tell);
    Ok(Done::Done)
}

/// From when until when a server can be restored.
fn tell(window: &Window) {
    let covered = window.state.covered_at.map_or_else(
        || "no log that leads on from a base backup yet".to_owned(),
        |at| format!("all that was committed before {}", output::time(at)),
    );
    say!("\n{} in vault {}: {covered}", window.resource, window.vault);
    for stretch in &window.state.stretches {
        let (from, until) = (output::time(stretch.earliest_at), output::time(stretch.latest_at));
        let along = match stretch.bases.is_empty() {
            true => "by the service's own log".to_owned(),
            false => format!("on timeline {}", stretch.timeline),
        };
        say!("  any moment from {from} until {until}, {along}");
    }
    for gap in &window.state.gaps {
        say!("  MISSING log {gap}");
    }
}

fn row(point: &Point) -> Vec<String> {
    let partial = if point.is_partial() { " (partial)" } else { "" };
    vec![
        point.id.short().to_owned(),
        point.resource.to_string(),
        output::time(point.taken_at),
        point.kind.as_str().to_owned(),
        format!("{}{partial}", state_word(point.state)),
        point.files.to_string(),
        output::bytes(point.size_bytes),
        copies(point),
    ]
}

/// The copies of a point, each with the level that it has been proven at.
pub fn copies(point: &Point) -> String {
    use holdfast_core::domain::CopyState;
    let copy_text = |copy: &holdfast_core::domain::Copy| {
        let standing = match copy.state {
            CopyState::Available => {
                let proven = copy.proofs.iter().rev().find(|proof| proof.passed);
                let proven = proven.map_or_else(|| "unproven".to_owned(), |proof| format!("{:?}", proof.level));
                match copy.proofs.last().filter(|proof| !proof.passed) {
                    Some(refuted) => format!("{proven}, NOT {:?}", refuted.level),
                    None => proven,
                }
            }
            CopyState::Corrupt => "corrupt".to_owned(),
            CopyState::Repaired => "repaired, unproven".to_owned(),
            CopyState::Deleted => return None,
        };
        Some(format!("{}: {standing}", copy.vault))
    };
    point.copies.iter().filter_map(copy_text).collect::<Vec<_>>().join(", ")
}

/// The word for a state.
pub fn state_word(state: PointState) -> &'static str {
    match state {
        PointState::Creating => "creating",
        PointState::Available => "available",
        PointState::Corrupt => "corrupt",
        PointState::Repaired => "repaired",
        PointState::Expiring => "expiring",
        PointState::Deleted => "deleted",
    }
}
