//! [`TreeEncoder`]: one folder's stored bytes, made node by node.

use std::io::Write;

use sha2::{Digest, Sha256};

use crate::error::{RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::tree::{Node, TREE_END, TREE_START, check_name, check_order, encode_node};

use super::packer::Packer;
use super::run::Run;

/// A folder longer than this is compressed while it grows, so that a million entries need little memory.
const HELD_PLAIN: usize = 4 << 20;

/// A folder that is being written.
pub(super) struct TreeEncoder {
    plain: Vec<u8>,
    previous: Option<Vec<u8>>,
    streamed: Option<Streamed>,
}

struct Streamed {
    hasher: Sha256,
    compressor: zstd::Encoder<'static, Vec<u8>>,
    length: usize,
}

impl TreeEncoder {
    pub(super) fn new() -> TreeEncoder {
        TreeEncoder {
            plain: TREE_START.to_vec(),
            previous: None,
            streamed: None,
        }
    }

    /// Appends a node; names must come in ascending order.
    pub(super) fn push(&mut self, run: &Run<'_>, node: &Node) -> Result<()> {
        check_name(&node.name)?;
        check_order(self.previous.as_deref(), &node.name)?;
        if self.previous.is_some() {
            self.plain.push(b',');
        }
        encode_node(node, &mut self.plain)?;
        let previous = self.previous.get_or_insert_default();
        previous.clear();
        previous.extend_from_slice(&node.name);
        if self.plain.len() >= HELD_PLAIN {
            self.stream(run)
        } else {
            Ok(())
        }
    }

    /// Moves the bytes held so far into the compressor.
    fn stream(&mut self, run: &Run<'_>) -> Result<()> {
        let failed = || RepositoryError::io("compress a tree");
        let streamed = match &mut self.streamed {
            Some(streamed) => streamed,
            None => {
                let compressor = zstd::Encoder::new(Vec::new(), run.options.compression_level).map_err(failed())?;
                self.streamed.insert(Streamed {
                    hasher: Sha256::new(),
                    compressor,
                    length: 0,
                })
            }
        };
        streamed.hasher.update(&self.plain);
        streamed.compressor.write_all(&self.plain).map_err(failed())?;
        streamed.length += self.plain.len();
        self.plain.clear();
        Ok(())
    }

    /// Ends the folder and stores it, unless it is known.
    pub(super) fn finish(mut self, run: &Run<'_>, packer: &mut Packer<'_>) -> Result<Id> {
        self.plain.extend_from_slice(TREE_END);
        if self.streamed.is_some() {
            self.stream(run)?;
        }
        let Some(Streamed {
            hasher,
            compressor,
            length,
        }) = self.streamed
        else {
            let id = Id::of(&self.plain);
            if run.known.claim(BlobKind::Tree, id)? {
                packer.add(id, &self.plain)?;
            }
            return Ok(id);
        };
        let id = Id(hasher.finalize().into());
        if run.known.claim(BlobKind::Tree, id)? {
            let compressed = compressor.finish().map_err(RepositoryError::io("compress a tree"))?;
            let length = u32::try_from(length)
                .map_err(|_| RepositoryError::invalid("a folder", "its listing is longer than 4 GiB"))?;
            packer.add_compressed(id, &compressed, length)?;
        }
        Ok(id)
    }
}
