//! The `[[plan]]` tables.

use std::collections::BTreeMap;

use crate::domain::{Check, PlanId, RecoveryPlan, Span, Step, StepAction, StepName};
use crate::planning::{PlanError, order_steps};

use super::names::Names;
use super::policy::{read_objectives, values};
use super::reader::{At, Problems, Table};

/// How long a step may take unless it says otherwise.
const STEP_TIMEOUT: Span = Span::hours(1);

/// What a step can do; a step has exactly one of these keys.
const ACTIONS: [&str; 5] = ["check", "restore", "verify", "wait", "notify"];

/// A plan and where its steps stand.
pub(super) struct ReadPlan {
    pub(super) plan: RecoveryPlan,
    pub(super) steps_at: BTreeMap<StepName, usize>,
}

/// Reads one plan; none when something in it is wrong.
pub(super) fn read_plan(mut table: Table<'_>, names: &mut Names, problems: &mut Problems<'_>) -> Option<ReadPlan> {
    let problems_before = problems.count();
    let id: Option<At<PlanId>> = table.required("name", problems);
    if let Some(id) = &id {
        names.plans.declare(&id.value, id.at, problems);
    }
    let description: Option<At<String>> = table.word("description", problems);
    let objectives = read_objectives(&mut table, names, problems);
    if !(table.has("tier") || table.has("rpo") || table.has("rto")) {
        problems.add(table.at, "[[plan]] lacks \"tier\", or \"rpo\" and \"rto\"");
    }
    let mut steps = Vec::new();
    let mut steps_at = BTreeMap::new();
    for step in table.tables("step", "[[plan.step]]", problems) {
        let at = step.at;
        if let Some(step) = read_step(step, names, problems) {
            steps_at.entry(step.name.clone()).or_insert(at);
            steps.push(step);
        }
    }
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
    };
    if let Err(error) = order_steps(&plan) {
        let step = match &error {
            PlanError::DuplicateStep { step }
            | PlanError::UnknownStep { step, .. }
            | PlanError::NotARestore { step, .. } => Some(step),
            PlanError::Cycle { steps } => steps.first(),
        };
        let at = step.and_then(|step| steps_at.get(step)).copied().unwrap_or(at);
        problems.add(at, error.to_string());
        return None;
    }
    Some(ReadPlan { plan, steps_at })
}

fn read_step(mut table: Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Step> {
    let name = table.required("name", problems);
    let after = values(table.words("after", problems));
    let timeout = table.word("timeout", problems);
    let given: Vec<&str> = ACTIONS.into_iter().filter(|key| table.has(key)).collect();
    let one_of = "give one of \"check\", \"restore\", \"verify\", \"wait\" and \"notify\"";
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
    ];
    table.finish(problems);
    let action = actions.into_iter().flatten().next();
    Some(Step {
        name: name?.value,
        after,
        action: action?,
        timeout: timeout.map_or(STEP_TIMEOUT, |span| span.value),
    })
}

fn read_check(step: &mut Table<'_>, names: &Names, problems: &mut Problems<'_>) -> Option<Check> {
    let mut table = step.table("check", "\"check\"", problems)?;
    let that: Option<At<String>> = table.required("that", problems);
    let resource = table.required("resource", problems);
    names.resources.check(resource.as_ref(), problems);
    let that = that?;
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
                format!("\"that\": \"{other}\" is no check: use \"proven-point\" or \"point-age\""),
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
    table.finish(problems);
    Some(StepAction::Restore {
        resource: resource?.value,
        vault: vault?.value,
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
