//! From `stat` to a [`Node`].

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Mutex;

use holdfast_repository::backup::{Unread, UnreadReason};
use holdfast_repository::tree::{ExtendedAttribute, Node, NodeKind, NodeTime, mode};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::attributes::Subject;

/// Names of users and groups, each looked up once.
#[derive(Default)]
pub(crate) struct Owners {
    users: Mutex<HashMap<u32, String>>,
    groups: Mutex<HashMap<u32, String>>,
}

impl Owners {
    fn user(&self, uid: u32) -> String {
        remembered(&self.users, uid, || {
            Some(uzers::get_user_by_uid(uid)?.name().to_owned())
        })
    }

    fn group(&self, gid: u32) -> String {
        remembered(&self.groups, gid, || {
            Some(uzers::get_group_by_gid(gid)?.name().to_owned())
        })
    }
}

/// An id without a name, or with one that is not text, has the empty name, as in restic.
fn remembered(
    cache: &Mutex<HashMap<u32, String>>,
    id: u32,
    look_up: impl Fn() -> Option<std::ffi::OsString>,
) -> String {
    let mut cache = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    cache
        .entry(id)
        .or_insert_with(|| look_up().and_then(|name| name.into_string().ok()).unwrap_or_default())
        .clone()
}

/// What kind of node a mode means; `None` for what no tree can hold.
pub(crate) fn kind_of(stat: &Stat) -> Option<NodeKind> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => NodeKind::File,
        FileType::Directory => NodeKind::Dir,
        FileType::Symlink => NodeKind::Symlink,
        FileType::BlockDevice => NodeKind::Dev,
        FileType::CharacterDevice => NodeKind::CharDev,
        FileType::Fifo => NodeKind::Fifo,
        FileType::Socket => NodeKind::Socket,
        FileType::Unknown => return None,
    })
}

/// The node of the file at `path`, which `stat` describes. `subject` leads to the same file; without it,
/// extended attributes are left out.
pub(crate) fn node(path: &Path, stat: &Stat, owners: &Owners, subject: Option<&Subject>) -> Result<Node, Unread> {
    let unread = |reason| Unread {
        path: path.to_owned(),
        reason,
    };
    let kind = kind_of(stat).ok_or_else(|| {
        unread(UnreadReason::Unsupported(format!(
            "a file of an unknown kind (mode {:o})",
            stat.st_mode
        )))
    })?;
    let mut node = Node::new(path.file_name().unwrap_or(OsStr::new("")).as_bytes(), kind);
    node.mode = mode::from_unix(stat.st_mode);
    node.mtime = NodeTime::utc(stat.st_mtime, nanos(stat.st_mtime_nsec));
    // As restic does: with the real time of access, whoever reads a file would make every folder above it a new tree.
    node.atime = node.mtime;
    node.ctime = NodeTime::utc(stat.st_ctime, nanos(stat.st_ctime_nsec));
    (node.uid, node.gid) = (stat.st_uid, stat.st_gid);
    (node.user, node.group) = (owners.user(stat.st_uid), owners.group(stat.st_gid));
    node.inode = stat.st_ino;
    match kind {
        NodeKind::File => {
            node.size = u64::try_from(stat.st_size).unwrap_or(0);
            node.links = links(stat);
        }
        NodeKind::Symlink => {
            let target = std::fs::read_link(path);
            node.link_target = target
                .map_err(|error| unread(UnreadReason::from_io(&error)))?
                .into_os_string()
                .into_vec();
            node.links = links(stat);
        }
        NodeKind::Dev | NodeKind::CharDev => {
            node.device = stat.st_rdev;
            node.links = links(stat);
        }
        NodeKind::Dir | NodeKind::Fifo | NodeKind::Socket => {}
    }
    // The device number only serves to tell hard links apart, and changes from one mount to the next.
    if node.links > 1 {
        node.device_id = stat.st_dev;
    }
    if let Some(subject) = subject {
        node.extended_attributes = extended_attributes(subject).map_err(unread)?;
    }
    Ok(node)
}

// The width of these fields differs between processor architectures.
#[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
fn links(stat: &Stat) -> u64 {
    u64::try_from(stat.st_nlink).unwrap_or(0)
}

fn nanos(value: impl TryInto<u32>) -> u32 {
    value.try_into().unwrap_or(0)
}

fn extended_attributes(subject: &Subject) -> Result<Vec<ExtendedAttribute>, UnreadReason> {
    let mut found = Vec::new();
    for name in subject.names().map_err(reason)? {
        let Some(value) = subject.value(&name).map_err(reason)? else {
            continue;
        };
        let name = name.into_string().map_err(|error| {
            let name = error.into_cstring().to_string_lossy().into_owned();
            UnreadReason::Unsupported(format!("the name of its extended attribute `{name}` is not UTF-8"))
        });
        found.push(ExtendedAttribute { name: name?, value });
    }
    Ok(found)
}

/// The reason a failed system call means.
pub(crate) fn reason(error: Errno) -> UnreadReason {
    match error {
        Errno::NOENT | Errno::NOTDIR => UnreadReason::Vanished,
        other => UnreadReason::from_io(&other.into()),
    }
}
