//! [`Programs`]: PostgreSQL's own programs, of the version that a cluster needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::IsolatedError;

/// PostgreSQL's programs of one major version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    major: u32,
}

impl Programs {
    /// Those in `folder`, or where Debian installs them. They must be of that version: no other server starts over a cluster.
    pub fn find(folder: Option<&Path>, major: u32) -> Result<Programs, IsolatedError> {
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")),
        };
        let programs = Programs { folder, major };
        let postgres = programs.path("postgres")?;
        let output = Command::new(&postgres)
            .arg("--version")
            .output()
            .map_err(IsolatedError::io("run", &postgres))?;
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if major_of(&found) != Some(major) {
            let folder = programs.folder;
            return Err(IsolatedError::OtherPrograms { folder, found, major });
        }
        Ok(programs)
    }

    /// Their version.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Where a program stands.
    pub fn path(&self, program: &'static str) -> Result<PathBuf, IsolatedError> {
        let path = self.folder.join(program);
        match path.is_file() {
            true => Ok(path),
            false => Err(IsolatedError::NoPrograms {
                major: self.major,
                program,
                folder: self.folder.clone(),
            }),
        }
    }
}

/// `postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)` is of 15.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_programs_say() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)", Some(15)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("postgres (EnterpriseDB) 15.8", None),
            ("", None),
        ] {
            assert_eq!(major_of(text), major, "{text}");
        }
    }

    #[test]
    fn missing_programs_are_named() {
        let error = Programs::find(Some(Path::new("/nowhere")), 15).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PostgreSQL 15 is needed to start this cluster, but /nowhere has no postgres: install postgresql-15, or say where its programs are"
        );
    }
}
