//! [`Bucket`]: blocking calls to one bucket. They come from threads of the engine, never from workers of the runtime.

use std::future::Future;
use std::ops::Range;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;

use super::refused::Refused;

/// Bytes of one request of a large read.
pub(crate) const PIECE: u64 = 8 << 20;
/// Requests of one large read under way at one time.
const PIECES_AT_ONCE: usize = 8;
/// How often one piece is asked for: the SDK repeats requests that fail, but not answers that break off.
const BODY_ATTEMPTS: u32 = 3;

/// One bucket, and the runtime that speaks to it.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    pub(crate) client: Client,
    runtime: Handle,
    /// Its name.
    pub(crate) name: String,
    /// The account that must own it.
    pub(crate) owner: Option<String>,
}

/// Part of an object, with what the answer said of the whole.
pub(crate) struct Piece {
    /// Everything but the bytes.
    pub(crate) head: GetObjectOutput,
    /// The bytes of the range, fewer where the object ends before.
    pub(crate) bytes: Vec<u8>,
    /// Length of the whole object.
    pub(crate) total: u64,
}

impl Bucket {
    pub(crate) fn new(client: Client, runtime: Handle, name: String, owner: Option<String>) -> Self {
        Self {
            client,
            runtime,
            name,
            owner,
        }
    }

