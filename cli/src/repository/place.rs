//! Where a repository is, and what is backed up: in folders, or on S3 in a program that was built with it.

use std::path::Path;
use std::sync::Arc;

use holdfast_repository::backup::Source;
use holdfast_repository::storage::{DiskStorage, Storage};
use holdfast_repository::{ErrorKind, RepositoryError};
use holdfast_sources::files::Patterns;

use crate::error::CliError;

/// What addresses on S3 begin with.
const S3: &str = "s3://";

/// Requests under way at one time to a store that answers after some milliseconds.
const REMOTE_AT_ONCE: usize = 12;
/// The same where each takes little memory.
const REMOTE_STREAMS: usize = 24;

/// A store that must be there already. Nothing is written to it.
pub fn existing(place: &Path) -> Result<Arc<dyn Storage>, CliError> {
    if let Some(address) = on_s3(place) {
        return s3::open(address);
    }
    let opened = DiskStorage::open(place).map_err(|error| match error.kind() {
        ErrorKind::NotFound => RepositoryError::NoRepository {
            location: place.display().to_string(),
        },
        _ => error,
    });
    Ok(Arc::new(opened?))
}

/// A store that must be there already, to write to; what writers that died left half written is removed.
pub fn existing_to_write(place: &Path) -> Result<Arc<dyn Storage>, CliError> {
    let opened = existing(place)?;
    match on_s3(place) {
        Some(_) => Ok(opened),
        None => open_or_create(place),
    }
}

/// A store to write to. A folder is made if it is not there, and what writers that died left half written is removed.
pub fn open_or_create(place: &Path) -> Result<Arc<dyn Storage>, CliError> {
    match on_s3(place) {
        Some(address) => s3::open(address),
        None => Ok(Arc::new(DiskStorage::open_or_create(place)?)),
    }
}

/// The objects below an address on S3 as what is backed up; none where it is a path.
pub fn objects(address: &Path, patterns: &Patterns) -> Option<Result<Box<dyn Source>, CliError>> {
    on_s3(address).map(|address| s3::objects(address, patterns.clone()))
}

/// How many requests to have under way there at one time that each hold a pack, where a folder is worth `local`.
pub fn requests_at_once(place: &Path, local: usize) -> usize {
    at_once(place, local, REMOTE_AT_ONCE)
}

/// How many requests to have under way at one time of which each brings its pack piece by piece: they are bound by what one
/// connection carries.
pub fn streams_at_once(place: &Path, local: usize) -> usize {
    at_once(place, local, REMOTE_STREAMS)
}

fn at_once(place: &Path, local: usize, remote: usize) -> usize {
    if is_remote(place) { local.max(remote) } else { local }
}

/// Whether each request to it takes some milliseconds, and costs.
pub fn is_remote(place: &Path) -> bool {
    on_s3(place).is_some()
}

/// One for each processor.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn on_s3(place: &Path) -> Option<&str> {
    place.to_str().filter(|address| address.starts_with(S3))
}

#[cfg(feature = "s3")]
mod s3 {
    use std::sync::{Arc, OnceLock};

    use holdfast_aws::Clients;
    use holdfast_aws::s3::{S3Address, S3Places};
    use holdfast_aws::storage::{S3Storage, S3StorageOptions};
    use holdfast_core::domain::{Failure, Region};
    use holdfast_repository::backup::Source;
    use holdfast_repository::storage::{ReadAhead, Storage};
    use holdfast_sources::content_engine::places::Places;
    use holdfast_sources::files::Patterns;
    use tokio::runtime::{Handle, Runtime};

    use crate::error::CliError;

    /// Speaks to S3 as long as the program lasts.
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();

    /// Clients with the credentials, the Region and the endpoint of the environment.
    fn clients() -> Result<(Arc<Clients>, Handle), CliError> {
        let region = region()?;
        let runtime = match RUNTIME.get() {
            Some(runtime) => runtime,
            None => {
                let made = Runtime::new().map_err(|error| CliError::failed(format!("no threads: {error}")))?;
                RUNTIME.get_or_init(|| made)
            }
        };
        let clients = runtime
            .block_on(Clients::from_environment(region))
            .map_err(|failure| CliError::failed(failure.message))?;
        Ok((Arc::new(clients), runtime.handle().clone()))
    }

    fn parsed(address: &str) -> Result<S3Address, CliError> {
        address
            .parse()
            .map_err(|failure: Failure| CliError::usage(failure.message))
    }

    pub fn objects(address: &str, patterns: Patterns) -> Result<Box<dyn Source>, CliError> {
        let (clients, runtime) = clients()?;
        // Nothing is ever cleaned by these commands.
        let places = S3Places::new(clients, runtime, parsed(address)?);
        places
            .source(address, patterns)
            .map_err(|failure| CliError::failed(failure.message))
    }

    pub fn open(address: &str) -> Result<Arc<dyn Storage>, CliError> {
        let address = parsed(address)?;
        let (clients, runtime) = clients()?;
        let options = S3StorageOptions {
            bucket: address.bucket().to_owned(),
            prefix: address.prefix().to_owned(),
            ..S3StorageOptions::default()
        };
        let storage = S3Storage::new(clients.home().s3(), runtime, options);
        Ok(Arc::new(ReadAhead::new(Arc::new(storage))))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the settings of AWS come from the environment, as for its own tools"
    )]
    fn region() -> Result<Region, CliError> {
        let named = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| std::env::var(name).ok());
        let named = named.ok_or_else(|| CliError::usage("set AWS_REGION to the Region of the bucket"))?;
        Region::new(&named).map_err(|error| CliError::usage(format!("AWS_REGION: {error}")))
    }
}

#[cfg(not(feature = "s3"))]
mod s3 {
    use std::sync::Arc;

    use holdfast_repository::backup::Source;
    use holdfast_repository::storage::Storage;
    use holdfast_sources::files::Patterns;

    use crate::error::CliError;

    fn without(address: &str) -> CliError {
        CliError::usage(format!(
            "{address}: this program was built without S3; build it with `cargo build --release --features s3`"
        ))
    }

    pub fn objects(address: &str, _: Patterns) -> Result<Box<dyn Source>, CliError> {
        Err(without(address))
    }

    pub fn open(address: &str) -> Result<Arc<dyn Storage>, CliError> {
        Err(without(address))
    }
}
