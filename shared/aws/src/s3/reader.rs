//! [`Reader`]: the bytes of one object, in one state, a few requests ahead of whoever reads.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use aws_sdk_s3::types::Tag;
use holdfast_core::domain::FailureKind;
use holdfast_repository::backup::{Content, Unread, UnreadReason};
use holdfast_repository::tree::Node;
use tokio::task::JoinHandle;

use super::attributes;
use super::bucket::{Bucket, Piece};
use super::refused::Refused;

/// Bytes of one request.
const PIECE: u64 = 4 << 20;
/// Requests under way while one is being read.
const AHEAD: usize = 2;

/// Reads one object from start to end. Every request but the first names the ETag that the first one saw, so all bytes
/// belong to one state of it.
pub(crate) struct Reader {
    bucket: Bucket,
    key: String,
    path: PathBuf,
    etag: Option<String>,
    node: Node,
    bytes: Vec<u8>,
    /// How much of `bytes` has been read.
    used: usize,
    /// Where in the object the next byte is.
    position: u64,
    /// Where the next request begins.
    requested: u64,
    ahead: VecDeque<JoinHandle<Result<Piece, Refused>>>,
    changed: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        for request in &self.ahead {
            request.abort();
        }
    }
}

impl Reader {
    /// Opens an object. `path` is what it is called in messages and `name` what its node is called.
    pub(crate) fn open(bucket: &Bucket, key: &str, path: PathBuf, name: &str) -> Result<Reader, Refused> {
        let first = match bucket.block_on(bucket.piece(key, Some(0..PIECE), None)) {
            // An empty object has no first byte.
            Err(refused) if refused.is_past_end() => bucket.block_on(bucket.piece(key, None, None)),
            first => first,
        }?;
        let tags = tags(bucket, key, first.head.tag_count())?;
        let (state, attributes) = attributes::read(&first.head, first.total, &tags);
        let mut node = attributes::object_node(name, &state);
        node.extended_attributes = attributes;
        Ok(Reader {
            bucket: bucket.clone(),
            key: key.to_owned(),
            path,
            etag: first.head.e_tag,
            node,
            used: 0,
            position: 0,
            requested: first.bytes.len() as u64,
            bytes: first.bytes,
            ahead: VecDeque::new(),
            changed: false,
        })
    }

    /// The object's metadata.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Fills `into`; false where the object ends before.
    pub(crate) fn fill(&mut self, mut into: &mut [u8]) -> io::Result<bool> {
        while !into.is_empty() {
            match self.read(into)? {
                0 => return Ok(false),
                count => into = &mut into[count..],
            }
        }
        Ok(true)
    }

    fn request_ahead(&mut self) {
        while self.ahead.len() <= AHEAD && self.requested < self.node.size {
            let range = self.requested..self.node.size.min(self.requested + PIECE);
            self.requested = range.end;
            let (bucket, key, etag) = (self.bucket.clone(), self.key.clone(), self.etag.clone());
            let call = async move { bucket.piece(&key, Some(range), etag.as_deref()).await };
            self.ahead.push_back(self.bucket.runtime().spawn(call));
        }
    }

    /// The next bytes; none at the end.
    fn next_piece(&mut self) -> io::Result<()> {
        self.request_ahead();
        (self.bytes, self.used) = (Vec::new(), 0);
        let Some(request) = self.ahead.pop_front() else {
            return Ok(());
        };
        let piece = self.bucket.block_on(request).map_err(io::Error::other)?;
        match piece {
            Ok(piece) => self.bytes = piece.bytes,
            // It was written anew: what was read so far is all there is of this state.
            Err(refused) if refused.is_condition() => {
                self.changed = true;
                self.requested = self.node.size;
                self.ahead.clear();
            }
            Err(refused) => return Err(io_error(refused)),
        }
        Ok(())
    }
}

impl Content for Reader {
    fn opened(&self) -> Result<Node, Unread> {
        Ok(self.node.clone())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.used == self.bytes.len() {
            self.next_piece()?;
        }
        let count = buf.len().min(self.bytes.len() - self.used);
        buf[..count].copy_from_slice(&self.bytes[self.used..self.used + count]);
        self.used += count;
        self.position += count as u64;
        Ok(count)
    }

    /// Objects have no holes.
    fn hole(&mut self) -> io::Result<u64> {
        Ok(0)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.node.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position = bytes;
        if let Some(used) = usize::try_from(bytes).ok().filter(|used| *used <= self.bytes.len()) {
            self.used = used;
            return Ok(());
        }
        (self.bytes, self.used, self.requested) = (Vec::new(), 0, bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<Node, Unread> {
        if self.changed || self.position != self.node.size {
            return Err(Unread {
                path: self.path.clone(),
                reason: UnreadReason::ChangedWhileRead,
            });
        }
        Ok(self.node.clone())
    }
}

/// The tags of an object that has some. Whoever may read an object may not always read them.
fn tags(bucket: &Bucket, key: &str, count: Option<i32>) -> Result<Vec<Tag>, Refused> {
    if count.unwrap_or(0) == 0 {
        return Ok(Vec::new());
    }
    let call = bucket.client.get_object_tagging().bucket(&bucket.name).key(key);
    let answer = bucket.block_on(call.set_expected_bucket_owner(bucket.owner.clone()).send());
    match answer.map_err(|error| bucket.refused("GetObjectTagging", key, &error)) {
        Ok(answer) => Ok(answer.tag_set),
        Err(refused) if refused.kind == FailureKind::Denied => Ok(Vec::new()),
        Err(refused) => Err(refused),
    }
}

/// Why an object was not read.
pub(crate) fn reason(refused: Refused) -> UnreadReason {
    if refused.is_missing() {
        UnreadReason::Vanished
    } else if refused.is_archived() {
        UnreadReason::Unsupported("it is archived, and must be restored in S3 before it can be read".to_owned())
    } else if refused.kind == FailureKind::Denied {
        UnreadReason::Denied
    } else if refused.kind.may_pass() {
        UnreadReason::Unavailable(refused.message)
    } else {
        UnreadReason::Io(refused.message)
    }
}

fn io_error(refused: Refused) -> io::Error {
    let kind = match refused.kind {
        _ if refused.is_missing() => io::ErrorKind::NotFound,
        FailureKind::Denied => io::ErrorKind::PermissionDenied,
        kind if kind.may_pass() => io::ErrorKind::ConnectionAborted,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, refused.message)
}
