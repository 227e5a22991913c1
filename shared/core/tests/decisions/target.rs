//! Where a restore may go.

use holdfast_core::domain::ResourceKind;
use holdfast_core::planning::check_target;

fn refused(kind: ResourceKind, target: &str) -> Option<String> {
    check_target(kind, target).err().map(|failure| failure.message)
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
            ("/./.", "root of the file system"),
            ("s3://s3://bucket/a", "names no bucket"),
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
fn a_database_is_restored_under_an_identifier_that_leaves_room_for_what_is_derived_from_it() {
    let (longest, too_long) = ("a".repeat(61), "a".repeat(62));
    for kind in [ResourceKind::Rds, ResourceKind::Aurora] {
        for good in ["orders-2", "abc", &longest] {
            assert_eq!(refused(kind, good), None, "{good}");
        }
        let bad = [
            "Orders",
            "2orders",
            "orders-",
            "a--b",
            "s3://bucket/a",
            "/srv",
            "",
            "ab",
            "arn:aws:rds",
        ];
        for bad in bad.into_iter().chain([too_long.as_str()]) {
            assert!(
                refused(kind, bad).unwrap().contains("identifier of a database"),
                "{bad}"
            );
        }
    }
}

#[test]
fn a_table_is_restored_under_a_plain_name() {
    for kind in [ResourceKind::Dynamodb, ResourceKind::AwsBackup] {
        for good in ["Orders_2", "a.b", &"t".repeat(255)] {
            assert_eq!(refused(kind, good), None, "{good}");
        }
        for bad in ["a/b", "ab", "", &"t".repeat(256), "s3://bucket/a"] {
            assert!(refused(kind, bad).unwrap().contains("plain name"), "{bad}");
        }
    }
}
