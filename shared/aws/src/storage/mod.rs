//! [`S3Storage`]: a repository on S3, in exactly restic's layout below a prefix.
//!
//! Files are written once: S3 refuses a second object under a key (`If-None-Match: *`) and bytes that do not have the
//! SHA-256 they were sent with. A put is durable and visible when it returns. On a bucket that keeps versions a delete
//! only hides the file, and a repair puts a new version on top.

mod options;

use std::ops::ControlFlow;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use holdfast_core::domain::FailureKind;
use holdfast_repository::storage::{FileKind, FileName, Put, RangeReader, Storage, StorageError};
use holdfast_repository::{ErrorKind, Id, Result};
use tokio::runtime::Handle;

use crate::s3::{Body, Bucket, Headers, MULTIPART_ABOVE, ObjectRange, Refused};

pub use options::{Lock, LockMode, S3StorageOptions};

/// How often a put is tried while others write the same file.
const RACE_ATTEMPTS: u32 = 5;

/// A repository below a prefix of a bucket.
///
/// The calls of [`Storage`] block, and must come from threads that are no workers of the runtime.
pub struct S3Storage {
    bucket: Bucket,
    /// Empty, or ends with a slash.
    prefix: String,
    options: S3StorageOptions,
}

impl S3Storage {
    /// A repository in `options.bucket`, which must exist. Nothing is called yet. `runtime` must have threads of its own.
    pub fn new(client: Client, runtime: Handle, options: S3StorageOptions) -> Self {
        let prefix = options.prefix.trim_matches('/');
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        Self {
            bucket: Bucket::new(client, runtime, options.bucket.clone(), options.owner.clone()),
            prefix,
            options,
        }
    }

    fn key(&self, file: &FileName) -> Result<String> {
        Ok(format!("{}{}", self.prefix, file.path()?))
    }

    fn headers(&self, file: &FileName, only_if_absent: bool) -> Headers {
        let is_pack = matches!(file, FileName::Object(FileKind::Data, _));
        let lock = self.options.lock.as_ref().filter(|_| is_pack);
        Headers {
            only_if_absent,
            kms_key: self.options.kms_key.clone(),
            // What is read whenever the repository is opened stays where reading costs nothing extra.
            storage_class: self
                .options
                .storage_class
                .as_deref()
                .filter(|_| is_pack)
                .map(Into::into),
            lock: lock.map(Lock::header),
            legal_hold: is_pack && self.options.legal_hold,
            ..Headers::default()
        }
    }

    fn missing(&self, file: &FileName) -> StorageError {
        StorageError::NotThere {
            location: self.location(),
            file: file.clone(),
        }
    }

    fn short(&self, file: &FileName, end: u64) -> StorageError {
        StorageError::Short {
            location: self.location(),
            file: file.clone(),
            end,
        }
    }

    /// An error about one file.
    fn of_file(&self, action: &'static str, file: &FileName, refused: Refused) -> StorageError {
        if refused.is_missing() {
            return self.missing(file);
        }
        if refused.is_full() {
            return StorageError::Full {
                location: self.location(),
                file: file.to_string(),
            };
        }
        self.remote(action, file.to_string(), refused)
    }

    fn remote(&self, action: &'static str, path: String, refused: Refused) -> StorageError {
        let kind = match refused.kind {
            // A file is missing, or a bucket: that nothing can be read from a vault is no statement about its files.
            FailureKind::NotFound | FailureKind::Invalid => ErrorKind::Invalid,
            FailureKind::Transient | FailureKind::Throttled | FailureKind::Deferred => ErrorKind::Transient,
            FailureKind::Conflict | FailureKind::Fenced => ErrorKind::Conflict,
            FailureKind::Denied => ErrorKind::Denied,
            FailureKind::Integrity => ErrorKind::Integrity,
            FailureKind::Bug => ErrorKind::Bug,
        };
        StorageError::Remote {
            location: self.location(),
            action,
            path,
            kind,
            message: refused.message,
        }
    }

