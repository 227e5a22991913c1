//! The metadata of an object as extended attributes of its node, and back.
//!
//! | attribute | what |
//! |---|---|
//! | `user.s3.content-type`, `user.s3.cache-control`, `user.s3.content-disposition`, `user.s3.content-encoding`, `user.s3.content-language`, `user.s3.website-redirect` | the header of that name |
//! | `user.s3.meta.NAME` | user metadata |
//! | `user.s3.tags` | tags, as a query string, if they may be read |
//! | `user.s3.storage-class` | the storage class, if it is not S3 Standard |
//! | `user.s3.after` | of a part of a folder: the last part of the key after which it begins |
//! | `user.s3.etag`, `user.s3.version-id` | which state of the object was read; not restored |
//!
//! An object in an archive class cannot be compared, so one that comes from there is restored to S3 Standard.

use std::collections::BTreeMap;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{StorageClass, Tag};
use holdfast_repository::tree::{ExtendedAttribute, Node, NodeKind, NodeTime, mode};
use sha2::{Digest, Sha256};

use super::listing::{State, unquoted, unusual_class};
use super::upload::Headers;

const PREFIX: &str = "user.s3.";
const ETAG: &str = "user.s3.etag";
const VERSION: &str = "user.s3.version-id";
const TYPE: &str = "user.s3.content-type";
const CLASS: &str = "user.s3.storage-class";
const TAGS: &str = "user.s3.tags";
const AFTER: &str = "user.s3.after";
const META: &str = "user.s3.meta.";
/// Classes that objects are not read from at once.
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// The node of a folder. Folders are not objects, so nothing is known of them.
pub(crate) fn folder_node(name: &str) -> Node {
    let mut node = Node::new(name.as_bytes(), NodeKind::Dir);
    node.mode = mode::DIR | 0o755;
    node
}

/// The node of the part of a folder that begins after an object.
pub(crate) fn part_node(name: &str, after: &str) -> Node {
    let mut node = folder_node(name);
    node.extended_attributes = vec![ExtendedAttribute {
        name: AFTER.to_owned(),
        value: after.as_bytes().to_vec(),
    }];
    node
}

/// Whether this is a part of a folder.
pub(crate) fn is_part(node: &Node) -> bool {
    node.kind == NodeKind::Dir && attribute(node, AFTER).is_some()
}

/// The node of an object in this state, without its attributes.
pub(crate) fn object_node(name: &str, state: &State) -> Node {
    let mut node = Node::new(name.as_bytes(), NodeKind::File);
    node.mode = 0o644;
    node.size = state.size;
    node.links = 1;
    node.mtime = NodeTime::utc(state.modified_at, 0);
    (node.atime, node.ctime) = (node.mtime, node.mtime);
    // What S3 changes with every write, where a backup looks for it.
    let digest = Sha256::digest(state.etag.as_bytes());
    node.inode = digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    node
}

/// Whether a node holds an object in this state.
pub(crate) fn is_state(node: &Node, state: &State) -> bool {
    let same = object_node("", state);
    let text = attribute(node, ETAG);
    node.kind == NodeKind::File
        && (node.size, node.mtime.seconds, node.inode) == (same.size, same.mtime.seconds, same.inode)
        && text.as_deref() == Some(state.etag.as_str())
}

/// Whether a node was made of an object, so that its path stands for a key.
pub(crate) fn is_object(node: &Node) -> bool {
    attribute(node, ETAG).is_some()
}

/// The attributes that an earlier backup found of the same state. The storage class may have changed since.
pub(crate) fn taken_over(before: &Node, state: &State) -> Vec<ExtendedAttribute> {
    let mut attributes: BTreeMap<String, Vec<u8>> =
        of(before).map(|(name, value)| (name.into(), value.into())).collect();
    attributes.remove(CLASS);
    if let Some(class) = &state.storage_class {
        attributes.insert(CLASS.to_owned(), class.clone().into_bytes());
    }
    listed(attributes)
}

