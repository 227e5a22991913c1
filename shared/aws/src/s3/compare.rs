//! Comparing restored objects with the recovery point: every byte of every object is read and hashed again, and all
//! metadata that a restore writes is looked at. This is what proves a restore (level L4).

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::Id;
use holdfast_repository::backup::UnreadReason;
use holdfast_repository::pack::BlobKind;
use holdfast_sources::content_engine::places::{PointContent, RestoreCursor, RestoreRequest};

use super::attributes;
use super::reader::{self, Reader};
use super::target::{Item, S3Target, go_on};

/// Objects that are compared together.
const BATCH: usize = 256;

/// Compares what is not compared by the cursor, and adds every difference to it.
pub(super) fn compare(
    target: &S3Target,
    content: &PointContent<'_>,
    request: &RestoreRequest<'_>,
    cursor: &mut RestoreCursor,
) -> Result<(), Failure> {
    let compared_before = cursor.compared;
    let known: BTreeSet<String> = cursor.restored.differences.drain(..).collect();
    let comparison = Comparison {
        target,
        content,
        request,
        found: Mutex::new(known),
    };
    let mut batch = Vec::new();
    let mut seen = 0;
    let mut add = |item: Item| {
        seen += 1;
        if seen <= compared_before || !request.holds(&item.path) {
            return Ok(());
        }
        batch.push(item);
        if batch.len() < BATCH {
            return Ok(());
        }
        comparison.batch(&std::mem::take(&mut batch))?;
        cursor.compared = seen;
        if request.cursors.is_due() {
            let mut cursor = cursor.clone();
            cursor.restored.differences = comparison.found().iter().cloned().collect();
            request.cursors.keep(&cursor)?;
        }
        Ok(())
    };
    // They are found by every walk, so no cursor holds them, and no slice tells of them.
    let mut no_objects = Vec::new();
    target.walk(content, request, &mut add, &mut |what| no_objects.push(what))?;
    comparison.batch(&batch)?;
    let found = std::mem::take(&mut *comparison.found());
    cursor.restored.differences.extend(found);
    if request.slice.is_none() {
        cursor.restored.differences.extend(no_objects);
    }
    Ok(())
}

struct Comparison<'a> {
    target: &'a S3Target,
    content: &'a PointContent<'a>,
    request: &'a RestoreRequest<'a>,
    found: Mutex<BTreeSet<String>>,
}

impl Comparison<'_> {
    /// Compares some objects, several at one time.
    fn batch(&self, items: &[Item]) -> Result<(), Failure> {
        let threads = self.request.threads.max(1);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let worker = || -> Result<(), Failure> {
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(item) = items.get(at) else { return Ok(()) };
                go_on(self.request)?;
                let differs = self.item(item)?;
                self.add(differs.into_iter().map(|what| item.differs(what)));
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
            let ends = workers.into_iter().map(|worker| match worker.join() {
                Ok(end) => end,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ends.fold(Ok(()), Result::and)
        })
    }

    fn add(&self, differs: impl Iterator<Item = String>) {
        self.found().extend(differs);
    }

    fn found(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What differs of one object. An error is about all of them: S3 does not answer.
    fn item(&self, item: &Item) -> Result<Vec<String>, Failure> {
        let name = String::new();
        let mut object = match Reader::open(&self.target.bucket, &item.key, item.path.clone(), &name) {
            Ok(object) => object,
            Err(refused) if refused.kind.may_pass() && !refused.is_condition() => return Err(refused.into_failure()),
            Err(refused) => return Ok(vec![format!("cannot be read: {}", reader::reason(refused))]),
        };
        let mut differs = attributes::differences(&item.node, &object.node().extended_attributes);
        if object.node().size != item.node.size {
            differs.push(format!("size is {}, was {}", object.node().size, item.node.size));
        } else if let Some(what) = self.bytes(item, &mut object)? {
            differs.push(what);
        }
        Ok(differs)
    }

    fn bytes(&self, item: &Item, object: &mut Reader) -> Result<Option<String>, Failure> {
        let mut offset = 0;
        for id in item.node.content.iter().flatten() {
            go_on(self.request)?;
            let Some(location) = self.content.index.lookup(BlobKind::Data, id) else {
                return Ok(Some(format!("blob {id} is in no index")));
            };
            let mut bytes = vec![0; location.plaintext_length() as usize];
            match object.fill(&mut bytes) {
                Ok(true) if Id::of(&bytes) == *id => offset += bytes.len(),
                Ok(_) => {
                    let length = bytes.len();
                    return Ok(Some(format!(
                        "content differs in the {length} bytes from byte {offset}"
                    )));
                }
                Err(error) => {
                    return match UnreadReason::from_io(&error) {
                        UnreadReason::Unavailable(why) => Err(Failure::new(FailureKind::Transient, why)),
                        why => Ok(Some(format!("cannot be read at byte {offset}: {why}"))),
                    };
                }
            }
        }
        Ok(None)
    }
}
