//! `holdfast report`: what became of a run of a recovery plan, for people to read and to keep.

use holdfast_core::domain::{Run, RunId};
use holdfast_core::report::{Signed, run_page};
use holdfast_core::workflow::{chain, evidence, runs};

use crate::args::ReportOptions;
use crate::embedded::Session;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Writes the page of a run that has ended.
pub async fn run(options: ReportOptions, json: bool) -> Result<Done, CliError> {
    let (session, _) = Session::open(&options.place).await?;
    let world = &session.system.world;
    let ended = runs::ended(world.catalog.as_ref(), world.now()).await?;
    let run = named(&ended, &options.run)?;
    if json {
        output::json(run)?;
        return Ok(Done::Done);
    }
    let signed = match run.statement {
        Some(number) => evidence::document(world, number).await?.map(|document| Signed {
            number,
            sha256: chain::document_hash(document.as_bytes()),
        }),
        None => None,
    };
    let page = run_page(run, signed.as_ref());
    std::fs::write(&options.page, page)
        .map_err(|error| CliError::failed(format!("{} cannot be written: {error}", options.page.display())))?;
    say!("{}", options.page.display());
    Ok(Done::Done)
}

fn named<'a>(ended: &'a [Run], word: &str) -> Result<&'a Run, CliError> {
    let is_named = |run: &&Run| !word.is_empty() && run.id.as_str().starts_with(word);
    let found: Vec<&Run> = ended.iter().filter(is_named).collect();
    match found.as_slice() {
        [run] => Ok(run),
        [] => {
            let known: Vec<String> = ended.iter().rev().take(10).map(described).collect();
            let known = if known.is_empty() {
                "no run has ended yet".to_owned()
            } else {
                format!("the latest are\n{}", known.join("\n"))
            };
            Err(CliError::usage(format!(
                "no run that has ended is called \"{word}\"; {known}"
            )))
        }
        several => Err(CliError::usage(format!(
            "{} runs begin with \"{word}\"; give more digits",
            several.len()
        ))),
    }
}

fn described(run: &Run) -> String {
    let id: &RunId = &run.id;
    format!(
        "  {id}  {} of {}, declared {}",
        run.kind.as_str(),
        run.plan.id,
        output::time(run.declared_at)
    )
}
