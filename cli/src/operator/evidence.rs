//! `holdfast evidence verify`: offline, from a folder and a public key alone.

use std::path::Path;

use holdfast_core::domain::Statement;
use holdfast_core::workflow::chain::{self, Chain};
use holdfast_local::verify_with_public_key;

use crate::args::EvidenceCommand;
use crate::error::{CliError, Done};
use crate::output;
use crate::output::say;

/// Checks a chain of statements.
pub fn run(command: &EvidenceCommand, json: bool) -> Result<Done, CliError> {
    let EvidenceCommand::Verify { dir, public_key } = command;
    let chain = verify(dir, public_key)?;
    if json {
        output::json(&serde_json::json!({ "statements": chain.statements, "head": chain.head }))?;
        return Ok(Done::Done);
    }
    let failed = |statement: &&Statement| !statement.passed;
    let bad = chain.statements.iter().filter(failed).count();
    say!(
        "{} statements hold, {bad} of them tell of something bad",
        chain.statements.len()
    );
    say!("head {}", chain.head);
    say!("a chain that was cut off at its end looks whole: compare the head with one that you kept");
    Ok(Done::Done)
}

/// Reads and checks the chain in a folder.
pub fn verify(dir: &Path, public_key: &Path) -> Result<Chain, CliError> {
    let key = std::fs::read_to_string(public_key)
        .map_err(|error| CliError::usage(format!("public key {} cannot be read: {error}", public_key.display())))?;
    verify_with_public_key(&key, b"", b"")?;
    let documents = read_documents(dir)?;
    if documents.is_empty() {
        return Err(CliError::usage(format!(
            "{} holds no statements (*.dsse.json)",
            dir.display()
        )));
    }
    chain::verify(&documents, &|message, signature| {
        verify_with_public_key(&key, message, &signature.bytes).unwrap_or(false)
    })
    .map_err(|broken| CliError::failed(format!("{}: {broken}", dir.display())))
}

fn read_documents(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let unreadable = |error: std::io::Error| CliError::failed(format!("{} cannot be read: {error}", dir.display()));
    let mut documents = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".dsse.json") {
            documents.push((name, std::fs::read(entry.path()).map_err(unreadable)?));
        }
    }
    Ok(documents)
}
