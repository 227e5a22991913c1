//! Nodes as Go's `encoding/json` writes restic's `Node`.

use crate::error::{RepositoryError, Result};
use crate::json::{self, Object};

use super::{Node, NodeKind};

/// The bytes before the first node of a tree.
pub const TREE_START: &[u8] = b"{\"nodes\":[";
/// The bytes after the last node of a tree.
pub const TREE_END: &[u8] = b"]}\n";

/// Appends one node. Fails where what the node must have by its kind is missing: a folder its subtree, a file its
/// content.
pub fn encode_node(node: &Node, out: &mut Vec<u8>) -> Result<()> {
    check_parts(node)?;
    let mut object = Object::begin(out);
    json::write_string(object.field("name"), &json::quote(&node.name));
    object.string("type", node.kind.word());
    object.number_or_omit("mode", node.mode.into());
    for (name, time) in [("mtime", node.mtime), ("atime", node.atime), ("ctime", node.ctime)] {
        let out = object.field(name);
        out.push(b'"');
        time.write(out);
        out.push(b'"');
    }
    object.number("uid", node.uid.into());
    object.number("gid", node.gid.into());
    object.string_or_omit("user", &node.user);
    object.string_or_omit("group", &node.group);
    object.number_or_omit("inode", node.inode);
    object.number_or_omit("device_id", node.device_id);
    object.number_or_omit("size", node.size);
    object.number_or_omit("links", node.links);
    if !node.link_target.is_empty() {
        json::write_string(object.field("linktarget"), &node.link_target);
        if std::str::from_utf8(&node.link_target).is_err() {
            json::write_base64(object.field("linktarget_raw"), &node.link_target);
        }
    }
    if !node.extended_attributes.is_empty() {
        json::write_list(
            object.field("extended_attributes"),
            &node.extended_attributes,
            |out, attribute| {
                let mut object = Object::begin(out);
                object.string("name", &attribute.name);
                json::write_base64(object.field("value"), &attribute.value);
                object.end();
            },
        );
    }
    if !node.generic_attributes.is_empty() {
        let mut attributes = Object::begin(object.field("generic_attributes"));
        for (name, value) in &node.generic_attributes {
            json::write_value(attributes.field(name), value);
        }
        attributes.end();
    }
    object.number_or_omit("device", node.device);
    match &node.content {
        None => object.field("content").extend_from_slice(b"null"),
        Some(ids) => json::write_list(object.field("content"), ids, json::write_id),
    }
    object.id_or_omit("subtree", node.subtree.as_ref());
    object.string_or_omit("error", &node.error);
    object.end();
    Ok(())
}

fn check_parts(node: &Node) -> Result<()> {
    let missing = match node.kind {
        NodeKind::File if node.content.is_none() => "a file without a content list",
        NodeKind::Dir if node.subtree.is_none() => "a folder without a subtree",
        _ => return Ok(()),
    };
    Err(RepositoryError::Bug(format!(
        "the node `{}` is {missing}",
        node.display_name()
    )))
}
