//! A source that lives in memory, and fixed surroundings.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use holdfast_repository::backup::{BackupOptions, BackupReport, Content, Source, Unread, UnreadReason, backup};
use holdfast_repository::storage::{DiskStorage, MemoryStorage, Storage};
use holdfast_repository::tree::mode;
use holdfast_repository::{Ambient, InitOptions, NoProgress, Node, NodeKind, NodeTime, Repository, Result};
use jiff::Timestamp;

pub const PASSWORD: &str = "correct horse";

pub fn ambient() -> Ambient {
    Ambient {
        now: || Timestamp::from_second(1_800_000_000).unwrap(),
        fill_random: |bytes| std::fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap(),
        hostname: "test-host".into(),
        username: "tester".into(),
        pid: 4242,
        uid: 1000,
        gid: 1000,
    }
}

/// A repository in memory.
pub fn memory_repository() -> Repository {
    init(Arc::new(MemoryStorage::new()))
}

/// A repository in a folder, with [`PASSWORD`].
pub fn disk_repository(path: &Path) -> Repository {
    init(Arc::new(DiskStorage::open_or_create(path).unwrap()))
}

fn init(storage: Arc<dyn Storage>) -> Repository {
    Repository::init(
        storage,
        ambient(),
        &InitOptions {
            password: Some(PASSWORD),
            ..InitOptions::default()
        },
    )
    .unwrap()
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    Data(Vec<u8>),
    Hole(u64),
}

/// What happens to a file when it is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Trouble {
    #[default]
    None,
    Denied,
    ChangedWhileRead,
    BreaksAfter(usize),
    /// The connection to what holds it is lost.
    ConnectionLost,
}

#[derive(Clone, Debug)]
struct Item {
    node: Node,
    parts: Vec<Part>,
    trouble: Trouble,
}

/// Files in memory below `/data`.
#[derive(Default)]
pub struct TestSource {
    items: BTreeMap<PathBuf, Item>,
    roots: Vec<PathBuf>,
    pub opened: Mutex<BTreeSet<PathBuf>>,
    pub cancel_on_open: Option<Arc<AtomicBool>>,
    /// What stands there once everything is listed.
    pub opens_as: Option<Box<TestSource>>,
}

impl TestSource {
    pub fn new() -> TestSource {
        TestSource {
            roots: vec!["/data".into()],
            ..TestSource::default()
        }
    }

    pub fn roots(mut self, roots: &[&str]) -> TestSource {
        self.roots = roots.iter().map(PathBuf::from).collect();
        self
    }

    pub fn file(mut self, path: &[u8], bytes: impl Into<Vec<u8>>) -> TestSource {
        self.put(path, vec![Part::Data(bytes.into())], Trouble::None);
        self
    }

    pub fn sparse(mut self, path: &[u8], parts: Vec<Part>) -> TestSource {
        self.put(path, parts, Trouble::None);
        self
    }

    pub fn troubled(mut self, path: &[u8], bytes: impl Into<Vec<u8>>, trouble: Trouble) -> TestSource {
        self.put(path, vec![Part::Data(bytes.into())], trouble);
        self
    }

    pub fn put(&mut self, path: &[u8], parts: Vec<Part>, trouble: Trouble) {
        let mut node = Node::new(Vec::new(), NodeKind::File);
        node.mode = 0o644;
        node.size = parts
            .iter()
            .map(|part| {
                if let Part::Data(bytes) = part {
                    bytes.len() as u64
                } else {
                    hole(part)
                }
            })
            .sum();
        node.mtime = NodeTime::utc(1_700_000_000, 123_456_789);
        node.ctime = node.mtime;
        node.inode = 10 + self.items.len() as u64;
        self.insert(path, node, parts, trouble);
    }

    pub fn node(mut self, path: &[u8], node: Node) -> TestSource {
        self.insert(path, node, Vec::new(), Trouble::None);
        self
    }

    /// Changes the metadata of an entry.
    pub fn touch(&mut self, path: &[u8], seconds: i64) {
        let node = &mut self.items.get_mut(&bytes_path(path)).unwrap().node;
        node.mtime = NodeTime::utc(seconds, 0);
    }

    fn insert(&mut self, path: &[u8], mut node: Node, parts: Vec<Part>, trouble: Trouble) {
        let path = bytes_path(path);
        for folder in path.ancestors().skip(1) {
            self.items.entry(folder.to_owned()).or_insert_with(|| {
                let mut node = Node::new(folder.file_name().unwrap_or_default().as_bytes(), NodeKind::Dir);
                node.mode = mode::DIR | 0o755;
                Item {
                    node,
                    parts: Vec::new(),
                    trouble: Trouble::None,
                }
            });
        }
        node.name = path.file_name().unwrap().as_bytes().to_vec();
        self.items.insert(path, Item { node, parts, trouble });
    }

