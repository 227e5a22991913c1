//! [`S3s`]: an S3 server inside the test that refuses bytes without the SHA-256 they were sent with.
//!
//! It keeps objects as files in a folder, has no versions and no locks, its listings name no ETags, and no folder may have
//! the name of an object (see [`crate::radosgw`]). Left alone it would let several of many writers win, so requests with a
//! condition are answered one after the other.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::front::Front;

/// A server; it ends when this is dropped.
pub struct S3s {
    front: Front,
    folder: TempDir,
}

impl S3s {
    /// Starts a server without buckets.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start() -> S3s {
        let folder = tempfile::tempdir().expect("a folder for the server");
        let files = FileSystem::new(folder.path()).expect("a server of files");
        let service = S3ServiceBuilder::new(files).build();
        let conditions = Arc::new(Mutex::new(()));
        let front = Front::before(Box::new(move |mut parts, body| {
            // Signatures cover the body as well. Without them it is the checksum that must find what was damaged.
            parts.headers.remove("authorization");
            let is_damaged = parts
                .headers
                .get("x-amz-checksum-sha256")
                .is_some_and(|sent| sent.as_bytes() != BASE64_STANDARD.encode(Sha256::digest(&body)).as_bytes());
            let (service, conditions) = (service.clone(), Arc::clone(&conditions));
            Box::pin(async move {
                // Left alone the server would refuse these bytes, and keep them.
                if is_damaged {
                    let error = "<Error><Code>BadDigest</Code><Message>the SHA-256 is another</Message></Error>";
                    return (StatusCode::BAD_REQUEST, error).into_response();
                }
                let has_condition = parts.headers.contains_key("if-none-match");
                let _alone = if has_condition {
                    Some(conditions.lock().await)
                } else {
                    None
                };
                let request = Request::from_parts(parts, s3s::Body::from(body));
                match service.call(request).await {
                    Ok(answer) => answer.map(Body::new),
                    Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response(),
                }
            })
        }));
        S3s { front, folder }
    }

    /// Makes a bucket of this name, which it gives back.
    ///
    /// # Panics
    ///
    /// When there is one already.
    pub fn bucket(&self, name: &str) -> String {
        std::fs::create_dir(self.folder.path().join(name)).expect("a bucket");
        name.to_owned()
    }

    /// The file that holds an object.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.path().join(Path::new(bucket)).join(key)
    }
}

impl Deref for S3s {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}
