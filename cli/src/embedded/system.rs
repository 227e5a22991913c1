//! Putting the embedded system together.

use std::path::Path;
use std::sync::Arc;

use holdfast_core::config::Config;
use holdfast_core::domain::{Failure, FailureKind, ResourceId, Span, VaultName};
use holdfast_core::ports::{Clock, Queue};
use holdfast_core::workflow::{Settings, World, apply};
use holdfast_failover::actuators::EmbeddedActuators;
use holdfast_failover::probes::NetworkProbes;
use holdfast_local::{
    DataFolder, Database, FileKeys, LocalBus, Regions, SqliteCatalog, SqliteQueue, StderrPager, SystemIds,
    repository_password,
};
use holdfast_repository::Ambient;
use holdfast_sources::content_engine::places::PlacesByScheme;
use holdfast_sources::content_engine::{ContentEngine, ContentEngineParts, ReceiptStore};
use jiff::SignedDuration;

use super::CatalogAuthorities;

/// What differs between the server and the demo.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The engine's time, randomness and identity; its time is the clock's.
    pub ambient: Ambient,
    /// How long to let the engine work before looking again.
    pub poll: SignedDuration,
    /// Whether pages are printed to standard error, besides being kept in a file.
    pub print_pages: bool,
}

/// The embedded system.
pub struct System {
    /// What the handlers are given.
    pub world: World,
    /// Their queues.
    pub queue: Arc<dyn Queue>,
    /// The engine, to stop it and to watch it.
    pub engine: ContentEngine,
    /// The data folder.
    pub data: DataFolder,
}

impl System {
    /// Opens the system on a data folder, making what is not there yet.
    pub fn open(config: &Config, data: DataFolder, parts: Parts) -> Result<Self, Failure> {
        let database = Database::open(data.database())?;
        let queue = Arc::new(SqliteQueue::new(database.clone(), Arc::clone(&parts.clock)));
        let keys = Arc::new(FileKeys::open_or_create(data.keys(), &parts.ambient)?);
        keys.export_public_key(&data.public_key())?;
        let regions = Arc::new(Regions::open(&data, &config.vaults)?);
        let evidence = regions.evidence()?;
        let drills = data.path().join("drills");
        let drill_area = path_text(&drills)?;
        let escrow_password = repository_password(&data, &parts.ambient)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let now = parts.ambient.now;
        let engine = ContentEngine::new(ContentEngineParts {
            open_storage: Arc::new(move |vault: &VaultName, resource: &ResourceId| regions.storage(vault, resource)),
            keys: keys.clone(),
            escrow_password: Arc::new(move || Ok(escrow_password.clone())),
            ambient: parts.ambient,
            receipts: ReceiptStore::Folder(data.path().join("receipts")),
            places: Arc::new(PlacesByScheme::files(drills)),
            server_password: Arc::new(server_password),
            spools: data.path().join("spools"),
            readers: threads,
            threads,
        })?;
        let pager = StderrPager::new(data.pages(), Arc::clone(&parts.clock));
        let pager = if parts.print_pages { pager } else { pager.to_file_only() };
        let catalog = Arc::new(SqliteCatalog::new(database));
        let authorities = Arc::new(CatalogAuthorities(catalog.clone()));
        let probes = Arc::new(NetworkProbes::new(now));
        let world = World {
            catalog,
            bus: Arc::new(LocalBus::new(queue.clone())),
            engine: Arc::new(engine.clone()),
            pager: Arc::new(pager),
            keys,
            evidence: Arc::new(evidence),
            actuators: Arc::new(EmbeddedActuators::new(authorities, parts.clock.clone())),
            probes,
            clock: parts.clock,
            ids: Arc::new(SystemIds),
            settings: Settings {
                home: config.settings.region.clone(),
                vaults: config.vaults.clone(),
                poll: parts.poll,
                lease: Span::minutes(10),
                reclaim_grace: Span::days(1),
                drill_area,
                two_people: false,
            },
            remembered: Arc::default(),
        };
        Ok(Self {
            world,
            queue,
            engine,
            data,
        })
    }

    /// Brings the catalog to what the configuration says.
    pub async fn apply(&self, config: &Config) -> Result<apply::Applied, Failure> {
        apply::apply(&self.world, &config.resources, &config.policies, &config.plans).await
    }
}

/// The password of a server: the first line of a file. Only AWS has secrets.
fn server_password(place: &str) -> Result<String, Failure> {
    let invalid = |message: String| Failure::new(FailureKind::Invalid, message);
    if place.starts_with("arn:") {
        return Err(invalid(format!(
            "{place} is a secret of AWS; name a password-file here"
        )));
    }
    let text = std::fs::read_to_string(place)
        .map_err(|error| invalid(format!("password file {place} cannot be read: {error}")))?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(invalid(format!(
            "password file {place} is empty: write the password into its first line"
        ))),
    }
}

fn path_text(path: &Path) -> Result<String, Failure> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| {
        Failure::new(
            FailureKind::Invalid,
            format!("the data folder {} is not valid UTF-8", path.display()),
        )
    })
}