    fn item(&self, path: &Path) -> Result<&Item, Unread> {
        self.items.get(path).ok_or_else(|| Unread {
            path: path.to_owned(),
            reason: UnreadReason::Vanished,
        })
    }
}

fn hole(part: &Part) -> u64 {
    match part {
        Part::Hole(length) => *length,
        Part::Data(_) => 0,
    }
}

fn bytes_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(path.to_vec()))
}

impl Source for TestSource {
    fn paths(&self) -> Vec<PathBuf> {
        self.roots.clone()
    }

    fn stat(&self, path: &Path) -> Result<Node, Unread> {
        Ok(self.item(path)?.node.clone())
    }

    fn names(&self, folder: &Path) -> Result<Vec<OsString>, Unread> {
        self.item(folder)?;
        let mut names: Vec<OsString> = self
            .items
            .keys()
            .filter(|path| path.parent() == Some(folder))
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        Ok(names)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Content>, Unread> {
        self.opened.lock().unwrap().insert(path.to_owned());
        if let Some(cancel) = &self.cancel_on_open {
            cancel.store(true, Ordering::Relaxed);
        }
        let item = self.opens_as.as_deref().unwrap_or(self).item(path)?.clone();
        if item.trouble == Trouble::Denied {
            return Err(Unread {
                path: path.to_owned(),
                reason: UnreadReason::Denied,
            });
        }
        Ok(Box::new(TestContent {
            path: path.to_owned(),
            item,
            part: 0,
            offset: 0,
            given: 0,
        }))
    }
}

struct TestContent {
    path: PathBuf,
    item: Item,
    part: usize,
    offset: usize,
    given: usize,
}

impl Content for TestContent {
    fn opened(&self) -> Result<Node, Unread> {
        Ok(self.item.node.clone())
    }

    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if let Trouble::BreaksAfter(limit) = self.item.trouble
            && self.given >= limit
        {
            return Err(std::io::Error::other("the disk is failing"));
        }
        if self.item.trouble == Trouble::ConnectionLost {
            return Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "no answer"));
        }
        while let Some(Part::Data(bytes)) = self.item.parts.get(self.part) {
            let rest = &bytes[self.offset..];
            if rest.is_empty() {
                (self.part, self.offset) = (self.part + 1, 0);
                continue;
            }
            // Short reads, as pipes and network file systems give them.
            let count = rest.len().min(buf.len()).min(100_003);
            buf[..count].copy_from_slice(&rest[..count]);
            self.offset += count;
            self.given += count;
            return Ok(count);
        }
        Ok(0)
    }

    fn hole(&mut self) -> std::io::Result<u64> {
        while matches!(self.item.parts.get(self.part), Some(Part::Data(bytes)) if bytes.len() == self.offset) {
            (self.part, self.offset) = (self.part + 1, 0);
        }
        let length = self.item.parts.get(self.part).map_or(0, hole);
        let length = length.saturating_sub(self.offset as u64);
        if length > 0 {
            (self.part, self.offset) = (self.part + 1, 0);
        }
        Ok(length)
    }

    fn skip(&mut self, mut bytes: u64) -> std::io::Result<()> {
        while bytes > 0 {
            let length = match &self.item.parts[self.part] {
                Part::Data(data) => data.len() as u64,
                part @ Part::Hole(_) => hole(part),
            };
            let step = bytes.min(length - self.offset as u64);
            bytes -= step;
            self.offset += step as usize;
            if self.offset as u64 == length {
                (self.part, self.offset) = (self.part + 1, 0);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Node, Unread> {
        match self.item.trouble {
            Trouble::ChangedWhileRead => Err(Unread {
                path: self.path.clone(),
                reason: UnreadReason::ChangedWhileRead,
            }),
            _ => Ok(self.item.node.clone()),
        }
    }
}

/// Backs up with small packs and whatever `change` sets.
pub fn back_up(
    repository: &Repository,
    source: &TestSource,
    change: impl FnOnce(&mut BackupOptions<'_>),
) -> Result<BackupReport> {
    let cancel = source.cancel_on_open.clone().unwrap_or_default();
    let mut options = BackupOptions::new(Timestamp::from_second(1_790_000_000).unwrap(), &NoProgress, &cancel);
    options.pack_size = 1 << 20;
    change(&mut options);
    backup(repository, source, &options)
}
