//! Lists of an outcome. A record must stay small, so it holds the beginning of each; where that is not all, the whole lists
//! stand in a file beside the repository.

use holdfast_core::domain::JobId;
use holdfast_repository::ErrorKind;
use holdfast_repository::storage::{FileName, Storage};
use serde::Serialize;
use serde_json::json;

/// Entries of a list in a record at most.
const ENTRIES_MAX: usize = 200;
/// Bytes of a list in a record at most, as JSON.
const BYTES_MAX: usize = 48 << 10;

/// The file with the whole lists of a job.
pub(super) fn file_of(job: &JobId) -> FileName {
    FileName::Sidecar(format!("jobs/{job}.json"))
}

/// How many entries of a list a record holds.
pub(super) fn fitting<T: Serialize>(list: &[T]) -> usize {
    let mut room = BYTES_MAX;
    let fits = |entry: &&T| {
        // And a comma.
        let bytes = serde_json::to_vec(entry).map_or(BYTES_MAX, |json| json.len()) + 1;
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    list.iter().take(ENTRIES_MAX).take_while(fits).count()
}

/// What a record holds of a list of which `left_out` entries are known by their number alone: all, or its beginning and a
/// last line that says how many more there are, and in which file.
pub(super) fn cut(mut list: Vec<String>, left_out: u64, file: Option<&FileName>) -> Vec<String> {
    let fitting = fitting(&list);
    let more = (list.len() - fitting) as u64 + left_out;
    if more > 0 {
        list.truncate(fitting);
        let place = file.map_or(String::new(), |file| format!(", all in {file} of the repository"));
        list.push(format!("and {more} more{place}"));
    }
    list
}

/// What a record holds of the lists of a job; where that is not all, they are written beside the repository, if they may.
pub(super) fn cut_and_kept(storage: &dyn Storage, job: &JobId, lists: [(&str, Vec<String>); 2]) -> [Vec<String>; 2] {
    let file = file_of(job);
    let fit = lists.iter().all(|(_, list)| fitting(list) == list.len());
    // What was found counts for more than a file about it: without it the record is all there is.
    let kept = !fit && keep(storage, &file, &lists);
    lists.map(|(_, list)| cut(list, 0, kept.then_some(&file)))
}

/// Whether the lists stand in the file now; an earlier run of the same job may have written it.
fn keep(storage: &dyn Storage, file: &FileName, [(first, ones), (second, others)]: &[(&str, Vec<String>); 2]) -> bool {
    let json = json!({ "version": 1, *first: ones, *second: others });
    match storage.put(file, json.to_string().as_bytes()) {
        Ok(_) => storage.barrier().is_ok(),
        Err(error) => error.kind() == ErrorKind::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_is_kept_and_a_long_one_says_how_many_more_there_are() {
        let lines = |count: usize, length: usize| vec!["x".repeat(length); count];
        assert_eq!(cut(lines(200, 20), 0, None), lines(200, 20));
        let file = file_of(&JobId::derive(&["test"]));
        let many = cut(lines(300, 20), 0, Some(&file));
        assert_eq!(many[..200], lines(200, 20));
        assert_eq!(many[200..], [format!("and 100 more, all in {file} of the repository")]);
        let long = cut(lines(100, 1000), 0, None);
        assert_eq!((long.len(), long[49].as_str()), (50, "and 51 more"));
        assert_eq!(cut(lines(1, 1), 7, None), ["x", "and 7 more"]);
    }
}
