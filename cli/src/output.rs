//! What people and programs read: tables and sentences on a terminal, JSON on request.

use holdfast_core::domain::Span;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::CliError;

/// Prints a line. A reader that has seen enough and closed its end, as `head` does, is no error.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(&format!($($text)*)) };
}
pub(crate) use say;

/// Prints a line; see [`say`]. Output that cannot be written otherwise ends the program: whoever reads it would miss it.
pub fn line(text: &str) {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("holdfast: the output cannot be written: {error}");
            std::process::exit(1);
        }
        Ok(()) | Err(_) => {}
    }
}

/// Prints a value as one JSON document.
pub fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::failed(format!("the result cannot be written as JSON: {error}")))?;
    say!("{text}");
    Ok(())
}

/// Bytes for people: three digits and a binary unit.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A length of time for people.
pub fn seconds(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.2} s")
    } else {
        Span::seconds(seconds as i64).to_string()
    }
}

/// A time for people, to the second.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Prints rows under headings, each column as wide as it needs.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say!("{}", padded.join("  ").trim_end());
    };
    line(headings.to_vec());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_three_digits() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(1_500_000), bytes(150 << 30)],
            ["0 B", "1023 B", "1.00 KiB", "1.43 MiB", "150 GiB"]
        );
    }
}
