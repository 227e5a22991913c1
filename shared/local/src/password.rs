//! The password in escrow: whoever has it opens every repository with any program that reads the format.

use holdfast_core::domain::{Failure, FailureKind};
use holdfast_repository::Ambient;

use crate::data_folder::DataFolder;
use crate::files;

/// The password of a data folder's repositories: 256 random bits in hexadecimal, made on first use.
///
/// Fails with [`FailureKind::Denied`] when others may read it, and with [`FailureKind::Integrity`] when it is empty or no
/// text: a fresh one in its place would not open what the old one opens.
pub fn repository_password(data: &DataFolder, ambient: &Ambient) -> Result<String, Failure> {
    let path = data.repository_password();
    if files::read(&path)?.is_none() {
        let fresh = hex::encode(ambient.random::<32>());
        files::write_once(&path, format!("{fresh}\n").as_bytes())?;
    }
    files::require_private(&path)?;
    let stored = files::read(&path)?.and_then(|bytes| String::from_utf8(bytes).ok());
    let password = stored
        .map(|text| text.trim_end().to_owned())
        .filter(|password| !password.is_empty());
    password.ok_or_else(|| {
        let message = format!("{} holds no password: put back a copy of it", path.display());
        Failure::new(FailureKind::Integrity, message)
    })
}
