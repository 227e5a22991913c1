//! Telling the person at the terminal.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Clock, Page, Pager, Severity};
use jiff::Timestamp;
use serde::Serialize;

use crate::failure::io_failure;

/// Writes pages to standard error, and before that as one line of JSON each to a file that is only ever added to.
pub struct StderrPager {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    prints: bool,
    /// Keeps the lines of two pages apart.
    writing: Mutex<()>,
}

#[derive(Serialize)]
struct Line<'a> {
    at: Timestamp,
    #[serde(flatten)]
    page: &'a Page,
}

impl StderrPager {
    /// A pager that keeps its pages at `path`.
    pub fn new(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: path.into(),
            clock,
            prints: true,
            writing: Mutex::default(),
        }
    }

    /// The same, but only the file hears of it: for a program that shows what happens in its own way.
    pub fn to_file_only(self) -> Self {
        Self { prints: false, ..self }
    }

    fn keep(&self, page: &Page) -> Result<(), Failure> {
        let at = self.clock.now();
        let mut line = serde_json::to_string(&Line { at, page }).map_err(|error| {
            Failure::caused(FailureKind::Bug, format!("page {} cannot be written", page.key), error)
        })?;
        line.push('\n');
        append(&self.path, line.as_bytes()).map_err(|error| io_failure("write the page to", &self.path, error))
    }
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(line)?;
    file.sync_data()
}

#[async_trait]
impl Pager for StderrPager {
    async fn page(&self, page: &Page) -> Result<(), Failure> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.keep(page)?;
        if !self.prints {
            return Ok(());
        }
        let severity = match page.severity {
            Severity::Info => "info",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        };
        writeln!(io::stderr(), "{severity}: {}\n{}", page.subject, page.text).map_err(|error| {
            let message = format!("cannot write page {} to standard error: {error}", page.key);
            Failure::caused(FailureKind::Transient, message, error)
        })
    }
}
