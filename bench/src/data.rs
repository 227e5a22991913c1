//! The data that is backed up: the same bytes on every machine.
//!
//! Three sets. `large`: a few large files, by the mebibyte half text and half noise, as images of virtual machines and dumps
//! are. `small`: many files of 1 to 64 KiB of text, as source code is. `media`: files of 5 MiB that nothing makes smaller.
//! The second generation changes a part in place and by insertion, adds files and removes some.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use holdfast_kernels::data::{Numbers, noise, text};

/// One of the sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Large,
    Small,
    Media,
}

impl Set {
    pub const ALL: [Self; 3] = [Self::Large, Self::Small, Self::Media];

    /// Its name in tables and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Large => "large",
            Self::Small => "small",
            Self::Media => "media",
        }
    }

    /// What it is, in a sentence.
    pub fn says(self, scale: Scale) -> String {
        match self {
            Self::Large => format!(
                "{} files of {} MiB, half text, half noise by the mebibyte",
                8,
                scale.large_mib()
            ),
            Self::Small => format!("{} files of 1 to 64 KiB of text", scale.small_files()),
            Self::Media => format!("{} files of 5 MiB of noise", scale.media_files()),
        }
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// 2 GiB, 600 MiB, 1 GiB.
    Full,
    /// An eighth of it.
    Quick,
}

impl Scale {
    fn large_mib(self) -> u64 {
        match self {
            Self::Full => 256,
            Self::Quick => 32,
        }
    }

    fn small_files(self) -> u64 {
        match self {
            Self::Full => 20_000,
            Self::Quick => 2_500,
        }
    }

    /// Mebibytes of the one file that is restored over a link.
    pub fn one_file_mib(self) -> u64 {
        match self {
            Self::Full => 4096,
            Self::Quick => 512,
        }
    }

    fn media_files(self) -> u64 {
        match self {
            Self::Full => 200,
            Self::Quick => 25,
        }
    }
}

/// Writes the first generation of a set into `folder`.
pub fn write(set: Set, scale: Scale, folder: &Path) -> io::Result<()> {
    match set {
        Set::Large => (0..8).try_for_each(|number| {
            let mut file = create(&folder.join(format!("image-{number}")))?;
            for mib in 0..scale.large_mib() {
                let seed = number << 32 | mib;
                file.write_all(&if mib % 2 == 0 {
                    text(seed, 1 << 20)
                } else {
                    noise(seed, 1 << 20)
                })?;
            }
            file.flush()
        }),
        Set::Small => (0..scale.small_files()).try_for_each(|number| small_file(folder, number, number)),
        Set::Media => (0..scale.media_files()).try_for_each(|number| media_file(folder, number)),
    }
}

/// Writes one large file of noise into `folder`.
pub fn write_one(scale: Scale, folder: &Path) -> io::Result<()> {
    let mut file = create(&folder.join("image"))?;
    (0..scale.one_file_mib()).try_for_each(|mib| file.write_all(&noise(6 << 40 | mib, 1 << 20)))?;
    file.flush()
}

/// Writes `files` files of noise, each of `bytes`, into folders of a thousand.
pub fn write_many(files: u64, bytes: usize, folder: &Path) -> io::Result<()> {
    (0..files).try_for_each(|number| {
        let path = folder.join(format!("{:04}/{number:07}", number / 1000));
        create(&path)?.write_all(&noise(7 << 40 | number, bytes))
    })
}

/// Makes the second generation out of the first.
pub fn change(set: Set, scale: Scale, folder: &Path) -> io::Result<()> {
    match set {
        // Two in a hundred mebibytes change in place; one file grows in its middle.
        Set::Large => (0..8).try_for_each(|number| {
            let path = folder.join(format!("image-{number}"));
            let mut bytes = fs::read(&path)?;
            for mib in (number..scale.large_mib()).step_by(50) {
                let at = usize::try_from(mib << 20).unwrap_or(0);
                bytes[at..at + (1 << 20)].copy_from_slice(&noise(1 << 40 | number << 32 | mib, 1 << 20));
            }
            if number == 0 {
                let middle = bytes.len() / 2 + 777;
                bytes.splice(middle..middle, noise(2 << 40, 100_000));
            }
            fs::write(&path, bytes)
        }),
        Set::Small => {
            let files = scale.small_files();
            for number in (0..files).step_by(100) {
                small_file(folder, number, files + number)?;
                small_file(folder, files + number, 2 * files + number)?;
                fs::remove_file(small_path(folder, number + 1))?;
            }
            Ok(())
        }
        Set::Media => {
            let files = scale.media_files();
            (files..files + files.div_ceil(33)).try_for_each(|number| media_file(folder, number))
        }
    }
}

fn small_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{:02}/{:02}/{number}.txt", number % 20, number / 20 % 50))
}

fn small_file(folder: &Path, number: u64, seed: u64) -> io::Result<()> {
    let size = 1024 + Numbers::new(seed).below(63 * 1024);
    create(&small_path(folder, number))?.write_all(&text(3 << 40 | seed, usize::try_from(size).unwrap_or(0)))
}

fn media_file(folder: &Path, number: u64) -> io::Result<()> {
    create(&folder.join(format!("{number}.raw")))?.write_all(&noise(4 << 40 | number, 5 << 20))
}

fn create(path: &Path) -> io::Result<BufWriter<fs::File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(BufWriter::with_capacity(1 << 20, fs::File::create(path)?))
}

/// Changes a little of what was restored, so that restoring over it has something to mend: 64 KiB in the middle of every
/// fiftieth file and of every one that is large. Sizes stay, the time of the change is new.
pub fn disturb(folder: &Path) -> io::Result<()> {
    let (mut paths, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                paths.push((entry.path(), entry.metadata()?.len()));
            }
        }
    }
    paths.sort_unstable();
    for (number, (path, size)) in (0..).zip(&paths) {
        if number % 50 == 0 || *size > 16 << 20 {
            let length = usize::try_from((*size).min(64 << 10)).unwrap_or(0);
            let file = fs::OpenOptions::new().write(true).open(path)?;
            file.write_all_at(&noise(5 << 40 | number, length), (size - length as u64) / 2)?;
        }
    }
    Ok(())
}
