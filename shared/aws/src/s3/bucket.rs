//! [`Bucket`]: blocking calls to one bucket. They come from threads of the engine, never from workers of the runtime.

use std::future::Future;
use std::ops::{ControlFlow, Range};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::EncodingType;
use tokio::runtime::Handle;

use super::refused::Refused;

/// How often one piece is asked for: the SDK repeats requests that fail, but not answers that break off.
pub(super) const BODY_ATTEMPTS: u32 = 3;

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
        let mut head = self.ask(key, range.clone(), if_match).await?;
        let (promised, total) = lengths(&head);
        let mut bytes = vec![0; usize::try_from(promised).unwrap_or(usize::MAX)];
        let received = receive(std::mem::take(&mut head.body), &mut bytes).await;
        if received.is_whole() {
            return Ok(Piece { head, bytes, total });
        }
        let start = range.map_or(0, |range| range.start) + received.bytes as u64;
        let rest = &mut bytes[received.bytes..];
        if self.fill_rest(key, start, rest, head.e_tag.clone(), received).await? {
            return Ok(Piece { head, bytes, total });
        }
        Err(self.broken_off(key, "it ended before the bytes that it promised"))
    }

    /// A whole object.
    pub(crate) fn get(&self, key: &str) -> Result<Vec<u8>, Refused> {
        Ok(self.block_on(self.piece(key, None, None))?.bytes)
    }

    pub(super) async fn ask(
        &self,
        key: &str,
        range: Option<Range<u64>>,
        if_match: Option<&str>,
    ) -> Result<GetObjectOutput, Refused> {
        let call = self.client.get_object().bucket(&self.name).key(key);
        let range = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        call.set_if_match(if_match.map(str::to_owned))
            .set_range(range)
            .set_expected_bucket_owner(self.owner.clone())
            .send()
            .await
            .map_err(|error| self.refused("GetObject", key, &error))
    }

    /// Goes on where an answer broke off, in the same state of the object; false where it ends before.
    async fn fill_rest(
        &self,
        key: &str,
        mut start: u64,
        mut into: &mut [u8],
        etag: Option<String>,
        mut last: Received,
    ) -> Result<bool, Refused> {
        for _ in 1..BODY_ATTEMPTS {
            if into.is_empty() {
                break;
            }
            let range = start..start + into.len() as u64;
            let mut head = self.ask(key, Some(range), etag.as_deref()).await?;
            if lengths(&head).0 != into.len() as u64 {
                return Ok(false);
            }
            last = receive(std::mem::take(&mut head.body), into).await;
            if last.is_whole() {
                return Ok(true);
            }
            start += last.bytes as u64;
            into = &mut into[last.bytes..];
        }
        Err(self.broken_off(key, last.trouble.as_deref().unwrap_or_default()))
    }

    pub(super) fn broken_off(&self, key: &str, why: &str) -> Refused {
        let (name, key) = (&self.name, key.escape_debug());
        Refused::broken(format!(
            "S3 GetObject on s3://{name}/{key}: the answer broke off: {why}"
        ))
    }

    /// Shows `each` the pages of a listing, in order, until it has enough. Keys in them are percent-encoded where the page
    /// says so. With `delimiter`, what lies deeper than the next one is a common prefix; with `after`, only what comes after
    /// that key is listed.
    pub(crate) fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        mut each: impl FnMut(&ListObjectsV2Output) -> Result<ControlFlow<()>, Refused>,
    ) -> Result<(), Refused> {
        let mut token = None;
        loop {
            let call = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
            let call = call
                .set_delimiter(delimiter.map(str::to_owned))
                .set_continuation_token(token)
                .set_start_after(after.map(str::to_owned))
                // Keys may hold characters that XML cannot.
                .encoding_type(EncodingType::Url)
                .set_expected_bucket_owner(self.owner.clone());
            let page = self
                .block_on(call.send())
                .map_err(|error| self.refused("ListObjectsV2", prefix, &error))?;
            if each(&page)?.is_break() || page.is_truncated != Some(true) {
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
pub(super) fn lengths(head: &GetObjectOutput) -> (u64, u64) {
    let promised = head
        .content_length
        .and_then(|length| u64::try_from(length).ok())
        .unwrap_or(0);
    let total = head.content_range.as_deref().and_then(|range| range.rsplit_once('/'));
    let total = total.and_then(|(_, total)| total.parse().ok());
    (promised, total.unwrap_or(promised))
}

/// How much of an answer came, and why not all of it.
struct Received {
    bytes: usize,
    trouble: Option<String>,
}

impl Received {
    fn is_whole(&self) -> bool {
        self.trouble.is_none()
    }
}

/// Reads an answer into a buffer of the length that it promised.
async fn receive(mut body: ByteStream, into: &mut [u8]) -> Received {
    let (mut bytes, wanted) = (0, into.len());
    let trouble = loop {
        match body.try_next().await {
            Ok(Some(part)) => match into.get_mut(bytes..bytes + part.len()) {
                Some(place) => {
                    place.copy_from_slice(&part);
                    bytes += part.len();
                }
                None => break Some(format!("more came than the {wanted} bytes that it promised")),
            },
            Ok(None) if bytes == wanted => break None,
            Ok(None) => break Some(format!("it ended after {bytes} of {wanted} bytes")),
            Err(error) => break Some(error.to_string()),
        }
    };
    Received { bytes, trouble }
}
