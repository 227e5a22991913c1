//! What runs and what leads traffic to it: ECS services, Auto Scaling groups, functions, routing controls.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::rds::{Call, Refusal, refuse};
use super::requests::Request;
use super::state::State;
use super::xml::{element, text};

/// How much runs of something.
#[derive(Debug, Clone)]
pub(super) struct Capacity {
    desired: i32,
    /// What it had when it was told otherwise.
    before: i32,
    changed_at: Timestamp,
    least: i32,
    most: i32,
}

/// A function: how many may run at once, and what it was called with.
#[derive(Debug, Clone, Default)]
pub(super) struct Function {
    reserved: Option<i32>,
    calls: Vec<String>,
}

/// Everything here.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// By Region and name; a service's name is `cluster/service`.
    capacities: BTreeMap<(String, String), Capacity>,
    functions: BTreeMap<(String, String), Function>,
    /// Routing controls that are on.
    controls: BTreeMap<String, bool>,
}

impl State {
    /// Makes an ECS service (`cluster/service`) or an Auto Scaling group that has `desired` of `least` to `most`.
    pub fn add_capacity(&mut self, region: &str, name: &str, desired: i32, limits: (i32, i32)) {
        let capacity = Capacity {
            desired,
            before: desired,
            changed_at: Timestamp::UNIX_EPOCH,
            least: limits.0,
            most: limits.1,
        };
        let place = (region.to_owned(), name.to_owned());
        self.services.capacities.insert(place, capacity);
    }

    /// How much of an ECS service or an Auto Scaling group there is now.
    pub fn present_of(&self, region: &str, name: &str) -> Option<i32> {
        let place = (region.to_owned(), name.to_owned());
        self.services
            .capacities
            .get(&place)
            .map(|capacity| self.present(capacity))
    }

    /// Makes a function.
    pub fn add_function(&mut self, region: &str, name: &str) {
        let place = (region.to_owned(), name.to_owned());
        self.services.functions.insert(place, Function::default());
    }

    /// Reserves so many of a function to run at once.
    pub fn reserve(&mut self, region: &str, name: &str, count: Option<i32>) {
        let place = (region.to_owned(), name.to_owned());
        if let Some(function) = self.services.functions.get_mut(&place) {
            function.reserved = count;
        }
    }

    /// How many of a function may run at once; none where nothing is reserved for it.
    pub fn reserved_of(&self, region: &str, name: &str) -> Option<i32> {
        let place = (region.to_owned(), name.to_owned());
        self.services
            .functions
            .get(&place)
            .and_then(|function| function.reserved)
    }

    /// What a function was called with.
    pub fn calls_of_function(&self, region: &str, name: &str) -> Vec<String> {
        let place = (region.to_owned(), name.to_owned());
        self.services
            .functions
            .get(&place)
            .map(|function| function.calls.clone())
            .unwrap_or_default()
    }

    /// Makes a routing control.
    pub fn add_control(&mut self, arn: &str, is_on: bool) {
        self.services.controls.insert(arn.to_owned(), is_on);
    }

    /// Whether a routing control is on.
    pub fn is_on(&self, arn: &str) -> bool {
        self.services.controls.get(arn) == Some(&true)
    }

    fn present(&self, capacity: &Capacity) -> i32 {
        let settled = capacity
            .changed_at
            .saturating_add(self.move_takes)
            .unwrap_or(Timestamp::MAX)
            <= self.now;
        if settled { capacity.desired } else { capacity.before }
    }

    fn resize(&mut self, place: &(String, String), desired: i32) -> bool {
        let Some(capacity) = self.services.capacities.get(place) else {
            return false;
        };
        let changed = Capacity {
            desired,
            before: self.present(capacity),
            changed_at: self.now,
            ..capacity.clone()
        };
        self.services.capacities.insert(place.clone(), changed);
        true
    }

    fn service_json(&self, region: &str, name: &str) -> Option<Value> {
        let capacity = self.services.capacities.get(&(region.to_owned(), name.to_owned()))?;
        let running = self.present(capacity);
        Some(json!({
            "serviceName": name.rsplit('/').next(),
            "status": "ACTIVE",
            "desiredCount": capacity.desired,
            "runningCount": running,
            "pendingCount": (capacity.desired - running).max(0),
        }))
    }
}

