//! Nodes from stored JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::json;

use super::{ExtendedAttribute, Node, NodeKind, NodeTime, check_name};

#[derive(Deserialize)]
struct RawNode<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    mode: u32,
    mtime: NodeTime,
    atime: NodeTime,
    ctime: NodeTime,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    inode: u64,
    #[serde(default)]
    device_id: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    links: u64,
    #[serde(default)]
    linktarget: Option<String>,
    #[serde(default, borrow)]
    linktarget_raw: Option<Cow<'a, str>>,
    #[serde(default)]
    extended_attributes: Option<Vec<RawAttribute>>,
    #[serde(default)]
    generic_attributes: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(default)]
    device: u64,
    #[serde(default)]
    content: Option<Vec<Id>>,
    #[serde(default)]
    subtree: Option<Id>,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
struct RawAttribute {
    name: String,
    value: Option<String>,
}

/// Reads the JSON object of one node.
pub(super) fn decode_node(bytes: &[u8]) -> Result<Node> {
    let raw: RawNode<'_> =
        serde_json::from_slice(bytes).map_err(|error| RepositoryError::damaged("a node in a tree", error))?;
    let refuse = |reason: &str| RepositoryError::damaged(format!("the node `{}` in a tree", raw.name), reason);
    let name = json::unquote(&raw.name).ok_or_else(|| refuse("its name is not quoted as Go quotes strings"))?;
    check_name(&name)?;
    let kind = NodeKind::from_word(&raw.kind).ok_or_else(|| refuse(&format!("unknown type `{}`", raw.kind)))?;
    if kind == NodeKind::Dir && raw.subtree.is_none() {
        return Err(refuse("a folder without a subtree"));
    }
    if kind == NodeKind::File && raw.content.is_none() {
        return Err(refuse("a file without a content list"));
    }
    let link_target = match &raw.linktarget_raw {
        Some(raw_target) => BASE64
            .decode(raw_target.as_bytes())
            .map_err(|error| refuse(&error.to_string()))?,
        None => raw.linktarget.clone().unwrap_or_default().into_bytes(),
    };
    let mut extended_attributes = Vec::new();
    for attribute in raw.extended_attributes.iter().flatten() {
        let value = BASE64
            .decode(attribute.value.as_deref().unwrap_or_default())
            .map_err(|error| refuse(&format!("extended attribute `{}`: {error}", attribute.name)))?;
        extended_attributes.push(ExtendedAttribute {
            name: attribute.name.clone(),
            value,
        });
    }
    Ok(Node {
        name,
        kind,
        mode: raw.mode,
        mtime: raw.mtime,
        atime: raw.atime,
        ctime: raw.ctime,
        uid: raw.uid,
        gid: raw.gid,
        user: raw.user,
        group: raw.group,
        inode: raw.inode,
        device_id: raw.device_id,
        size: raw.size,
        links: raw.links,
        link_target,
        extended_attributes,
        generic_attributes: raw.generic_attributes.unwrap_or_default(),
        device: raw.device,
        content: raw.content,
        subtree: raw.subtree,
        error: raw.error,
    })
}
