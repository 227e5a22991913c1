//! The content engine on AWS: repositories in the buckets of vaults, prefixes of buckets as what is protected, and executions
//! that share their work through leases in the catalog.

use std::sync::Arc;

use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Failure, FailureKind, ResourceId, Span, VaultName};
use holdfast_core::ports::{Catalog, Clock, Ids, Keys};
use holdfast_repository::storage::Storage;
use holdfast_sources::content_engine::places::PlacesByScheme;
use holdfast_sources::content_engine::{
    ContentEngine, ContentEngineParts, ExecutorParts, OpenStorage, ReceiptStore, ServerPassword, SharedEngine,
};
use tokio::runtime::Handle;

use crate::clients::Clients;
use crate::s3::{S3Address, S3Places};
use crate::secrets::Secret;
use crate::storage::{S3Storage, S3StorageOptions};
use crate::system::ambient;

/// How long the part of an execution that died stays taken: some renewals more than the pause between two of them.
const TERM: Span = Span::minutes(3);
/// Into how many slices a backup is dealt that one execution could not finish. Each minute's wake-up brings one more
/// execution to it.
const SLICES: u32 = 4;
/// Tasks of one execution at one time: each may hold some hundred megabytes.
const AT_ONCE: usize = 2;
/// Objects read at one time by one execution: they wait for S3 most of the time.
const READERS: usize = 16;
/// Threads of every other stage at the least: they wait for S3, too.
const THREADS: usize = 4;

/// The engine of content in this process.
pub(crate) fn engine(
    clients: &Arc<Clients>,
    deployment: &Deployment,
    keys: Arc<dyn Keys>,
    catalog: &Arc<dyn Catalog>,
    clock: &Arc<dyn Clock>,
    ids: &dyn Ids,
) -> Result<SharedEngine, Failure> {
    let runtime = Handle::try_current()
        .map_err(|error| Failure::caused(FailureKind::Bug, "the content engine needs a Tokio runtime", error))?;
    // Unique: a lock of a process that goes by the same name is believed to be dead where its number is not found.
    let executor = format!("lambda-{}", ids.fresh());
    let drill_area: S3Address = deployment.drill_area.parse().map_err(|error: Failure| {
        let message = format!("HOLDFAST_DRILL_AREA: {}", error.message);
        Failure::caused(FailureKind::Invalid, message, error)
    })?;
    let places = S3Places::new(Arc::clone(clients), runtime.clone(), drill_area);
    let escrow = Secret::new(
        clients.of_arn(&deployment.escrow_secret).secretsmanager(),
        deployment.escrow_secret.clone(),
    );
    let (asking, passwords) = (runtime.clone(), runtime.clone());
    let engine = ContentEngine::new(ContentEngineParts {
        open_storage: vaults(clients, deployment, runtime),
        keys,
        ambient: ambient(executor.clone()),
        escrow_password: Arc::new(move || asking.block_on(escrow.read()).map(str::to_owned)),
        receipts: ReceiptStore::Catalog(Arc::clone(catalog)),
        places: Arc::new(PlacesByScheme::only("s3://", Arc::new(places))),
        server_password: server_passwords(clients, passwords),
        spools: std::env::temp_dir().join("holdfast-log"),
        readers: READERS,
        threads: std::thread::available_parallelism().map_or(THREADS, |cores| cores.get().max(THREADS)),
    })?;
    let parts = ExecutorParts {
        catalog: Arc::clone(catalog),
        clock: Arc::clone(clock),
        executor,
        term: TERM,
        slices: SLICES,
        at_once: AT_ONCE,
    };
    Ok(SharedEngine::new(engine, parts))
}

/// The passwords of servers, each read anew, so that one that was changed is the one that counts.
fn server_passwords(clients: &Arc<Clients>, runtime: Handle) -> ServerPassword {
    let clients = Arc::clone(clients);
    Arc::new(move |place: &str| {
        if !place.starts_with("arn:") {
            let message = "a function has no files: name the password of the server as \"password-secret\"";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let secret = Secret::new(clients.of_arn(place).secretsmanager(), place);
        runtime.block_on(secret.read()).map(str::to_owned)
    })
}

/// Leads to the repository of a resource: below `repositories/<resource>` in its vault's bucket.
fn vaults(clients: &Arc<Clients>, deployment: &Deployment, runtime: Handle) -> OpenStorage {
    let (clients, deployment) = (Arc::clone(clients), deployment.clone());
    Arc::new(move |vault: &VaultName, resource: &ResourceId| {
        let vault = deployment.vault(vault)?;
        let options = S3StorageOptions {
            bucket: vault.bucket.clone(),
            prefix: format!("repositories/{resource}"),
            kms_key: Some(vault.key.clone()),
            ..S3StorageOptions::default()
        };
        let storage = S3Storage::new(clients.of(&vault.region).s3(), runtime.clone(), options);
        Ok(Arc::new(storage) as Arc<dyn Storage>)
    })
}
