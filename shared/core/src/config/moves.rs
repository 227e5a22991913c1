//! What moves a workload: the `[[workload]]` and `[[actuator]]` tables, `[plan.moves]`, and the steps that change something.

use std::collections::BTreeMap;

use crate::domain::{
    Act, Actuator, ActuatorKind, ActuatorName, Automatic, Check, Move, Probe, Region, Settings, Span, StepAction,
    StepName, Undo, WorkloadName,
};

use super::drills::read_rent;
use super::names::Names;
use super::policy::values;
use super::reader::{At, Problems, Table};

/// The kinds of actuators, by the word that the file uses.
const KINDS: [(&str, ActuatorKind); 10] = [
    ("postgres", ActuatorKind::Postgres),
    ("dns", ActuatorKind::Dns),
    ("command", ActuatorKind::Command),
    ("route53-marker", ActuatorKind::Route53Marker),
    ("arc-routing-control", ActuatorKind::ArcRoutingControl),
    ("aurora-global", ActuatorKind::AuroraGlobal),
    ("rds-replica", ActuatorKind::RdsReplica),
    ("ecs-service", ActuatorKind::EcsService),
    ("lambda-function", ActuatorKind::LambdaFunction),
    ("auto-scaling-group", ActuatorKind::AutoScalingGroup),
];

/// The keys of a step that changes something; each names the actuator.
pub(super) const ACTS: [&str; 8] = [
    "fence", "unfence", "promote", "follow", "start", "stop", "direct", "invoke",
];

/// Reads a workload; its home is where it takes writes before anything ever moved.
pub(super) fn read_workload(mut table: Table<'_>, names: &mut Names, problems: &mut Problems<'_>) {
    let name: Option<At<WorkloadName>> = table.required("name", problems);
    if let Some(name) = &name {
        names.workloads.declare(&name.value, name.at, problems);
    }
    let home: Option<At<Region>> = table.required("home", problems);
    table.finish(problems);
    if let (Some(name), Some(home)) = (name, home) {
        names.homes.insert(name.value, home.value);
    }
}

/// Reads an actuator.
pub(super) fn read_actuator(mut table: Table<'_>, names: &mut Names, problems: &mut Problems<'_>) {
    let name: Option<At<ActuatorName>> = table.required("name", problems);
    if let Some(name) = &name {
        names.actuators.declare(&name.value, name.at, problems);
    }
    let kind = table.required_choice("kind", &KINDS, problems);
    let region: Option<At<Region>> = table.required("region", problems);
    let workload: Option<At<WorkloadName>> = table.required("workload", problems);
    names.workloads.check(workload.as_ref(), problems);
    let at = table.at;
    let production = read_settings(&mut table, "production", problems);
    if production.is_none() {
        problems.add(at, "[[actuator]] lacks [actuator.production]: where it is");
    }
    let drill = read_settings(&mut table, "drill", problems);
    if drill.is_some() && drill == production {
        problems.add(
            at,
            "[actuator.drill] names what is in production: a drill would change it",
        );
    }
    let rent = read_rent(&mut table, names, problems);
    if let (Some(name), Some(rent)) = (&name, rent) {
        names.rents.insert(name.value.clone(), rent);
    }
    table.finish(problems);
    if let (Some(name), Some(kind), Some(region), Some(workload), Some(production)) =
        (name, kind, region, workload, production)
    {
        names.of_actuators.push(Actuator {
            name: name.value,
            kind,
            region: region.value,
            workload: workload.value,
            production,
            drill,
        });
    }
}

fn read_settings(table: &mut Table<'_>, key: &'static str, problems: &mut Problems<'_>) -> Option<Settings> {
    let settings = table.table(key, &format!("[actuator.{key}]"), problems)?;
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Some(
        settings
            .texts(problems)
            .into_iter()
            .map(owned)
            .collect::<BTreeMap<_, _>>(),
    )
}

