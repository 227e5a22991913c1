//! Golden texts: what Holdfast says, word by word. `BLESS=1 cargo test -p holdfast-core` rewrites them; review the diff.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of golden texts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Compares `actual` with the golden text `name`.
pub fn check(name: &str, actual: &str) {
    check_file(&folder().join(name), actual);
}

/// Compares `actual` with a golden text that stands elsewhere.
pub fn check_file(path: &Path, actual: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a person asks for golden texts to be rewritten by this variable"
    )]
    let bless = std::env::var_os("BLESS").is_some();
    if bless {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, actual, "{} differs; BLESS=1 rewrites it", path.display());
}
