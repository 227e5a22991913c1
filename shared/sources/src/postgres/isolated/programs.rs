//! [`Programs`]: PostgreSQL's own programs, of the version that a cluster needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::IsolatedError;

/// The newest version that is known.
const NEWEST: u32 = 18;
/// The client program that everybody has.
const CLIENT: &str = "pg_dump";

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
            None => of_debian(major),
        };
        let programs = Programs { folder, major };
        let found = programs.version("postgres")?;
        if major_of(&found) != Some(major) {
            let folder = programs.folder;
            return Err(IsolatedError::OtherPrograms { folder, found, major });
        }
        Ok(programs)
    }

    /// Those in `folder`, or the oldest that Debian installs, which are of that version or later: clients work with servers of
    /// their own version and of earlier ones.
    pub fn clients(folder: Option<&Path>, major: u32) -> Result<Programs, IsolatedError> {
        let candidates = match folder {
            Some(folder) => vec![folder.to_owned()],
            None => (major..=NEWEST).map(of_debian).collect(),
        };
        let there = candidates.iter().find(|folder| folder.join(CLIENT).is_file());
        let folder = there.unwrap_or(&candidates[0]).clone();
        let mut programs = Programs { folder, major };
        let found = programs.version(CLIENT)?;
        match major_of(&found) {
            Some(version) if version >= major => {
                programs.major = version;
                Ok(programs)
            }
            _ => Err(IsolatedError::OtherPrograms {
                folder: programs.folder,
                found,
                major,
            }),
        }
    }

    /// What a program says of itself.
    fn version(&self, program: &'static str) -> Result<String, IsolatedError> {
        let path = self.path(program)?;
        let output = Command::new(&path).arg("--version").output();
        let output = output.map_err(IsolatedError::io("run", &path))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
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

fn of_debian(major: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"))
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
            "the programs of PostgreSQL 15 are needed, but /nowhere has no postgres: install postgresql-15, or say where its programs are"
        );
    }
}
