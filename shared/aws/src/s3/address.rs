//! [`S3Address`]: `s3://bucket/prefix`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use holdfast_core::domain::{Failure, FailureKind};

use super::names;

/// The objects below a prefix of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct S3Address {
    bucket: String,
    /// Empty, or ends with a slash.
    prefix: String,
}

impl S3Address {
    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What the keys begin with: nothing, or the prefix with a slash at its end.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether everything here lies below `other`, and `other` holds more than this.
    pub fn is_inside(&self, other: &S3Address) -> bool {
        self.bucket == other.bucket && self.prefix != other.prefix && self.prefix.starts_with(&other.prefix)
    }

    /// The path of this address in a snapshot: the bucket, then the parts of the prefix.
    pub(crate) fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/").join(&self.bucket);
        if let Some(prefix) = self.prefix.strip_suffix('/') {
            path.extend(prefix.split('/').map(names::escaped));
        }
        path
    }
}

impl FromStr for S3Address {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let refuse = |reason: &str| {
            let message = format!("{text:?} is no address of objects: {reason}; write s3://bucket/prefix");
            Failure::new(FailureKind::Invalid, message)
        };
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| refuse("it does not begin with s3://"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        let ends_well = bucket.starts_with(|c: char| c.is_ascii_alphanumeric()) && bucket.len() >= 3;
        if !bucket.bytes().all(is_name) || !ends_well || bucket.len() > 63 {
            return Err(refuse(
                "the name of its bucket is not 3 to 63 lower-case letters, digits, dots and hyphens",
            ));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if prefix.len() > 900 {
            return Err(refuse(
                "its prefix leaves no room for keys, which have 1,024 bytes at most",
            ));
        }
        if prefix.chars().any(char::is_control) {
            return Err(refuse("its prefix has control characters"));
        }
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        let bucket = bucket.to_owned();
        Ok(Self { bucket, prefix })
    }
}

impl fmt::Display for S3Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> S3Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_is_a_folder_whether_it_ends_with_a_slash_or_not() {
        assert_eq!(address("s3://bucket/a/b"), address("s3://bucket/a/b/"));
        assert_eq!(address("s3://bucket/a/b").prefix(), "a/b/");
        assert_eq!(address("s3://bucket").prefix(), "");
        assert_eq!(address("s3://bucket/a//b").path(), PathBuf::from("/bucket/a/%empty/b"));
        assert_eq!(address("s3://bucket/../x").path(), PathBuf::from("/bucket/%2E%2E/x"));
    }

    #[test]
    fn only_what_lies_deeper_is_inside() {
        let area = address("s3://drills/area");
        assert!(address("s3://drills/area/one").is_inside(&area));
        for outside in [
            "s3://drills/area",
            "s3://drills/areas/one",
            "s3://drills",
            "s3://other/area/one",
        ] {
            assert!(!address(outside).is_inside(&area), "{outside}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for text in [
            "",
            "/srv",
            "s3:/bucket",
            "s3://",
            "s3://a",
            "s3://Bucket/x",
            "s3://-ab",
            "s3://bucket/a\nb",
        ] {
            let failure = text.parse::<S3Address>().unwrap_err();
            assert_eq!(failure.kind, FailureKind::Invalid);
            assert!(failure.message.contains("s3://bucket/prefix"), "{}", failure.message);
        }
    }
}
