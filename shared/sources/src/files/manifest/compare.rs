//! What differs between two manifests.

use super::{Entry, Kind, Manifest};

/// One thing that differs. `path` is written as in the manifest; pairs are (first, second).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Only the first has it.
    #[error("{path} is missing")]
    Missing {
        /// Where.
        path: String,
    },
    /// Only the second has it.
    #[error("{path} should not be there")]
    Unexpected {
        /// Where.
        path: String,
    },
    /// They are different kinds of entries; nothing else of them is compared.
    #[error("{path} is a {1:?}, not a {0:?}", .kinds.0, .kinds.1)]
    Kind {
        /// Where.
        path: String,
        /// The kinds.
        kinds: (Kind, Kind),
    },
    /// The lengths differ.
    #[error("{path} is {1} bytes long, not {0}", .sizes.0, .sizes.1)]
    Size {
        /// Where.
        path: String,
        /// Bytes.
        sizes: (u64, u64),
    },
    /// Same length, other bytes.
    #[error("{path} has other bytes (SHA-256 {1}, not {0})", .sha256.0, .sha256.1)]
    Content {
        /// Where.
        path: String,
        /// The digests in hex.
        sha256: (String, String),
    },
    /// Permissions, set-id or sticky bits differ.
    #[error("{path} has mode {1:04o}, not {0:04o}", .modes.0, .modes.1)]
    Mode {
        /// Where.
        path: String,
        /// The modes.
        modes: (u32, u32),
    },
    /// User or group differ.
    #[error("{path} belongs to {}:{}, not {}:{}", .owners.1.0, .owners.1.1, .owners.0.0, .owners.0.1)]
    Owner {
        /// Where.
        path: String,
        /// User and group of both.
        owners: ((u32, u32), (u32, u32)),
    },
    /// The times of the last change differ.
    #[error("{path} was changed at {1} ns, not {0} ns since 1970", .mtime_ns.0, .mtime_ns.1)]
    ModifiedAt {
        /// Where.
        path: String,
        /// Nanoseconds since 1970.
        mtime_ns: (i128, i128),
    },
    /// Symbolic links that point elsewhere.
    #[error("{path} points to {:?}, not {:?}", .targets.1, .targets.0)]
    LinkTarget {
        /// Where.
        path: String,
        /// What they point to.
        targets: (String, String),
    },
    /// An extended attribute differs.
    #[error("{path} has {:?} in its extended attribute {name}, not {:?}", .values.1, .values.0)]
    ExtendedAttribute {
        /// Where.
        path: String,
        /// The attribute.
        name: String,
        /// The values in hex, where they have it.
        values: (Option<String>, Option<String>),
    },
    /// They are hard linked to other paths.
    #[error("{path} is a hard link of {:?}, not {:?}", .groups.1, .groups.0)]
    HardLink {
        /// Where.
        path: String,
        /// The first paths of their groups, where they have one.
        groups: (Option<String>, Option<String>),
    },
    /// Other device numbers.
    #[error("{path} is device {1:#x}, not {0:#x}", .devices.0, .devices.1)]
    Device {
        /// Where.
        path: String,
        /// The numbers.
        devices: (u64, u64),
    },
}

/// Everything that differs from `expected` in `found`, by path.
pub fn compare(expected: &Manifest, found: &Manifest) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (path, entry) in &expected.entries {
        match found.entries.get(path) {
            Some(other) => entry_differences(path, entry, other, &mut differences),
            None => differences.push(Difference::Missing { path: path.clone() }),
        }
    }
    let unexpected = found
        .entries
        .keys()
        .filter(|path| !expected.entries.contains_key(*path));
    differences.extend(unexpected.map(|path| Difference::Unexpected { path: path.clone() }));
    differences
}

fn entry_differences(path: &str, a: &Entry, b: &Entry, out: &mut Vec<Difference>) {
    let path = || path.to_owned();
    if a.kind != b.kind {
        out.push(Difference::Kind {
            path: path(),
            kinds: (a.kind, b.kind),
        });
        return;
    }
    if a.size != b.size {
        out.push(Difference::Size {
            path: path(),
            sizes: (a.size.unwrap_or(0), b.size.unwrap_or(0)),
        });
    } else if a.sha256 != b.sha256 {
        let sha256 = (
            a.sha256.clone().unwrap_or_default(),
            b.sha256.clone().unwrap_or_default(),
        );
        out.push(Difference::Content { path: path(), sha256 });
    }
    metadata_differences(&path, a, b, out);
}

fn metadata_differences(path: &dyn Fn() -> String, a: &Entry, b: &Entry, out: &mut Vec<Difference>) {
    if a.mode != b.mode {
        out.push(Difference::Mode {
            path: path(),
            modes: (a.mode, b.mode),
        });
    }
    if (a.uid, a.gid) != (b.uid, b.gid) {
        out.push(Difference::Owner {
            path: path(),
            owners: ((a.uid, a.gid), (b.uid, b.gid)),
        });
    }
    if a.mtime_ns != b.mtime_ns {
        out.push(Difference::ModifiedAt {
            path: path(),
            mtime_ns: (a.mtime_ns, b.mtime_ns),
        });
    }
    if a.link_target != b.link_target {
        let targets = (
            a.link_target.clone().unwrap_or_default(),
            b.link_target.clone().unwrap_or_default(),
        );
        out.push(Difference::LinkTarget { path: path(), targets });
    }
    let mut names: Vec<&String> = a.xattrs.keys().chain(b.xattrs.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let values = (a.xattrs.get(name).cloned(), b.xattrs.get(name).cloned());
        if values.0 != values.1 {
            out.push(Difference::ExtendedAttribute {
                path: path(),
                name: name.clone(),
                values,
            });
        }
    }
    if a.hard_link_of != b.hard_link_of {
        out.push(Difference::HardLink {
            path: path(),
            groups: (a.hard_link_of.clone(), b.hard_link_of.clone()),
        });
    }
    if a.device != b.device {
        out.push(Difference::Device {
            path: path(),
            devices: (a.device.unwrap_or(0), b.device.unwrap_or(0)),
        });
    }
}
