//! The kernels by themselves, for measurements: those that nothing else makes public. There with feature `kernels` only.

use crate::error::{RepositoryError, Result};
use crate::pack;

/// Decompresses what [`BlobEncoder`](crate::pack::BlobEncoder) made of `length` bytes.
pub fn decompress(compressed: &[u8], length: usize) -> Result<Vec<u8>> {
    pack::decompress(compressed, length).map_err(RepositoryError::io("decompress a blob"))
}
