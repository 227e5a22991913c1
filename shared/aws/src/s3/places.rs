//! [`S3Places`]: prefixes of buckets as resources and restore targets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::backup::Source;
use holdfast_sources::content_engine::places::{Places, Target};
use holdfast_sources::files::Patterns;
use tokio::runtime::Handle;

use super::address::S3Address;
use super::bucket::Bucket;
use super::listing::decoded;
use super::refused::Refused;
use super::source::S3Source;
use super::target::S3Target;
use crate::Clients;

/// Buckets, each reached in its own Region.
///
/// All calls block and must come from threads that are no workers of the runtime.
pub struct S3Places {
    clients: Arc<Clients>,
    runtime: Handle,
    drill_area: S3Address,
    /// The clients of buckets whose Region is known.
    known: Mutex<BTreeMap<String, Client>>,
}

impl S3Places {
    /// Buckets that `clients` reach, of which only what lies below `drill_area` is ever cleaned. `runtime` must have
    /// threads of its own.
    pub fn new(clients: Arc<Clients>, runtime: Handle, drill_area: S3Address) -> Self {
        Self {
            clients,
            runtime,
            drill_area,
            known: Mutex::default(),
        }
    }

    fn bucket(&self, address: &S3Address) -> Bucket {
        let name = address.bucket();
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        let client = known.unwrap_or_else(|| self.client_of(name));
        Bucket::new(client, self.runtime.clone(), name.to_owned(), None)
    }

    /// The client of a bucket's Region, which S3 tells in any answer about the bucket, also in one that sends the asker to
    /// another Region. Where it does not, the first real call says what is wrong.
    fn client_of(&self, name: &str) -> Client {
        let home = self.clients.home().s3();
        let answer = self.runtime.block_on(home.head_bucket().bucket(name).send());
        let region = match &answer {
            Ok(head) => head.bucket_region(),
            Err(error) => error
                .raw_response()
                .and_then(|answer| answer.headers().get("x-amz-bucket-region")),
        };
        let Some(region) = region.and_then(|region| region.parse().ok()) else {
            return home;
        };
        let client = self.clients.of(&region).s3();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), client.clone());
        client
    }
}

impl Places for S3Places {
    fn source(&self, path: &str, patterns: Patterns) -> Result<Box<dyn Source>, Failure> {
        let address: S3Address = path.parse()?;
        let source = S3Source::new(self.bucket(&address), address, patterns);
        Ok(Box::new(source.map_err(Refused::into_failure)?))
    }

    fn target(&self, address: &str) -> Result<Box<dyn Target>, Failure> {
        let address: S3Address = address.parse()?;
        let bucket = self.bucket(&address);
        Ok(Box::new(S3Target { bucket, address }))
    }

    /// Deletes what stands below the target: every version of it, where the bucket keeps versions.
    fn clean(&self, target: &str) -> Result<(), Failure> {
        let address: S3Address = target.parse()?;
        if !address.is_inside(&self.drill_area) {
            let message = format!("{address} does not lie in the drill area {}", self.drill_area);
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let bucket = self.bucket(&address);
        while let Some(found) = versions(&bucket, address.prefix()).map_err(Refused::into_failure)? {
            delete(&bucket, found)?;
        }
        Ok(())
    }
}

/// Some versions and delete markers below a prefix; none when nothing is left.
fn versions(bucket: &Bucket, prefix: &str) -> Result<Option<Vec<ObjectIdentifier>>, Refused> {
    let call = bucket.client.list_object_versions().bucket(&bucket.name).prefix(prefix);
    let call = call.encoding_type(aws_sdk_s3::types::EncodingType::Url);
    let page = bucket
        .block_on(call.send())
        .map_err(|error| bucket.refused("ListObjectVersions", prefix, &error))?;
    let versions = page
        .versions()
        .iter()
        .map(|version| (version.key(), version.version_id()));
    let markers = page
        .delete_markers()
        .iter()
        .map(|marker| (marker.key(), marker.version_id()));
    let mut found = Vec::new();
    for (key, version) in versions.chain(markers) {
        let key = decoded(key, page.encoding_type())?;
        if !key.starts_with(prefix) {
            continue;
        }
        let identifier = ObjectIdentifier::builder()
            .key(key)
            .set_version_id(version.map(str::to_owned));
        let identifier = identifier.build();
        found.push(identifier.map_err(|error| Refused::broken(error.to_string()))?);
    }
    Ok((!found.is_empty()).then_some(found))
}

fn delete(bucket: &Bucket, objects: Vec<ObjectIdentifier>) -> Result<(), Failure> {
    let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
    let delete = delete.map_err(|error| Failure::caused(FailureKind::Bug, error.to_string(), error))?;
    let call = bucket.client.delete_objects().bucket(&bucket.name).delete(delete);
    let answer = bucket
        .block_on(call.send())
        .map_err(|error| bucket.refused("DeleteObjects", "", &error).into_failure())?;
    let Some(first) = answer.errors().first() else {
        return Ok(());
    };
    let (key, code) = (first.key().unwrap_or_default(), first.code().unwrap_or_default());
    let kind = crate::failure::kind_of_code(code);
    let message = format!(
        "{} objects cannot be deleted from s3://{}, the first: {}: {code}: {}",
        answer.errors().len(),
        bucket.name,
        key.escape_debug(),
        first.message().unwrap_or_default()
    );
    Err(Failure::new(kind, message))
}
