//! A server's notes about which segments of its log are archived: what a push stores along is found by them.

use std::fs;
use std::path::{Path, PathBuf};

use super::at;
use super::server::give_to_owner;

/// Notes that all segments, which stand in one folder, wait to be archived: the server is behind with it.
pub fn all_wait(segments: &[PathBuf]) -> Result<(), String> {
    for segment in segments {
        let note = note(segment, "ready");
        let folder = note.parent().unwrap_or(segment);
        fs::create_dir_all(folder).map_err(at(folder))?;
        fs::write(&note, "").map_err(at(&note))?;
        give_to_owner(folder)?;
    }
    Ok(())
}

/// Notes that a segment is archived: the server's command has ended.
pub fn is_archived(segment: &Path) -> Result<(), String> {
    let ready = note(segment, "ready");
    fs::rename(&ready, note(segment, "done")).map_err(at(&ready))
}

fn note(segment: &Path, state: &str) -> PathBuf {
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    segment.with_file_name("archive_status").join(format!("{name}.{state}"))
}
