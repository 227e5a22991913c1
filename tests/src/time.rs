//! [`MovableTime`]: a clock that a test moves forward, for real programs too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

/// The machine's clock, and how far it has been moved. Programs that run with [`MovableTime::environment`] see the same:
/// libfaketime answers their questions for the time, and reads how far ahead it is in a file.
#[derive(Debug, Clone, Default)]
pub struct MovableTime {
    ahead_seconds: Arc<AtomicI64>,
    folder: Option<Arc<TempDir>>,
}

impl MovableTime {
    /// A clock that can be moved; [`MovableTime::default`] is the machine's and cannot.
    ///
    /// # Panics
    ///
    /// When there is no folder for the file.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the clock");
        let time = Self {
            ahead_seconds: Arc::default(),
            folder: Some(Arc::new(folder)),
        };
        time.advance(0);
        time
    }

    /// The time.
    #[expect(
        clippy::disallowed_methods,
        reason = "this stands for the clock of services, which is the real one"
    )]
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead_seconds.load(Ordering::SeqCst));
        Timestamp::now().saturating_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// Lets this much time pass at once.
    ///
    /// # Panics
    ///
    /// When this clock cannot be moved.
    pub fn advance(&self, seconds: i64) {
        let folder = self.folder.as_ref().expect("a clock that can be moved");
        let ahead = self.ahead_seconds.fetch_add(seconds, Ordering::SeqCst) + seconds;
        let unfinished = folder.path().join("ahead.tmp");
        std::fs::write(&unfinished, format!("+{ahead}\n")).expect("the clock's file");
        std::fs::rename(&unfinished, folder.path().join("ahead")).expect("the clock's file");
    }

    /// What a program needs in its environment to see this clock; nothing for the machine's own.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let Some(folder) = &self.folder else {
            return BTreeMap::new();
        };
        let file = folder.path().join("ahead").display().to_string();
        let variables = [
            // The dynamic linker puts this machine's own folder for libraries in.
            ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketimeMT.so.1"),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            // Waiting takes as long as ever.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        variables.map(owned).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_see_the_time_that_the_test_sees() {
        let time = MovableTime::new();
        let told = || {
            let output = std::process::Command::new("date")
                .arg("+%s")
                .envs(time.environment())
                .output();
            let told = String::from_utf8(output.unwrap().stdout).unwrap();
            told.trim().parse::<i64>().unwrap()
        };
        assert!((told() - time.now().as_second()).abs() < 60);
        time.advance(1_000_000);
        assert!((told() - time.now().as_second()).abs() < 60);
        assert!(MovableTime::default().environment().is_empty());
    }
}
