//! Names and tables as these commands show them.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdfast_repository::Snapshot;
use serde_json::{Value, json};

use holdfast_repository::{Id, NodeTime};

use crate::output;

/// A path that is safe to show: bytes that are not UTF-8, control characters and backslashes are written as `\xNN`, so
/// that no name can play with the terminal and different names look different.
pub fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_bytes())
}

/// The same for any bytes.
pub fn bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' || character.is_control() {
                let mut encoded = [0; 4];
                let encoded = character.encode_utf8(&mut encoded).bytes();
                text.extend(encoded.map(|byte| format!("\\x{byte:02x}")));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// A stored time for people.
pub fn time(time: &NodeTime) -> String {
    output::time(time.timestamp())
}

/// A snapshot for programs.
pub fn snapshot_json(id: &Id, snapshot: &Snapshot) -> Value {
    json!({
        "snapshot": id,
        "time": snapshot.time,
        "hostname": snapshot.hostname,
        "username": snapshot.username,
        "paths": snapshot.paths,
        "tags": snapshot.tags,
        "parent": snapshot.parent,
        "tree": snapshot.tree,
        "files": snapshot.summary.as_ref().map(|summary| summary.total_files_processed),
        "bytes": snapshot.summary.as_ref().map(|summary| summary.total_bytes_processed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_so_that_they_differ_and_do_no_harm() {
        assert_eq!(bytes("plain ü".as_bytes()), "plain ü");
        assert_eq!(bytes(b"esc \x1b[31m \xff \\x"), "esc \\x1b[31m \\xff \\x5cx");
        assert_eq!(bytes("\u{85}".as_bytes()), "\\xc2\\x85");
    }
}
