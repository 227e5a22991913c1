//! Names and tags of what the engines make. All follow from the job, so that a repetition finds the first one's work.

use std::collections::BTreeMap;

use holdfast_core::domain::{Failure, FailureKind, JobId, ResourceId};

/// The tag that names the job which made an artefact.
pub(super) const JOB: &str = "holdfast:job";
/// The tag that names the resource.
pub(super) const RESOURCE: &str = "holdfast:resource";
/// The tag that counts the attempt of the job, from 1.
pub(super) const ATTEMPT: &str = "holdfast:attempt";
/// The tag of a copy: the ARN of what it is a copy of.
pub(super) const ORIGIN: &str = "holdfast:origin";

/// Why log is never copied here.
pub(super) const NO_LOG: &str = "a service keeps its log itself: only that of a PostgreSQL server of our own is copied";

/// Tags of an artefact.
pub(super) type Tags = BTreeMap<String, String>;

/// What artefacts of ours begin with.
const PREFIX: &str = "holdfast-";

/// The longest name of a restored thing: a restored cluster's instance adds two characters to it, and may have 63.
pub(super) const LONGEST_TARGET: usize = 61;

/// The name of a job's artefact. `generation` counts the artefacts of the same job that failed: their names stay taken, since
/// only `lifecycle` deletes. At most 45 characters, where the strictest service (Aurora cluster snapshots) allows 63.
pub(super) fn artefact(job: &JobId, generation: u32) -> String {
    match generation {
        0 => format!("{PREFIX}{job}"),
        _ => format!("{PREFIX}{job}-{generation}"),
    }
}

/// Whether a name is one that [`artefact`] makes.
pub(super) fn is_artefact(name: &str) -> bool {
    let job = name.strip_prefix(PREFIX).and_then(|rest| rest.get(..32));
    job.is_some_and(|job| JobId::try_from(job.to_owned()).is_ok())
}

/// The names that earlier artefacts of the same job had, which failed.
pub(super) fn earlier_names(artefact: &str) -> Vec<String> {
    let last = artefact.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    let Some((job, Ok(generation))) = last.map(|(job, number)| (job, number.parse::<u32>())) else {
        return Vec::new();
    };
    match JobId::try_from(job.to_owned()) {
        Ok(job) => (0..generation).map(|earlier| self::artefact(&job, earlier)).collect(),
        Err(_) => Vec::new(),
    }
}

/// The tags of what a job makes for a resource.
pub(super) fn tags(job: &JobId, attempt: u32, resource: &ResourceId) -> Tags {
    let tags = [
        (JOB, job.to_string()),
        (RESOURCE, resource.to_string()),
        (ATTEMPT, attempt.to_string()),
    ];
    tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Whether the tags say that this job made the thing.
pub(super) fn is_of_job(tags: &Tags, job: &JobId) -> bool {
    tags.get(JOB).is_some_and(|tag| tag == job.as_str())
}

/// Whether the tags say that the thing belongs to this resource of ours.
pub(super) fn is_of_resource(tags: &Tags, resource: &ResourceId) -> bool {
    tags.contains_key(JOB) && tags.get(RESOURCE).is_some_and(|tag| tag == resource.as_str())
}

/// The attempt that made the thing; 0 when no tag says so.
pub(super) fn attempt_of(tags: &Tags) -> u32 {
    tags.get(ATTEMPT).and_then(|tag| tag.parse().ok()).unwrap_or(0)
}

/// What was asked cannot be done as asked.
pub(super) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Invalid, message)
}

/// A service uses a word that this version does not know. Nothing may be concluded from it.
pub(super) fn unknown_word(on: &str, word: &str) -> Failure {
    let word: String = word.chars().take(40).collect();
    invalid(format!(
        "{on} is in state \"{word}\", a word that this version of Holdfast does not know; update Holdfast"
    ))
}

/// Refuses a restore that a service cannot do: it restores whole things under new names.
pub(super) fn check_restore(target: &str, include: &[String], overwrite: bool) -> Result<(), Failure> {
    if !include.is_empty() {
        return Err(invalid("a service restores whole snapshots: leave out what to include"));
    }
    if overwrite {
        return Err(invalid(format!(
            "a service restores under new names only: leave out overwriting, and let \"{target}\" name nothing that exists"
        )));
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = target.starts_with(|c: char| c.is_ascii_lowercase())
        && (3..=LONGEST_TARGET).contains(&target.len())
        && target.chars().all(allowed)
        && !target.contains("--")
        && !target.ends_with('-');
    if is_name {
        return Ok(());
    }
    let target: String = target.chars().take(80).collect();
    Err(invalid(format!(
        "target \"{target}\" cannot be a new name: use 3 to {LONGEST_TARGET} of a-z, 0-9 and single '-', starting with a letter and not \
         ending in '-'"
    )))
}

/// The target stands already, and this job did not make it.
pub(super) fn target_is_taken(what: &str, job: &JobId) -> Failure {
    invalid(format!(
        "{what} exists already and does not carry the tag {JOB}={job}; restore under another name"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_job_and_lead_back_to_earlier_ones() {
        let job = JobId::derive(&["a"]);
        let first = artefact(&job, 0);
        assert!(first.len() <= 63 && !first.contains("--"), "{first}");
        assert!(earlier_names(&first).is_empty());
        let third = artefact(&job, 2);
        assert_eq!(earlier_names(&third), [first, artefact(&job, 1)]);
        for foreign in ["rds:daily-2026", "holdfast-x-1", "manual"] {
            assert!(earlier_names(foreign).is_empty(), "{foreign}");
        }
    }

    #[test]
    fn a_restore_names_something_new_and_whole() {
        assert!(check_restore("orders-restored-1", &[], false).is_ok());
        for bad in ["", "ab", "/tmp/x", "Orders", "a--b", "a-", "1a", "a_b"] {
            let refused = check_restore(bad, &[], false).unwrap_err();
            assert_eq!(refused.kind, FailureKind::Invalid, "{bad}");
        }
        assert!(check_restore("orders", &["*.txt".to_owned()], false).is_err());
        assert!(check_restore("orders", &[], true).is_err());
    }
}
