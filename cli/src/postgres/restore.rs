//! `postgres restore`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use holdfast_repository::Repository;
use holdfast_sources::postgres::cluster::{
    ClusterError, ClusterRestore, RestoreLog, StoredBase, bases, choose, restore,
};
use holdfast_sources::postgres::log::LogArchive;
use holdfast_sources::postgres::recovery::Recovery;
use serde_json::json;

use super::{checked, failed, recovery};
use crate::args::{PostgresRestoreOptions, ServerPlace};
use crate::embedded::absolute;
use crate::error::{CliError, Done};
use crate::output::{self, say};
use crate::repository::interrupt::Interrupt;
use crate::repository::meter::Meter;
use crate::repository::restore::restore_error;
use crate::repository::{open, place};

/// Restores a data folder and tells how to go on.
pub fn run(options: &PostgresRestoreOptions, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let kept = &options.kept;
    let name = checked(&kept.name)?;
    let recovery = recovery(&options.recovery)?;
    let tablespaces = tablespaces(&options.tablespace)?;
    let command = restore_command(kept)?;
    let target = absolute(&options.target)?;
    let repository = open::to_read(&kept.place)?;
    let lock = open::reader_lock(&repository)?;
    let base = base(&repository, name, &recovery, options.recovery.base.as_deref())?;
    let index = repository.load_index()?;
    let meter = Meter::new("restore");
    let workers = place::streams_at_once(&kept.place.repo, place::processors().max(4));
    let request = ClusterRestore {
        target: &target,
        overwrite: options.overwrite,
        recovery: &recovery,
        log: RestoreLog::Command(&command),
        tablespaces: &tablespaces,
        workers: kept.place.memory.requests(workers),
        progress: &meter,
        cancel: interrupt.flag(),
    };
    let restored = restore(&repository, &index, name, &base, &request).map_err(|error| match error {
        ClusterError::Restore(error) => restore_error(error),
        ClusterError::OtherFolder { .. } => CliError::usage(error.to_string()),
        error => failed(error),
    })?;
    drop(meter);
    open::release(lock)?;
    if json {
        return output::json(&json!({
            "base": base.base.snapshot,
            "target": target.display().to_string(),
            "files": restored.files,
            "bytes_written": restored.bytes_written,
            "bytes_right": restored.bytes_right,
            "removed": restored.removed,
            "restore_command": command,
        }))
        .map(|()| Done::Done);
    }
    say!(
        "base backup {} of {} restored into {}",
        base.base.snapshot.short(),
        output::time(base.base.ended_at),
        target.display()
    );
    say!(
        "  {} files; {} written, {} stood there already, {} entries removed",
        restored.files,
        output::bytes(restored.bytes_written),
        output::bytes(restored.bytes_right),
        restored.removed
    );
    say!("  Start PostgreSQL {} over it: it fetches its log with", base.major);
    say!("    {command}");
    say!("  recovers to its target, and opens for writing on a new timeline.");
    Ok(Done::Done)
}

fn base(
    repository: &Repository,
    name: &str,
    recovery: &Recovery,
    wanted: Option<&str>,
) -> Result<StoredBase, CliError> {
    let bases = bases(repository, name).map_err(failed)?;
    let archive = LogArchive::open(repository, name).map_err(failed)?;
    choose(name, &bases, archive.pieces(), recovery, wanted)
        .cloned()
        .map_err(failed)
}

/// `<oid>=<folder>`, each once.
fn tablespaces(words: &[String]) -> Result<BTreeMap<u32, PathBuf>, CliError> {
    let mut tablespaces = BTreeMap::new();
    for word in words {
        let parsed = word
            .split_once('=')
            .and_then(|(number, folder)| Some((number.parse::<u32>().ok()?, PathBuf::from(folder))));
        let Some((number, folder)) = parsed else {
            return Err(CliError::usage(format!(
                "--tablespace {word}: write its number and a folder, as in 16385=/srv/fast"
            )));
        };
        if tablespaces.insert(number, absolute(&folder)?).is_some() {
            return Err(CliError::usage(format!("--tablespace {number} is there twice")));
        }
    }
    Ok(tablespaces)
}

/// The command that the recovering server calls: this program, on the same repository.
fn restore_command(kept: &ServerPlace) -> Result<String, CliError> {
    let Some(file) = &kept.place.password_file else {
        return Err(CliError::usage(
            "the recovering server fetches its log with this program and needs the password, too: name a file that holds it \
             with --password-file FILE, which the server's user can read",
        ));
    };
    let program = std::env::current_exe().map_err(failed)?;
    let repo = if place::is_remote(&kept.place.repo) {
        kept.place.repo.clone()
    } else {
        absolute(&kept.place.repo)?
    };
    let words = [
        (program.as_os_str(), "this program"),
        (OsStr::new("wal"), ""),
        (OsStr::new("fetch"), ""),
        (OsStr::new("--repo"), ""),
        (repo.as_os_str(), "the repository"),
        (OsStr::new("--password-file"), ""),
        (absolute(file)?.as_os_str(), "the password file"),
        (OsStr::new("--name"), ""),
        (OsStr::new(&kept.name), ""),
    ]
    .map(|(word, what)| shell_word(Path::new(word), what));
    let words = words.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{} %f \"%p\"", words.join(" ")))
}

/// A word as a shell reads it. A `%` stands for itself when it is written twice, to the server.
fn shell_word(word: &Path, what: &str) -> Result<String, CliError> {
    let text = word
        .to_str()
        .filter(|text| !text.contains('\n'))
        .ok_or_else(|| CliError::usage(format!("the path of {what} is no UTF-8, or has a line break in it")))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=".contains(c);
    let quoted = if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    };
    Ok(quoted.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_are() {
        let word = |text| shell_word(Path::new(text), "it").unwrap();
        assert_eq!(word("/usr/bin/holdfast"), "/usr/bin/holdfast");
        assert_eq!(word("s3://bucket/a"), "s3://bucket/a");
        assert_eq!(word("/my disk/it's"), r"'/my disk/it'\''s'");
        assert_eq!(word("/50%"), "'/50%%'");
        assert!(shell_word(Path::new("a\nb"), "it").is_err());
    }

    #[test]
    fn tablespaces_are_read_strictly() {
        let read = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            tablespaces(&words)
        };
        assert_eq!(read(&["16385=/srv/a"]).unwrap()[&16385], PathBuf::from("/srv/a"));
        for wrong in [&["16385"][..], &["x=/a"], &["1=/a", "1=/b"]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
