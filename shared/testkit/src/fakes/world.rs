//! A whole world of fakes.

use std::sync::Arc;

use holdfast_core::domain::{Region, Span, Vault, VaultName};
use holdfast_core::workflow::{Settings, World};
use jiff::SignedDuration;

use super::{
    FakeActuators, FakeBus, FakeCatalog, FakeClock, FakeEngine, FakeEvidence, FakeIds, FakeKeys, FakePager, FakeProbes,
    FakeQueue,
};

/// The world of a deployment in eu-central-1 with these vaults, each a name and a Region, where nothing has happened yet.
/// Panics on a name that is none.
pub fn fake_world(clock: Arc<FakeClock>, vaults: &[(&str, &str)]) -> World {
    let region = |name: &str| Region::new(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let vault = |(name, place): &(&str, &str)| Vault {
        name: VaultName::new(*name).unwrap_or_else(|error| panic!("{name}: {error}")),
        region: region(place),
    };
    World {
        catalog: Arc::<FakeCatalog>::default(),
        bus: Arc::new(FakeBus::new(Arc::new(FakeQueue::new(clock.clone())))),
        engine: Arc::new(FakeEngine::new(clock.clone())),
        pager: Arc::<FakePager>::default(),
        keys: Arc::<FakeKeys>::default(),
        evidence: Arc::<FakeEvidence>::default(),
        actuators: Arc::new(FakeActuators::new(clock.clone())),
        probes: Arc::<FakeProbes>::default(),
        clock,
        ids: Arc::new(FakeIds::default()),
        settings: Settings {
            home: region("eu-central-1"),
            vaults: vaults.iter().map(vault).collect(),
            poll: SignedDuration::from_secs(30),
            lease: Span::minutes(10),
            reclaim_grace: Span::hours(1),
            drill_area: "s3://drills/area".to_owned(),
            two_people: true,
        },
        remembered: Arc::default(),
    }
}
