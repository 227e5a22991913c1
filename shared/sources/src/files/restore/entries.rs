//! Makes what is no regular file: folders, hard links, symbolic links, pipes and devices.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_repository::tree::{Node, NodeKind};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, linkat, mkdirat, mknodat, readlinkat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::super::beneath::{Place, handle_path};
use super::super::metadata::kind_of;
use super::report::Tally;
use super::target::Standing;
use super::walk::{Entry, HardLink};
use super::{Cause, RestoreError, Work, metadata};

/// While it is worked in, a folder is nobody else's business.
const WORKING_FOLDER: Mode = Mode::RWXU;

/// Makes a folder, or takes the one that stands there. A cause when it cannot be made.
pub(super) fn make_folder(work: &Work<'_>, path: &Path) -> Result<Option<Cause>, RestoreError> {
    let attempt = || {
        let place = work.target.place(path)?;
        match mkdirat(&place.folder, &place.name, WORKING_FOLDER) {
            Err(Errno::EXIST) => {}
            outcome => return outcome,
        }
        let stat = statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW)?;
        match kind_of(&stat) {
            Some(NodeKind::Dir) => open_up(work, path, &stat),
            // A link to a folder may be somebody's arrangement: neither follow nor remove it.
            Some(NodeKind::Symlink) => Err(Errno::LOOP),
            _ => {
                unlinkat(&place.folder, &place.name, AtFlags::empty())?;
                mkdirat(&place.folder, &place.name, WORKING_FOLDER)
            }
        }
    };
    match attempt() {
        Ok(()) => Ok(None),
        Err(error) => work.target.refused("make the folder", path, error).map(Some),
    }
}

/// Lets the owner work in a folder that stands there.
fn open_up(work: &Work<'_>, path: &Path, stat: &Stat) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    if mode.contains(WORKING_FOLDER) {
        return Ok(());
    }
    let folder = work
        .target
        .open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    rustix::fs::chmod(handle_path(folder.as_fd()), mode | WORKING_FOLDER)
}

/// Removes what stands in the way of an entry; a folder only where it is empty.
pub(super) fn clear(place: &Place, stat: &Stat) -> rustix::io::Result<()> {
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let flags = if is_folder {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    unlinkat(&place.folder, &place.name, flags)
}

/// What stands at a place; `None` where there is nothing.
pub(super) fn standing(place: &Place) -> rustix::io::Result<Option<Stat>> {
    match statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        stat => stat.map(Some),
    }
}

/// Links a further name to a file that was restored under its first one.
pub(super) fn make_hard_link(work: &Work<'_>, link: &HardLink) -> Result<(), RestoreError> {
    let shown = work.target.shown(&link.path);
    if let Some(cause) = work.tally.failure(&work.target.shown(&link.first)) {
        work.tally.fail(shown, cause);
        return Ok(());
    }
    let attempt = || {
        let (first, place) = (work.target.place(&link.first)?, work.target.place(&link.path)?);
        if let Some(found) = standing(&place)? {
            let wanted = statat(&first.folder, &first.name, AtFlags::SYMLINK_NOFOLLOW)?;
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino) {
                return Ok(());
            }
            clear(&place, &found)?;
        }
        linkat(&first.folder, &first.name, &place.folder, &place.name, AtFlags::empty())
    };
    match attempt() {
        Ok(()) => Tally::add(
            if link.node.kind == NodeKind::File {
                &work.tally.files
            } else {
                &work.tally.others
            },
            1,
        ),
        Err(error) => work
            .tally
            .fail(shown, work.target.refused("make the hard link", &link.path, error)?),
    }
    Ok(())
}

/// Makes a symbolic link, a named pipe or a device, with its metadata.
pub(super) fn make_other(work: &Work<'_>, entry: &Entry) -> Result<(), RestoreError> {
    let shown = work.target.shown(&entry.path);
    let node = &entry.node;
    if node.kind == NodeKind::Socket {
        work.tally.note(
            shown,
            "sockets are not restored: the program that listens on one makes it".to_owned(),
        );
        return Ok(());
    }
    let attempt = || {
        let place = work.target.place(&entry.path)?;
        if work.target.standing != Standing::Empty
            && let Some(found) = standing(&place)?
        {
            if is_same(&place, &found, node)? {
                return Ok(place);
            }
            clear(&place, &found)?;
        }
        make(&place, node)?;
        Ok(place)
    };
    match attempt() {
        Ok(place) => {
            metadata::apply_to_entry(work, &entry.path, &place, node);
            Tally::add(&work.tally.others, 1);
        }
        Err(Errno::PERM) if matches!(node.kind, NodeKind::Dev | NodeKind::CharDev) => {
            work.tally.note(
                shown,
                "the device is not restored: only the system's administrator may make one".to_owned(),
            );
        }
        Err(error) => work.tally.fail(shown, work.target.refused("make", &entry.path, error)?),
    }
    Ok(())
}

fn make(place: &Place, node: &Node) -> rustix::io::Result<()> {
    let kind = match node.kind {
        NodeKind::Symlink => return symlinkat(OsStr::from_bytes(&node.link_target), &place.folder, &place.name),
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Dev => FileType::BlockDevice,
        NodeKind::CharDev => FileType::CharacterDevice,
        NodeKind::File | NodeKind::Dir | NodeKind::Socket => return Err(Errno::INVAL),
    };
    mknodat(&place.folder, &place.name, kind, Mode::RUSR | Mode::WUSR, node.device)
}

fn is_same(place: &Place, found: &Stat, node: &Node) -> rustix::io::Result<bool> {
    if kind_of(found) != Some(node.kind) {
        return Ok(false);
    }
    Ok(match node.kind {
        NodeKind::Symlink => readlinkat(&place.folder, &place.name, Vec::new())?.as_bytes() == node.link_target,
        NodeKind::Dev | NodeKind::CharDev => found.st_rdev == node.device,
        // A hard link to a pipe elsewhere must not pass its metadata on.
        _ => found.st_nlink == 1,
    })
}
