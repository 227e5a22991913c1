//! [`Progress`]: how long-running work tells how far it is.

/// Hears about the progress of one piece of work. Calls come from many threads.
pub trait Progress: Sync {
    /// More work was found: this many bytes and files are added to what is expected.
    fn expect(&self, bytes: u64, files: u64);
    /// This many bytes and files are done, in addition to what was reported before.
    fn advance(&self, bytes: u64, files: u64);
    /// Something worth showing to a person, such as the stage that begins.
    fn note(&self, _what: &str) {}
}

/// Nobody is watching.
pub struct NoProgress;

impl Progress for NoProgress {
    fn expect(&self, _bytes: u64, _files: u64) {}
    fn advance(&self, _bytes: u64, _files: u64) {}
}
