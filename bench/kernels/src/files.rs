//! Reading and writing files, as far as no program can do without it: from the page cache, and into it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use holdfast_repository::{RepositoryError, Result};

use crate::data::noise;
use crate::kernel::{PIECE, Pass};

/// Bytes that `cp` writes at a time.
const WRITTEN: usize = 256 << 10;

/// Writes `data` into a file, as `cp` does: from the beginning, a quarter of a mebibyte at a time, and not waited for.
fn write(path: &Path, data: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(failed("write", path))?;
    data.chunks(WRITTEN)
        .try_for_each(|piece| file.write_all(piece))
        .map_err(failed("write", path))
}

fn read(path: &Path, buffer: &mut [u8]) -> Result<()> {
    let mut file = File::open(path).map_err(failed("read", path))?;
    while file.read(buffer).map_err(failed("read", path))? > 0 {}
    Ok(())
}

fn failed(verb: &str, path: &Path) -> impl FnOnce(std::io::Error) -> RepositoryError {
    RepositoryError::io(format!("{verb} {}", path.display()))
}

/// A new folder for one worker below `folder`.
fn own(folder: &Path, worker: u64) -> Result<PathBuf> {
    let own = folder.join(worker.to_string());
    fs::create_dir_all(&own).map_err(failed("make", &own))?;
    Ok(own)
}

/// Each pass writes a file of so many bytes over that of the pass before, whose memory the system takes for it: new memory
/// costs a virtual machine more than the copying.
pub(crate) fn writing(folder: &Path, worker: u64, length: usize) -> Result<Pass> {
    let path = own(folder, worker)?.join("written");
    let data = noise(worker, length);
    Ok(Box::new(move || write(&path, &data)))
}

/// Each pass reads a file of so many bytes, which was just written.
pub(crate) fn reading(folder: &Path, worker: u64, length: usize) -> Result<Pass> {
    let path = own(folder, worker)?.join("large");
    write(&path, &noise(worker, length))?;
    let mut buffer = vec![0; PIECE];
    Ok(Box::new(move || read(&path, &mut buffer)))
}

/// Each pass makes so many files of one byte, in a new folder.
pub(crate) fn creating(folder: &Path, worker: u64, files: usize) -> Result<Pass> {
    let own = own(folder, worker)?;
    let mut number = 0u32;
    Ok(Box::new(move || {
        number += 1;
        make(&own.join(format!("new-{number}")), files)
    }))
}

/// Each pass reads so many files of one byte, which were just written.
pub(crate) fn opening(folder: &Path, worker: u64, files: usize) -> Result<Pass> {
    let folder = own(folder, worker)?.join("small");
    make(&folder, files)?;
    let mut buffer = vec![0; PIECE];
    Ok(Box::new(move || {
        (0..files).try_for_each(|number| read(&folder.join(number.to_string()), &mut buffer))
    }))
}

fn make(folder: &Path, files: usize) -> Result<()> {
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    (0..files).try_for_each(|number| write(&folder.join(number.to_string()), b"1"))
}