/// A call of ECS.
pub(super) fn ecs(state: &mut State, region: &str, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let cluster = body["cluster"].as_str().unwrap_or("default");
    let named = |service: &Value| format!("{cluster}/{}", service.as_str().unwrap_or_default());
    match operation {
        "DescribeServices" => {
            let names = body["services"].as_array().cloned().unwrap_or_default();
            let found: Vec<Value> = names
                .iter()
                .filter_map(|name| state.service_json(region, &named(name)))
                .collect();
            Ok(json!({ "services": found, "failures": [] }))
        }
        "UpdateService" => {
            let name = named(&body["service"]);
            let desired = body["desiredCount"]
                .as_i64()
                .and_then(|count| i32::try_from(count).ok())
                .unwrap_or(0);
            if !state.resize(&(region.to_owned(), name.clone()), desired) {
                return refuse("ServiceNotFoundException", "Service not found.");
            }
            Ok(json!({ "service": state.service_json(region, &name) }))
        }
        other => refuse("InvalidAction", format!("The stand-in knows no {other} of ECS.")),
    }
}

/// A call of the data plane of routing controls. A control must be on: the safety rule that everybody has.
pub(super) fn routing_controls(state: &mut State, operation: &str, body: &Value) -> Result<Value, Refusal> {
    let controls = &mut state.services.controls;
    let word = |is_on: bool| if is_on { "On" } else { "Off" };
    match operation {
        "GetRoutingControlState" => {
            let arn = body["RoutingControlArn"].as_str().unwrap_or_default();
            match controls.get(arn) {
                Some(is_on) => Ok(json!({ "RoutingControlArn": arn, "RoutingControlState": word(*is_on) })),
                None => refuse("ResourceNotFoundException", format!("{arn} not found")),
            }
        }
        "UpdateRoutingControlStates" => {
            let mut changed = controls.clone();
            for entry in body["UpdateRoutingControlStateEntries"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let arn = entry["RoutingControlArn"].as_str().unwrap_or_default();
                let Some(control) = changed.get_mut(arn) else {
                    return refuse("ResourceNotFoundException", format!("{arn} not found"));
                };
                *control = entry["RoutingControlState"] == "On";
            }
            if !changed.values().any(|is_on| *is_on) {
                return Err(Refusal(
                    "ConflictException",
                    "The change violates a safety rule.".to_owned(),
                    409,
                ));
            }
            *controls = changed;
            Ok(json!({}))
        }
        other => refuse(
            "InvalidAction",
            format!("The stand-in knows no {other} of routing controls."),
        ),
    }
}

/// A call of Auto Scaling.
pub(super) fn auto_scaling(state: &mut State, call: &Call<'_>) -> Result<String, Refusal> {
    let name = match call.operation {
        "SetDesiredCapacity" => call.get("AutoScalingGroupName"),
        _ => call.get("AutoScalingGroupNames.member.1"),
    };
    let name = name.unwrap_or_default();
    let place = (call.region.to_owned(), name.to_owned());
    let Some(capacity) = state.services.capacities.get(&place).cloned() else {
        return match call.operation {
            "DescribeAutoScalingGroups" => Ok(element("AutoScalingGroups", "")),
            _ => refuse("ValidationError", "AutoScalingGroup name not found"),
        };
    };
    if call.operation == "SetDesiredCapacity" {
        let desired = call
            .get("DesiredCapacity")
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1);
        if !(capacity.least..=capacity.most).contains(&desired) {
            return refuse(
                "ValidationError",
                "New SetDesiredCapacity value is out of the group's limits",
            );
        }
        state.resize(&place, desired);
        return Ok(String::new());
    }
    let instance = text("HealthStatus", "Healthy") + &text("LifecycleState", "InService");
    let count = usize::try_from(state.present(&capacity)).unwrap_or(0);
    let instances = element("member", &instance).repeat(count);
    let inside = text("AutoScalingGroupName", name)
        + &text("MinSize", &capacity.least.to_string())
        + &text("MaxSize", &capacity.most.to_string())
        + &text("DesiredCapacity", &capacity.desired.to_string())
        + &element("Instances", &instances);
    Ok(element("AutoScalingGroups", &element("member", &inside)))
}

/// A call of Lambda: the concurrency of a function, or the function itself.
pub(super) fn lambda(state: &mut State, request: &Request, raw: &[u8]) -> Result<Value, Refusal> {
    let place = (request.region.clone(), request.part(2).to_owned());
    let Some(function) = state.services.functions.get_mut(&place) else {
        return refuse("ResourceNotFoundException", format!("Function not found: {}", place.1));
    };
    match request.operation() {
        "GetFunctionConcurrency" => {}
        "PutFunctionConcurrency" => {
            let wanted = request.body["ReservedConcurrentExecutions"].as_i64();
            function.reserved = wanted.and_then(|count| i32::try_from(count).ok());
        }
        "DeleteFunctionConcurrency" => function.reserved = None,
        _ => function.calls.push(String::from_utf8_lossy(raw).into_owned()),
    }
    Ok(match function.reserved {
        Some(reserved) => json!({ "ReservedConcurrentExecutions": reserved }),
        None => json!({}),
    })
}
