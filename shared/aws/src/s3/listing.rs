//! What stands in one folder of a bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{EncodingType, Object, ObjectStorageClass};
use holdfast_repository::Id;

use super::bucket::Bucket;
use super::names;
use super::refused::Refused;

/// A folder with more entries is kept in parts. One that comes to have more is read again once, and so is one that comes to
/// have fewer.
const WHOLE_MAX: usize = 5_000;
/// Objects of one part, on average.
const PART_AVERAGE: u16 = 1024;

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Keys go on below it.
    Folder,
    /// What comes after one object of a folder of very many entries, up to another and with that.
    Part {
        /// The last part of a key; empty for the folder's first part.
        after: String,
        /// The last part of a key; none for the folder's last part.
        until: Option<String>,
    },
    /// An object.
    Object(State),
}

/// What tells one state of an object from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Length in bytes.
    pub(crate) size: u64,
    /// Without its quotes.
    pub(crate) etag: String,
    /// Seconds since 1970: some answers know no fractions.
    pub(crate) modified_at: i64,
    /// As S3 spells it; none for S3 Standard.
    pub(crate) storage_class: Option<String>,
}

impl State {
    fn of(object: &Object) -> State {
        State {
            size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
            etag: unquoted(object.e_tag()),
            modified_at: object.last_modified().map_or(0, DateTime::secs),
            storage_class: unusual_class(object.storage_class().map(ObjectStorageClass::as_str)),
        }
    }
}

pub(crate) fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

/// A storage class other than S3 Standard, which answers leave out or not.
pub(crate) fn unusual_class(class: Option<&str>) -> Option<String> {
    class.filter(|class| *class != "STANDARD").map(str::to_owned)
}

/// What stands in a folder, by name, and where it would be cut into parts.
#[derive(Default)]
struct Entries {
    objects: Vec<(String, State)>,
    folders: BTreeSet<String>,
    /// Objects that end a part, ascending.
    ends: Vec<String>,
    too_many: bool,
}

impl Entries {
    fn add(&mut self, page: &ListObjectsV2Output, prefix: &str) -> Result<(), Refused> {
        let encoding = page.encoding_type();
        for object in page.contents() {
            let key = decoded(object.key(), encoding)?;
            if let Some(part) = key.strip_prefix(prefix) {
                if ends_part(part) {
                    self.ends.push(part.to_owned());
                }
                self.objects.push((part.to_owned(), State::of(object)));
            }
        }
        for common in page.common_prefixes() {
            let key = decoded(common.prefix(), encoding)?;
            if let Some(part) = key.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('/')) {
                self.folders.insert(part.to_owned());
            }
        }
        Ok(())
    }

    /// Forgets the entries where they are more than one part may have.
    fn keep_few(&mut self) {
        self.too_many |= self.objects.len() + self.folders.len() > WHOLE_MAX && !self.ends.is_empty();
        if self.too_many {
            self.objects.clear();
            self.folders.clear();
        }
    }

    fn by_name(self) -> BTreeMap<String, Listed> {
        let mut entries: BTreeMap<String, Listed> = BTreeMap::new();
        for (part, state) in self.objects {
            let name = names::object_name(&part, self.folders.contains(&part));
            entries.insert(name, Listed::Object(state));
        }
        let folders = self.folders.iter().map(|part| (names::escaped(part), Listed::Folder));
        entries.extend(folders);
        entries
    }

    fn parts(self) -> BTreeMap<String, Listed> {
        let after = std::iter::once(String::new()).chain(self.ends.iter().cloned());
        let until = self.ends.iter().cloned().map(Some).chain([None]);
        let parts = after.zip(until);
        parts
            .map(|(after, until)| (names::part_name(&after), Listed::Part { after, until }))
            .collect()
    }
}

/// Whether a part of a folder ends with this object. It depends on nothing else, so that parts stay as they are while
/// objects come and go.
fn ends_part(name: &str) -> bool {
    let [first, second, ..] = Id::of(name.as_bytes()).0;
    u16::from_be_bytes([first, second]).is_multiple_of(PART_AVERAGE)
}

/// The entries of the folder whose keys begin with `prefix`, by name: its parts where there are very many.
pub(crate) fn folder(bucket: &Bucket, prefix: &str) -> Result<BTreeMap<String, Listed>, Refused> {
    let mut entries = Entries::default();
    bucket.list(prefix, Some("/"), None, |page| {
        entries.add(page, prefix)?;
        entries.keep_few();
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(if entries.too_many {
        entries.parts()
    } else {
        entries.by_name()
    })
}

/// The entries of one part of that folder: after one object, and up to another.
pub(crate) fn part(
    bucket: &Bucket,
    prefix: &str,
    after: &str,
    until: Option<&str>,
) -> Result<BTreeMap<String, Listed>, Refused> {
    let is_beyond = |name: &str| until.is_some_and(|until| name > until);
    let mut entries = Entries::default();
    let start = Some(format!("{prefix}{after}")).filter(|_| !after.is_empty());
    bucket.list(prefix, Some("/"), start.as_deref(), |page| {
        entries.add(page, prefix)?;
        let count = entries.objects.len() + entries.folders.len();
        entries.objects.retain(|(name, _)| !is_beyond(name));
        entries.folders.retain(|name| !is_beyond(&format!("{name}/")));
        let all = count == entries.objects.len() + entries.folders.len();
        Ok(if all {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    Ok(entries.by_name())
}

/// A key or prefix of a page, whose characters may be percent-encoded.
pub(crate) fn decoded(text: Option<&str>, encoding: Option<&EncodingType>) -> Result<String, Refused> {
    let text = text.unwrap_or_default();
    if encoding != Some(&EncodingType::Url) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'?'), rest.next().unwrap_or(b'?')];
                let digits = std::str::from_utf8(&digits).ok();
                let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                value.ok_or_else(|| not_a_key(text))?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).map_err(|_| not_a_key(text))
}

fn not_a_key(text: &str) -> Refused {
    Refused::broken(format!(
        "S3 ListObjectsV2: a page holds {text:?}, which is no encoded key"
    ))
}

/// The source of a copy, as its header wants it.
pub(crate) fn copy_source(bucket: &str, key: &str) -> String {
    let mut text = format!("{bucket}/");
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_keys_are_read() {
        let url = Some(&EncodingType::Url);
        assert_eq!(decoded(Some("a+b%2Bc%25/%C3%A4%01"), url).unwrap(), "a b+c%/ä\u{1}");
        assert_eq!(decoded(Some("a+b%2B"), None).unwrap(), "a+b%2B");
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert!(decoded(Some(broken), url).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_copy_source_is_encoded() {
        assert_eq!(copy_source("bucket", "a b/ä+%"), "bucket/a%20b/%C3%A4%2B%25");
    }
}
