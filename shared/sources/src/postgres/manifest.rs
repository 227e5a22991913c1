//! The manifest of a base backup: what the server says that it sent, and what is stored of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::pages::segment_of;

/// Differences that are named; a backup with one is as bad as with thousands.
const MOST_DIFFERENCES: usize = 20;
/// What the last line starts with.
const LAST_LINE: &[u8] = b"\"Manifest-Checksum\"";

/// Size and checksums of a file as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub size: u64,
    /// By which it is compared with what the server sent.
    pub crc32c: u32,
    /// By which it is known from then on.
    pub sha256: [u8; 32],
}

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
    /// The log that makes the backup consistent; nobody here looks into them.
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<serde_json::Value>,
    #[serde(rename = "Manifest-Checksum")]
    checksum: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct File {
    #[serde(rename = "Path", skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// In hexadecimal digits, where the path is no UTF-8.
    #[serde(rename = "Encoded-Path", skip_serializing_if = "Option::is_none")]
    encoded: Option<String>,
    #[serde(rename = "Size")]
    size: u64,
    #[serde(rename = "Last-Modified", skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(rename = "Checksum-Algorithm", skip_serializing_if = "Option::is_none")]
    algorithm: Option<String>,
    #[serde(rename = "Checksum", skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

/// A file that is stored as another than the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// Its path.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// Its SHA-256, where it is known: a file of which only changed pages came is never read as a whole.
    pub sha256: Option<[u8; 32]>,
}

impl File {
    fn path(&self) -> Option<Vec<u8>> {
        match (&self.path, &self.encoded) {
            (Some(path), None) => Some(path.clone().into_bytes()),
            (None, Some(digits)) => hex::decode(digits).ok(),
            _ => None,
        }
    }

    /// The server's checksum, in whichever order its processor has bytes.
    fn crc32c(&self) -> Option<[u8; 4]> {
        let digest = hex::decode(self.checksum.as_ref()?).ok()?;
        (self.algorithm.as_deref() == Some("CRC32C")).then_some(())?;
        digest.try_into().ok()
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
    pub(super) fn differences(&self, came: &BTreeMap<Vec<u8>, Sum>) -> Vec<String> {
        let mut differences = Vec::new();
        let mut named = BTreeSet::new();
        for file in &self.files {
            let Some(path) = file.path() else {
                differences.push("an entry of the manifest has no readable path".to_owned());
                continue;
            };
            let name = String::from_utf8_lossy(&path);
            match (file.crc32c(), came.get(&path)) {
                (_, None) => differences.push(format!("{name} did not come")),
                (None, _) => differences.push(format!("{name} has no CRC-32C in the manifest")),
                (Some(_), Some(sum)) if sum.size != file.size => {
                    differences.push(format!("{name} has {} bytes, not {}", sum.size, file.size));
                }
                (Some(expected), Some(sum))
                    if ![sum.crc32c.to_le_bytes(), sum.crc32c.to_be_bytes()].contains(&expected) =>
                {
                    differences.push(format!("{name} has another CRC-32C"));
                }
                (Some(_), Some(_)) => {}
            }
            named.insert(path);
        }
        let beside = came
            .keys()
            .filter(|path| !path.starts_with(b"pg_wal/") && !named.contains(*path));
        differences.extend(beside.map(|path| format!("{} is not in the manifest", String::from_utf8_lossy(path))));
        let more = differences.len().saturating_sub(MOST_DIFFERENCES);
        if more > 0 {
            differences.truncate(MOST_DIFFERENCES);
            differences.push(format!("and {more} more"));
        }
        differences
    }

    /// The manifest of what is stored: of what came, with the SHA-256 of each file, where those in `replaced`, by the names that
    /// the server gave them, are others.
    pub(super) fn stored(
        mut self,
        came: &BTreeMap<Vec<u8>, Sum>,
        replaced: &BTreeMap<Vec<u8>, Replaced>,
    ) -> serde_json::Result<Vec<u8>> {
        for file in &mut self.files {
            let Some(path) = file.path() else { continue };
            let mut sha256 = came.get(&path).map(|sum| sum.sha256);
            if let Some(by) = replaced.get(&path) {
                (file.path, file.encoded, file.size) = (Some(by.path.clone()), None, by.size);
                sha256 = by.sha256;
            }
            file.algorithm = sha256.map(|_| "SHA256".to_owned());
            file.checksum = sha256.map(hex::encode);
        }
        self.encode()
    }

    /// The manifest of an earlier backup by which the server finds out what changed: of files that are not in it, it sends all.
    ///
    /// Visibility maps are left out. The log does not name the page of a map in which a change of a table's page clears bits, so
    /// that the server takes the map for unchanged; over the earlier one, index-only scans would find rows that are gone.
    pub(super) fn without_visibility_maps(mut self) -> serde_json::Result<Vec<u8>> {
        self.files
            .retain(|file| !file.path.as_deref().is_some_and(is_visibility_map));
        self.encode()
    }

    fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let files: Vec<String> = self.files.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let system = match self.system_identifier {
            Some(system) => format!("\"System-Identifier\": {system},\n"),
            None => String::new(),
        };
        let mut text = format!(
            "{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n{system}\"Files\": [\n{}\n],\n\"WAL-Ranges\": {},\n",
            self.version,
            files.join(",\n"),
            serde_json::to_string(&self.ranges)?,
        );
        let digest = hex::encode(Sha256::digest(text.as_bytes()));
        text.push_str(&format!("\"Manifest-Checksum\": \"{digest}\"}}\n"));
        Ok(text.into_bytes())
    }
}

