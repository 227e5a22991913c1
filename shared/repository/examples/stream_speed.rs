//! How fast pages of a database are backed up, cut by content and at multiples of 32 KiB.
//!
//! `cargo run --release -p holdfast-repository --example stream_speed -- FOLDER [GIB]`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a program for measuring")]

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use holdfast_repository::backup::{BackupOptions, Cut, Item, Stream, backup_stream};
use holdfast_repository::crypto::MasterKey;
use holdfast_repository::storage::DiskStorage;
use holdfast_repository::{Ambient, InitOptions, NoProgress, Node, NodeKind, Repository};
use jiff::Timestamp;

const PAGE: usize = 8192;
const FILE: u64 = 1 << 30;

/// Files of pages: half of a page is random, half repeats itself. Every page of the second round whose number ends in 00 differs.
struct Pages {
    noise: Vec<u8>,
    left: u64,
    cut: Cut,
    round: u64,
    content: Relation,
}

#[derive(Default)]
struct Relation {
    noise: Vec<u8>,
    first: u64,
    at: u64,
    round: u64,
}

impl Read for Relation {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let within = (self.at % PAGE as u64) as usize;
        let count = buf.len().min(PAGE - within).min((FILE - self.at) as usize);
        if count == 0 {
            return Ok(0);
        }
        let number = self.first + self.at / PAGE as u64;
        let mut page = [0; PAGE];
        let place = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % (self.noise.len() - PAGE);
        page[..PAGE / 2].copy_from_slice(&self.noise[place..place + PAGE / 2]);
        page[..8].copy_from_slice(&number.to_le_bytes());
        if self.round > 0 && number.is_multiple_of(100) {
            page[8] ^= 0xff;
        }
        buf[..count].copy_from_slice(&page[within..within + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Stream for Pages {
    fn root(&self) -> PathBuf {
        "/data".into()
    }

    fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.content = Relation {
            noise: std::mem::take(&mut self.noise),
            first: self.left * (FILE / PAGE as u64),
            at: 0,
            round: self.round,
        };
        self.noise = self.content.noise.clone();
        let mut node = Node::new(Vec::new(), NodeKind::File);
        node.size = FILE;
        Ok(Some(Item {
            path: Path::new("/data").join(self.left.to_string()),
            node,
            content: Some(&mut self.content),
            cut: self.cut,
        }))
    }
}

fn ambient() -> Ambient {
    Ambient {
        now: Timestamp::now,
        fill_random: |bytes| std::fs::File::open("/dev/urandom").unwrap().read_exact(bytes).unwrap(),
        hostname: "host".into(),
        username: "user".into(),
        pid: 1,
        uid: 0,
        gid: 0,
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let files = arguments.next().map_or(2, |gib| gib.parse().unwrap());
    let mut noise = vec![0; 64 << 20];
    (ambient().fill_random)(&mut noise);
    for (name, cut) in [("by content", Cut::ByContent), ("every 32 KiB", Cut::Every(32 << 10))] {
        let place = folder.join(name.replace(' ', "-"));
        let storage = Arc::new(DiskStorage::open_or_create(&place).unwrap());
        let master_key = Some(MasterKey::generate(&ambient()));
        let options = InitOptions {
            master_key,
            ..InitOptions::default()
        };
        let repository = Repository::init(storage, ambient(), &options).unwrap();
        for round in 0..2 {
            let cancel = AtomicBool::new(false);
            let options = BackupOptions::new(Timestamp::now(), &NoProgress, &cancel);
            let begin = Instant::now();
            let mut pages = Pages {
                noise: noise.clone(),
                left: files,
                cut,
                round,
                content: Relation::default(),
            };
            let summary = backup_stream(&repository, &mut pages, &options).unwrap().summary;
            let seconds = begin.elapsed().as_secs_f64();
            let speed = (files * FILE) as f64 / seconds / f64::from(1 << 20);
            println!(
                "{name}, round {round}: {seconds:.1} s, {speed:.0} MiB/s, {} data blobs, {:.1} MiB stored",
                summary.data_blobs,
                summary.data_added_packed as f64 / f64::from(1 << 20)
            );
        }
    }
}
