//! Services that run or do not: ECS services and Auto Scaling groups, brought to a capacity or to nothing. One at nothing
//! writes nothing, so that stopping is fencing as well.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LifecycleState};
use aws_sdk_ecs::types::Service;
use holdfast_core::domain::{Act, ActOrder, Failure, FailureKind, Seen};
use holdfast_core::ports::Actuators;

use super::{cannot, done, invalid, settings};
use crate::clients::Clients;
use crate::failure::failure;

/// How many are wanted: none, or what the setting `key` says.
fn wanted(order: &ActOrder, key: &str) -> Result<i32, Failure> {
    match order.act {
        Act::Start | Act::Unfence => settings::count(order, key),
        Act::Stop | Act::Fence => Ok(0),
        _ => Err(cannot(order, "start, stop, fence and unfence")),
    }
}

/// How many there are.
struct Count {
    /// That the service is told to have.
    desired: i32,
    /// That work.
    serving: i32,
    /// That exist, whether they work or not.
    present: i32,
}

impl Count {
    /// What is seen where `wanted` are. A service that was given more by its own scaling is at its capacity.
    fn seen(&self, wanted: i32, what: &str) -> Seen {
        let Self {
            desired,
            serving,
            present,
        } = self;
        if wanted == 0 {
            return match (*desired, *present) {
                (0, 0) => done(format!("none of {what} is left")),
                (0, left) => working(format!("{left} of {what} are left")),
                _ => Seen::NotDone,
            };
        }
        if *desired < wanted {
            return Seen::NotDone;
        }
        match *serving >= wanted {
            true => done(format!("{serving} of {what} work")),
            false => working(format!("{serving} of {wanted} of {what} work")),
        }
    }
}

fn working(note: String) -> Seen {
    Seen::Working { note }
}

fn missing(what: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("there is no {what}"))
}

/// ECS services.
pub(super) struct EcsServices {
    pub clients: Arc<Clients>,
}

impl EcsServices {
    async fn find(&self, order: &ActOrder) -> Result<Service, Failure> {
        let (cluster, service) = (
            settings::required(order, "cluster")?,
            settings::required(order, "service")?,
        );
        let client = self.clients.of(order.on.region()).ecs();
        let call = client.describe_services().cluster(cluster).services(service);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("ECS DescribeServices", service, &error))?;
        let found = answer
            .services()
            .iter()
            .find(|found| found.status() == Some("ACTIVE"))
            .cloned();
        found.ok_or_else(|| {
            missing(&format!(
                "active ECS service {service} in cluster {cluster} in {}",
                order.on.region()
            ))
        })
    }

    async fn seen(&self, order: &ActOrder) -> Result<(i32, Seen), Failure> {
        let wanted = wanted(order, "count")?;
        let service = self.find(order).await?;
        let count = Count {
            desired: service.desired_count(),
            serving: service.running_count(),
            present: service.running_count() + service.pending_count(),
        };
        let what = format!("the tasks of {}", service.service_name().unwrap_or_default());
        Ok((wanted, count.seen(wanted, &what)))
    }
}

#[async_trait]
impl Actuators for EcsServices {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let (wanted, seen) = self.seen(order).await?;
        if seen != Seen::NotDone {
            return Ok(());
        }
        let service = settings::required(order, "service")?;
        let client = self.clients.of(order.on.region()).ecs();
        let call = client
            .update_service()
            .cluster(settings::required(order, "cluster")?)
            .service(service)
            .desired_count(wanted);
        let answer = call.send().await.map(|_| ());
        answer.map_err(|error| failure("ECS UpdateService", service, &error))
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        self.seen(order).await.map(|(_, seen)| seen)
    }
}

/// Auto Scaling groups.
pub(super) struct AutoScalingGroups {
    pub clients: Arc<Clients>,
}

impl AutoScalingGroups {
    async fn find(&self, order: &ActOrder, name: &str) -> Result<AutoScalingGroup, Failure> {
        let client = self.clients.of(order.on.region()).autoscaling();
        let call = client.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("Auto Scaling DescribeAutoScalingGroups", name, &error))?;
        let found = answer.auto_scaling_groups().first().cloned();
        found.ok_or_else(|| missing(&format!("Auto Scaling group {name} in {}", order.on.region())))
    }

    fn count(group: &AutoScalingGroup) -> Result<Count, Failure> {
        let number = |count: usize| {
            i32::try_from(count).map_err(|error| {
                Failure::caused(FailureKind::Invalid, "Auto Scaling told of too many instances", error)
            })
        };
        let instances = group.instances();
        let works = instances.iter().filter(|instance| {
            instance.lifecycle_state() == Some(&LifecycleState::InService)
                && instance.health_status() == Some("Healthy")
        });
        Ok(Count {
            desired: group.desired_capacity().unwrap_or(0),
            serving: number(works.count())?,
            present: number(instances.len())?,
        })
    }
}

#[async_trait]
impl Actuators for AutoScalingGroups {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let (name, wanted) = (settings::required(order, "group")?, wanted(order, "capacity")?);
        let group = self.find(order, name).await?;
        if Self::count(&group)?.seen(wanted, name) != Seen::NotDone {
            return Ok(());
        }
        let (least, most) = (group.min_size().unwrap_or(0), group.max_size().unwrap_or(0));
        if !(least..=most).contains(&wanted) {
            let why = format!(
                "Auto Scaling group {name} takes {least} to {most} instances, not {wanted}: change its limits beforehand"
            );
            return Err(invalid(order, why));
        }
        let client = self.clients.of(order.on.region()).autoscaling();
        let call = client
            .set_desired_capacity()
            .auto_scaling_group_name(name)
            .desired_capacity(wanted)
            .honor_cooldown(false);
        let answer = call.send().await.map(|_| ());
        answer.map_err(|error| failure("Auto Scaling SetDesiredCapacity", name, &error))
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let (name, wanted) = (settings::required(order, "group")?, wanted(order, "capacity")?);
        let count = Self::count(&self.find(order, name).await?)?;
        Ok(count.seen(wanted, &format!("the instances of {name}")))
    }
}
