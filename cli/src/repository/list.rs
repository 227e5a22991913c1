//! `repository snapshots` and `repository ls`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use holdfast_repository::index::Index;
use holdfast_repository::tree::mode::unix_permissions;
use holdfast_repository::{ErrorKind, Id, Node, NodeKind, Repository, RepositoryError};
use serde_json::{Value, json};

use super::interrupt::Interrupt;
use super::{open, show};
use crate::args::RepositoryPlace;
use crate::error::{CliError, Done};
use crate::output;

/// Lists the snapshots, oldest first.
pub fn snapshots(place: &RepositoryPlace, json: bool) -> Result<Done, CliError> {
    let snapshots = open::to_read(place)?.snapshots()?;
    if json {
        let listed: Vec<Value> = snapshots.iter().map(|(id, one)| show::snapshot_json(id, one)).collect();
        output::json(&listed)?;
        return Ok(Done::Done);
    }
    let rows: Vec<Vec<String>> = snapshots
        .iter()
        .map(|(id, snapshot)| {
            let bytes = snapshot
                .summary
                .as_ref()
                .map(|summary| output::bytes(summary.total_bytes_processed));
            vec![
                id.short(),
                show::time(&snapshot.time),
                show::bytes(snapshot.hostname.as_bytes()),
                show::bytes(snapshot.tags.join(",").as_bytes()),
                bytes.unwrap_or_default(),
                show::bytes(snapshot.paths.join(" ").as_bytes()),
            ]
        })
        .collect();
    output::table(&["SNAPSHOT", "TIME", "HOST", "TAGS", "SIZE", "PATHS"], &rows);
    Ok(Done::Done)
}

/// Lists everything in a snapshot, folder by folder.
pub fn content(place: &RepositoryPlace, word: &str, interrupt: &Interrupt, json: bool) -> Result<Done, CliError> {
    let repository = open::to_read(place)?;
    let lock = open::reader_lock(&repository)?;
    let (id, snapshot) = repository.find_snapshot(word)?;
    let walk = Walk {
        repository: &repository,
        index: repository.load_index()?,
        interrupt,
    };
    if json {
        let mut entries = Vec::new();
        walk.folder(&snapshot.tree, Path::new("/"), &mut |path, node| {
            entries.push(entry_json(path, node));
            Ok(())
        })?;
        output::json(&json!({ "snapshot": id, "entries": entries }))?;
    } else {
        let mut out = io::BufWriter::new(io::stdout().lock());
        let listed = walk.folder(&snapshot.tree, Path::new("/"), &mut |path, node| {
            writeln!(out, "{}", line(path, node)).map_err(Stop::Output)
        });
        match listed.and_then(|()| out.flush().map_err(Stop::Output)) {
            // Whoever reads the list has seen enough.
            Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            listed => listed?,
        }
    }
    open::release(lock)?;
    Ok(Done::Done)
}

/// What ends a listing.
enum Stop {
    Repository(RepositoryError),
    Output(io::Error),
}

impl From<Stop> for CliError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Repository(error) => error.into(),
            Stop::Output(error) => Self::failed(format!("the list cannot be written: {error}")),
        }
    }
}

struct Walk<'a> {
    repository: &'a Repository,
    index: Index,
    interrupt: &'a Interrupt,
}

impl Walk<'_> {
    fn folder(
        &self,
        tree: &Id,
        folder: &Path,
        each: &mut dyn FnMut(&Path, &Node) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        for node in self
            .repository
            .stream_tree(&self.index, tree)
            .map_err(Stop::Repository)?
        {
            if self.interrupt.flag().load(Ordering::Relaxed) {
                return Err(Stop::Repository(RepositoryError::Cancelled));
            }
            let node = node.map_err(|error| malformed(folder, error))?;
            let path: PathBuf = folder.join(OsStr::from_bytes(&node.name));
            each(&path, &node)?;
            if let Some(subtree) = &node.subtree {
                self.folder(subtree, &path, each)?;
            }
        }
        Ok(())
    }
}

/// What the stored tree says makes no sense: that is the repository's fault, not that of whoever asked.
fn malformed(folder: &Path, error: RepositoryError) -> Stop {
    Stop::Repository(match error.kind() {
        ErrorKind::Invalid => RepositoryError::damaged(format!("the folder {}", show::path(folder)), error),
        _ => error,
    })
}

fn line(path: &Path, node: &Node) -> String {
    let permissions = permissions(node);
    let (size, time) = (node.size, show::time(&node.mtime));
    let target = match node.kind {
        NodeKind::Symlink => format!(" -> {}", show::bytes(&node.link_target)),
        _ => String::new(),
    };
    format!(
        "{permissions} {:>6} {:>6} {size:>12} {time} {}{target}",
        node.uid,
        node.gid,
        show::path(path)
    )
}

/// As `ls -l` writes them.
fn permissions(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Dev => 'b',
        NodeKind::CharDev => 'c',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
    };
    let mode = unix_permissions(node.mode);
    let mut text = String::from(kind);
    for (shift, special, marks) in [
        (6, 0o4000, ['s', 'S']),
        (3, 0o2000, ['s', 'S']),
        (0, 0o1000, ['t', 'T']),
    ] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, executable) => marks[usize::from(!executable)],
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn entry_json(path: &Path, node: &Node) -> Value {
    let mut entry = json!({
        "path": show::path(path),
        "type": node.kind.word(),
        "mode": format!("{:04o}", unix_permissions(node.mode)),
        "uid": node.uid,
        "gid": node.gid,
        "size": node.size,
        "mtime": node.mtime,
    });
    if node.kind == NodeKind::Symlink {
        entry["target"] = show::bytes(&node.link_target).into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_repository::tree::mode;

    #[test]
    fn permissions_look_like_those_of_ls() {
        let shown = |kind, mode| {
            let mut node = Node::new("x", kind);
            node.mode = mode;
            permissions(&node)
        };
        assert_eq!(shown(NodeKind::File, 0o640), "-rw-r-----");
        assert_eq!(shown(NodeKind::Dir, mode::DIR | mode::STICKY | 0o777), "drwxrwxrwt");
        assert_eq!(shown(NodeKind::File, mode::SETUID | mode::SETGID | 0o750), "-rwsr-s---");
        assert_eq!(shown(NodeKind::File, mode::SETUID | mode::STICKY | 0o644), "-rwSr--r-T");
    }
}
