//! The `[[plan]]` tables.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::{Check, Objectives, PlanId, RecoveryPlan, Span, Step, StepAction, StepName};
use crate::planning::{PlanError, order_steps};

use super::drills::read_drills;
use super::incidents::read_levels;
use super::moves::{ACTS, names_of, read_act, read_moves, read_probe};
use super::names::Names;
use super::policy::{read_objectives, values};
use super::reader::{At, Problems, Table};

/// How long a step may take unless it says otherwise.
const STEP_TIMEOUT: Span = Span::hours(1);

/// What a step can do; a step has exactly one of these keys.
const ACTIONS: [&str; 6] = ["check", "restore", "verify", "wait", "notify", "approve"];

/// A plan and where its steps stand.
pub(super) struct ReadPlan {
    pub(super) plan: RecoveryPlan,
    pub(super) steps_at: BTreeMap<StepName, usize>,
}

/// Reads one plan; none when something in it is wrong.
pub(super) fn read_plan(
    mut table: Table<'_>,
    names: &mut Names,
    applied_at: Timestamp,
    problems: &mut Problems<'_>,
) -> Option<ReadPlan> {
    let problems_before = problems.count();
    let id: Option<At<PlanId>> = table.required("name", problems);
    if let Some(id) = &id {
        names.plans.declare(&id.value, id.at, problems);
    }
    let description: Option<At<String>> = table.word("description", problems);
    let objectives = read_promise(&mut table, names, problems);
    let mut moves = read_moves(&mut table, names, problems);
    let drills = read_drills(&mut table, moves.as_ref(), names, applied_at, problems);
    let levels = read_levels(&mut table, moves.as_ref(), names, problems);
    let priority = table.number("priority", 1..=3, problems);
    let at_once = table.number("at-once", 1..=1000, problems);
    let mut steps_at = BTreeMap::new();
    let mut read_steps = |key, title, problems: &mut Problems<'_>| {
        let mut steps = Vec::new();
        for step in table.tables(key, title, problems) {
            let at = step.at;
            if let Some(step) = read_step(step, names, problems) {
                steps_at.entry(step.name.clone()).or_insert(at);
                steps.push(step);
            }
        }
        steps
    };
    let mut steps = read_steps("deactivate", "[[plan.deactivate]]", problems);
    let activate = read_steps("step", "[[plan.step]]", problems);
    let post_recovery = read_steps("post-recovery", "[[plan.post-recovery]]", problems);
    if let Some(moves) = &mut moves {
        (moves.deactivate, moves.post_recovery) = (names_of(&steps), names_of(&post_recovery));
    } else if table.has("deactivate") || table.has("post-recovery") {
        let message = "[[plan]] has steps before or after a move, and no [plan.moves] that says what moves";
        problems.add(table.at, message);
    }
    steps.extend(activate);
    steps.extend(post_recovery);
    if !table.has("step") {
        problems.add(table.at, "[[plan]] has no [[plan.step]]");
    }
    let at = table.at;
    table.finish(problems);
    if problems.count() > problems_before {
        return None;
    }
    let plan = RecoveryPlan {
        id: id?.value,
        description: description.map_or_else(String::new, |text| text.value),
        objectives: objectives?,
        steps,
        moves,
        drills: drills.unwrap_or_default(),
        levels,
        priority: priority.and_then(|priority| u8::try_from(priority).ok()),
        at_once,
    };
    if let Err(error) = order_steps(&plan) {
        let step = blamed(&error);
        let at = step.and_then(|step| steps_at.get(step)).copied().unwrap_or(at);
        problems.add(at, error.to_string());
        return None;
    }
    Some(ReadPlan { plan, steps_at })
}

