//! The picture of a run: a bar for each step over time, as SVG.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::domain::{Run, Span, StepRecord, StepState};

use super::html::escaped;
use super::text::length;

/// Widths and heights in the picture's own units.
const LABELS: i64 = 230;
const CHART: i64 = 700;
const MARGIN: i64 = 110;
const ROW: i64 = 26;
const TOP: i64 = 48;

/// Lengths between ticks, in seconds.
const TICKS: [i64; 16] = [
    1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800,
];
/// Ticks that fit.
const MOST_TICKS: i64 = 10;

/// The time that the picture shows.
struct Axis {
    begin: Timestamp,
    seconds: i64,
}

impl Axis {
    fn of(run: &Run) -> Self {
        let steps = run.steps.iter().flat_map(|step| [step.started_at, step.finished_at]);
        let times = steps.chain([run.recovered_at, run.finished_at]).flatten();
        let end = times.max().unwrap_or(run.declared_at);
        Self {
            begin: run.declared_at,
            seconds: Span::between(run.declared_at, end).as_seconds().max(1),
        }
    }

    fn end(&self) -> Timestamp {
        Span::seconds(self.seconds).after(self.begin)
    }

    /// Where a moment lies.
    fn x(&self, at: Timestamp) -> i64 {
        let seconds = Span::between(self.begin, at).as_seconds().min(self.seconds);
        LABELS + seconds * CHART / self.seconds
    }

    fn tick(&self) -> i64 {
        let fits = |tick: &i64| self.seconds / tick < MOST_TICKS;
        let widest = self.seconds / MOST_TICKS + 1;
        TICKS.into_iter().find(fits).unwrap_or(widest)
    }
}

/// Draws a run.
pub(super) fn draw(run: &Run) -> String {
    let axis = Axis::of(run);
    let rows = run.steps.len() as i64;
    let (width, height) = (LABELS + CHART + MARGIN, TOP + rows * ROW + 14);
    let title = format!("Steps of run {} over time", run.id);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" xmlns=\"http://www.w3.org/2000/svg\">\n",
        escaped(&title)
    );
    ticks(&mut svg, &axis, height);
    for (row, step) in run.steps.iter().enumerate() {
        bar(&mut svg, &axis, TOP + row as i64 * ROW, step);
    }
    moments(&mut svg, run, &axis, height);
    svg.push_str("</svg>\n");
    svg
}

fn ticks(svg: &mut String, axis: &Axis, height: i64) {
    let tick = axis.tick();
    for place in 0..=axis.seconds / tick {
        let x = LABELS + place * tick * CHART / axis.seconds;
        let label = length(Span::seconds(place * tick));
        put(
            svg,
            format_args!(
                "<line class=\"grid\" x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{}\"/><text class=\"tick\" x=\"{x}\" y=\"{}\">{label}</text>",
                height - 10,
                TOP - 8
            ),
        );
    }
}

fn bar(svg: &mut String, axis: &Axis, y: i64, step: &StepRecord) {
    let name = escaped(step.step.name.as_str());
    let middle = y + 17;
    put(
        svg,
        format_args!(
            "<text class=\"label\" x=\"{}\" y=\"{middle}\">{name}</text>",
            LABELS - 10
        ),
    );
    let class = state_class(step.state);
    let Some(started) = step.started_at else {
        let word = state_word(step.state);
        put(
            svg,
            format_args!(
                "<text class=\"{class}\" x=\"{}\" y=\"{middle}\">{word}</text>",
                LABELS + 4
            ),
        );
        return;
    };
    let from = axis.x(started);
    let to = axis.x(step.finished_at.unwrap_or(axis.end()));
    let took = match step.finished_at {
        Some(finished) => length(Span::between(started, finished)),
        None => state_word(step.state).to_owned(),
    };
    put(
        svg,
        format_args!(
            "<rect class=\"{class}\" x=\"{from}\" y=\"{}\" width=\"{}\" height=\"16\" rx=\"2\"/><text class=\"took\" x=\"{}\" y=\"{middle}\">{took}</text>",
            y + 4,
            (to - from).max(2),
            to.max(from + 2) + 5
        ),
    );
}

/// The moments that recovery time is counted between, and the one by which service was promised.
fn moments(svg: &mut String, run: &Run, axis: &Axis, height: i64) {
    let mut mark = |at: Timestamp, class: &str, word: &str| {
        let x = axis.x(at);
        put(
            svg,
            format_args!(
                "<line class=\"{class}\" x1=\"{x}\" y1=\"20\" x2=\"{x}\" y2=\"{}\"/><text class=\"{class}\" x=\"{}\" y=\"16\">{word}</text>",
                height - 10,
                x + 4
            ),
        );
    };
    if let Some(at) = run.recovered_at {
        mark(at, "recovered", "service is back");
    }
    let due = run.rto().after(run.declared_at);
    if due <= axis.end() {
        mark(due, "due", "promised by");
    }
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "{line}");
}

/// The class by which a state is coloured.
pub(super) fn state_class(state: StepState) -> &'static str {
    match state {
        StepState::Succeeded => "good",
        StepState::Failed => "bad",
        StepState::Running | StepState::Undoing => "busy",
        StepState::Pending | StepState::Skipped | StepState::Undone => "idle",
    }
}

/// The word for a state.
pub(super) fn state_word(state: StepState) -> &'static str {
    match state {
        StepState::Pending => "not begun",
        StepState::Running => "running",
        StepState::Succeeded => "held",
        StepState::Failed => "failed",
        StepState::Skipped => "left out",
        StepState::Undoing => "being taken back",
        StepState::Undone => "taken back",
    }
}
