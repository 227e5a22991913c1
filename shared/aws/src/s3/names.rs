//! How keys become paths, and paths keys again. No two keys share a path.
//!
//! A key is cut at its slashes, and each part becomes a name. What cannot be a name is written with a percent sign, which
//! is itself written `%25`:
//!
//! | in a key | as a name |
//! |---|---|
//! | an empty part (`a//b`, `a/`) | `%empty` |
//! | the parts `.` and `..` | `%2E`, `%2E%2E` |
//! | the character NUL | `%00` |
//! | an object whose key is also a folder of others (`a` beside `a/b`) | its name and `%object` |
//!
//! Everything else stays as it is. A folder of very many entries is kept in parts, so that no part of a backup, check or
//! restore need hold all of them: `%after=b` holds what comes after the object `b`. Parts are in no key.

use std::path::{Component, Path, PathBuf};

/// Stands for an empty part of a key.
const EMPTY: &str = "%empty";
/// Follows the name of an object that shares it with a folder.
const OBJECT: &str = "%object";
/// Precedes the object after which a part of a folder begins.
const PART: &str = "%after=";

/// The name of one part of a key.
pub(crate) fn escaped(part: &str) -> String {
    match part {
        "" => EMPTY.to_owned(),
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        other => other.replace('%', "%25").replace('\0', "%00"),
    }
}

/// The name of an object, by the last part of its key.
pub(crate) fn object_name(part: &str, is_folder_too: bool) -> String {
    let mut name = escaped(part);
    if is_folder_too {
        name.push_str(OBJECT);
    }
    name
}

/// The name of the part of a folder that begins after an object, given by the last part of its key.
pub(crate) fn part_name(after: &str) -> String {
    format!("{PART}{}", escaped(after))
}

fn is_part(name: &str) -> bool {
    name.starts_with(PART)
}

/// A path as if no folder were kept in parts.
pub(crate) fn without_parts(relative: &Path) -> PathBuf {
    let is_part = |name: &Component<'_>| matches!(name, Component::Normal(name) if name.to_str().is_some_and(is_part));
    relative.components().filter(|name| !is_part(name)).collect()
}

/// The part of a key that has this name; none where no part has.
pub(crate) fn unescaped(name: &str) -> Option<String> {
    let part = match name {
        EMPTY => String::new(),
        "%2E" => ".".to_owned(),
        "%2E%2E" => "..".to_owned(),
        other => other.replace("%00", "\0").replace("%25", "%"),
    };
    (escaped(&part) == name).then_some(part)
}

/// The key of the object at a path relative to the prefix; none where no object of a source is there.
pub(crate) fn key(relative: &Path) -> Option<String> {
    let mut parts = Vec::new();
    let mut names = relative.components().peekable();
    while let Some(name) = names.next() {
        let Component::Normal(name) = name else { return None };
        let mut name = name.to_str()?;
        if is_part(name) {
            continue;
        }
        if names.peek().is_none() {
            name = name.strip_suffix(OBJECT).unwrap_or(name);
        }
        parts.push(unescaped(name)?);
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The key that a file of another source gets: its path as it is. None where a name is no text.
pub(crate) fn plain_key(relative: &Path) -> Option<String> {
    let names = relative.components().map(|name| match name {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    Some(names.collect::<Option<Vec<&str>>>()?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The path of an object's key.
    fn path(key: &str, is_folder_too: bool) -> PathBuf {
        let mut parts: Vec<&str> = key.split('/').collect();
        let last = parts.pop().unwrap_or_default();
        let mut path: PathBuf = parts.into_iter().map(escaped).collect();
        path.push(object_name(last, is_folder_too));
        path
    }

    #[test]
    fn every_key_has_a_path_of_its_own_and_comes_back() {
        let parts = [
            "", ".", "..", "a", "%", "%25", "%empty", "%object", "%2E", "a%object", "\0", "%00", "...", "ä b+c",
        ];
        let mut paths = BTreeSet::new();
        let mut keys = 0;
        for first in parts {
            for second in parts {
                for (key, is_folder_too) in [
                    (first.to_owned(), false),
                    (first.to_owned(), true),
                    (format!("{first}/{second}"), false),
                    (format!("{first}/{second}"), true),
                ] {
                    let path = path(&key, is_folder_too);
                    assert_eq!(super::key(&path).as_deref(), Some(key.as_str()), "{}", path.display());
                    keys += usize::from(paths.insert(path));
                }
            }
        }
        assert_eq!(keys, 2 * (parts.len() + parts.len() * parts.len()));
    }

    #[test]
    fn parts_of_a_folder_are_in_no_key_and_no_key_looks_like_one() {
        for after in ["", "a", "%", "%after=", "\0"] {
            let part = part_name(after);
            assert_eq!(unescaped(&part), None, "{part}");
            let path = Path::new("a%25").join(&part).join("b%object");
            assert_eq!(key(&path).as_deref(), Some("a%/b"));
            assert_eq!(without_parts(&path), Path::new("a%25/b%object"));
            assert!(
                !is_part(&object_name(&part, false)) && !is_part(&object_name(after, true)),
                "{part}"
            );
        }
        assert_eq!(key(Path::new("%after=a")), None);
    }

    #[test]
    fn names_that_no_key_has_are_no_keys() {
        for name in ["%", "%2", "a%2Eb", "%2e", "%empty%empty", "%object"] {
            assert_eq!(unescaped(name), None, "{name}");
        }
        for path in ["", "/a", "../a", "a/%"] {
            assert_eq!(key(Path::new(path)), None, "{path}");
        }
    }
}