/// What a plan promises, which it must say.
fn read_promise(table: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Objectives> {
    if !(table.has("tier") || table.has("rpo") || table.has("rto")) {
        problems.add(table.at, "[[plan]] lacks \"tier\", or \"rpo\" and \"rto\"");
    }
    read_objectives(table, names, problems)
}

/// The step in which a plan without an order is wrong.
fn blamed(error: &PlanError) -> Option<&StepName> {
    match error {
        PlanError::DuplicateStep { step }
        | PlanError::UnknownStep { step, .. }
        | PlanError::NotARestore { step, .. }
        | PlanError::UnknownActuator { step, .. }
        | PlanError::Unfenced { step, .. }
        | PlanError::BeginsEarly { step }
        | PlanError::NoTarget { step }
        | PlanError::NeedlessTarget { step }
        | PlanError::RestoresOutOfPlace { step }
        | PlanError::NoOpposite { step, .. } => Some(step),
        PlanError::Cycle { steps } => steps.first(),
    }
}

fn read_step(mut table: Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Step> {
    let name = table.required("name", problems);
    let after = values(table.words("after", problems));
    let timeout = table.word("timeout", problems);
    let graceful = table
        .has("only-in")
        .then(|| table.required_choice("only-in", &[("switchover", true)], problems));
    let known = ACTIONS.into_iter().chain(ACTS);
    let given: Vec<&str> = known.clone().filter(|key| table.has(key)).collect();
    let one_of = format!("give one of {}", known.collect::<Vec<&str>>().join(", "));
    match given.as_slice() {
        [] => problems.add(table.at, format!("[[plan.step]] does nothing: {one_of}")),
        [_] => {}
        [_, _, ..] => problems.add(
            table.at,
            format!("[[plan.step]] does several things ({}): {one_of}", given.join(", ")),
        ),
    }
    let actions = [
        read_check(&mut table, names, problems).map(StepAction::Check),
        read_restore(&mut table, names, problems),
        read_verify(&mut table, problems),
        table
            .word("wait", problems)
            .map(|span| StepAction::Wait { span: span.value }),
        table
            .word("notify", problems)
            .map(|text| StepAction::Notify { message: text.value }),
        table
            .number("approve", 1..=9, problems)
            .map(|people| StepAction::Approve { people }),
        read_act(&mut table, names, problems),
    ];
    table.finish(problems);
    let action = actions.into_iter().flatten().next();
    Some(Step {
        name: name?.value,
        after,
        action: action?,
        timeout: timeout.map_or(STEP_TIMEOUT, |span| span.value),
        graceful: graceful.flatten().unwrap_or(false),
    })
}

fn read_check(step: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Check> {
    let mut table = step.table("check", "\"check\"", problems)?;
    let that: At<String> = table.required("that", problems)?;
    if let word @ ("http" | "tcp" | "sql") = that.value.as_str() {
        let check = read_probe(word, &mut table, problems);
        table.finish(problems);
        return check;
    }
    let resource = table.required("resource", problems);
    names.resources.check(resource.as_ref(), problems);
    let check = match that.value.as_str() {
        "proven-point" => {
            let vault = table.required("vault", problems);
            names.vaults.check(vault.as_ref(), problems);
            resource.zip(vault).map(|(resource, vault)| Check::ProvenPoint {
                resource: resource.value,
                vault: vault.value,
            })
        }
        "point-age" => {
            let at_most = table.required("at-most", problems);
            resource.zip(at_most).map(|(resource, at_most)| Check::PointAge {
                resource: resource.value,
                at_most: at_most.value,
            })
        }
        other => {
            let other: String = other.chars().take(40).collect();
            problems.add(
                that.at,
                format!("\"that\": \"{other}\" is no check: use \"proven-point\", \"point-age\", \"http\", \"tcp\" or \"sql\""),
            );
            return None;
        }
    };
    table.finish(problems);
    check
}

fn read_restore(step: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<StepAction> {
    let mut table = step.table("restore", "\"restore\"", problems)?;
    let resource = table.required("resource", problems);
    names.resources.check(resource.as_ref(), problems);
    let vault = table.required("vault", problems);
    names.vaults.check(vault.as_ref(), problems);
    let target: Option<At<String>> = table.word("target", problems);
    table.finish(problems);
    Some(StepAction::Restore {
        resource: resource?.value,
        vault: vault?.value,
        target: target.map(|target| target.value),
    })
}

fn read_verify(step: &mut Table<'_>, problems: &mut Problems<'_>) -> Option<StepAction> {
    let mut table = step.table("verify", "\"verify\"", problems)?;
    let restored_by = table.required("restored-by", problems);
    table.finish(problems);
    Some(StepAction::Verify {
        restored_by: restored_by?.value,
    })
}
