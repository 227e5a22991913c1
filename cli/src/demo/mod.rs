//! `holdfast demo`: the main job from end to end, on a private copy of real files, done by the same handlers that run on
//! Lambda and driven by events through a durable queue.

mod application;
mod clock;
mod damage;
mod database;
mod ground;
mod recovery;
mod report;
mod stages;

use crate::args::DemoOptions;
use crate::error::{CliError, Done};
use crate::output;

use ground::Ground;
use report::Report;
use stages::Demo;

/// Shows everything, and fails if anything was not proven.
pub async fn run(options: DemoOptions, json: bool) -> Result<Done, CliError> {
    let mut report = Report::new(json);
    let ground = Ground::prepare(&options, &mut report)?;
    let mut demo = Demo::open(ground, report).await?;
    demo.back_up_and_prove().await?;
    demo.damage_and_repair().await?;
    demo.lose_and_restore().await?;
    demo.drill().await?;
    demo.show_retention().await?;
    demo.check_evidence()?;
    demo.restore_a_database()?;
    let Demo { ground, report, .. } = demo;
    if json {
        output::json(&report.to_json())?;
    } else {
        report.summary();
        ground.say_how_to_look();
    }
    Ok(if report.holds() { Done::Done } else { Done::Failed })
}
