//! Where a restore may go, by the kind of the resource.

use holdfast_core::domain::{Failure, FailureKind, Resource, ResourceKind};

/// Refuses a target that cannot be meant.
pub fn check(resource: &Resource, target: &str) -> Result<(), Failure> {
    let refusal = match resource.kind {
        ResourceKind::Files | ResourceKind::S3 if target.starts_with("s3://") => wrong_address(target),
        ResourceKind::Files | ResourceKind::S3 => wrong_folder(target),
        ResourceKind::Rds | ResourceKind::Aurora => wrong_database(target),
        ResourceKind::Dynamodb | ResourceKind::AwsBackup => wrong_name(target),
    };
    let is_itself = !resource.kind.is_content() && target == resource.path;
    let refusal = refusal.or_else(|| {
        is_itself
            .then_some("is the protected resource itself; give a new name: a service restores beside what there is")
    });
    match refusal {
        None => Ok(()),
        Some(why) => {
            let message = format!("target \"{target}\" {why}");
            Err(Failure::new(FailureKind::Invalid, message))
        }
    }
}

/// What could stand as the target of a restore of this resource.
pub fn example(resource: &Resource) -> &'static str {
    match resource.kind {
        ResourceKind::Files | ResourceKind::S3 => "s3://bucket/restored",
        ResourceKind::Rds | ResourceKind::Aurora => "orders-restored",
        ResourceKind::Dynamodb | ResourceKind::AwsBackup => "orders_restored",
    }
}

fn wrong_folder(target: &str) -> Option<&'static str> {
    if !target.starts_with('/') {
        return Some("is not absolute; give the absolute path of a folder of its own, or s3://bucket/prefix");
    }
    if target.split('/').any(|part| part == "..") {
        return Some("contains \"..\"; give the absolute path of a folder of its own");
    }
    if target.trim_matches('/').is_empty() {
        return Some("is the root of the file system; give the absolute path of a folder of its own");
    }
    let has_nul = target.contains('\0');
    has_nul.then_some("contains a NUL byte; give the absolute path of a folder of its own")
}

/// A bucket alone is no target: what is restored lies below a prefix of its own, so that it can be told from the rest.
fn wrong_address(target: &str) -> Option<&'static str> {
    let address = target.trim_start_matches("s3://");
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
        && target.len() <= 63
        && target.chars().all(allowed)
        && !target.ends_with('-')
        && !target.contains("--");
    let rule = "is no identifier of a database: use 1 to 63 of a-z, 0-9 and single '-', starting with a letter and not \
                ending in '-'";
    (!is_good).then_some(rule)
}

fn wrong_name(target: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_good = (3..=255).contains(&target.len()) && target.chars().all(allowed);
    (!is_good).then_some("is no plain name: use 3 to 255 of a-z, A-Z, 0-9, '.', '_' and '-'")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use holdfast_core::domain::ResourceId;

    use super::*;

    fn refused(kind: ResourceKind, target: &str) -> Option<String> {
        let resource = Resource {
            id: ResourceId::new("orders").unwrap(),
            kind,
            path: "orders".to_owned(),
            tags: BTreeMap::new(),
            heartbeat: None,
            registered_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        };
        check(&resource, target).err().map(|failure| failure.message)
    }

    #[test]
    fn content_goes_into_a_folder_or_below_a_prefix_of_its_own() {
        for kind in [ResourceKind::Files, ResourceKind::S3] {
            for good in ["/srv/restore", "s3://bucket/restored", "s3://my.bucket/a/b/"] {
                assert_eq!(refused(kind, good), None, "{good}");
            }
            let bad = [
                ("restore", "is not absolute"),
                ("/srv/../etc", "contains \"..\""),
                ("//", "root of the file system"),
                ("/a\0b", "NUL"),
                ("s3://", "names no bucket"),
                ("s3://Bucket/a", "names no bucket"),
                ("s3://bucket", "whole bucket"),
                ("s3://bucket/", "whole bucket"),
                ("s3://bucket/a//b", "empty part"),
                ("s3://bucket/../b", "empty part"),
            ];
            for (target, why) in bad {
                let refusal = refused(kind, target).unwrap_or_default();
                assert!(refusal.contains(why), "{target}: {refusal}");
            }
        }
    }

    #[test]
    fn services_restore_under_a_new_name() {
        for kind in [ResourceKind::Rds, ResourceKind::Aurora] {
            assert_eq!(refused(kind, "orders-2"), None);
            for bad in [
                "Orders",
                "2orders",
                "orders-",
                "a--b",
                "s3://bucket/a",
                "/srv",
                "",
                "arn:aws:rds",
            ] {
                assert!(
                    refused(kind, bad).unwrap().contains("identifier of a database"),
                    "{bad}"
                );
            }
        }
        for kind in [ResourceKind::Dynamodb, ResourceKind::AwsBackup] {
            assert_eq!(refused(kind, "Orders_2"), None);
            assert!(refused(kind, "a/b").unwrap().contains("plain name"));
        }
        for kind in [ResourceKind::Rds, ResourceKind::Dynamodb] {
            assert!(refused(kind, "orders").unwrap().contains("itself"));
        }
    }
}
