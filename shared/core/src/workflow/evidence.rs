//! Adding to the evidence chain, once for each verdict, whatever is repeated or interrupted.

use serde::{Deserialize, Serialize};

use super::World;
use super::chain;
use super::records::{self, Record, Stored};
use crate::domain::{Failure, FailureKind, Job, Run, Statement};
use crate::ports::{Key, Wake};

const PARTITION: &str = "PROOF";

/// A link of the chain as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Link {
    sequence: u64,
    /// The job or run whose verdict it is.
    origin: String,
    /// The signed document, byte for byte.
    document: String,
}

fn link_key(sequence: u64) -> Key {
    Key {
        partition: PARTITION.to_owned(),
        sort: format!("{sequence:012}"),
    }
}

impl Record for Link {
    const KIND: &'static str = "proof";
    fn key(&self) -> Key {
        link_key(self.sequence)
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

/// A record whose verdict goes into the chain. It remembers the place it has claimed before it takes it, so that a
/// repetition finds its own statement instead of making another.
pub trait Claimant: Record {
    /// The place claimed, if any.
    fn place(&mut self) -> &mut Option<u64>;
}

impl Claimant for Job {
    fn place(&mut self) -> &mut Option<u64> {
        &mut self.statement
    }
}

impl Claimant for Run {
    fn place(&mut self) -> &mut Option<u64> {
        &mut self.statement
    }
}

/// Signs a statement and adds it to the chain, in the catalog and in every Region's store. Returns its number.
pub async fn append<T: Claimant>(
    world: &World,
    claimant: &mut Stored<T>,
    statement: &Statement,
) -> Result<u64, Failure> {
    let catalog = world.catalog.as_ref();
    loop {
        let place = match *claimant.value.place() {
            Some(place) => place,
            None => {
                let place = last_place(world).await? + 1;
                *claimant.value.place() = Some(place);
                records::update(catalog, claimant).await?;
                place
            }
        };
        let previous = match place {
            0 | 1 => None,
            _ => Some(records::require::<Link>(catalog, &link_key(place - 1)).await?.value),
        };
        let link = match records::read::<Link>(catalog, &link_key(place)).await? {
            Some(existing) => existing.value,
            None => {
                let link = sign(world, place, previous.as_ref(), statement).await?;
                records::insert(catalog, &link)
                    .await?
                    .map_or(link, |existing| existing.value)
            }
        };
        if link.origin == statement.origin {
            for link in previous.iter().chain([&link]) {
                world
                    .evidence
                    .put(&chain::document_name(link.sequence), link.document.as_bytes())
                    .await?;
            }
            return Ok(place);
        }
        *claimant.value.place() = None;
    }
}

/// The signed document at a place of the chain, if one is there.
pub async fn document(world: &World, place: u64) -> Result<Option<String>, Failure> {
    let link = records::read::<Link>(world.catalog.as_ref(), &link_key(place)).await?;
    Ok(link.map(|link| link.value.document))
}

async fn last_place(world: &World) -> Result<u64, Failure> {
    let last = world.catalog.last(PARTITION, "").await?;
    last.map_or(Ok(0), |entry| {
        records::decode::<Link>(entry).map(|link| link.value.sequence)
    })
}

async fn sign(world: &World, sequence: u64, previous: Option<&Link>, statement: &Statement) -> Result<Link, Failure> {
    let unwritable =
        |error: serde_json::Error| Failure::caused(FailureKind::Bug, "a statement cannot be written", error);
    let previous = previous.map(|link| link.document.as_bytes());
    let payload = chain::payload(sequence, previous, statement).map_err(unwritable)?;
    let signature = world.keys.sign(&chain::signed_bytes(&payload)).await?;
    let document = chain::document(&payload, &signature).map_err(unwritable)?;
    let document = String::from_utf8(document)
        .map_err(|error| Failure::caused(FailureKind::Bug, "a signed document is not text", error))?;
    Ok(Link {
        sequence,
        origin: statement.origin.clone(),
        document,
    })
}
