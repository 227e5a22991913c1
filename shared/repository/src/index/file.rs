//! Index files as restic writes them.

use serde::Deserialize;

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::json::{self, Object};
use crate::pack::{BlobKind, PackBlob};

/// Blobs of one index file at most; a pack is never split over two.
const MAX_BLOBS: usize = 50_000;

/// One pack in an index file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexPack {
    /// The pack.
    pub id: Id,
    /// What it holds, in order.
    pub blobs: Vec<PackBlob>,
}

#[derive(Deserialize)]
struct RawIndex {
    packs: Option<Vec<RawPack>>,
}

#[derive(Deserialize)]
struct RawPack {
    id: Id,
    blobs: Option<Vec<RawBlob>>,
}

#[derive(Deserialize)]
struct RawBlob {
    id: Id,
    #[serde(rename = "type")]
    kind: RawKind,
    offset: u32,
    length: u32,
    #[serde(default)]
    uncompressed_length: u32,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawKind {
    Data,
    Tree,
}

/// The JSON of an index file.
pub fn encode_index(packs: &[IndexPack]) -> Vec<u8> {
    let blobs: usize = packs.iter().map(|pack| pack.blobs.len()).sum();
    let mut out = Vec::with_capacity(packs.len() * 96 + blobs * 170 + 32);
    let mut object = Object::begin(&mut out);
    json::write_list(object.field("packs"), packs, |out, pack| {
        let mut object = Object::begin(out);
        json::write_id(object.field("id"), &pack.id);
        json::write_list(object.field("blobs"), &pack.blobs, |out, blob| {
            let mut object = Object::begin(out);
            json::write_id(object.field("id"), &blob.id);
            object.string("type", blob.kind.word());
            object.number("offset", blob.offset.into());
            object.number("length", blob.length.into());
            object.number_or_omit("uncompressed_length", blob.uncompressed_length.unwrap_or(0).into());
            object.end();
        });
        object.end();
    });
    object.end();
    out
}

/// Reads the JSON of the index file `id`.
pub fn decode_index(id: &Id, json: &[u8]) -> Result<Vec<IndexPack>> {
    let raw: RawIndex =
        serde_json::from_slice(json).map_err(|error| RepositoryError::damaged(format!("index file {id}"), error))?;
    let blob = |raw: RawBlob| PackBlob {
        kind: match raw.kind {
            RawKind::Data => BlobKind::Data,
            RawKind::Tree => BlobKind::Tree,
        },
        id: raw.id,
        offset: raw.offset,
        length: raw.length,
        uncompressed_length: (raw.uncompressed_length != 0).then_some(raw.uncompressed_length),
    };
    let pack = |raw: RawPack| {
        let mut blobs: Vec<PackBlob> = raw.blobs.into_iter().flatten().map(blob).collect();
        // restic writes them in any order.
        blobs.sort_unstable_by_key(|blob| blob.offset);
        IndexPack { id: raw.id, blobs }
    };
    Ok(raw.packs.into_iter().flatten().map(pack).collect())
}

/// Cuts a list of packs so that no index file holds more than 50,000 blobs, unless one pack alone does.
pub fn split_packs(packs: &[IndexPack]) -> Vec<&[IndexPack]> {
    let mut parts = Vec::new();
    let (mut start, mut blobs) = (0, 0);
    for (at, pack) in packs.iter().enumerate() {
        if at > start && blobs + pack.blobs.len() > MAX_BLOBS {
            parts.push(&packs[start..at]);
            (start, blobs) = (at, 0);
        }
        blobs += pack.blobs.len();
    }
    if start < packs.len() {
        parts.push(&packs[start..]);
    }
    parts
}