/// Reads `[plan.moves]`; which steps come when is told by the tables that they stand in.
pub(super) fn read_moves(plan: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Move> {
    let mut table = plan.table("moves", "[plan.moves]", problems)?;
    let workload: Option<At<WorkloadName>> = table.required("workload", problems);
    names.workloads.check(workload.as_ref(), problems);
    let from: Option<At<Region>> = table.required("from", problems);
    let to: Option<At<Region>> = table.required("to", problems);
    if let (Some(from), Some(to)) = (&from, &to)
        && from.value == to.value
    {
        problems.add(
            to.at,
            "\"to\" is the Region that the workload is to leave: name another",
        );
    }
    let approvers = values(table.words("approvers", problems));
    let automatic = read_automatic(&mut table, problems);
    table.finish(problems);
    let workload = workload?.value;
    let actuators = names
        .of_actuators
        .iter()
        .filter(|actuator| actuator.workload == workload);
    Some(Move {
        home: names.homes.get(&workload)?.clone(),
        from: from?.value,
        to: to?.value,
        actuators: actuators.cloned().collect(),
        deactivate: Vec::new(),
        post_recovery: Vec::new(),
        approvers,
        automatic,
        workload,
    })
}

fn read_automatic(moves: &mut Table<'_>, problems: &mut Problems<'_>) -> Option<Automatic> {
    let mut table = moves.table("automatic", "[plan.moves.automatic]", problems)?;
    let places = table.number("places", 1..=16, problems);
    let down_for: Option<At<Span>> = table.required("down-for", problems);
    let cool_down: Option<At<Span>> = table.required("cool-down", problems);
    if places.is_none() && !table.has("places") {
        problems.add(
            table.at,
            "[plan.moves.automatic] lacks \"places\": how many must see the workload down",
        );
    }
    table.finish(problems);
    Some(Automatic {
        places: places?,
        down_for: down_for?.value,
        cool_down: cool_down?.value,
    })
}

/// Reads what a step changes, if it changes anything.
pub(super) fn read_act(step: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<StepAction> {
    let key = ACTS.into_iter().find(|key| step.has(key))?;
    let at = step.at;
    let actuator: Option<At<ActuatorName>> = step.word(key, problems);
    names.actuators.check(actuator.as_ref(), problems);
    let act = match key {
        "fence" => Some(Act::Fence),
        "unfence" => Some(Act::Unfence),
        "promote" => {
            let loss = step
                .has("loss")
                .then(|| step.required_choice("loss", &[("allowed", true)], problems));
            Some(Act::Promote {
                allow_loss: loss.flatten().unwrap_or(false),
            })
        }
        "follow" => {
            let leader: Option<At<ActuatorName>> = step.required("leader", problems);
            names.actuators.check(leader.as_ref(), problems);
            leader.map(|leader| Act::Follow { leader: leader.value })
        }
        "start" => Some(Act::Start),
        "stop" => Some(Act::Stop),
        "direct" => {
            let share = match step.has("share") {
                true => step.number("share", 0..=100, problems),
                false => Some(100),
            };
            share
                .and_then(|share| u8::try_from(share).ok())
                .map(|share| Act::Direct { share })
        }
        _ => step
            .required::<String>("payload", problems)
            .map(|payload| Act::Invoke { payload: payload.value }),
    };
    let undo = match step.has("undo") {
        true => step.required_choice(
            "undo",
            &[("reverse", Undo::Reverse), ("no-return", Undo::NoReturn)],
            problems,
        ),
        false => {
            let message = "it changes production and does not say how that is taken back: write undo = \"reverse\" or \
                           undo = \"no-return\"";
            problems.add(at, message);
            None
        }
    };
    Some(StepAction::Act {
        actuator: actuator?.value,
        act: act?,
        undo: undo?,
    })
}

/// Reads an address that is asked over HTTP, with TLS or without.
fn read_url(table: &mut Table<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let url: At<String> = table.required("url", problems)?;
    if url.value.starts_with("http://") || url.value.starts_with("https://") {
        return Some(url.value);
    }
    let message = "\"url\" begins with neither http:// nor https://, and nothing else can be asked: look with that = \"tcp\" whether \
                   it takes connections";
    problems.add(url.at, message);
    None
}

/// Reads a check of the world outside, by the word that says what it asks.
pub(super) fn read_probe(that: &str, table: &mut Table<'_>, problems: &mut Problems<'_>) -> Option<Check> {
    let text = |text: At<String>| text.value;
    let probe = match that {
        "http" => {
            let url = read_url(table, problems);
            let status = match table.has("status") {
                true => table.number("status", 100..=599, problems),
                false => Some(200),
            };
            let contains = table.word("contains", problems).map(text);
            Probe::Http {
                url: url?,
                status: u16::try_from(status?).ok()?,
                contains,
            }
        }
        "tcp" => Probe::Tcp {
            address: table.required("address", problems).map(text)?,
        },
        _ => {
            let server = table.required("server", problems).map(text);
            let query = table.required("query", problems).map(text);
            let expects = table.required("expects", problems).map(text);
            Probe::Sql {
                server: server?,
                query: query?,
                expects: expects?,
            }
        }
    };
    Some(Check::Answers(probe))
}

/// The names of these steps.
pub(super) fn names_of(steps: &[crate::domain::Step]) -> Vec<StepName> {
    steps.iter().map(|step| step.name.clone()).collect()
}
