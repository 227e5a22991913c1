//! `pg_restore` over definitions that are in memory.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Stdio;

use rustix::fs::{MemfdFlags, memfd_create};

use super::super::address::Address;
use super::super::connection::ClientOptions;
use super::super::isolated::Programs;
use super::super::running::{Running, give_password};
use super::LogicalError;
use super::manifest::{Manifest, Table};
use super::objects::chosen;

/// Bytes that another program of the same user can read by a path.
struct Shared {
    file: File,
}

impl Shared {
    fn of(what: &'static str, bytes: &[u8]) -> Result<Shared, LogicalError> {
        let failed = |source| LogicalError::Handing { what, source };
        let file = memfd_create(what, MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut file = File::from(file);
        file.write_all(bytes).map_err(failed)?;
        Ok(Shared { file })
    }

    fn path(&self) -> String {
        let process = rustix::process::getpid().as_raw_nonzero();
        format!("/proc/{process}/fd/{}", self.file.as_raw_fd())
    }
}

/// Definitions, some or all of them, on their way into a server.
pub(super) struct Definitions<'a> {
    programs: &'a Programs,
    address: &'a Address,
    client: &'a ClientOptions,
    archive: Shared,
    list: Option<Shared>,
    without_owners: bool,
}

impl<'a> Definitions<'a> {
    /// Those of an archive; of these tables alone where some are chosen.
    pub(super) fn new(
        programs: &'a Programs,
        address: &'a Address,
        client: &'a ClientOptions,
        archive: &[u8],
        without_owners: bool,
        chosen_tables: Option<(&Manifest, &[&Table])>,
    ) -> Result<Definitions<'a>, LogicalError> {
        let mut definitions = Definitions {
            programs,
            address,
            client,
            archive: Shared::of("definitions", archive)?,
            list: None,
            without_owners,
        };
        if let Some((manifest, tables)) = chosen_tables {
            let list = definitions.list()?;
            let list = chosen(&String::from_utf8_lossy(&list), manifest, tables);
            definitions.list = Some(Shared::of("list of definitions", list.as_bytes())?);
        }
        Ok(definitions)
    }

    fn list(&self) -> Result<Vec<u8>, LogicalError> {
        let running = Running::start(self.programs, "pg_restore", |command| {
            command.arg("--list").arg(self.archive.path()).stdout(Stdio::piped());
        })?;
        Ok(running.output(&self.client.stop)??)
    }

    /// Makes one section of them: `pre-data` in one transaction, `post-data` over several connections.
    pub(super) fn make(&self, section: &'static str, jobs: Option<usize>) -> Result<(), LogicalError> {
        let mut running = Running::start(self.programs, "pg_restore", |command| {
            command.args(["--exit-on-error", "--no-password", "--section", section]);
            match jobs {
                Some(jobs) => command.arg(format!("--jobs={jobs}")),
                None => command.arg("--single-transaction"),
            };
            if self.without_owners {
                command.args(["--no-owner", "--no-privileges"]);
            }
            if let Some(list) = &self.list {
                command.arg(format!("--use-list={}", list.path()));
            }
            command
                .arg("--dbname")
                .arg(self.address.words())
                .arg(self.archive.path());
            give_password(command.stdout(Stdio::null()), self.address);
        })?;
        match running.wait(&self.client.stop)? {
            true => Ok(()),
            false => Err(running.failed().into()),
        }
    }
}
