//! Lengths of time and moments as people read them.

use jiff::Timestamp;

use crate::domain::{Divergence, Span};

/// A length of time in its two largest units.
pub(super) fn length(span: Span) -> String {
    let seconds = span.as_seconds();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// A moment, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The time of day, to the second.
pub(super) fn time_of_day(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// What a server gave up to follow another, as a sentence without its end.
pub fn given_up(own: &Divergence) -> String {
    format!(
        "{} transactions were committed on the lost side only, between {} and {}; they are listed in {} on its host",
        own.transactions, own.from, own.to, own.records
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_keep_two_units() {
        let lengths = [0, 59, 60, 61, 3600, 3660, 90_000, 86_400];
        let texts = lengths.map(|seconds| length(Span::seconds(seconds)));
        let expected = [
            "0 s",
            "59 s",
            "1 min",
            "1 min 1 s",
            "1 h",
            "1 h 1 min",
            "1 d 1 h",
            "1 d",
        ];
        assert_eq!(texts, expected);
    }
}
