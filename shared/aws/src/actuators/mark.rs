//! The newest generation that has changed an actuator. AWS keeps none, so the catalog does.

use holdfast_core::domain::{ActOrder, ActuatorName, Failure, RunId};
use holdfast_core::ports::{Catalog, Key, Wake};
use holdfast_core::workflow::records::{self, Record};
use serde::{Deserialize, Serialize};

use super::fenced;

/// The newest generation under which somebody set out to change an actuator, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    actuator: ActuatorName,
    generation: u64,
    run: RunId,
}

impl Record for Mark {
    const KIND: &'static str = "actuator_mark";
    fn key(&self) -> Key {
        Key {
            partition: format!("ACTUATOR#{}", self.actuator),
            sort: "MARK".to_owned(),
        }
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// Raises the mark of the order's actuator to `generation`; where it stands higher, that is
/// [`Fenced`](holdfast_core::domain::FailureKind::Fenced).
pub(super) async fn raise(catalog: &dyn Catalog, order: &ActOrder, generation: u64) -> Result<(), Failure> {
    let own = Mark {
        actuator: order.on.name().clone(),
        generation,
        run: order.on.run().clone(),
    };
    let Some(stored) = records::insert(catalog, &own).await? else {
        return Ok(());
    };
    if stored.value == own {
        return Ok(());
    }
    let place = own.key();
    let newest = records::amend(catalog, &place, |stored: &mut Mark| {
        let raises = stored.generation < generation;
        if raises {
            stored.clone_from(&own);
        }
        raises
    });
    let newest = newest.await?;
    if newest == own {
        return Ok(());
    }
    Err(fenced(order, newest.generation))
}
