//! Writes a sidecar: what is known in ascending order, shard by shard.

use std::collections::HashSet;
use std::iter::Peekable;

use crate::error::{ErrorKind, RepositoryError, Result};
use crate::id::Id;
use crate::pack::BlobKind;
use crate::repository::Repository;

use super::filter::Filter;
use super::head::{self, Head, Layout};
use super::section::{Part, Section, put_whole};
use super::{ENTRY, Entry, SHARDS_PER_FILE, Sidecar};
use crate::index::Index;

/// Whether `above` blobs that the sidecar does not cover are worth a new one: there are enough of them, and they are a
/// quarter of what it covers, so that all sidecars of a growing repository together cost a few times the last.
pub(in crate::index) fn is_worth_writing(covered: u64, above: u64, at_least: u64) -> bool {
    above >= at_least.max(1) && above >= covered / 4
}

/// Entries in ascending order, with the numbers that their packs have in the new sidecar.
type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// Several of them in one order.
struct Merged<'a> {
    sources: Vec<Peekable<Entries<'a>>>,
}

impl Iterator for Merged<'_> {
    type Item = Result<Entry>;

    /// An error comes at once.
    fn next(&mut self) -> Option<Result<Entry>> {
        let mut first: Option<(usize, Entry)> = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            match source.peek() {
                Some(Err(_)) => return source.next(),
                Some(Ok(entry)) if first.is_none_or(|(_, least)| *entry < least) => first = Some((at, *entry)),
                _ => {}
            }
        }
        self.sources[first?.0].next()
    }
}

/// What goes into a sidecar.
struct Contents<'a> {
    below: Option<&'a Sidecar>,
    /// Each index, with the new number of every pack; none for a pack that something before it has.
    above: Vec<(&'a Index, Vec<Option<u32>>)>,
    packs: Vec<Id>,
}

impl<'a> Contents<'a> {
    fn new(below: Option<&'a Sidecar>, above: &[&'a Index]) -> Result<Self> {
        let mut packs = below.map_or_else(Vec::new, |sidecar| sidecar.packs.clone());
        let mut seen: HashSet<Id> = packs.iter().copied().collect();
        let mut numbered = Vec::new();
        for index in above {
            let mut numbers = Vec::with_capacity(index.packs().len());
            for pack in index.packs() {
                let number = u32::try_from(packs.len())
                    .map_err(|_| RepositoryError::invalid("a sidecar", "it would have more than 2^32 packs"))?;
                let is_new = seen.insert(pack.id);
                numbers.push(is_new.then_some(number));
                if is_new {
                    packs.push(pack.id);
                }
            }
            numbered.push((*index, numbers));
        }
        Ok(Contents {
            below,
            above: numbered,
            packs,
        })
    }

    /// Entries of a kind, before doubled packs are left out.
    fn at_most(&self, kind: BlobKind) -> u64 {
        let below = self.below.map_or(0, |sidecar| sidecar.head.layout(kind).blobs.into());
        let above = self.above.iter().map(|(index, _)| index.entries(kind).len() as u64);
        below + above.sum::<u64>()
    }

    fn merged(&self, kind: BlobKind) -> Merged<'_> {
        let below = self.below.map(|sidecar| Box::new(sidecar.entries(kind)) as Entries<'_>);
        let above = self.above.iter().map(|(index, numbers)| {
            let entries = index.entries(kind).iter();
            let renumbered = entries.filter_map(|entry| {
                let pack = numbers[entry.pack as usize]?;
                Some(Ok(Entry { pack, ..*entry }))
            });
            Box::new(renumbered) as Entries<'_>
        });
        Merged {
            sources: below.into_iter().chain(above).map(Iterator::peekable).collect(),
        }
    }
}

