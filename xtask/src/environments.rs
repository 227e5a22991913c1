//! Folders below `target/` that are filled from Python's registry, each with its versions pinned in a file: environments with
//! the linters and emulators that tests call, which stand apart because their needs contradict each other, and versions of
//! PostgreSQL that Debian does not have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::steps::shell;

/// What is made of packages.
#[derive(Clone, Copy)]
enum Form {
    /// A Python environment with them and what they need.
    Environment,
    /// The files of the archive that a package brings along. Nothing of the package is run.
    Archive,
}

/// The environment whose `pip` gets archives.
const FIRST: &str = "python";
/// A folder below `target/`, the file that says what is in it, and what is made of that.
const FOLDERS: [(&str, &str, Form); 7] = [
    // moto, which emulates most of AWS.
    (FIRST, "tests/emulators/requirements.txt", Form::Environment),
    // sam and cfn-lint.
    ("sam", "tests/emulators/sam/requirements.txt", Form::Environment),
    ("checkov", "tests/emulators/checkov/requirements.txt", Form::Environment),
    // Terraform as a library, and the protocol of its providers.
    (
        "terraform",
        "tests/emulators/terraform/requirements.txt",
        Form::Environment,
    ),
    // Servers and their programs.
    ("postgresql-16", "tests/emulators/postgresql/16.txt", Form::Archive),
    ("postgresql-17", "tests/emulators/postgresql/17.txt", Form::Archive),
    ("postgresql-18", "tests/emulators/postgresql/18.txt", Form::Archive),
];

/// The file in a folder that says what was installed, written last.
const STAMP: &str = "installed.txt";

/// Makes what is missing, and makes again what was pinned to other versions since.
pub fn run(root: &Path) -> Result<(), String> {
    let target = root.join("target");
    for (name, requirements, form) in FOLDERS {
        let folder = Folder {
            path: target.join(name),
            requirements: root.join(requirements),
        };
        if folder.is_current()? {
            println!("setup: target/{name} holds what {requirements} asks for");
            continue;
        }
        match form {
            Form::Environment => folder.make_environment()?,
            Form::Archive => folder.unpack_archive(&target.join(FIRST))?,
        }
    }
    Ok(())
}

struct Folder {
    path: PathBuf,
    requirements: PathBuf,
}

impl Folder {
    fn is_current(&self) -> Result<bool, String> {
        let wanted = read(&self.requirements)?;
        match fs::read_to_string(self.path.join(STAMP)) {
            Ok(installed) => Ok(installed == wanted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(format!("{}: {error}", self.path.join(STAMP).display())),
        }
    }

    fn make_environment(&self) -> Result<(), String> {
        let wanted = read(&self.requirements)?;
        shell(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&self.path))?;
        let mut install = pip_install(&self.path);
        shell(install.arg("--requirement").arg(&self.requirements))?;
        self.finish(&wanted)
    }

    fn unpack_archive(&self, environment: &Path) -> Result<(), String> {
        let wanted = read(&self.requirements)?;
        let package = self.path.join("package");
        if self.path.exists() {
            fs::remove_dir_all(&self.path).map_err(at(&self.path))?;
        }
        let mut install = pip_install(environment);
        install.args(["--no-deps", "--ignore-requires-python", "--target"]);
        shell(install.arg(&package).arg("--requirement").arg(&self.requirements))?;
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--strip-components=1", "--file"]);
        shell(tar.arg(archive(&package)?).arg("--directory").arg(&self.path))?;
        fs::remove_dir_all(&package).map_err(at(&package))?;
        self.finish(&wanted)
    }

    fn finish(&self, installed: &str) -> Result<(), String> {
        let stamp = self.path.join(STAMP);
        fs::write(&stamp, installed).map_err(at(&stamp))
    }
}

fn pip_install(environment: &Path) -> Command {
    let mut install = Command::new(environment.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install
}

/// The first archive in the folders of a package.
fn archive(package: &Path) -> Result<PathBuf, String> {
    for folder in fs::read_dir(package).map_err(at(package))? {
        let folder = folder.map_err(at(package))?.path();
        let entries = fs::read_dir(&folder).map_err(at(&folder))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        if let Some(archive) = paths
            .into_iter()
            .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        {
            return Ok(archive);
        }
    }
    Err(format!("{}: the package brings no archive", package.display()))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_pinned() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (_, requirements, _) in FOLDERS {
            for line in read(&root.join(requirements)).unwrap().lines() {
                let pinned = line.is_empty() || line.starts_with('#') || line.contains("==");
                assert!(pinned, "{requirements}: {line}");
            }
        }
    }

    #[test]
    fn a_folder_is_filled_again_when_its_versions_change() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/xtask-environment");
        fs::create_dir_all(&folder).unwrap();
        let requirements = folder.join("wanted.txt");
        fs::write(&requirements, "a==1\n").unwrap();
        let filled = Folder {
            path: folder.clone(),
            requirements: requirements.clone(),
        };
        assert_eq!(filled.is_current(), Ok(false));
        fs::write(folder.join(STAMP), "a==1\n").unwrap();
        assert_eq!(filled.is_current(), Ok(true));
        fs::write(&requirements, "a==2\n").unwrap();
        assert_eq!(filled.is_current(), Ok(false));
        fs::remove_dir_all(&folder).unwrap();
    }
}
