//! Owner, extended attributes, mode and times. Whatever cannot be set is a note in the report.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use holdfast_repository::tree::{ExtendedAttribute, Node, NodeKind, NodeTime, mode};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chmod, chownat, fstat, openat, utimensat,
};
use rustix::io::{Errno, Result};

use super::super::attributes::Subject;
use super::super::beneath::{Place, handle_path};
use super::super::metadata::kind_of;
use super::Work;

const SET_ID_BITS: u32 = mode::SETUID | mode::SETGID;

/// Sets everything on a folder of the target; an empty path means the target itself.
pub(super) fn apply_to_folder(work: &Work<'_>, path: &Path, node: &Node) {
    match work.target.open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()) {
        Ok(folder) => apply_to_handle(work, path, folder.as_fd(), node),
        Err(error) => note(work, path, "metadata", error),
    }
}

/// Sets everything on an entry that is neither a folder nor held open.
pub(super) fn apply_to_entry(work: &Work<'_>, path: &Path, place: &Place, node: &Node) {
    if node.kind == NodeKind::Symlink {
        return apply_to_symlink(work, path, place, node);
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&place.folder, &place.name, flags, Mode::empty()) {
        Ok(handle) => apply_to_handle(work, path, handle.as_fd(), node),
        Err(error) => note(work, path, "metadata", error),
    }
}

/// Sets everything on what `handle` holds, which must be of the node's kind.
pub(super) fn apply_to_handle(work: &Work<'_>, path: &Path, handle: BorrowedFd<'_>, node: &Node) {
    let stat = match fstat(handle) {
        Ok(stat) if kind_of(&stat) == Some(node.kind) => stat,
        Ok(_) => return note(work, path, "metadata", Errno::EXIST),
        Err(error) => return note(work, path, "metadata", error),
    };
    let by_handle = handle_path(handle);
    let (mut wanted_mode, mut owner_moved) = (node.mode, false);
    match set_owner(work, &stat, node, |user, group| {
        chownat(handle, "", user, group, AtFlags::EMPTY_PATH)
    }) {
        Ok(moved) => owner_moved = moved,
        Err(error) => {
            note(work, path, &format!("owner {}:{}", node.uid, node.gid), error);
            if node.mode & SET_ID_BITS != 0 {
                // Running as somebody it was never meant to run as.
                wanted_mode &= !SET_ID_BITS;
                note(work, path, "set-id bits without their owner", Errno::PERM);
            }
        }
    }
    // Before the mode: a file that may not be written takes no attributes from anybody but the administrator.
    set_attributes(work, path, &Subject::Handle(by_handle.clone()), node);
    let permissions = mode::unix_permissions(wanted_mode);
    // A change of owner clears the set-id bits.
    if (owner_moved || stat.st_mode & 0o7777 != permissions)
        && let Err(error) = chmod(&by_handle, Mode::from_raw_mode(permissions))
    {
        note(work, path, &format!("mode {permissions:04o}"), error);
    }
    if let Err(error) = utimensat(CWD, &by_handle, &times(node), AtFlags::empty()) {
        note(work, path, "times", error);
    }
}

fn apply_to_symlink(work: &Work<'_>, path: &Path, place: &Place, node: &Node) {
    let owner = rustix::fs::statat(&place.folder, &place.name, AtFlags::SYMLINK_NOFOLLOW).and_then(|stat| {
        set_owner(work, &stat, node, |user, group| {
            chownat(&place.folder, &place.name, user, group, AtFlags::SYMLINK_NOFOLLOW)
        })
    });
    if let Err(error) = owner {
        note(work, path, &format!("owner {}:{}", node.uid, node.gid), error);
    }
    set_attributes(work, path, &Subject::Entry(place.as_path()), node);
    if let Err(error) = utimensat(&place.folder, &place.name, &times(node), AtFlags::SYMLINK_NOFOLLOW) {
        note(work, path, "times", error);
    }
}

/// Whether the owner had to be changed.
fn set_owner(
    work: &Work<'_>,
    stat: &Stat,
    node: &Node,
    chown: impl Fn(Option<Uid>, Option<Gid>) -> Result<()>,
) -> Result<bool> {
    let (uid, gid) = work.options.owner.unwrap_or((node.uid, node.gid));
    if (stat.st_uid, stat.st_gid) == (uid, gid) {
        return Ok(false);
    }
    // All ones means "leave it": no file belongs to that id.
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    chown(Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    Ok(true)
}

/// Sets the node's attributes and removes all others, as restic does.
fn set_attributes(work: &Work<'_>, path: &Path, subject: &Subject, node: &Node) {
    let standing = match subject.names() {
        Ok(names) => names,
        Err(error) => return note(work, path, "extended attributes", error),
    };
    let wanted = |name: &[u8]| {
        node.extended_attributes
            .iter()
            .any(|attribute| attribute.name.as_bytes() == name)
    };
    for name in standing.iter().filter(|name| !wanted(name.as_bytes())) {
        match subject.remove(name) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => note(
                work,
                path,
                &format!("absence of extended attribute {}", name.to_string_lossy()),
                error,
            ),
        }
    }
    for ExtendedAttribute { name, value } in &node.extended_attributes {
        let there = standing.iter().find(|found| found.as_bytes() == name.as_bytes());
        if there.is_some_and(|found| subject.value(found).is_ok_and(|found| found.as_ref() == Some(value))) {
            continue;
        }
        if let Err(error) = subject.set(name, value) {
            note(work, path, &format!("extended attribute {name}"), error);
        }
    }
}

fn times(node: &Node) -> Timestamps {
    let time = |time: NodeTime| Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanos.into(),
    };
    Timestamps {
        last_access: time(node.atime),
        last_modification: time(node.mtime),
    }
}

fn note(work: &Work<'_>, path: &Path, what: &str, error: Errno) {
    let reason = std::io::Error::from(error);
    work.tally
        .note(work.target.shown(path), format!("cannot set {what}: {reason}"));
}
