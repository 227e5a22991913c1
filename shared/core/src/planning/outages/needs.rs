//! What steps need to be there.

use crate::domain::Region;

use super::outage::{Need, Service};

/// A need in a Region.
pub(super) fn need(service: Service, region: &Region) -> Need {
    Need {
        service,
        region: Some(region.clone()),
    }
}
