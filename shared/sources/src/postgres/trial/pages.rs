//! The pages of a cluster that stands still, each compared with its checksum.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_core::domain::Level;

use super::super::isolated::IsolatedError;
use super::super::lsn::Lsn;
use super::super::pages::{Layout, PageCheck, segment_of};
use super::{Check, Fault, TrialVerdict};

/// Bytes read at one time.
const READ: usize = 1 << 20;

/// Looks at every page of every relation.
pub(super) fn all(
    data: &Path,
    layout: Layout,
    stop: &AtomicBool,
    verdict: &mut TrialVerdict,
) -> Result<(), IsolatedError> {
    let mut buffer = vec![0; READ];
    let mut folders: Vec<PathBuf> = ["global", "base", "pg_tblspc"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        let path = data.join(&folder);
        let failed = || IsolatedError::io("list", &path);
        for entry in fs::read_dir(&path).map_err(failed())? {
            let inside = folder.join(entry.map_err(failed())?.file_name());
            let path = data.join(&inside);
            // A tablespace is a link, which is followed.
            let found = fs::metadata(&path).map_err(IsolatedError::io("look at", &path))?;
            if found.is_dir() {
                folders.push(inside);
            } else if let Some(segment) = segment_of(&inside) {
                let mut check = PageCheck::new(layout, segment, Lsn(u64::MAX));
                let mut file = File::open(&path).map_err(IsolatedError::io("open", &path))?;
                loop {
                    if stop.load(Ordering::SeqCst) {
                        return Err(IsolatedError::Stopped);
                    }
                    let count = file.read(&mut buffer).map_err(IsolatedError::io("read", &path))?;
                    if count == 0 {
                        break;
                    }
                    check.take(&buffer[..count], |mismatch| {
                        let reason = format!("page {}: its checksum is not that of its content", mismatch.page);
                        verdict.add(Fault::of(Level::L4, Check::Page, reason).at(&inside.to_string_lossy()));
                    });
                }
                verdict.counts.pages += found.len() / layout.page as u64;
            }
        }
    }
    Ok(())
}
