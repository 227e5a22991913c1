//! [`StoredBase`]: a base backup as the tags of its snapshot tell it, without a look at its files.

use std::path::Path;
use std::str::FromStr;

use holdfast_repository::{Id, Repository, Snapshot};
use jiff::Timestamp;

use super::super::base_backup::BaseBackupReport;
use super::super::log::LogError;
use super::super::log::windows::Base;
use super::data_root;

/// The tag of every snapshot of a base backup.
const TAG: &str = "postgres-base";

/// A base backup in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBase {
    /// Where it begins and ends.
    pub base: Base,
    /// The cluster.
    pub system: u64,
    /// The server's major version.
    pub major: u32,
    /// Pages that were damaged on the server.
    pub damaged_pages: u64,
    /// Whether pages had checksums; earlier versions did not say.
    pub has_checksums: Option<bool>,
    /// Incremental base backups that were made since everything was read, with this one; 0 where everything was read for this one.
    pub since_full: u32,
}

/// What a report does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub major: u32,
    pub has_checksums: bool,
    pub since_full: u32,
}

/// The tags that say all of this.
pub(super) fn tags(report: &BaseBackupReport, origin: Origin, ended_at: Timestamp) -> Vec<String> {
    let Origin {
        major,
        has_checksums,
        since_full,
    } = origin;
    vec![
        TAG.to_owned(),
        format!("system:{}", report.system_identifier),
        format!("major:{major}"),
        format!("timeline:{}", report.start.timeline),
        format!("start:{}", report.start.lsn),
        format!("end:{}", report.end.lsn),
        format!("ended-at:{ended_at}"),
        format!("damaged-pages:{}", report.damaged.count),
        format!("page-checksums:{has_checksums}"),
        format!("since-full:{since_full}"),
    ]
}

/// Whether a snapshot is a base backup.
pub fn is_base(description: &Snapshot) -> bool {
    description.tags.iter().any(|tag| tag == TAG)
}

/// How many pages of it were damaged on the server.
pub fn damaged_pages(description: &Snapshot) -> u64 {
    value(&description.tags, "damaged-pages").unwrap_or_default()
}

impl StoredBase {
    /// Reads the tags of a snapshot; `None` where it is no base backup.
    fn of(snapshot: Id, description: &Snapshot) -> Result<Option<StoredBase>, LogError> {
        let tags = &description.tags;
        if !is_base(description) {
            return Ok(None);
        }
        let unreadable = |reason| LogError::Tags { snapshot, reason };
        let base = Base {
            snapshot,
            timeline: value(tags, "timeline").map_err(unreadable)?,
            start: value(tags, "start").map_err(unreadable)?,
            end: value(tags, "end").map_err(unreadable)?,
            ended_at: value(tags, "ended-at").map_err(unreadable)?,
            // Every base backup is asked to bring it along.
            has_log: true,
        };
        Ok(Some(StoredBase {
            base,
            system: value(tags, "system").map_err(unreadable)?,
            major: value(tags, "major").map_err(unreadable)?,
            damaged_pages: value(tags, "damaged-pages").map_err(unreadable)?,
            has_checksums: later_value(tags, "page-checksums").map_err(unreadable)?,
            since_full: later_value(tags, "since-full").map_err(unreadable)?.unwrap_or(0),
        }))
    }
}

fn value<T: FromStr>(tags: &[String], name: &str) -> Result<T, String> {
    let mut values = tags.iter().filter_map(|tag| tag.strip_prefix(name)?.strip_prefix(':'));
    match (values.next(), values.next()) {
        (Some(value), None) => value.parse().map_err(|_| format!("`{name}:{value}` makes no sense")),
        (None, _) => Err(format!("`{name}` is missing")),
        (Some(_), Some(_)) => Err(format!("`{name}` is there twice")),
    }
}

/// A value that snapshots of earlier versions do not have.
fn later_value<T: FromStr>(tags: &[String], name: &str) -> Result<Option<T>, String> {
    let is_there = tags
        .iter()
        .any(|tag| tag.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
    is_there.then(|| value(tags, name)).transpose()
}

/// The base backups of a server, oldest first.
pub fn bases(repository: &Repository, resource: &str) -> Result<Vec<StoredBase>, LogError> {
    let root = data_root(resource);
    let mut bases = Vec::new();
    for (snapshot, description) in repository.snapshots()? {
        if description.paths.len() == 1 && Path::new(&description.paths[0]) == root {
            bases.extend(StoredBase::of(snapshot, &description)?);
        }
    }
    bases.sort_by_key(|stored| (stored.base.ended_at, stored.base.end));
    Ok(bases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(words: &[&str]) -> Result<u64, String> {
        let tags: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        value(&tags, "system")
    }

    #[test]
    fn tags_are_read_strictly() {
        assert_eq!(tagged(&["postgres-base", "system:77"]), Ok(77));
        for (words, said) in [
            (&["postgres-base"][..], "missing"),
            (&["system:1", "system:2"], "twice"),
            (&["system:x"], "makes no sense"),
        ] {
            let reason = tagged(words).unwrap_err();
            assert!(reason.contains(said), "{reason}");
        }
    }

    #[test]
    fn later_tags_may_be_missing_and_make_sense_where_they_are_not() {
        let tagged = |tag: &str| later_value::<u32>(&["postgres-base".to_owned(), tag.to_owned()], "since-full");
        assert_eq!(tagged("since"), Ok(None));
        assert_eq!(tagged("since-full:3"), Ok(Some(3)));
        assert!(tagged("since-full:many").unwrap_err().contains("makes no sense"));
    }
}
