//! The manifest of a base backup: what the server says that it sent.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Differences that are named; a backup with one is as bad as with thousands.
const MOST_DIFFERENCES: usize = 20;
/// What the last line starts with.
const LAST_LINE: &[u8] = b"\"Manifest-Checksum\"";

/// Size and SHA-256 of a file.
pub(super) type Sum = (u64, [u8; 32]);

/// A manifest whose own checksum is right.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    #[serde(rename = "PostgreSQL-Backup-Manifest-Version")]
    version: u32,
    /// From version 2 on, which PostgreSQL 17 writes.
    #[serde(rename = "System-Identifier")]
    pub system_identifier: Option<u64>,
    #[serde(rename = "Files")]
    files: Vec<File>,
    #[serde(rename = "Manifest-Checksum")]
    checksum: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(rename = "Path")]
    path: Option<String>,
    /// In hexadecimal digits, where the path is no UTF-8.
    #[serde(rename = "Encoded-Path")]
    encoded: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    #[serde(rename = "Checksum")]
    checksum: Option<String>,
}

impl File {
    fn path(&self) -> Option<Vec<u8>> {
        match (&self.path, &self.encoded) {
            (Some(path), None) => Some(path.clone().into_bytes()),
            (None, Some(digits)) => hex::decode(digits).ok(),
            _ => None,
        }
    }

    fn sum(&self) -> Option<Sum> {
        let digest = hex::decode(self.checksum.as_ref()?).ok()?;
        (self.algorithm.as_deref() == Some("SHA256")).then_some(())?;
        Some((self.size, digest.try_into().ok()?))
    }
}

impl Manifest {
    /// Reads a manifest. An error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not readable: {error}"))?;
        if !matches!(manifest.version, 1 | 2) {
            return Err(format!("its version {} is unknown", manifest.version));
        }
        let last_line = bytes.windows(LAST_LINE.len()).rposition(|part| part == LAST_LINE);
        let covered = &bytes[..last_line.unwrap_or(0)];
        if hex::encode(Sha256::digest(covered)) != manifest.checksum {
            return Err("it fails its own checksum".to_owned());
        }
        Ok(manifest)
    }

    /// How what came differs from what should have come. The log is not in the manifest, though it comes along.
    pub(super) fn differences(&self, mut came: BTreeMap<Vec<u8>, Sum>) -> Vec<String> {
        let mut differences = Vec::new();
        for file in &self.files {
            let Some(path) = file.path() else {
                differences.push("an entry of the manifest has no readable path".to_owned());
                continue;
            };
            let name = String::from_utf8_lossy(&path);
            match (file.sum(), came.remove(&path)) {
                (_, None) => differences.push(format!("{name} did not come")),
                (None, _) => differences.push(format!("{name} has no SHA-256 in the manifest")),
                (Some((expected, _)), Some((size, _))) if expected != size => {
                    differences.push(format!("{name} has {size} bytes, not {expected}"));
                }
                (Some((_, expected)), Some((_, digest))) if expected != digest => {
                    differences.push(format!("{name} has another SHA-256"));
                }
                (Some(_), Some(_)) => {}
            }
        }
        let beside = came.keys().filter(|path| !path.starts_with(b"pg_wal/"));
        differences.extend(beside.map(|path| format!("{} is not in the manifest", String::from_utf8_lossy(path))));
        let more = differences.len().saturating_sub(MOST_DIFFERENCES);
        if more > 0 {
            differences.truncate(MOST_DIFFERENCES);
            differences.push(format!("and {more} more"));
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &str) -> Vec<u8> {
        let mut text = format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{files}],\n\"WAL-Ranges\": [\n{{ \"Timeline\": 3, \
             \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000138\" }}\n],\n"
        );
        let digest = hex::encode(Sha256::digest(text.as_bytes()));
        text.push_str(&format!("\"Manifest-Checksum\": \"{digest}\"}}\n"));
        text.into_bytes()
    }

    fn file(path: &str, content: &str) -> String {
        let digest = hex::encode(Sha256::digest(content));
        format!(
            "{{ {path}, \"Size\": {}, \"Last-Modified\": \"2026-01-02 03:04:05 GMT\", \"Checksum-Algorithm\": \"SHA256\", \
             \"Checksum\": \"{digest}\" }}",
            content.len()
        )
    }

    fn came(files: &[(&[u8], &str)]) -> BTreeMap<Vec<u8>, Sum> {
        let sum = |content: &str| (content.len() as u64, Sha256::digest(content).into());
        files
            .iter()
            .map(|(path, content)| (path.to_vec(), sum(content)))
            .collect()
    }

    #[test]
    fn every_kind_of_difference_is_named() {
        let files = [
            file("\"Path\": \"same\"", "1"),
            file("\"Path\": \"other\"", "1"),
            file("\"Path\": \"longer\"", "1"),
            file("\"Path\": \"gone\"", "1"),
            file("\"Encoded-Path\": \"ff6f\"", "1"),
        ];
        let bytes = manifest(&files.join(",\n"));
        let manifest = Manifest::parse(&bytes).unwrap();
        let came = came(&[
            (b"same", "1"),
            (b"other", "2"),
            (b"longer", "12"),
            (b"\xffo", "1"),
            (b"beside", ""),
            (b"pg_wal/000000010000000000000001", "log"),
        ]);
        assert_eq!(
            manifest.differences(came),
            [
                "other has another SHA-256",
                "longer has 2 bytes, not 1",
                "gone did not come",
                "beside is not in the manifest",
            ]
        );
    }

    #[test]
    fn a_manifest_that_was_changed_is_refused() {
        let good = manifest(&file("\"Path\": \"a\"", "1"));
        assert!(Manifest::parse(&good).is_ok());
        let text = String::from_utf8(good).unwrap();
        let changed = text.replace("\"a\"", "\"b\"");
        assert_eq!(
            Manifest::parse(changed.as_bytes()).unwrap_err(),
            "it fails its own checksum"
        );
        let later = text.replace("Version\": 1", "Version\": 9");
        assert_eq!(
            Manifest::parse(later.as_bytes()).unwrap_err(),
            "its version 9 is unknown"
        );
        assert!(
            Manifest::parse(&text.as_bytes()[..40])
                .unwrap_err()
                .contains("not readable")
        );
    }
}