/// Writes the sidecar of the index files `files`: what `below` covers and what is in the indexes `above`, unless there is
/// one. Whoever calls holds a lock, and `go_on` fails when it is lost or the work is to stop; then there is no sidecar,
/// only parts that the next sweep removes.
pub(in crate::index) fn write(
    repo: &Repository,
    below: Option<&Sidecar>,
    above: &[&Index],
    mut files: Vec<Id>,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<()> {
    files.sort_unstable();
    let set = head::set_of(&files);
    if repo.storage().size(&head::file(&set))?.is_some() {
        return Ok(());
    }
    let nonce = Id(repo.ambient().random());
    let writer = Writer {
        repo,
        stem: head::stem(&nonce),
        nonce,
        go_on,
    };
    let contents = Contents::new(below, above)?;
    let data = writer.shards(&contents, BlobKind::Data)?;
    let trees = writer.shards(&contents, BlobKind::Tree)?;
    let packs: Vec<u8> = contents.packs.iter().flat_map(|pack| pack.0).collect();
    put_whole(repo, &nonce, Part::Packs, &packs)?;
    // A head must never vouch for parts that a power cut can still take away.
    repo.storage().barrier()?;
    go_on()?;
    let packs = u32::try_from(contents.packs.len())
        .map_err(|_| RepositoryError::invalid("a sidecar", "it would have more than 2^32 packs"))?;
    let head = Head::new(nonce, files, packs, data, trees);
    match repo.storage().put(&head.file(), &head.encode(repo)?) {
        Ok(_) => repo.storage().barrier(),
        // Another writer was faster, with the same.
        Err(e) if e.kind() == ErrorKind::Conflict => Ok(()),
        Err(e) => Err(e),
    }
}

struct Writer<'a> {
    repo: &'a Repository,
    stem: String,
    nonce: Id,
    go_on: &'a dyn Fn() -> Result<()>,
}

impl Writer<'_> {
    /// Stores the entries of a kind and their filter.
    fn shards(&self, contents: &Contents<'_>, kind: BlobKind) -> Result<Layout> {
        let mut layout = Layout::for_about(contents.at_most(kind));
        let mut filter = Filter::builder(layout.bucket_bits);
        let mut entries = contents.merged(kind).peekable();
        let part = Part::entries(kind);
        let (mut payload, mut sealed) = (Vec::new(), Vec::new());
        for number in 0..layout.shards() {
            (self.go_on)()?;
            payload.clear();
            let is_here = |entry: &Result<Entry>| entry.as_ref().map_or(true, |e| layout.shard_of(&e.id) == number);
            while let Some(entry) = entries.next_if(is_here) {
                let entry = entry?;
                filter.push(&entry.id);
                payload.extend_from_slice(&entry.encode());
            }
            let blobs = (payload.len() / ENTRY) as u64 + u64::from(layout.blobs);
            layout.blobs = u32::try_from(blobs)
                .map_err(|_| RepositoryError::invalid("a sidecar", "it would have more than 2^32 blobs"))?;
            let nonce = &self.nonce;
            Section { nonce, part, number }.seal(self.repo, &payload, &mut sealed);
            if (number + 1) % SHARDS_PER_FILE == 0 || number + 1 == layout.shards() {
                let file = part.file(&self.stem, number / SHARDS_PER_FILE);
                self.repo.storage().put(&file, &sealed)?;
                sealed.clear();
            }
        }
        let filter = filter.finish().encode();
        put_whole(self.repo, &self.nonce, Part::filter(kind), &filter)?;
        Ok(layout)
    }
}

#[cfg(test)]
mod tests {
    use super::is_worth_writing;

    #[test]
    fn a_sidecar_is_written_for_many_blobs_that_are_a_good_part_of_all() {
        assert!(!is_worth_writing(0, 0, 0), "never for nothing");
        assert!(!is_worth_writing(0, 199_999, 200_000));
        assert!(is_worth_writing(0, 200_000, 200_000));
        assert!(is_worth_writing(800_000, 200_000, 200_000));
        assert!(!is_worth_writing(1_000_000, 249_999, 200_000));
        assert!(is_worth_writing(1_000_000, 250_000, 200_000));
    }
}
