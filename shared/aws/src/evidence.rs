//! Signed statements in a bucket of every Region, under Object Lock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ObjectLockMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future::join_all;
use holdfast_core::domain::{Failure, FailureKind, Region, Span};
use holdfast_core::ports::{Clock, EvidenceStore};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::clients::SMALL_CALL_TIMEOUT;
use crate::failure::{code, failure};

/// Where one Region's statements are kept.
#[derive(Debug, Clone)]
pub struct EvidenceRegion {
    /// The client of S3 in the Region.
    pub client: Client,
    /// The Region.
    pub region: Region,
    /// The bucket.
    pub bucket: String,
    /// How many days nobody may delete a statement; 0 where the bucket has no Object Lock.
    pub lock_days: u32,
}

/// Write-once documents, each in every Region.
///
/// While a Region does not answer, documents are kept in the others, so that a failover can leave its evidence; the
/// Region gets what it lacks when it answers again. A document that differs between Regions is
/// [`FailureKind::Integrity`].
pub struct S3Evidence {
    regions: Vec<Copies>,
    clock: Arc<dyn Clock>,
    /// One document is written at a time: a Region that missed one is not told to lack nothing by the end of another.
    writing: Mutex<()>,
}

/// The documents of one Region.
struct Copies {
    at: EvidenceRegion,
    /// Until what the Region may lack was brought to it: when the process starts, and after it did not answer.
    behind: AtomicBool,
}

impl S3Evidence {
    /// A store over these Regions. Nothing is called yet.
    pub fn new(regions: Vec<EvidenceRegion>, clock: Arc<dyn Clock>) -> Self {
        let copies = |at: EvidenceRegion| Copies {
            at: EvidenceRegion {
                client: impatient(&at.client),
                ..at
            },
            behind: AtomicBool::new(true),
        };
        Self {
            regions: regions.into_iter().map(copies).collect(),
            clock,
            writing: Mutex::default(),
        }
    }

