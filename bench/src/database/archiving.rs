//! What a server does for each segment of its log: it notes which are archived, by which a push finds what to store along, and
//! it removes what was fetched once it has replayed it.

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

/// Compares what was fetched with the segment, and removes it as a server does before it asks for the next one.
pub fn is_replayed(segment: &Path, fetched: &Path) -> Result<(), String> {
    if fs::read(segment).map_err(at(segment))? != fs::read(fetched).map_err(at(fetched))? {
        return Err(format!("{} is another than {}", fetched.display(), segment.display()));
    }
    fs::remove_file(fetched).map_err(at(fetched))
}

fn note(segment: &Path, state: &str) -> PathBuf {
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    segment.with_file_name("archive_status").join(format!("{name}.{state}"))
}
