//! What the demo tells: each thing as it happens, and at the end what was proven and what was measured.

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use crate::embedded::progress_bar;
use crate::output::say;

/// One thing that had to be proven.
#[derive(Debug, Serialize)]
struct Claim {
    claim: String,
    proven: bool,
}

/// A figure that was measured.
#[derive(Debug, Serialize)]
struct Measure {
    what: &'static str,
    seconds: f64,
    note: String,
}

/// The report.
pub struct Report {
    quiet: bool,
    stage: u32,
    bar: ProgressBar,
    claims: Vec<Claim>,
    measures: Vec<Measure>,
}

impl Report {
    /// A report that is printed as it grows, or only as JSON at the end.
    pub fn new(quiet: bool) -> Self {
        let bar = progress_bar("");
        if quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self {
            quiet,
            stage: 0,
            bar,
            claims: Vec::new(),
            measures: Vec::new(),
        }
    }

    /// The bar that moves while something works.
    pub fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// A new stage begins.
    pub fn stage(&mut self, title: &str) {
        self.stage += 1;
        self.bar.set_message(title.to_owned());
        self.say(&format!("\n{:>2}. {title}", self.stage));
    }

    /// Something happened.
    pub fn tell(&self, text: &str) {
        self.say(&format!("      {text}"));
    }

    /// Something had to be proven, and was or was not.
    pub fn claim(&mut self, claim: impl Into<String>, proven: bool) {
        let claim = claim.into();
        let word = if proven { "ok" } else { "NOT PROVEN" };
        self.say(&format!("  {word:>2}  {claim}"));
        self.claims.push(Claim { claim, proven });
    }

    /// A figure was measured.
    pub fn measure(&mut self, what: &'static str, seconds: f64, note: impl Into<String>) {
        self.measures.push(Measure {
            what,
            seconds,
            note: note.into(),
        });
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            self.bar.suspend(|| say!("{line}"));
        }
    }

    /// Whether everything was proven.
    pub fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.proven)
    }

    /// The summary for people.
    pub fn summary(&self) {
        self.bar.finish_and_clear();
        let proven = self.claims.iter().filter(|claim| claim.proven).count();
        say!("\nMeasured");
        for measure in &self.measures {
            say!(
                "  {:<20} {:>10}   {}",
                measure.what,
                crate::output::seconds(measure.seconds),
                measure.note
            );
        }
        say!("\n{proven} of {} claims proven", self.claims.len());
        for claim in self.claims.iter().filter(|claim| !claim.proven) {
            say!("  NOT PROVEN: {}", claim.claim);
        }
    }

    /// The report as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "proven": self.holds(), "claims": self.claims, "measures": self.measures })
    }
}
