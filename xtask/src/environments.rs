//! Python environments below `target/`: the linters and emulators that tests call, each with its versions pinned in a file.
//! They stand apart because their needs contradict each other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::steps::shell;

/// An environment's folder below `target/`, and the file that says what is in it.
const ENVIRONMENTS: [(&str, &str); 4] = [
    // moto, which emulates most of AWS.
    ("python", "tests/emulators/requirements.txt"),
    // sam and cfn-lint.
    ("sam", "tests/emulators/sam/requirements.txt"),
    ("checkov", "tests/emulators/checkov/requirements.txt"),
    // Terraform as a library, and the protocol of its providers.
    ("terraform", "tests/emulators/terraform/requirements.txt"),
];

/// The file in an environment that says what was installed, written last.
const STAMP: &str = "installed.txt";

/// Makes what is missing, and makes again what was pinned to other versions since.
pub fn run(root: &Path) -> Result<(), String> {
    for (name, requirements) in ENVIRONMENTS {
        let environment = Environment {
            folder: root.join("target").join(name),
            requirements: root.join(requirements),
        };
        if environment.is_current()? {
            println!("setup: target/{name} holds what {requirements} asks for");
        } else {
            environment.make()?;
        }
    }
    Ok(())
}

struct Environment {
    folder: PathBuf,
    requirements: PathBuf,
}

impl Environment {
    fn is_current(&self) -> Result<bool, String> {
        let wanted = read(&self.requirements)?;
        match fs::read_to_string(self.folder.join(STAMP)) {
            Ok(installed) => Ok(installed == wanted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(format!("{}: {error}", self.folder.join(STAMP).display())),
        }
    }

    fn make(&self) -> Result<(), String> {
        let wanted = read(&self.requirements)?;
        shell(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&self.folder),
        )?;
        let mut install = Command::new(self.folder.join("bin/python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        shell(install.arg("--requirement").arg(&self.requirements))?;
        let stamp = self.folder.join(STAMP);
        fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_pinned() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (_, requirements) in ENVIRONMENTS {
            for line in read(&root.join(requirements)).unwrap().lines() {
                let pinned = line.is_empty() || line.starts_with('#') || line.contains("==");
                assert!(pinned, "{requirements}: {line}");
            }
        }
    }

    #[test]
    fn an_environment_is_made_again_when_its_versions_change() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp/xtask-environment");
        fs::create_dir_all(&folder).unwrap();
        let requirements = folder.join("wanted.txt");
        fs::write(&requirements, "a==1\n").unwrap();
        let environment = Environment {
            folder: folder.clone(),
            requirements: requirements.clone(),
        };
        assert_eq!(environment.is_current(), Ok(false));
        fs::write(folder.join(STAMP), "a==1\n").unwrap();
        assert_eq!(environment.is_current(), Ok(true));
        fs::write(&requirements, "a==2\n").unwrap();
        assert_eq!(environment.is_current(), Ok(false));
        fs::remove_dir_all(&folder).unwrap();
    }
}