/// The state and the attributes of an object, from the answer with its content.
pub(crate) fn read(head: &GetObjectOutput, size: u64, tags: &[Tag]) -> (State, Vec<ExtendedAttribute>) {
    let state = State {
        size,
        etag: unquoted(head.e_tag()),
        modified_at: head.last_modified().map_or(0, DateTime::secs),
        storage_class: unusual_class(head.storage_class().map(StorageClass::as_str)),
    };
    let mut attributes = BTreeMap::new();
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value.as_bytes().to_vec());
        }
    };
    add(TYPE, head.content_type());
    add("user.s3.cache-control", head.cache_control());
    add("user.s3.content-disposition", head.content_disposition());
    add(
        "user.s3.content-encoding",
        head.content_encoding().filter(|encoding| !encoding.is_empty()),
    );
    add("user.s3.content-language", head.content_language());
    add("user.s3.website-redirect", head.website_redirect_location());
    add(VERSION, head.version_id().filter(|version| *version != "null"));
    add(CLASS, state.storage_class.as_deref());
    add(ETAG, Some(&state.etag));
    for (name, value) in head.metadata().into_iter().flatten() {
        add(&format!("{META}{name}"), Some(value));
    }
    if !tags.is_empty() {
        add(TAGS, Some(&query_string(tags)));
    }
    (state, listed(attributes))
}

/// What a restored object is written with.
pub(crate) fn headers(node: &Node, only_if_absent: bool) -> Headers {
    let text = |name: &str| attribute(node, &format!("{PREFIX}{name}"));
    let metadata = of(node).filter_map(|(name, value)| {
        let name = name.strip_prefix(META)?;
        Some((name.to_owned(), String::from_utf8(value.to_vec()).ok()?))
    });
    Headers {
        only_if_absent,
        storage_class: restored_class(node).as_deref().map(StorageClass::from),
        content_type: text("content-type"),
        cache_control: text("cache-control"),
        content_disposition: text("content-disposition"),
        content_encoding: text("content-encoding"),
        content_language: text("content-language"),
        website_redirect: text("website-redirect"),
        metadata: metadata.collect(),
        tags: attribute(node, TAGS),
        ..Headers::default()
    }
}

/// Every attribute that a restore writes and that does not stand as it was.
pub(crate) fn differences(wanted: &Node, stands: &[ExtendedAttribute]) -> Vec<String> {
    let restorable = |name: &str| name.starts_with(PREFIX) && ![ETAG, VERSION, CLASS].contains(&name);
    let mut pairs: BTreeMap<&str, [Option<String>; 2]> = BTreeMap::new();
    let shown = |value: &[u8]| value.escape_ascii().to_string();
    for (name, value) in of(wanted).filter(|(name, _)| restorable(name)) {
        pairs.entry(name).or_default()[0] = Some(shown(value));
    }
    for found in stands.iter().filter(|found| restorable(&found.name)) {
        pairs.entry(&found.name).or_default()[1] = Some(shown(&found.value));
    }
    let class = |attributes: &[ExtendedAttribute]| {
        let class = attributes.iter().find(|attribute| attribute.name == CLASS);
        class.map(|class| shown(&class.value))
    };
    pairs.insert(CLASS, [restored_class(wanted), class(stands)]);
    let differ = pairs.into_iter().filter(|(_, [wanted, stands])| wanted != stands);
    // An object that is written without a type gets one from S3.
    let differ = differ.filter(|(name, [wanted, _])| *name != TYPE || wanted.is_some());
    let none = || "none".to_owned();
    differ
        .map(|(name, [wanted, stands])| {
            let (wanted, stands) = (wanted.unwrap_or_else(none), stands.unwrap_or_else(none));
            format!("{} is {stands}, was {wanted}", name.trim_start_matches(PREFIX))
        })
        .collect()
}

fn restored_class(node: &Node) -> Option<String> {
    attribute(node, CLASS).filter(|class| !ARCHIVES.contains(&class.as_str()))
}

fn of(node: &Node) -> impl Iterator<Item = (&str, &[u8])> {
    let attributes = node.extended_attributes.iter();
    attributes.map(|attribute| (attribute.name.as_str(), attribute.value.as_slice()))
}

fn attribute(node: &Node, wanted: &str) -> Option<String> {
    let (_, value) = of(node).find(|(name, _)| *name == wanted)?;
    String::from_utf8(value.to_vec()).ok()
}

fn listed(attributes: BTreeMap<String, Vec<u8>>) -> Vec<ExtendedAttribute> {
    let attributes = attributes.into_iter();
    attributes
        .map(|(name, value)| ExtendedAttribute { name, value })
        .collect()
}

/// Tags as S3 takes them in a header, in the order of their keys.
fn query_string(tags: &[Tag]) -> String {
    let mut pairs: Vec<String> = tags
        .iter()
        .map(|tag| format!("{}={}", encoded(tag.key()), encoded(tag.value())))
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
