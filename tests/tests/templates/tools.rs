//! Calling the programs that check the deployment.

use std::path::{Path, PathBuf};
use std::process::Command;

use holdfast_tests::workspace_root;

/// A program of an environment that `cargo xtask setup` makes.
pub fn program(environment: &str, name: &str) -> PathBuf {
    let path = workspace_root().join("target").join(environment).join("bin").join(name);
    assert!(path.is_file(), "{}: missing; run `cargo xtask setup`", path.display());
    path
}

/// How a program ended, and all that it said.
#[derive(Debug)]
pub struct Ran {
    pub succeeded: bool,
    pub said: String,
}

impl Ran {
    /// The output of a program that must succeed.
    pub fn good(self) -> String {
        assert!(self.succeeded, "{}", self.said);
        self.said
    }

    /// The output of a program that must find something wrong and name it.
    pub fn complaint(self, named: &str) -> String {
        assert!(
            !self.succeeded && self.said.contains(named),
            "{named} is not complained about: {}",
            self.said
        );
        self.said
    }
}

/// Runs a program from the root of the checkout, away from the network and from the settings of whoever runs it.
pub fn run(command: &mut Command, home: &Path) -> Ran {
    let command = command
        .current_dir(workspace_root())
        .env("HOME", home)
        .env("AWS_DEFAULT_REGION", "eu-central-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("SAM_CLI_TELEMETRY", "0")
        .env("CHECKPOINT_DISABLE", "1");
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().to_string_lossy()));
    let said = [done.stdout, done.stderr].concat();
    Ran {
        succeeded: done.status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    }
}

/// The text of a file of the checkout.
pub fn text(path: &str) -> String {
    let path = workspace_root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
