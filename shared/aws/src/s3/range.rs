//! [`ObjectRange`]: a range of an object, read while it comes.

use std::ops::Range;

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf, Bytes};

use super::bucket::{BODY_ATTEMPTS, Bucket, lengths};
use super::refused::Refused;

/// A range of one state of an object. It is asked for with one request, which is gone on with where its answer breaks off; what
/// has not been read waits at the other end of the connection.
pub(crate) struct ObjectRange<'a> {
    bucket: &'a Bucket,
    key: String,
    /// What was not taken from an answer yet.
    left: Range<u64>,
    /// Whether the object may end before the range does.
    may_end: bool,
    /// The state that the first answer is of.
    etag: Option<String>,
    answer: Option<ByteStream>,
    /// What was taken from the answer and not read yet.
    part: Bytes,
    broken_off: u32,
}

impl Bucket {
    /// Nothing is asked yet. The range must not be empty.
    pub(crate) fn range(&self, key: String, range: Range<u64>) -> ObjectRange<'_> {
        ObjectRange {
            bucket: self,
            key,
            left: range,
            may_end: false,
            etag: None,
            answer: None,
            part: Bytes::new(),
            broken_off: 0,
        }
    }
}

impl ObjectRange<'_> {
    /// Fills `into` with the next bytes; false where the range, or the object, ends before.
    pub(crate) fn fill(&mut self, into: &mut [u8]) -> Result<bool, Refused> {
        match self.bucket.block_on(self.fill_from_answers(into)) {
            Err(refused) if refused.is_past_end() => Ok(false),
            filled => filled,
        }
    }

    /// All bytes of the range that the object has.
    pub(crate) fn read_up_to_end(mut self) -> Result<Vec<u8>, Refused> {
        self.may_end = true;
        let bucket = self.bucket;
        let read = bucket.block_on(async {
            let mut bytes = Vec::new();
            while self.receive().await? {
                bytes.extend_from_slice(&std::mem::take(&mut self.part));
            }
            if self.left.is_empty() {
                Ok(bytes)
            } else {
                Err(bucket.broken_off(&self.key, "what came instead has another length"))
            }
        });
        match read {
            Err(refused) if Refused::is_past_end(&refused) => Ok(Vec::new()),
            read => read,
        }
    }

    async fn fill_from_answers(&mut self, mut into: &mut [u8]) -> Result<bool, Refused> {
        while !into.is_empty() {
            if self.part.is_empty() && !self.receive().await? {
                return Ok(false);
            }
            let count = into.len().min(self.part.len());
            let (place, rest) = into.split_at_mut(count);
            self.part.copy_to_slice(place);
            into = rest;
        }
        Ok(true)
    }

    /// Takes the next part of the answer; false where there is none.
    async fn receive(&mut self) -> Result<bool, Refused> {
        if self.left.is_empty() {
            return Ok(false);
        }
        let mut answer = match self.answer.take() {
            Some(answer) => answer,
            None => {
                let range = Some(self.left.clone());
                let head = self.bucket.ask(&self.key, range, self.etag.as_deref()).await?;
                let (comes, wanted) = (lengths(&head).0, self.left.end - self.left.start);
                if self.may_end && comes < wanted {
                    self.left.end = self.left.start + comes;
                } else if comes != wanted {
                    return Ok(false);
                }
                self.may_end = false;
                self.etag = head.e_tag;
                head.body
            }
        };
        let wanted = self.left.end - self.left.start;
        let trouble = match answer.try_next().await {
            Ok(Some(part)) if part.len() as u64 <= wanted => {
                self.left.start += part.len() as u64;
                self.part = part;
                self.answer = Some(answer);
                return Ok(true);
            }
            Ok(Some(_)) => "more came than it promised".to_owned(),
            Ok(None) => format!("it ended {wanted} bytes before it promised to"),
            Err(error) => error.to_string(),
        };
        self.broken_off += 1;
        if self.broken_off == BODY_ATTEMPTS {
            return Err(self.bucket.broken_off(&self.key, &trouble));
        }
        Ok(true)
    }
}
