//! What commands share that start a private server over a backup.

use holdfast_sources::postgres::isolated::Request;

use super::{checked, client, recovery, workers};
use crate::args::{PrivateServer, RecoveryOptions, ServerPlace};
use crate::embedded::absolute;
use crate::error::CliError;
use crate::repository::interrupt::Interrupt;
use crate::repository::meter::Meter;
use crate::repository::open;

/// Opens the repository for reading, says which backup is to be recovered where, and lets go of the repository when the work
/// is done.
pub fn with_cluster<T>(
    kept: &ServerPlace,
    options: &RecoveryOptions,
    server: &PrivateServer,
    interrupt: &Interrupt,
    work: impl FnOnce(Request<'_>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let resource = checked(&kept.name)?;
    let recovery = recovery(options)?;
    let repository = open::to_read(&kept.place)?;
    let lock = open::reader_lock(&repository)?;
    let index = repository.load_index()?;
    let meter = Meter::new("restore");
    let client = client(interrupt);
    let done = work(Request {
        repository: &repository,
        index: &index,
        resource,
        recovery: &recovery,
        base: options.base.as_deref(),
        folder: &absolute(&server.folder)?,
        programs: server.programs.as_deref(),
        superuser: &server.superuser,
        workers: workers(&kept.place),
        progress: &meter,
        client: &client,
    })?;
    drop(meter);
    open::release(lock)?;
    Ok(done)
}