    /// What stands below a folder, by the rest of the key.
    fn list_below(&self, folder: &str, mut found: impl FnMut(&str, u64)) -> Result<()> {
        let below = format!("{}{folder}", self.prefix);
        let listed = self.bucket.list(&below, None, None, |page| {
            for object in page.contents() {
                let key = crate::s3::decoded(object.key(), page.encoding_type())?;
                if let Some(name) = key.strip_prefix(&below) {
                    found(
                        name,
                        object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                    );
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        listed.map_err(|refused| self.remote("list", folder.to_owned(), refused).into())
    }

    /// What a put means that found something there; `None` when it is gone again.
    fn compare(&self, file: &FileName, bytes: &[u8]) -> Result<Option<Put>> {
        if let FileName::Object(..) = file {
            let expected = bytes.len() as u64;
            return match self.size(file)? {
                Some(found) if found == expected => Ok(Some(Put::AlreadyThere)),
                Some(found) => Err(StorageError::OtherSize {
                    location: self.location(),
                    file: file.clone(),
                    found,
                    expected,
                }
                .into()),
                None => Ok(None),
            };
        }
        match self.read(file) {
            Ok(found) if found == bytes => Ok(Some(Put::AlreadyThere)),
            Ok(_) => Err(StorageError::OtherContent {
                location: self.location(),
                file: file.clone(),
            }
            .into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Copies what stands under an object's name to the quarantine, inside S3.
    fn quarantine(&self, kind: FileKind, id: Id) -> Result<()> {
        let stem = format!("quarantine/{}-{id}-", kind.folder());
        let n = self.list_sidecar(&stem)?.len();
        let file = FileName::Object(kind, id);
        let (from, to) = (self.key(&file)?, self.key(&FileName::Sidecar(format!("{stem}{n}")))?);
        let kms = self.options.kms_key.as_ref();
        let call = self.bucket.client.copy_object().bucket(&self.bucket.name).key(to);
        let call = call
            .copy_source(crate::s3::copy_source(&self.bucket.name, &from))
            .set_server_side_encryption(kms.map(|_| ServerSideEncryption::AwsKms))
            .set_ssekms_key_id(kms.cloned())
            .set_expected_bucket_owner(self.options.owner.clone())
            .set_expected_source_bucket_owner(self.options.owner.clone());
        match self.bucket.block_on(call.send()) {
            Ok(_) => Ok(()),
            Err(error) => {
                let refused = self.bucket.refused("CopyObject", &from, &error);
                Err(self.of_file("keep a copy of", &file, refused).into())
            }
        }
    }
}

impl Storage for S3Storage {
    fn list(&self, kind: FileKind) -> Result<Vec<(Id, u64)>> {
        let mut found = Vec::new();
        self.list_below(&format!("{}/", kind.folder()), |name, size| {
            let file = name.rsplit_once('/').map_or(name, |(_, file)| file);
            // A file that is not where its name belongs would not be found again.
            if let Ok(id) = file.parse::<Id>()
                && FileName::Object(kind, id).path().is_ok_and(|path| path.ends_with(name))
                && name.contains('/') == (kind == FileKind::Data)
            {
                found.push((id, size));
            }
        })?;
        found.sort_unstable();
        Ok(found)
    }

    fn list_sidecar(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        self.list_below(&format!("holdfast/{prefix}"), |rest, size| {
            let name = format!("{prefix}{rest}");
            if FileName::Sidecar(name.clone()).path().is_ok() {
                found.push((name, size));
            }
        })?;
        found.sort_unstable();
        Ok(found)
    }

    fn size(&self, file: &FileName) -> Result<Option<u64>> {
        let head = self.bucket.head(&self.key(file)?);
        let head = head.map_err(|refused| self.of_file("look at", file, refused))?;
        Ok(head.map(|head| {
            head.content_length
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0)
        }))
    }

    fn read(&self, file: &FileName) -> Result<Vec<u8>> {
        let read = self.bucket.get(&self.key(file)?);
        Ok(read.map_err(|refused| self.of_file("read", file, refused))?)
    }

    fn read_range(&self, file: &FileName, offset: u64, into: &mut [u8]) -> Result<()> {
        let key = self.key(file)?;
        let end = offset.saturating_add(into.len() as u64);
        if into.is_empty() || end > i64::MAX as u64 {
            return match self.size(file)? {
                None => Err(self.missing(file).into()),
                Some(size) if size < end => Err(self.short(file, end).into()),
                Some(_) => Ok(()),
            };
        }
        let filled = self.bucket.range(key, offset..end).fill(into);
        match filled.map_err(|refused| self.of_file("read", file, refused))? {
            true => Ok(()),
            false => Err(self.short(file, end).into()),
        }
    }

    fn read_up_to(&self, file: &FileName, offset: u64, most: usize) -> Result<Vec<u8>> {
        let end = offset.saturating_add(most as u64).min(i64::MAX as u64);
        if offset >= end {
            return self
                .size(file)?
                .map(|_| Vec::new())
                .ok_or_else(|| self.missing(file).into());
        }
        let read = self.bucket.range(self.key(file)?, offset..end).read_up_to_end();
        Ok(read.map_err(|refused| self.of_file("read", file, refused))?)
    }

    fn range(&self, file: &FileName, offset: u64, end: u64) -> Result<Box<dyn RangeReader + '_>> {
        Ok(Box::new(FileRange {
            storage: self,
            range: self.bucket.range(self.key(file)?, offset..end),
            file: file.clone(),
            next: offset,
        }))
    }

    fn put(&self, file: &FileName, bytes: &[u8]) -> Result<Put> {
        self.put_body(file, &body_of(file, Bytes::copy_from_slice(bytes))?)
    }

    fn put_buffer(&self, file: &FileName, buffer: Vec<u8>) -> Result<Vec<u8>> {
        let body = body_of(file, Bytes::from(buffer))?;
        self.put_body(file, &body)?;
        // The same memory: nobody else holds it any more.
        Ok(Vec::from(body.into_bytes()))
    }

    fn replace_damaged(&self, kind: FileKind, id: Id, bytes: &[u8]) -> Result<()> {
        let file = FileName::Object(kind, id);
        let body = body_of(&file, Bytes::copy_from_slice(bytes))?;
        if self.size(&file)?.is_some() {
            self.quarantine(kind, id)?;
        }
        let put = self.bucket.put(&self.key(&file)?, &body, &self.headers(&file, false));
        Ok(put.map_err(|refused| self.of_write(&file, refused))?)
    }

    fn delete(&self, file: &FileName) -> Result<()> {
        let deleted = self.bucket.delete(&self.key(file)?);
        Ok(deleted.map_err(|refused| self.of_file("delete", file, refused))?)
    }

    /// S3 has made a put or a delete durable when it answers.
    fn barrier(&self) -> Result<()> {
        Ok(())
    }

    fn location(&self) -> String {
        format!("s3://{}/{}", self.bucket.name, self.prefix.trim_end_matches('/'))
    }
}

/// A range of a file, whose errors name it.
struct FileRange<'a> {
    storage: &'a S3Storage,
    range: ObjectRange<'a>,
    file: FileName,
    next: u64,
}

impl RangeReader for FileRange<'_> {
    fn fill(&mut self, into: &mut [u8]) -> Result<()> {
        self.next = self.next.saturating_add(into.len() as u64);
        let filled = self.range.fill(into);
        match filled.map_err(|refused| self.storage.of_file("read", &self.file, refused))? {
            true => Ok(()),
            false => Err(self.storage.short(&self.file, self.next).into()),
        }
    }
}

impl S3Storage {
    fn put_body(&self, file: &FileName, body: &Body) -> Result<Put> {
        let key = self.key(file)?;
        // Only the last of many requests would say that it is there already.
        if body.bytes().len() > MULTIPART_ABOVE
            && let Some(put) = self.compare(file, body.bytes())?
        {
            return Ok(put);
        }
        let headers = self.headers(file, true);
        let mut attempt = 1;
        loop {
            let refused = match self.bucket.put(&key, body, &headers) {
                Ok(()) => return Ok(Put::Created),
                Err(refused) => refused,
            };
            if !refused.is_condition() && !refused.is_race() {
                return Err(self.of_write(file, refused).into());
            }
            if let Some(put) = self.compare(file, body.bytes())? {
                return Ok(put);
            }
            if attempt == RACE_ATTEMPTS {
                return Err(self.of_write(file, refused).into());
            }
            attempt += 1;
        }
    }

    /// An error of a write: that something is missing then, such as the bucket, is not about the file.
    fn of_write(&self, file: &FileName, refused: Refused) -> StorageError {
        if refused.is_missing() {
            return self.remote("write", file.to_string(), refused);
        }
        self.of_file("write", file, refused)
    }
}

/// The bytes of a file with their hash. Refuses those that do not hash to the object's name, whatever the store would do.
fn body_of(file: &FileName, bytes: Bytes) -> Result<Body> {
    let FileName::Object(_, id) = file else {
        return Ok(Body::from(bytes));
    };
    let actual = Id::of(&bytes);
    if actual == *id {
        return Ok(Body::known(bytes, id.0));
    }
    let file = file.clone();
    Err(StorageError::WrongBytes { file, actual }.into())
}
