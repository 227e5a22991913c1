//! [`Recovery`]: how far a restored server is to recover, and the settings that tell it.

mod prepare;
mod words;

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::lsn::Lsn;

pub use prepare::{PrepareError, PrepareOptions, prepare};
pub use words::{RecoveryWords, WordsError};

/// Where a recovery ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At the end of the log.
    Latest,
    /// As soon as the state is consistent.
    Immediate,
    /// At the last transaction that ended by then.
    Time(Timestamp),
    /// At a position of the log.
    Lsn(Lsn),
    /// At the end of a transaction.
    Transaction(u64),
    /// At a point that was named with `pg_create_restore_point`.
    Name(String),
}

/// The timeline that a recovery follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetTimeline {
    /// The newest that is stored.
    Latest,
    /// That of the base backup.
    Current,
    /// This one.
    Number(u32),
}

/// What is to be recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where it ends.
    pub target: Target,
    /// Whether what is exactly at the target still belongs to it.
    pub is_inclusive: bool,
    /// Along which timeline.
    pub timeline: TargetTimeline,
}

/// The settings of a target, of which a server takes one.
const TARGETS: [&str; 5] = [
    "recovery_target",
    "recovery_target_time",
    "recovery_target_lsn",
    "recovery_target_xid",
    "recovery_target_name",
];

/// The settings of a recovery, as lines of `postgresql.auto.conf`. Every setting of a target is in them: what the server
/// from which the backup comes was once recovered to must not count. Those that are empty come first, as a server that has
/// read a target refuses even an empty second one.
pub fn settings(recovery: &Recovery, restore_command: &str) -> String {
    let target = match &recovery.target {
        Target::Latest => None,
        Target::Immediate => Some((TARGETS[0], "immediate".to_owned())),
        Target::Time(time) => Some((TARGETS[1], time_text(*time))),
        Target::Lsn(lsn) => Some((TARGETS[2], lsn.to_string())),
        Target::Transaction(xid) => Some((TARGETS[3], xid.to_string())),
        Target::Name(name) => Some((TARGETS[4], name.clone())),
    };
    let timeline = match recovery.timeline {
        TargetTimeline::Latest => "latest".to_owned(),
        TargetTimeline::Current => "current".to_owned(),
        TargetTimeline::Number(number) => number.to_string(),
    };
    let inclusive = if recovery.is_inclusive { "on" } else { "off" };
    let others = [
        ("restore_command", restore_command),
        ("recovery_target_timeline", &timeline),
        ("recovery_target_inclusive", inclusive),
        ("recovery_target_action", "promote"),
    ];
    let target = target.as_ref().map(|(name, value)| (*name, value.as_str()));
    let is_other = |name: &&str| target.is_none_or(|(target, _)| target != *name);
    let empty = TARGETS.into_iter().filter(is_other).map(|name| (name, ""));
    let lines = others.into_iter().chain(empty).chain(target);
    lines.fold(String::new(), |mut text, (name, value)| {
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{name} = {}", quoted(value));
        text
    })
}

/// A time as servers read it, in UTC to the microsecond.
fn time_text(time: Timestamp) -> String {
    let time = time.to_zoned(TimeZone::UTC);
    time.strftime("%Y-%m-%d %H:%M:%S.%6f+00").to_string()
}

/// A value between quotes, as the server's configuration files have it.
fn quoted(value: &str) -> String {
    let mut text = String::from("'");
    for character in value.chars() {
        match character {
            '\'' => text.push_str("''"),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_hold_one_target_and_empty_all_others() {
        let recovery = Recovery {
            target: Target::Time("2026-03-01T12:30:00.25+02:00".parse().unwrap()),
            is_inclusive: false,
            timeline: TargetTimeline::Number(3),
        };
        let text = settings(&recovery, r#"holdfast --key 'C:\k' wal fetch %f "%p""#);
        let expected = r#"restore_command = 'holdfast --key ''C:\\k'' wal fetch %f "%p"'
recovery_target_timeline = '3'
recovery_target_inclusive = 'off'
recovery_target_action = 'promote'
recovery_target = ''
recovery_target_lsn = ''
recovery_target_xid = ''
recovery_target_name = ''
recovery_target_time = '2026-03-01 10:30:00.250000+00'
"#;
        assert_eq!(text, expected);
        assert_eq!(quoted("a\nb\r"), r"'a\nb\r'");
    }
}
