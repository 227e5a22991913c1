//! Where a restore may go, by the kind of the resource.

use crate::domain::{Failure, FailureKind, ResourceKind};

/// The longest name that a restored database may have: the names that are derived from it fit into a service's 63.
const LONGEST_DATABASE: usize = 61;

/// Refuses a target that cannot be meant: content goes into a folder or below a prefix of its own, and a service restores
/// under a new name.
pub fn check_target(kind: ResourceKind, target: &str) -> Result<(), Failure> {
    let refusal = match kind {
        ResourceKind::Files | ResourceKind::S3 if target.starts_with("s3://") => wrong_address(target),
        ResourceKind::Postgres if target.starts_with("s3://") => Some(
            "is no folder; give the absolute path of a folder of its own, on the machine that is to run the server",
        ),
        ResourceKind::Files | ResourceKind::S3 | ResourceKind::Postgres => wrong_folder(target),
        ResourceKind::Rds | ResourceKind::Aurora => wrong_database(target),
        ResourceKind::Dynamodb | ResourceKind::AwsBackup => wrong_name(target),
    };
    let Some(why) = refusal else { return Ok(()) };
    let shown: String = target.chars().take(80).collect();
    Err(Failure::new(FailureKind::Invalid, format!("target \"{shown}\" {why}")))
}

fn wrong_folder(target: &str) -> Option<&'static str> {
    if !target.starts_with('/') {
        return Some("is not absolute; give the absolute path of a folder of its own, or s3://bucket/prefix");
    }
    if target.split('/').any(|part| part == "..") {
        return Some("contains \"..\"; give the absolute path of a folder of its own");
    }
    if target.split('/').all(|part| part.is_empty() || part == ".") {
        return Some("is the root of the file system; give the absolute path of a folder of its own");
    }
    let has_nul = target.contains('\0');
    has_nul.then_some("contains a NUL byte; give the absolute path of a folder of its own")
}

/// A bucket alone is no target: what is restored lies below a prefix of its own, so that it can be told from the rest.
fn wrong_address(target: &str) -> Option<&'static str> {
    let address = target.strip_prefix("s3://").unwrap_or(target);
    let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
    let in_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(in_bucket) {
        return Some("names no bucket; write s3://bucket/prefix");
    }
    let prefix = prefix.trim_end_matches('/');
    if prefix.is_empty() {
        return Some("is a whole bucket; write s3://bucket/prefix with a prefix of its own");
    }
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !prefix.split('/').all(is_plain) || prefix.chars().any(char::is_control) {
        return Some("has a prefix with an empty part, \".\", \"..\" or a control character; write s3://bucket/prefix");
    }
    None
}

fn wrong_database(target: &str) -> Option<&'static str> {
    let starts_well = target.starts_with(|c: char| c.is_ascii_lowercase());
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_good = starts_well
        && (3..=LONGEST_DATABASE).contains(&target.len())
        && target.chars().all(allowed)
        && !target.ends_with('-')
        && !target.contains("--");
    let rule = "is no identifier of a database: use 3 to 61 of a-z, 0-9 and single '-', starting with a letter and not \
                ending in '-'";
    (!is_good).then_some(rule)
}

fn wrong_name(target: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_good = (3..=255).contains(&target.len()) && target.chars().all(allowed);
    (!is_good).then_some("is no plain name: use 3 to 255 of a-z, A-Z, 0-9, '.', '_' and '-'")
}
