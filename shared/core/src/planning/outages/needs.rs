//! What steps need to be there.

use crate::domain::{Act, ActuatorKind, Region};

use super::outage::{Need, Service};

/// What an act on an actuator of this kind, which stands in `region`, needs. `other` is the Region of the other side.
pub fn needs_of_act(kind: ActuatorKind, act: &Act, region: &Region, other: &Region) -> Vec<Need> {
    let here = |service| vec![need(service, region)];
    let both = |service| vec![need(service, region), need(service, other)];
    match (kind, act) {
        (ActuatorKind::Postgres | ActuatorKind::Dns | ActuatorKind::Command, _) => here(Service::Machine),
        // Whoever answers a resolver looks at the health check, which looks at the object.
        (ActuatorKind::Route53Marker, _) => vec![need(Service::Objects, region), anywhere(Service::HealthChecks)],
        (ActuatorKind::ArcRoutingControl, _) => vec![anywhere(Service::RoutingControls)],
        // A failover is called in the Region that takes over, and a switchover waits until the other side has sent everything.
        (ActuatorKind::AuroraGlobal, Act::Promote { allow_loss: true }) => here(Service::Databases),
        (ActuatorKind::AuroraGlobal, _) | (ActuatorKind::RdsReplica, Act::Follow { .. }) => both(Service::Databases),
        (ActuatorKind::RdsReplica, _) => here(Service::Databases),
        (ActuatorKind::EcsService | ActuatorKind::AutoScalingGroup, _) => here(Service::Launches),
        (ActuatorKind::LambdaFunction, Act::Invoke { .. }) => here(Service::Functions),
        (ActuatorKind::LambdaFunction, _) => here(Service::FunctionSettings),
    }
}

/// Whether an act comes to stand although the thing cannot be reached: the guard of a PostgreSQL server ends its writes when its
/// lease has run out.
pub fn stands_unreached(kind: ActuatorKind, act: &Act) -> bool {
    kind == ActuatorKind::Postgres && *act == Act::Fence
}

/// A need in a Region.
pub(super) fn need(service: Service, region: &Region) -> Need {
    Need {
        service,
        region: Some(region.clone()),
    }
}

/// A need in no Region.
pub(super) fn anywhere(service: Service) -> Need {
    Need { service, region: None }
}
