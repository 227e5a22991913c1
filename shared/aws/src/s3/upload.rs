//! Writing objects: in one request, or in parts where they are large. Every request carries the SHA-256 of its bytes, so
//! that the store refuses what was damaged on the way.

use std::collections::HashMap;

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ObjectLockLegalHoldStatus, ObjectLockMode,
    ServerSideEncryption, StorageClass,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::bucket::Bucket;
use super::refused::Refused;

/// Larger objects are written in parts, which cost some more requests; smaller ones need no more than one.
pub(crate) const MULTIPART_ABOVE: usize = 64 << 20;
/// Bytes of a part, unless the object is so large that it would have too many.
const PART: u64 = 8 << 20;
/// S3 takes no more parts.
const PARTS_MAX: u64 = 10_000;
/// Parts of one object on their way at one time.
const PARTS_AT_ONCE: usize = 4;
/// How often a request is sent whose bytes were damaged on the way.
const DAMAGED_ATTEMPTS: u32 = 3;

/// What is written with an object besides its bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers {
    /// Refuse to write over something.
    pub(crate) only_if_absent: bool,
    /// The KMS key that encrypts it; the bucket's own default without one.
    pub(crate) kms_key: Option<String>,
    /// Its storage class; S3 Standard without one.
    pub(crate) storage_class: Option<StorageClass>,
    /// How and until when it is locked.
    pub(crate) lock: Option<(ObjectLockMode, DateTime)>,
    /// Whether it is under legal hold.
    pub(crate) legal_hold: bool,
    /// HTTP headers and the like of objects that people read.
    pub(crate) content_type: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) content_encoding: Option<String>,
    pub(crate) content_language: Option<String>,
    pub(crate) website_redirect: Option<String>,
    pub(crate) metadata: HashMap<String, String>,
    /// As a query string.
    pub(crate) tags: Option<String>,
}

/// `PutObject` and `CreateMultipartUpload` take the same headers.
macro_rules! with_headers {
    ($call:expr, $headers:expr, $owner:expr) => {{
        let headers: &Headers = $headers;
        let lock = headers.lock.clone();
        $call
            .set_server_side_encryption(headers.kms_key.as_ref().map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(headers.kms_key.clone())
            .set_bucket_key_enabled(headers.kms_key.as_ref().map(|_| true))
            .set_storage_class(headers.storage_class.clone())
            .set_object_lock_mode(lock.as_ref().map(|(mode, _)| mode.clone()))
            .set_object_lock_retain_until_date(lock.map(|(_, until)| until))
            .set_object_lock_legal_hold_status(headers.legal_hold.then_some(ObjectLockLegalHoldStatus::On))
            .set_content_type(headers.content_type.clone())
            .set_cache_control(headers.cache_control.clone())
            .set_content_disposition(headers.content_disposition.clone())
            .set_content_encoding(headers.content_encoding.clone())
            .set_content_language(headers.content_language.clone())
            .set_website_redirect_location(headers.website_redirect.clone())
            .set_metadata((!headers.metadata.is_empty()).then(|| headers.metadata.clone()))
            .set_tagging(headers.tags.clone())
            .set_expected_bucket_owner($owner)
    }};
}

/// Bytes with the SHA-256 that the store is to find in them. Copies share the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    bytes: Bytes,
    sha256: [u8; 32],
}

