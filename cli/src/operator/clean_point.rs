//! `holdfast clean-point`: which recovery point is from before the damage.

use std::collections::BTreeMap;

use holdfast_core::domain::{PointRef, ResourceId};
use holdfast_core::planning::{CleanPoint, Judged, find_clean_point};
use holdfast_core::workflow::inventory;
use serde_json::json;

use super::find_point;
use crate::args::CleanPointOptions;
use crate::embedded::Session;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Says what speaks against each recovery point, which is the newest clean one, and which one to restore and test next.
pub async fn run(options: CleanPointOptions, as_json: bool) -> Result<Done, CliError> {
    let id = ResourceId::new(&options.resource).map_err(|error| CliError::usage(error.to_string()))?;
    let (session, _) = Session::open(&options.place).await?;
    let world = &session.system.world;
    let resource = inventory::resource(world, &id).await?;
    let mut tested = BTreeMap::new();
    for (words, is_good) in [(&options.good, true), (&options.bad, false)] {
        for word in words {
            let (of, point) = find_point(world, word).await?;
            if of.id != resource.id {
                return Err(CliError::usage(format!(
                    "{word} is a recovery point of {}, not of {id}",
                    of.id
                )));
            }
            if tested.insert(point.id, is_good).is_some_and(|before| before != is_good) {
                return Err(CliError::usage(format!("{word} cannot be both good and bad")));
            }
        }
    }
    let points = inventory::points(world, &id).await?;
    let found = find_clean_point(&points, &tested);
    if as_json {
        output::json(&as_value(&found))?;
    } else {
        tell(&found);
    }
    Ok(if found.newest.is_some() {
        Done::Done
    } else {
        Done::Failed
    })
}

fn tell(found: &CleanPoint) {
    let row = |judged: &Judged| {
        vec![
            judged.point.id.short().to_owned(),
            output::time(judged.point.taken_at),
            judged.standing.as_str().to_owned(),
            signs(judged).join("; "),
        ]
    };
    let rows: Vec<Vec<String>> = found.points.iter().rev().map(row).collect();
    output::table(&["POINT", "TAKEN AT", "STANDING", "SIGNS OF DAMAGE"], &rows);
    let named = |point: &PointRef| format!("{} of {}", point.id.short(), output::time(point.taken_at));
    match &found.newest {
        Some(point) => say!("newest clean point: {}", named(point)),
        None => say!("no recovery point is clean"),
    }
    match &found.next_to_test {
        Some(point) => say!(
            "next: restore {} into an empty folder and test it, then give --good {1} or --bad {1} beside what was given so far",
            named(point),
            point.id.short()
        ),
        None => say!("nothing is left to test"),
    }
}

fn signs(judged: &Judged) -> Vec<String> {
    judged.signs.iter().map(ToString::to_string).collect()
}

fn as_value(found: &CleanPoint) -> serde_json::Value {
    let judged = |judged: &Judged| {
        json!({
            "point": judged.point,
            "standing": judged.standing.as_str(),
            "signs": signs(judged),
        })
    };
    json!({
        "points": found.points.iter().map(judged).collect::<Vec<_>>(),
        "newest": found.newest,
        "next_to_test": found.next_to_test,
    })
}
