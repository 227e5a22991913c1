//! Medians, ratios, and how they are shown: a table for people, JSON for programs, a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use holdfast_kernels::Figures;
use serde::Serialize;

use crate::data::{Scale, Set};
use crate::engine::Program;
use crate::limit::Limit;
use crate::measured::Took;
use crate::peers::{Operation, Peer};

/// The picture's measures, in pixels.
const BAR: f64 = 11.0;
const GAP: f64 = 9.0;
const LEFT: f64 = 150.0;
const WIDTH: f64 = 560.0;
const COLOURS: [&str; 4] = ["#0b6e4f", "#5b8def", "#c7702f", "#8a6bbe"];

/// One operation of one program in one round.
pub struct Row {
    pub set: &'static str,
    pub peer: &'static str,
    pub operation: &'static str,
    pub took: Took,
    /// Seconds on the wall until what it wrote stood on disk, whether it waited for that itself or not.
    pub on_disk: f64,
    /// Size of the repository afterwards, where it is of interest.
    pub stored_mib: Option<f64>,
}

/// Medians of all rounds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Figure {
    wall: f64,
    on_disk: f64,
    cpu: f64,
    peak: f64,
    stored_mib: Option<f64>,
}

/// Everything that was measured.
#[derive(Serialize)]
pub struct Table {
    rounds: u32,
    versions: BTreeMap<&'static str, String>,
    sets: BTreeMap<&'static str, String>,
    kernels: Figures,
    limits: Vec<Limit>,
    /// By set, operation and program.
    figures: BTreeMap<&'static str, BTreeMap<&'static str, BTreeMap<&'static str, Figure>>>,
}

impl Table {
    pub fn new(
        programs: &[Program],
        scale: Scale,
        rounds: u32,
        rows: Vec<Row>,
        kernels: Figures,
        limits: Vec<Limit>,
    ) -> Self {
        let mut grouped: BTreeMap<_, Vec<Row>> = BTreeMap::new();
        for row in rows {
            grouped.entry((row.set, row.operation, row.peer)).or_default().push(row);
        }
        let mut figures: BTreeMap<_, BTreeMap<_, BTreeMap<_, Figure>>> = BTreeMap::new();
        for ((set, operation, peer), rows) in grouped {
            let of = |value: fn(&Row) -> f64| median(rows.iter().map(value).collect());
            let stored: Vec<f64> = rows.iter().filter_map(|row| row.stored_mib).collect();
            let figure = Figure {
                wall: of(|row| row.took.wall),
                on_disk: of(|row| row.on_disk),
                cpu: of(|row| row.took.cpu),
                peak: of(|row| row.took.peak),
                stored_mib: (!stored.is_empty()).then(|| median(stored)),
            };
            figures
                .entry(set)
                .or_default()
                .entry(operation)
                .or_default()
                .insert(peer, figure);
        }
        Self {
            rounds,
            versions: programs
                .iter()
                .map(|program| (program.peer.name(), program.version.clone()))
                .collect(),
            sets: Set::ALL.map(|set| (set.name(), set.says(scale))).into(),
            kernels,
            limits,
            figures,
        }
    }

    fn figure(&self, set: Set, operation: Operation, peer: Peer) -> Option<Figure> {
        self.figures
            .get(set.name())?
            .get(operation.name())?
            .get(peer.name())
            .copied()
    }

    fn limit(&self, set: Set, operation: Operation) -> Option<f64> {
        let of_set = self.limits.iter().find(|limit| limit.set == set.name())?;
        of_set.seconds(operation)
    }

    /// The limit, and how much of its speed Holdfast reaches.
    fn limit_cell(&self, set: Set, operation: Operation) -> String {
        let ours = self.figure(set, operation, Peer::Holdfast);
        let (Some(limit), Some(ours)) = (self.limit(set, operation), ours) else {
            return String::new();
        };
        reached(limit, ours.wall)
    }

    /// The same where what is written is waited for.
    fn disk_limit_cell(&self, set: Set, operation: Operation) -> String {
        let ours = self.figure(set, operation, Peer::Holdfast);
        let of_set = self.limits.iter().find(|limit| limit.set == set.name());
        match (of_set, ours) {
            (Some(of_set), Some(ours)) if operation == Operation::Restore => reached(of_set.copy_to_disk, ours.on_disk),
            _ => String::new(),
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The table in Markdown: for each program wall seconds, processor seconds and peak MiB, then how many times as long as
    /// Holdfast it took.
    pub fn markdown(&self) -> String {
        let peers: Vec<Peer> = Peer::ALL
            .into_iter()
            .filter(|peer| self.versions.contains_key(peer.name()))
            .collect();
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} ({} processors), medians of {} rounds.\n",
            self.kernels.machine, self.kernels.all.processors, self.rounds
        );
        for peer in &peers {
            let _ = writeln!(text, "* {}: {}", peer.name(), self.versions[peer.name()]);
        }
        let _ = writeln!(text, "\n### The kernels\n\n{}", self.kernels.markdown());
        for set in Set::ALL {
            let _ = writeln!(text, "\n### {}: {}\n", set.name(), self.sets[set.name()]);
            let names: Vec<&str> = peers.iter().map(|peer| peer.name()).collect();
            let _ = writeln!(
                text,
                "| wall s / CPU s / peak MiB | {} | limit, wall s (% of its speed) |",
                names.join(" | ")
            );
            let _ = writeln!(text, "| --- |{} --- |", " --- |".repeat(peers.len()));
            for operation in Operation::ALL {
                let cells: Vec<String> = peers.iter().map(|peer| self.cell(set, operation, *peer)).collect();
                let limit = self.limit_cell(set, operation);
                let _ = writeln!(text, "| {} | {} | {limit} |", operation.name(), cells.join(" | "));
                if operation.is_writing() {
                    let cells: Vec<String> = peers.iter().map(|peer| self.disk_cell(set, operation, *peer)).collect();
                    let limit = self.disk_limit_cell(set, operation);
                    let _ = writeln!(text, "| …, on disk | {} | {limit} |", cells.join(" | "));
                }
            }
            for operation in [Operation::Backup, Operation::Incremental, Operation::Prune] {
                let size = |peer: &Peer| self.figure(set, operation, *peer).and_then(|figure| figure.stored_mib);
                let cells: Vec<String> = peers
                    .iter()
                    .map(|peer| size(peer).map_or_else(|| "–".to_owned(), |mib| format!("{mib:.0}")))
                    .collect();
                let _ = writeln!(
                    text,
                    "| repository MiB after {} | {} | |",
                    operation.name(),
                    cells.join(" | ")
                );
            }
        }
        text
    }

