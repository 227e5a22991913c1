//! The files that the demo is shown on: a private copy of real ones, or a generated application, and what "the
//! application" does to them between backups.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::clock;

/// The file that the application rewrites with the current time.
pub const HEARTBEAT: &str = ".heartbeat";

/// Copies real files, with all their metadata. Only reads `source`.
pub fn copy(source: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let status = Command::new("cp")
        .arg("-a")
        .arg("--")
        .arg(source.join("."))
        .arg(to)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("cp ended with {status}")))
    }
}

/// Writes an application's files: photos, orders, a database, logs, and the odd things that real trees hold.
pub fn generate(root: &Path) -> io::Result<()> {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for folder in ["photos/2026", "orders", "database", "logs", "config", "empty folder"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for photo in 0..24 {
        fs::write(
            root.join(format!("photos/2026/img_{photo:04}.jpg")),
            noise.bytes(2 << 20),
        )?;
    }
    for order in 0..1500 {
        let folder = root.join(format!("orders/{:02}", order % 20));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("{order:06}.json")), order_text(order, &mut noise))?;
    }
    write_database(&root.join("database/app.db"), &mut noise)?;
    let mut log = File::create(root.join("logs/app.log"))?;
    for line in 0..60_000 {
        writeln!(
            log,
            "2026-01-{:02} request {line} took {} ms",
            line % 28 + 1,
            noise.next() % 900
        )?;
    }
    write_oddities(root)
}

fn order_text(order: u64, noise: &mut Noise) -> String {
    let items: Vec<String> = (0..noise.next() % 9 + 1)
        .map(|item| format!("{{\"sku\":\"{:08x}\",\"n\":{item}}}", noise.next() as u32))
        .collect();
    format!(
        "{{\"order\":{order},\"customer\":\"{:06}\",\"items\":[{}]}}\n",
        noise.next() % 1_000_000,
        items.join(",")
    )
}

/// Pages that are half text and half empty, as a database's are.
fn write_database(path: &Path, noise: &mut Noise) -> io::Result<()> {
    let mut file = File::create(path)?;
    for page in 0..2048_u64 {
        let mut bytes = vec![0; 16 << 10];
        bytes[..8].copy_from_slice(&page.to_be_bytes());
        let half = noise.bytes(4 << 10);
        bytes[8..8 + half.len()].copy_from_slice(&half);
        file.write_all(&bytes)?;
    }
    file.sync_all()
}

fn write_oddities(root: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let config = root.join("config");
    fs::write(config.join("app.toml"), "name = \"shop\"\nworkers = 8\n")?;
    fs::write(config.join("secret"), "not for everybody\n")?;
    fs::set_permissions(config.join("secret"), fs::Permissions::from_mode(0o600))?;
    fs::write(config.join("empty"), "")?;
    symlink("app.toml", config.join("current"))?;
    symlink("/nowhere/at/all", config.join("dangling"))?;
    fs::hard_link(config.join("app.toml"), config.join("app.toml.same"))?;
    fs::write(
        config.join(std::ffi::OsStr::from_bytes(b"caf\xe9 \"quoted\"\n.txt")),
        "an odd name\n",
    )?;
    let mut sparse = File::create(root.join("database/sparse.img"))?;
    sparse.seek(SeekFrom::Start(64 << 20))?;
    sparse.write_all(b"the end of a long hole")
}

/// The application says that it is alive.
pub fn beat(root: &Path) -> io::Result<()> {
    fs::write(root.join(HEARTBEAT), format!("{}\n", clock::now()))
}

/// What the application and its users do between two backups: files change in place and at their end, appear, move, and
/// go. Returns what was done, for people.
pub fn work(root: &Path, round: u64) -> io::Result<String> {
    let mut noise = Noise(round.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
    let mut files = Vec::new();
    regular_files(root, &mut files)?;
    files.sort();
    let (mut changed, mut removed) = (0_u32, 0_u32);
    for file in &files {
        match noise.next() % 40 {
            0 if removed < 5 => {
                fs::remove_file(file)?;
                removed += 1;
            }
            1 | 2 if changed < 60 => {
                change(file, &mut noise)?;
                changed += 1;
            }
            _ => {}
        }
    }
    let added = root.join(format!("added in round {round}"));
    fs::create_dir_all(&added)?;
    for number in 0..10 {
        let length = (noise.next() % (512 << 10)) as usize;
        fs::write(added.join(format!("upload-{number}.bin")), noise.bytes(length))?;
    }
    beat(root)?;
    Ok(format!("{changed} files changed, 10 added, {removed} removed"))
}

fn change(file: &Path, noise: &mut Noise) -> io::Result<()> {
    let length = fs::metadata(file)?.len();
    if length > 4096 {
        let place = noise.next() % (length - 1024);
        return OpenOptions::new()
            .write(true)
            .open(file)?
            .write_all_at(&noise.bytes(1024), place);
    }
    OpenOptions::new()
        .append(true)
        .open(file)?
        .write_all(b"\none more line\n")
}

fn regular_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            regular_files(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Repeatable bytes that do not compress (xorshift64*).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes()[..7]);
        }
        bytes.truncate(length);
        bytes
    }
}
