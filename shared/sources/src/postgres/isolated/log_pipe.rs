//! [`LogPipe`]: how an isolated server gets its log from the process that started it.
//!
//! The server's user need not be able to read the repository, nor know its password: its `restore_command` asks over one
//! named pipe, this process fetches the file, and answers over another.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use holdfast_repository::index::Lookup;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::super::log::{FetchOptions, Fetched, LogArchive, LogError, fetch};
use super::{IsolatedError, Scratch};

/// Words of a shell alone. Whatever goes wrong with the pipes ends the recovery, instead of looking like the end of the log.
pub(super) const RESTORE_COMMAND: &str =
    r#"echo "%f %p" > ../log-asked && read -r code < ../log-answered && exit ${code:-200}; exit 200"#;
/// Segments that are fetched before they are asked for.
const AHEAD: usize = 16;
/// What ends [`LogPipe::serve`].
const END: &str = "\n";
/// What tells a server that it has the file; that there is none, which is the end of its log; and that it must not go on.
const ANSWERS: [u8; 3] = [0, 1, 200];

/// Both pipes.
pub(super) struct LogPipe {
    asked: PathBuf,
    answered: PathBuf,
    spool: PathBuf,
    /// To ask for the end of it, whatever happens.
    end: File,
}

impl LogPipe {
    /// Makes the pipes. This side opens both of their ends, so that neither ever waits for the other to come.
    pub(super) fn make(scratch: &Scratch) -> Result<LogPipe, IsolatedError> {
        let path = |name: &str| scratch.folder().join(name);
        let (asked, answered) = (path("log-asked"), path("log-answered"));
        for path in [&asked, &answered] {
            let made = mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
            made.map_err(|error| IsolatedError::io("make the pipe", path)(error.into()))?;
            scratch.give(path)?;
        }
        Ok(LogPipe {
            end: open(&asked)?,
            asked,
            answered,
            spool: path("log-spool"),
        })
    }

    /// Answers until [`LogPipe::end`]; the first file that is stored and could not be read, with the reason.
    pub(super) fn serve(
        &self,
        scratch: &Scratch,
        archive: &LogArchive,
        index: &dyn Lookup,
        workers: usize,
    ) -> Result<Option<LogError>, IsolatedError> {
        let mut asked = BufReader::new(open(&self.asked)?);
        let mut answered = open(&self.answered)?;
        let options = FetchOptions {
            spool: self.spool.clone(),
            ahead: AHEAD,
            workers,
        };
        let mut trouble = None;
        loop {
            let mut line = String::new();
            asked
                .read_line(&mut line)
                .map_err(IsolatedError::io("read", &self.asked))?;
            if line == END {
                return Ok(trouble);
            }
            let [there, not_there, refused] = ANSWERS;
            let answer = match target(&line, &scratch.data()) {
                None => refused,
                Some((name, target)) => match fetch(archive, index, name, &target, &options) {
                    Ok(Fetched::Restored) => {
                        scratch.give(&target)?;
                        there
                    }
                    Ok(Fetched::NotThere) => not_there,
                    Err(error) => {
                        trouble.get_or_insert(error);
                        refused
                    }
                },
            };
            writeln!(answered, "{answer}").map_err(IsolatedError::io("write", &self.answered))?;
        }
    }

    /// Ends [`LogPipe::serve`].
    pub(super) fn end(&self) -> Result<(), IsolatedError> {
        let sent = (&self.end).write_all(END.as_bytes());
        sent.map_err(IsolatedError::io("write", &self.asked))
    }
}

fn open(path: &Path) -> Result<File, IsolatedError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(IsolatedError::io("open", path))
}

/// The file that is asked for, and where it goes: right below the log's folder.
fn target<'a>(line: &'a str, data: &Path) -> Option<(&'a str, PathBuf)> {
    let (name, path) = line.trim_end().split_once(' ')?;
    let file = path
        .strip_prefix("pg_wal/")
        .filter(|file| !file.contains('/') && !file.starts_with('.'))?;
    Some((name, data.join("pg_wal").join(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_below_the_folder_of_the_log_only() {
        let data = Path::new("/d");
        let (name, path) = target("000000010000000000000003 pg_wal/RECOVERYXLOG\n", data).unwrap();
        assert_eq!(
            (name, path.to_str()),
            ("000000010000000000000003", Some("/d/pg_wal/RECOVERYXLOG"))
        );
        for wrong in ["x", "x base/1", "x pg_wal/../global", "x pg_wal/..", "x /etc/passwd"] {
            assert!(target(wrong, data).is_none(), "{wrong}");
        }
    }
}