    /// What each Region that answered said. A Region that did not is behind from now on; when none did, the first one's
    /// failure is the answer, and so is a refusal by any.
    fn answered<T>(&self, answers: Vec<Result<T, Failure>>) -> Result<Vec<(&Copies, T)>, Failure> {
        let mut answered = Vec::new();
        let mut lost = None;
        for (copies, answer) in self.regions.iter().zip(answers) {
            match answer {
                Ok(answer) => answered.push((copies, answer)),
                Err(failure) if is_away(&failure) => {
                    copies.behind.store(true, Ordering::Release);
                    lost.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        match lost {
            Some(failure) if answered.is_empty() => Err(failure),
            _ => Ok(answered),
        }
    }

    /// The names that each Region that answers has.
    async fn names(&self) -> Result<Vec<(&Copies, BTreeSet<String>)>, Failure> {
        let asked: Vec<_> = self.regions.iter().map(Copies::names).collect();
        self.answered(join_all(asked).await)
    }

    /// Brings to each Region that is behind what the others have, the oldest first.
    async fn catch_up(&self) -> Result<(), Failure> {
        if !self.regions.iter().any(|copies| copies.behind.load(Ordering::Acquire)) {
            return Ok(());
        }
        let listed = self.names().await?;
        let all: BTreeSet<&String> = listed.iter().flat_map(|(_, names)| names).collect();
        for (copies, present) in &listed {
            let missing = all.iter().copied().filter(|name| !present.contains(*name));
            match self.bring(copies, missing).await {
                Ok(()) => copies.behind.store(false, Ordering::Release),
                Err(failure) if is_away(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Brings documents that others have to a Region.
    async fn bring(&self, to: &Copies, missing: impl Iterator<Item = &String>) -> Result<(), Failure> {
        for name in missing {
            if let Some(document) = self.agreed(name).await? {
                to.write(name, &document, self.clock.as_ref()).await?;
            }
        }
        Ok(())
    }

    /// The document as every Region that answers and has it has it.
    async fn agreed(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let mut found: Option<Vec<u8>> = None;
        let asked: Vec<_> = self.regions.iter().map(|copies| copies.read(name)).collect();
        for (copies, document) in self.answered(join_all(asked).await)? {
            let Some(document) = document else {
                continue;
            };
            if found.as_ref().is_some_and(|first| *first != document) {
                return Err(copies.differs(name));
            }
            found = Some(document);
        }
        Ok(found)
    }
}

/// Whether a Region does not answer now. One that refuses is there.
fn is_away(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Transient | FailureKind::Throttled)
}

/// A client that gives a call up, its repetitions included, when a Region that stands would long have answered: documents
/// are small, and whoever fails over waits for this.
fn impatient(client: &Client) -> Client {
    let config = client.config();
    let timeouts = config
        .timeout_config()
        .map(TimeoutConfig::to_builder)
        .unwrap_or_default();
    let timeouts = timeouts.operation_timeout(SMALL_CALL_TIMEOUT).build();
    Client::from_conf(config.to_builder().timeout_config(timeouts).build())
}

impl Copies {
    fn on(&self, name: &str) -> String {
        format!("s3://{}/{name} in {}", self.at.bucket, self.at.region)
    }

    fn differs(&self, name: &str) -> Failure {
        let message = format!(
            "evidence {} exists with other bytes: somebody changed it, or two chains mix",
            self.on(name)
        );
        Failure::new(FailureKind::Integrity, message)
    }

    async fn names(&self) -> Result<BTreeSet<String>, Failure> {
        // Statements stand at the top; the histories of executions, which Step Functions keeps there, below.
        let request = self.at.client.list_objects_v2().bucket(&self.at.bucket).delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut names = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure("S3 ListObjectsV2", self.on(""), &error))?;
            for object in page.contents.unwrap_or_default() {
                let name = object.key.unwrap_or_default();
                require_name(&name).map_err(|_| self.foreign(&name))?;
                names.insert(name);
            }
        }
        Ok(names)
    }

    fn foreign(&self, name: &str) -> Failure {
        let message = format!("{} is no document of evidence: move it elsewhere", self.on(name));
        Failure::new(FailureKind::Integrity, message)
    }

    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let request = self.at.client.get_object().bucket(&self.at.bucket).key(name);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if matches!(error.as_service_error(), Some(GetObjectError::NoSuchKey(_))) => return Ok(None),
            Err(error) => return Err(failure("S3 GetObject", self.on(name), &error)),
        };
        let document = answer.body.collect().await.map_err(|error| {
            let message = format!("S3 GetObject on {}: the answer broke off: {error}", self.on(name));
            Failure::new(FailureKind::Transient, message)
        })?;
        Ok(Some(document.to_vec()))
    }

    /// Writes the document unless it is there. The store checks the bytes on entry against their SHA-256.
    async fn write(&self, name: &str, document: &[u8], clock: &dyn Clock) -> Result<(), Failure> {
        let mut request = self
            .at
            .client
            .put_object()
            .bucket(&self.at.bucket)
            .key(name)
            .if_none_match("*")
            .checksum_sha256(BASE64.encode(Sha256::digest(document)))
            .content_type("application/json")
            .body(ByteStream::from(document.to_vec()));
        if self.at.lock_days > 0 {
            let until = Span::hours(24 * i64::from(self.at.lock_days)).after(clock.now());
            request = request
                .object_lock_mode(ObjectLockMode::Compliance)
                .object_lock_retain_until_date(DateTime::from_secs(until.as_second()));
        }
        let Err(error) = request.send().await else {
            return Ok(());
        };
        if !matches!(code(&error), Some("PreconditionFailed" | "ConditionalRequestConflict")) {
            return Err(failure("S3 PutObject", self.on(name), &error));
        }
        match self.read(name).await? {
            Some(stored) if stored == document => Ok(()),
            Some(_) => Err(self.differs(name)),
            // Somebody else's write is not done yet.
            None => Err(failure("S3 PutObject", self.on(name), &error)),
        }
    }
}

#[async_trait]
impl EvidenceStore for S3Evidence {
    async fn put(&self, name: &str, document: &[u8]) -> Result<(), Failure> {
        require_name(name)?;
        let _writing = self.writing.lock().await;
        self.catch_up().await?;
        // Nothing is written anywhere before all agree.
        if self.agreed(name).await?.is_some_and(|stored| stored != document) {
            let buckets: Vec<String> = self.regions.iter().map(|copies| copies.on(name)).collect();
            let message = format!(
                "evidence {} exists with other bytes: somebody changed it, or two chains mix",
                buckets.join(", ")
            );
            return Err(Failure::new(FailureKind::Integrity, message));
        }
        let clock = self.clock.as_ref();
        let asked: Vec<_> = self
            .regions
            .iter()
            .map(|copies| copies.write(name, document, clock))
            .collect();
        self.answered(join_all(asked).await)?;
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        require_name(name)?;
        self.agreed(name).await
    }

    async fn list(&self) -> Result<Vec<String>, Failure> {
        let listed = self.names().await?;
        let names: BTreeSet<String> = listed.into_iter().flat_map(|(_, names)| names).collect();
        Ok(names.into_iter().collect())
    }
}

/// A name must stay one name in every store that a copy of the chain may be kept in.
fn require_name(name: &str) -> Result<(), Failure> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(allowed) {
        return Ok(());
    }
    let message = format!("\"{}\" cannot name a document of evidence", name.escape_debug());
    Err(Failure::new(FailureKind::Invalid, message))
}