fn is_visibility_map(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    segment_of(Path::new(path)).is_some() && name.split('.').next().is_some_and(|fork| fork.ends_with("_vm"))
}

#[cfg(test)]
mod tests {
    use crc32c::crc32c;

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
        let checksum = hex::encode(crc32c(content.as_bytes()).to_le_bytes());
        format!(
            "{{ {path}, \"Size\": {}, \"Last-Modified\": \"2026-01-02 03:04:05 GMT\", \"Checksum-Algorithm\": \"CRC32C\", \
             \"Checksum\": \"{checksum}\" }}",
            content.len()
        )
    }

    fn came(files: &[(&[u8], &str)]) -> BTreeMap<Vec<u8>, Sum> {
        let sum = |content: &str| Sum {
            size: content.len() as u64,
            crc32c: crc32c(content.as_bytes()),
            sha256: Sha256::digest(content).into(),
        };
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
            file("\"Path\": \"unsure\"", "1").replace("CRC32C", "SHA224"),
        ];
        let bytes = manifest(&files.join(",\n"));
        let manifest = Manifest::parse(&bytes).unwrap();
        let came = came(&[
            (b"same", "1"),
            (b"other", "2"),
            (b"longer", "12"),
            (b"\xffo", "1"),
            (b"unsure", "1"),
            (b"beside", ""),
            (b"pg_wal/000000010000000000000001", "log"),
        ]);
        assert_eq!(
            manifest.differences(&came),
            [
                "other has another CRC-32C",
                "longer has 2 bytes, not 1",
                "gone did not come",
                "unsure has no CRC-32C in the manifest",
                "beside is not in the manifest",
            ]
        );
    }

    #[test]
    fn a_server_with_its_bytes_in_another_order_is_understood() {
        let checksum = |bytes: [u8; 4]| hex::encode(bytes);
        let crc = crc32c(b"1");
        let turned = file("\"Path\": \"a\"", "1").replace(&checksum(crc.to_le_bytes()), &checksum(crc.to_be_bytes()));
        let manifest = Manifest::parse(&manifest(&turned)).unwrap();
        assert!(manifest.differences(&came(&[(b"a", "1")])).is_empty());
    }

    #[test]
    fn what_is_stored_stands_in_a_manifest_of_its_own_right() {
        let files = [
            file("\"Path\": \"base/5/INCREMENTAL.16384\"", "header"),
            file("\"Path\": \"backup_label\"", "a longer one"),
            file("\"Encoded-Path\": \"ff6f\"", "1"),
        ];
        let bytes = manifest(&files.join(",\n"));
        let label = Sha256::digest("a label").into();
        let by = |path: &str, size, sha256| Replaced {
            path: path.to_owned(),
            size,
            sha256,
        };
        let replaced = BTreeMap::from([
            (b"base/5/INCREMENTAL.16384".to_vec(), by("base/5/16384", 1 << 20, None)),
            (b"backup_label".to_vec(), by("backup_label", 7, Some(label))),
        ]);
        let came = came(&[
            (b"base/5/INCREMENTAL.16384", "header"),
            (b"backup_label", "a longer one"),
            (b"\xffo", "1"),
        ]);
        let read = Manifest::parse(&bytes).unwrap();
        assert!(read.differences(&came).is_empty());
        let written = read.stored(&came, &replaced).unwrap();
        let again = Manifest::parse(&written).unwrap();
        assert_eq!(again.ranges, Manifest::parse(&bytes).unwrap().ranges);
        let said = |file: &File| {
            let words = |word: &Option<String>| word.clone().unwrap_or_default();
            [
                words(&file.path),
                words(&file.encoded),
                words(&file.algorithm),
                words(&file.checksum),
            ]
        };
        let said: Vec<[String; 4]> = again.files.iter().map(said).collect();
        let sha256 = |content: &str| hex::encode(Sha256::digest(content));
        assert_eq!(said[0], ["base/5/16384", "", "", ""], "nobody read it as a whole");
        assert_eq!(said[1], ["backup_label", "", "SHA256", &sha256("a label")]);
        assert_eq!(said[2], ["", "ff6f", "SHA256", &sha256("1")]);
        let sizes: Vec<u64> = again.files.iter().map(|file| file.size).collect();
        assert_eq!(sizes, [1 << 20, 7, 1]);
    }

    #[test]
    fn a_server_hears_of_no_visibility_map() {
        let paths = [
            "base/5/1259",
            "base/5/1259_vm",
            "base/5/1259_vm.1",
            "base/5/1259_fsm",
            "a_vm",
        ];
        let files: Vec<String> = paths
            .iter()
            .map(|path| file(&format!("\"Path\": \"{path}\""), "1"))
            .collect();
        let bytes = manifest(&files.join(",\n"));
        let told = Manifest::parse(&bytes).unwrap().without_visibility_maps().unwrap();
        let told: Vec<Option<String>> = Manifest::parse(&told)
            .unwrap()
            .files
            .into_iter()
            .map(|file| file.path)
            .collect();
        let expected = ["base/5/1259", "base/5/1259_fsm", "a_vm"].map(|path| Some(path.to_owned()));
        assert_eq!(told, expected);
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