    fn cell(&self, set: Set, operation: Operation, peer: Peer) -> String {
        let Some(figure) = self.figure(set, operation, peer) else {
            return "–".to_owned();
        };
        let mut cell = format!("{:.2} / {:.2} / {:.0}", figure.wall, figure.cpu, figure.peak);
        if let Some(ours) = self
            .figure(set, operation, Peer::Holdfast)
            .filter(|_| peer != Peer::Holdfast)
        {
            let _ = write!(cell, " (×{:.1})", figure.wall / ours.wall);
        }
        cell
    }

    /// Wall seconds until what was written stands on disk, and how many times as long as Holdfast that took.
    fn disk_cell(&self, set: Set, operation: Operation, peer: Peer) -> String {
        let figure = |peer| self.figure(set, operation, peer);
        match (figure(peer), figure(Peer::Holdfast)) {
            (None, _) => "–".to_owned(),
            (Some(figure), Some(ours)) if peer != Peer::Holdfast => {
                format!("{:.2} (×{:.1})", figure.on_disk, figure.on_disk / ours.on_disk)
            }
            (Some(figure), _) => format!("{:.2}", figure.on_disk),
        }
    }

    /// A picture: for each set and operation a bar of wall seconds for each program, and a mark where the limit is.
    pub fn svg(&self) -> String {
        let peers: Vec<(Peer, &str)> = Peer::ALL
            .into_iter()
            .zip(COLOURS)
            .filter(|(peer, _)| self.versions.contains_key(peer.name()))
            .collect();
        let (mut body, mut y) = (legend(&peers), 30.0);
        for set in Set::ALL {
            y += 14.0;
            let (name, says) = (set.name(), &self.sets[set.name()]);
            let _ = write!(body, "<text x='8' y='{y}' font-weight='bold'>{name}: {says}</text>");
            y += 8.0;
            let walls = Operation::ALL
                .iter()
                .flat_map(|operation| peers.iter().filter_map(|(peer, _)| self.figure(set, *operation, *peer)));
            let scale = WIDTH / walls.map(|figure| figure.wall).fold(0.1, f64::max);
            for operation in Operation::ALL {
                y = self.bars(&mut body, set, operation, &peers, scale, y) + GAP;
            }
        }
        format!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {y:.0}' font-family='sans-serif' font-size='11'><rect width='100%' height='100%' fill='white'/>{body}</svg>\n",
            LEFT + WIDTH + 60.0
        )
    }

    /// Draws one operation from `top` on, so many pixels a second; returns where it ends.
    fn bars(
        &self,
        body: &mut String,
        set: Set,
        operation: Operation,
        peers: &[(Peer, &str)],
        scale: f64,
        top: f64,
    ) -> f64 {
        let (right, base) = (LEFT - 8.0, top + BAR);
        let _ = write!(
            body,
            "<text x='{right}' y='{base}' text-anchor='end'>{}</text>",
            operation.name()
        );
        let mut y = top;
        for (peer, colour) in peers {
            if let Some(figure) = self.figure(set, operation, *peer) {
                let width = figure.wall * scale;
                let (x, base) = (LEFT + width + 4.0, y + BAR - 2.0);
                let _ = write!(
                    body,
                    "<rect x='{LEFT}' y='{y:.1}' width='{width:.1}' height='{BAR}' fill='{colour}'/><text x='{x:.1}' y='{base:.1}' font-size='9'>{:.2} s</text>",
                    figure.wall
                );
                y += BAR + 1.0;
            }
        }
        if let Some(limit) = self.limit(set, operation) {
            let (at, from, to) = (LEFT + limit * scale, top - 2.0, y + 1.0);
            let _ = write!(
                body,
                "<line x1='{at:.1}' y1='{from:.1}' x2='{at:.1}' y2='{to:.1}' stroke='#b00020' stroke-width='2'/>"
            );
        }
        y
    }
}

/// Which colour stands for whom.
fn legend(peers: &[(Peer, &str)]) -> String {
    let (mut text, mut x) = (String::new(), LEFT);
    for (peer, colour) in peers {
        let _ = write!(
            text,
            "<rect x='{x}' y='8' width='10' height='10' fill='{colour}'/><text x='{}' y='17'>{}</text>",
            x + 14.0,
            peer.name()
        );
        x += 90.0;
    }
    let _ = write!(text, "<text x='{x}' y='17' fill='#b00020'>| limit</text>");
    text
}

/// A limit, and how much of its speed is reached.
fn reached(limit: f64, wall: f64) -> String {
    format!("{limit:.2} ({:.0} %)", limit / wall * 100.0)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