    pub(crate) fn block_on<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn refused<E>(
        &self,
        operation: &str,
        key: &str,
        error: &aws_sdk_s3::error::SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
    ) -> Refused
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        Refused::new(operation, &self.name, key, error)
    }

    /// What S3 says of an object; `None` when it is not there. The answer to a missing object and to a missing bucket is
    /// the same, so the bucket is asked for then.
    pub(crate) fn head(&self, key: &str) -> Result<Option<HeadObjectOutput>, Refused> {
        self.block_on(async {
            let call = self.client.head_object().bucket(&self.name).key(key);
            match call.set_expected_bucket_owner(self.owner.clone()).send().await {
                Ok(found) => Ok(Some(found)),
                Err(error) => {
                    let refused = self.refused("HeadObject", key, &error);
                    if !refused.is_missing() {
                        return Err(refused);
                    }
                    self.require_bucket().await.map(|()| None)
                }
            }
        })
    }

    async fn require_bucket(&self) -> Result<(), Refused> {
        let call = self.client.list_objects_v2().bucket(&self.name).max_keys(1);
        let answer = call.set_expected_bucket_owner(self.owner.clone()).send().await;
        match answer.map_err(|error| self.refused("ListObjectsV2", "", &error)) {
            Err(refused) if refused.is_no_bucket() => Err(refused),
            _ => Ok(()),
        }
    }

    /// Part of an object. With `if_match`, only while it has this ETag.
    pub(crate) async fn piece(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        if_match: Option<&str>,
    ) -> Result<Piece, Refused> {
        let mut attempt = 1;
        loop {
            let call = self.client.get_object().bucket(&self.name).key(key);
            let call = call
                .set_if_match(if_match.map(str::to_owned))
                .set_range(
                    range
                        .as_ref()
                        .map(|range| format!("bytes={}-{}", range.start, range.end - 1)),
                )
                .set_expected_bucket_owner(self.owner.clone());
            let mut head = call
                .send()
                .await
                .map_err(|error| self.refused("GetObject", key, &error))?;
            let body = std::mem::take(&mut head.body);
            let (promised, total) = lengths(&head);
            let broken = match body.collect().await {
                Ok(bytes) => {
                    let bytes = bytes.to_vec();
                    if bytes.len() as u64 == promised {
                        return Ok(Piece { head, bytes, total });
                    }
                    format!("the answer ended after {} of {promised} bytes", bytes.len())
                }
                Err(error) => format!("the answer broke off: {error}"),
            };
            if attempt == BODY_ATTEMPTS {
                let message = format!("S3 GetObject on s3://{}/{}: {broken}", self.name, key.escape_debug());
                return Err(Refused::broken(message));
            }
            attempt += 1;
        }
    }

    /// A whole object, in several requests at one time where it is large.
    pub(crate) fn get(&self, key: &str) -> Result<Vec<u8>, Refused> {
        self.block_on(async {
            let first = match self.piece(key, Some(0..PIECE), None).await {
                // An empty object has no first byte.
                Err(refused) if refused.is_past_end() => return Ok(Vec::new()),
                first => first?,
            };
            let (mut bytes, total) = (first.bytes, first.total);
            if bytes.len() as u64 == total {
                return Ok(bytes);
            }
            let etag = first.head.e_tag;
            let rest = bytes.len() as u64..total;
            bytes.resize(usize::try_from(total).unwrap_or(usize::MAX), 0);
            let (_, into) = bytes.split_at_mut(rest.start as usize);
            if self.fill(key, rest.start, into, etag.as_deref()).await? {
                return Ok(bytes);
            }
            let (name, key) = (&self.name, key.escape_debug());
            Err(Refused::broken(format!(
                "S3 GetObject on s3://{name}/{key}: it ended before its {total} bytes"
            )))
        })
    }

    /// Fills `into` from `offset`; false where the object ends before.
    pub(crate) fn get_range(&self, key: &str, offset: u64, into: &mut [u8]) -> Result<bool, Refused> {
        match self.block_on(self.fill(key, offset, into, None)) {
            Err(refused) if refused.is_past_end() => Ok(false),
            filled => filled,
        }
    }

    async fn fill(&self, key: &str, offset: u64, into: &mut [u8], if_match: Option<&str>) -> Result<bool, Refused> {
        let pieces = into.chunks_mut(PIECE as usize).enumerate();
        let calls = stream::iter(pieces).map(|(number, into)| async move {
            let start = offset + number as u64 * PIECE;
            let piece = self
                .piece(key, Some(start..start + into.len() as u64), if_match)
                .await?;
            if piece.bytes.len() == into.len() {
                into.copy_from_slice(&piece.bytes);
                return Ok(true);
            }
            Ok(false)
        });
        calls
            .buffer_unordered(PIECES_AT_ONCE)
            .try_fold(true, |all, one| async move { Ok(all && one) })
            .await
    }

    /// Shows `each` every page of a listing, in order. Keys in them are percent-encoded where the page says so. With
    /// `delimiter`, what lies deeper than the next one is a common prefix.
    pub(crate) fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        mut each: impl FnMut(&ListObjectsV2Output) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut token = None;
        loop {
            let call = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
            let call = call
                .set_delimiter(delimiter.map(str::to_owned))
                .set_continuation_token(token)
                // Keys may hold characters that XML cannot.
                .encoding_type(EncodingType::Url)
                .set_expected_bucket_owner(self.owner.clone());
            let page = self
                .block_on(call.send())
                .map_err(|error| self.refused("ListObjectsV2", prefix, &error))?;
            each(&page)?;
            if page.is_truncated != Some(true) {
                return Ok(());
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return Err(Refused::broken(format!(
                    "S3 ListObjectsV2 on s3://{}/{prefix}: a page says that more follows, and not where",
                    self.name
                )));
            }
        }
    }

    /// Whether no key begins with `prefix`.
    pub(crate) fn is_empty(&self, prefix: &str) -> Result<bool, Refused> {
        let call = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let call = call.max_keys(1).set_expected_bucket_owner(self.owner.clone());
        let page = self
            .block_on(call.send())
            .map_err(|error| self.refused("ListObjectsV2", prefix, &error))?;
        Ok(page.contents().is_empty())
    }

    /// Deletes an object, or hides it behind a marker where the bucket keeps versions. One that is not there is fine.
    pub(crate) fn delete(&self, key: &str) -> Result<(), Refused> {
        let call = self.client.delete_object().bucket(&self.name).key(key);
        let answer = self.block_on(call.set_expected_bucket_owner(self.owner.clone()).send());
        match answer.map_err(|error| self.refused("DeleteObject", key, &error)) {
            Err(refused) if !refused.is_missing() => Err(refused),
            _ => Ok(()),
        }
    }
}

/// How many bytes an answer promises, and how many the whole object has.
fn lengths(head: &GetObjectOutput) -> (u64, u64) {
    let promised = head
        .content_length
        .and_then(|length| u64::try_from(length).ok())
        .unwrap_or(0);
    let total = head.content_range.as_deref().and_then(|range| range.rsplit_once('/'));
    let total = total.and_then(|(_, total)| total.parse().ok());
    (promised, total.unwrap_or(promised))
}