impl Body {
    /// Bytes whose hash is known.
    pub(crate) fn known(bytes: Bytes, sha256: [u8; 32]) -> Self {
        Self { bytes, sha256 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes back.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    fn checksum(&self) -> String {
        BASE64_STANDARD.encode(self.sha256)
    }

    fn stream(&self) -> ByteStream {
        ByteStream::from(self.bytes.clone())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let sha256 = Sha256::digest(&bytes).into();
        Self { bytes, sha256 }
    }
}

fn if_none_match(headers: &Headers) -> Option<String> {
    headers.only_if_absent.then(|| "*".to_owned())
}

/// Bytes of each part of an object of this size.
pub(crate) fn part_size(size: u64) -> u64 {
    PART.max(size.div_ceil(PARTS_MAX).next_multiple_of(1 << 20))
}

impl Bucket {
    /// Writes an object: in one request, or in parts above [`MULTIPART_ABOVE`].
    pub(crate) fn put(&self, key: &str, body: &Body, headers: &Headers) -> Result<(), Refused> {
        let length = body.bytes.len();
        if length <= MULTIPART_ABOVE {
            return self.block_on(self.put_whole(key, body, headers));
        }
        self.block_on(async {
            let upload = self.begin(key, headers).await?;
            let part = part_size(length as u64) as usize;
            let starts = (0..length).step_by(part).zip(1..);
            let sent = stream::iter(starts)
                .map(|(start, number)| upload.part(number, body.bytes.slice(start..length.min(start + part))))
                .buffered(PARTS_AT_ONCE)
                .try_collect::<Vec<_>>();
            match sent.await {
                Ok(parts) => upload.complete(parts).await,
                Err(refused) => upload.abort_after(refused).await,
            }
        })
    }

    pub(crate) async fn put_whole(&self, key: &str, body: &Body, headers: &Headers) -> Result<(), Refused> {
        let checksum = body.checksum();
        repeat_damaged(async || {
            let call = self.client.put_object().bucket(&self.name).key(key);
            with_headers!(call, headers, self.owner.clone())
                .checksum_sha256(&checksum)
                .set_if_none_match(if_none_match(headers))
                .body(body.stream())
                .send()
                .await
                .map_err(|error| self.refused("PutObject", key, &error))
        })
        .await
        .map(drop)
    }

    /// Begins an object of several parts.
    pub(crate) async fn begin(&self, key: &str, headers: &Headers) -> Result<Upload<'_>, Refused> {
        let call = self.client.create_multipart_upload().bucket(&self.name).key(key);
        let begun = with_headers!(call, headers, self.owner.clone())
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .send()
            .await
            .map_err(|error| self.refused("CreateMultipartUpload", key, &error))?;
        let id = begun.upload_id.ok_or_else(|| {
            Refused::broken(format!(
                "S3 CreateMultipartUpload on s3://{}/{key}: no upload id",
                self.name
            ))
        })?;
        Ok(Upload {
            bucket: self,
            key: key.to_owned(),
            id,
            if_none_match: if_none_match(headers),
        })
    }
}

/// An object whose parts are being written. Nothing stands under its key until it is complete.
pub(crate) struct Upload<'a> {
    bucket: &'a Bucket,
    key: String,
    id: String,
    if_none_match: Option<String>,
}

impl Upload<'_> {
    /// Writes one part, counted from 1. Every part but the last has at least 5 MiB.
    pub(crate) async fn part(&self, number: i32, bytes: Bytes) -> Result<CompletedPart, Refused> {
        let body = Body::from(bytes);
        let checksum = body.checksum();
        let sent = repeat_damaged(async || {
            let call = self
                .bucket
                .client
                .upload_part()
                .bucket(&self.bucket.name)
                .key(&self.key);
            call.upload_id(&self.id)
                .part_number(number)
                .checksum_sha256(&checksum)
                .body(body.stream())
                .set_expected_bucket_owner(self.bucket.owner.clone())
                .send()
                .await
                .map_err(|error| self.bucket.refused("UploadPart", &self.key, &error))
        });
        let sent = sent.await?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag);
        // A store that did not check it would not know it when it is told again.
        Ok(part.set_checksum_sha256(sent.checksum_sha256).build())
    }

    /// Makes the parts one object, under the condition that the upload began with. The parts are thrown away on failure.
    pub(crate) async fn complete(self, parts: Vec<CompletedPart>) -> Result<(), Refused> {
        let Bucket {
            client, name, owner, ..
        } = self.bucket;
        let call = client.complete_multipart_upload().bucket(name).key(&self.key);
        let completed = call
            .upload_id(&self.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_if_none_match(self.if_none_match.clone())
            .set_expected_bucket_owner(owner.clone())
            .send()
            .await;
        match completed {
            Ok(_) => Ok(()),
            Err(error) => {
                let refused = self.bucket.refused("CompleteMultipartUpload", &self.key, &error);
                self.abort_after(refused).await
            }
        }
    }

    /// Throws the parts away, and gives the refusal that made it necessary. Where even that fails, the bucket's rule for
    /// unfinished uploads removes them.
    pub(crate) async fn abort_after<T>(self, refused: Refused) -> Result<T, Refused> {
        let Bucket {
            client, name, owner, ..
        } = self.bucket;
        let call = client.abort_multipart_upload().bucket(name).key(&self.key);
        let aborted = call
            .upload_id(&self.id)
            .set_expected_bucket_owner(owner.clone())
            .send()
            .await;
        if let Err(error) = aborted {
            let left = self.bucket.refused("AbortMultipartUpload", &self.key, &error);
            tracing::warn!(key = self.key, "parts of an unfinished upload stay: {}", left.message);
        }
        Err(refused)
    }
}

/// Sends again what arrived damaged. What arrives damaged every time is a [`Refused`] that may pass: the bytes here are
/// right.
async fn repeat_damaged<T>(call: impl AsyncFn() -> Result<T, Refused>) -> Result<T, Refused> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(refused) if refused.is_damaged_on_the_way() && attempt < DAMAGED_ATTEMPTS => attempt += 1,
            Err(mut refused) if refused.is_damaged_on_the_way() => {
                refused.kind = holdfast_core::domain::FailureKind::Transient;
                refused
                    .message
                    .push_str(" (the bytes were damaged on their way, and nothing was written)");
                return Err(refused);
            }
            done => return done,
        }
    }
}
