//! What the control file of a server that is down says, by `pg_controldata`.

use std::process::{Command, Stdio};

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_sources::postgres::{Lsn, SegmentSize};

use super::intent::failed;
use super::settings::Settings;

/// The control file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Whether the server was stopped in order, as a standby or not.
    pub is_clean: bool,
    /// Whether it was a standby.
    pub was_standby: bool,
    /// The last checkpoint: of a server that was stopped in order, the last record of its log.
    pub checkpoint: Lsn,
    /// Its timeline.
    pub timeline: u32,
    /// How long the files of its log are.
    pub segments: SegmentSize,
}

/// Reads it.
pub fn read(settings: &Settings) -> Result<Control, Failure> {
    let text = run(settings, "pg_controldata", &["-D", &settings.data.to_string_lossy()])?;
    parse(&text).ok_or_else(|| {
        let message = format!("pg_controldata says nothing of use about {}", settings.data.display());
        Failure::new(FailureKind::Integrity, message)
    })
}

fn parse(text: &str) -> Option<Control> {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(':')?.trim())
    };
    let state = value("Database cluster state")?;
    Some(Control {
        is_clean: matches!(state, "shut down" | "shut down in recovery"),
        was_standby: matches!(state, "shut down in recovery" | "in archive recovery"),
        checkpoint: value("Latest checkpoint location")?.parse().ok()?,
        timeline: value("Latest checkpoint's TimeLineID")?.parse().ok()?,
        segments: SegmentSize::new(value("Bytes per WAL segment")?.parse().ok()?).ok()?,
    })
}

/// Runs one of PostgreSQL's programs in the data folder, in plain English, and gives what it says on both outputs. By the
/// folder it is found when this guard is gone before it ends.
pub(super) fn run(settings: &Settings, name: &str, arguments: &[&str]) -> Result<String, Failure> {
    let program = settings.program(name);
    let mut command = Command::new(&program);
    command.current_dir(&settings.data);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().map_err(|error| failed("run", &program, error))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let end: Vec<&str> = said.lines().rev().take(3).collect();
    let end: Vec<&str> = end.into_iter().rev().collect();
    let message = format!("{} fails ({}): {}", program.display(), output.status, end.join(" / "));
    Err(Failure::new(FailureKind::Transient, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_read_and_half_a_text_is_not() {
        let text = "pg_control version number:            1300\n\
            Database cluster state:               shut down\n\
            Latest checkpoint location:           0/3000148\n\
            Latest checkpoint's REDO location:    0/3000148\n\
            Latest checkpoint's TimeLineID:       2\n\
            Bytes per WAL segment:                16777216\n";
        let expected = Control {
            is_clean: true,
            was_standby: false,
            checkpoint: Lsn(0x0300_0148),
            timeline: 2,
            segments: SegmentSize::DEFAULT,
        };
        assert_eq!(parse(text), Some(expected.clone()));
        let running = text.replace("shut down", "in production");
        let dirty = Control {
            is_clean: false,
            ..expected
        };
        assert_eq!(parse(&running), Some(dirty));
        assert_eq!(parse("Database cluster state: shut down\n"), None);
    }
}
