//! What each act of an actuator needs to be there.

use crate::domain::{Act, ActuatorKind, Region};

use super::outage::{Need, Service};

/// What an act on an actuator of this kind, which stands in `region`, needs. `other` is the Region of the other side.
pub(super) fn needs_of_act(kind: ActuatorKind, act: &Act, region: &Region, other: &Region) -> Vec<Need> {
    let here = |service| need(service, region);
    let both = |service| vec![need(service, region), need(service, other)];
    match kind {
        ActuatorKind::Postgres | ActuatorKind::Dns | ActuatorKind::Command => vec![here(Service::Machine)],
        // Whoever answers a resolver looks at the health check, which looks at the object.
        ActuatorKind::Route53Marker => vec![here(Service::Objects), anywhere(Service::HealthChecks)],
        ActuatorKind::ArcRoutingControl => vec![anywhere(Service::RoutingControls)],
        // A switchover waits until the other side has sent everything; a failover is called in the Region that takes over.
        ActuatorKind::AuroraGlobal => match act {
            Act::Promote { allow_loss: true } => vec![here(Service::Databases)],
            _ => both(Service::Databases),
        },
        ActuatorKind::RdsReplica => match act {
            Act::Follow { .. } => both(Service::Databases),
            _ => vec![here(Service::Databases)],
        },
        ActuatorKind::EcsService | ActuatorKind::AutoScalingGroup => vec![here(Service::Launches)],
        ActuatorKind::LambdaFunction => match act {
            Act::Invoke { .. } => vec![here(Service::Functions)],
            _ => vec![here(Service::FunctionSettings)],
        },
    }
}

/// Whether the act is known to stand although the thing cannot be reached: the guard of a PostgreSQL server ends its writes
/// when its lease has run out.
pub(super) fn stands_unreached(kind: ActuatorKind, act: &Act) -> bool {
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
