//! Markers of Route 53: an object in a bucket of the recovery Region. An inverted health check of the record that leads to
//! the home Region asks for it; while it is there, the check fails, and traffic goes to the recovery Region.
//!
//! Only the data plane of S3 in the recovery Region is called. A bucket that health checkers cannot reach looks like one
//! without the marker, and traffic stays where it is.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use holdfast_core::domain::{Act, ActOrder, ActuatorName, Failure, FailureKind, RunId, Seen};
use holdfast_core::ports::Actuators;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{cannot, done, fenced, invalid, settings};
use crate::clients::Clients;
use crate::failure::{code, failure};

/// A marker has a few hundred bytes; what is larger is none.
const LARGEST: u64 = 4096;

/// Markers in buckets.
pub(super) struct Route53Markers {
    pub clients: Arc<Clients>,
}

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    /// Whose it is.
    actuator: ActuatorName,
    /// The run that put it.
    run: RunId,
    /// Under which generation; none in a drill.
    generation: Option<u64>,
}

impl Marker {
    fn of(order: &ActOrder) -> Self {
        Self {
            actuator: order.on.name().clone(),
            run: order.on.run().clone(),
            generation: order.on.generation(),
        }
    }
}

/// Where a marker is, and whether the order wants it there.
struct Place<'a> {
    client: Client,
    bucket: &'a str,
    key: &'a str,
    present: bool,
}

impl Place<'_> {
    fn on(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// The marker with its ETag, if there is one.
    async fn read(&self, order: &ActOrder) -> Result<Option<(Marker, String)>, Failure> {
        let asked = self.client.get_object().bucket(self.bucket).key(self.key).send().await;
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(failure("S3 GetObject", self.on(), &error)),
        };
        let foreign = || {
            let message = format!(
                "{} is no marker of Holdfast's: look who put it there, and delete it by hand",
                self.on()
            );
            Failure::new(FailureKind::Integrity, message)
        };
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        if length.is_none_or(|length| length > LARGEST) {
            return Err(foreign());
        }
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let body = answer.body.collect().await.map_err(|error| {
            let message = format!("S3 GetObject on {}: the answer broke off: {error}", self.on());
            Failure::new(FailureKind::Transient, message)
        })?;
        let marker: Marker = serde_json::from_slice(&body.into_bytes()).map_err(|_| foreign())?;
        if &marker.actuator != order.on.name() {
            let message = format!(
                "{} is the marker of actuator {}: give actuator {} a key of its own",
                self.on(),
                marker.actuator,
                order.on.name()
            );
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        match (marker.generation, order.on.generation()) {
            (Some(seen), Some(own)) if seen > own => Err(fenced(order, seen)),
            _ => Ok(Some((marker, etag))),
        }
    }

    /// Writes the marker where `over` still stands, or nothing does.
    async fn put(&self, marker: &Marker, over: Option<&str>) -> Result<(), Failure> {
        let body = serde_json::to_vec(marker).map_err(|error| Failure::unreadable("marker", error))?;
        let call = self
            .client
            .put_object()
            .bucket(self.bucket)
            .key(self.key)
            .content_type("application/json")
            .cache_control("no-store")
            .checksum_sha256(BASE64.encode(Sha256::digest(&body)))
            .body(ByteStream::from(body));
        let call = match over {
            Some(etag) => call.if_match(etag),
            None => call.if_none_match("*"),
        };
        call.send()
            .await
            .map(|_| ())
            .map_err(|error| failure("S3 PutObject", self.on(), &error))
    }

    /// Deletes the marker with this ETag, and no other.
    async fn delete(&self, etag: &str) -> Result<(), Failure> {
        let call = self.client.delete_object().bucket(self.bucket).key(self.key);
        match call.if_match(etag).send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("NoSuchKey") => Ok(()),
            Err(error) => Err(failure("S3 DeleteObject", self.on(), &error)),
        }
    }
}

impl Route53Markers {
    fn place<'a>(&self, order: &'a ActOrder) -> Result<Place<'a>, Failure> {
        let present = match order.act {
            Act::Direct { share: 100 } => true,
            Act::Direct { share: 0 } => false,
            Act::Direct { share } => {
                let why = format!("a marker leads all traffic or none: write a share of 0 or 100 instead of {share}");
                return Err(invalid(order, why));
            }
            _ => return Err(cannot(order, "direct")),
        };
        Ok(Place {
            client: self.clients.of(order.on.region()).s3(),
            bucket: settings::required(order, "bucket")?,
            key: settings::required(order, "key")?,
            present,
        })
    }
}

#[async_trait]
impl Actuators for Route53Markers {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let place = self.place(order)?;
        let own = Marker::of(order);
        match place.read(order).await? {
            Some((marker, _)) if place.present && marker == own => Ok(()),
            Some((_, etag)) if place.present => place.put(&own, Some(&etag)).await,
            None if place.present => place.put(&own, None).await,
            Some((_, etag)) => place.delete(&etag).await,
            None => Ok(()),
        }
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let place = self.place(order)?;
        let found = place.read(order).await?;
        Ok(match found {
            Some((marker, _)) if place.present && marker == Marker::of(order) => done(format!(
                "marker {} stands; health checkers follow within a minute and a half, and resolvers after the time to live",
                place.on()
            )),
            None if !place.present => done(format!("marker {} is gone", place.on())),
            _ => Seen::NotDone,
        })
    }
}
