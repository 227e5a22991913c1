//! The contract of every engine.

use std::fs;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use holdfast_core::domain::JobId;
use holdfast_core::ports::{Engine, Task};
use holdfast_sources::content_engine::ContentEngine;
use holdfast_testkit::contract::engine::{EngineWorld, suite};

use crate::world::{PRIMARY, World, finish};

struct RealWorld {
    world: World,
    engine: Mutex<ContentEngine>,
}

impl RealWorld {
    fn current(&self) -> ContentEngine {
        self.engine.lock().expect("engine").clone()
    }
}

#[async_trait]
impl EngineWorld for RealWorld {
    fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.current())
    }

    fn backup(&self, job: JobId, attempt: u32) -> Task {
        Task {
            job,
            attempt,
            ..self.world.backup("")
        }
    }

    async fn finish(&self) {
        finish(&self.current()).await;
    }

    fn doom_next(&self) {
        self.world.door.jammed.store(true, Ordering::SeqCst);
    }

    async fn crash(&self) {
        self.current().stop();
        finish(&self.current()).await;
        *self.engine.lock().expect("engine") = self.world.engine();
    }

    async fn forget(&self) {
        self.crash().await;
        fs::remove_dir_all(self.world.path("receipts")).expect("receipts");
        fs::create_dir(self.world.path("receipts")).expect("receipts");
    }

    fn set_reachable(&self, reachable: bool) {
        self.world.door.jammed.store(!reachable, Ordering::SeqCst);
    }

    async fn artefacts(&self) -> usize {
        fs::read_dir(self.world.repository(PRIMARY).join("snapshots")).map_or(0, Iterator::count)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_engine_keeps_the_contract_of_every_engine() {
    suite(async || {
        let world = World::new();
        let engine = Mutex::new(world.engine());
        RealWorld { world, engine }
    })
    .await;
}
