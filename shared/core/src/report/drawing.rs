//! A plan as a drawing in Mermaid's notation, which GitHub, GitLab and many editors show as a picture.

use std::fmt::Write as _;

use crate::domain::{RecoveryPlan, Step};
use crate::planning::prerequisites;

use super::sentence;

/// Draws the steps of a plan and what each waits for.
pub fn draw_plan(plan: &RecoveryPlan) -> String {
    let mut drawing = String::new();
    if let Some(priority) = plan.priority {
        put(
            &mut drawing,
            format_args!("---\ntitle: {}, priority {priority}\n---", plan.id),
        );
    }
    drawing.push_str("flowchart TD\n");
    let places = |step: &Step| {
        let named = |name| plan.steps.iter().position(|other| &other.name == name);
        prerequisites(plan, step).filter_map(named).collect::<Vec<usize>>()
    };
    for (place, step) in plan.steps.iter().enumerate() {
        let label = format!("<b>{}</b><br>{}", step.name, quoted(&sentence::of(&step.action)));
        put(&mut drawing, format_args!("    s{place}[\"{label}\"]"));
    }
    for (place, step) in plan.steps.iter().enumerate() {
        let mut before = places(step);
        before.sort_unstable();
        before.dedup();
        for before in before {
            put(&mut drawing, format_args!("    s{before} --> s{place}"));
        }
    }
    drawing
}

fn put(drawing: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(drawing, "{line}");
}

/// A text inside a label: what would end it or mean something there is written as Mermaid's entities.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("#quot;"),
            '<' => quoted.push_str("#lt;"),
            '>' => quoted.push_str("#gt;"),
            '#' => quoted.push_str("#35;"),
            '`' => quoted.push_str("#96;"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted
}
