use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Verdict::{Leading, Selected, Skipped};
use super::*;

fn verdict(include: &[&str], exclude: &[&str], path: &str, is_folder: bool) -> Verdict {
    Patterns::new(include, exclude)
        .unwrap()
        .verdict(Path::new(path), is_folder)
}

#[test]
fn a_relative_pattern_matches_at_any_depth() {
    for path in ["a.tmp", "x/a.tmp", "x/y/a.tmp", "x/y/.tmp"] {
        assert_eq!(verdict(&[], &["*.tmp"], path, false), Skipped, "{path}");
    }
    assert_eq!(verdict(&[], &["*.tmp"], "a.tmpx", false), Selected);
    assert_eq!(verdict(&[], &["a/b"], "x/a/b", false), Skipped);
    assert_eq!(verdict(&[], &["a/b"], "x/a/c/b", false), Selected);
}

#[test]
fn a_trailing_slash_means_folders_only() {
    assert_eq!(verdict(&[], &["cache/"], "x/cache", true), Skipped);
    assert_eq!(verdict(&[], &["cache/"], "x/cache", false), Selected);
}

#[test]
fn an_absolute_pattern_is_anchored_at_the_root() {
    assert_eq!(verdict(&[], &["/a"], "a", false), Skipped);
    assert_eq!(verdict(&[], &["/a"], "x/a", false), Selected);
    assert_eq!(verdict(&[], &["/a/*"], "a/b", false), Skipped);
    assert_eq!(verdict(&[], &["/a/*"], "a", true), Selected);
    assert_eq!(
        verdict(&[], &["/a/*"], "a/b/c", false),
        Selected,
        "a star does not cross folders"
    );
    assert_eq!(verdict(&[], &["/a/**/z"], "a/b/c/z", false), Skipped);
    assert_eq!(verdict(&[], &["/a/**/z"], "a/z", false), Skipped);
}

#[test]
fn an_include_selects_what_is_below_it_and_keeps_the_folders_that_lead_to_it() {
    let include = &["/srv/*/data/"];
    assert_eq!(verdict(include, &[], "", true), Leading);
    assert_eq!(verdict(include, &[], "srv", true), Leading);
    assert_eq!(verdict(include, &[], "srv/x", true), Leading);
    assert_eq!(verdict(include, &[], "srv/x", false), Skipped);
    assert_eq!(verdict(include, &[], "srv/x/data", true), Selected);
    assert_eq!(
        verdict(include, &[], "srv/x/data", false),
        Skipped,
        "the include means a folder"
    );
    assert_eq!(verdict(include, &[], "srv/x/data/deep/file", false), Selected);
    assert_eq!(verdict(include, &[], "srv/x/other", true), Skipped);
    assert_eq!(verdict(include, &[], "etc", true), Skipped);
}

#[test]
fn below_an_include_that_is_not_anchored_any_folder_may_lead_to_a_match() {
    assert_eq!(verdict(&["*.sql"], &[], "a/b", true), Leading);
    assert_eq!(verdict(&["*.sql"], &[], "a/b/dump.sql", false), Selected);
    assert_eq!(verdict(&["*.sql"], &[], "a/b/dump.txt", false), Skipped);
    assert_eq!(verdict(&["/a/{b/c,d}/e"], &[], "a/b/c", true), Leading);
    assert_eq!(verdict(&["/a/{b/c,d}/e"], &[], "a/b/c/e", false), Selected);
    assert_eq!(verdict(&["/a/{b/c,d}/e"], &[], "b", true), Skipped);
}

#[test]
fn an_exclude_wins_over_an_include() {
    assert_eq!(verdict(&["/a"], &["*.tmp"], "a/x.tmp", false), Skipped);
    assert_eq!(verdict(&["/a"], &["/a/b"], "a/b", true), Skipped);
}

#[test]
fn names_that_are_not_utf_8_are_matched_as_bytes() {
    let patterns = Patterns::new(&[], &["*.tmp"]).unwrap();
    assert_eq!(
        patterns.verdict(Path::new(OsStr::from_bytes(b"a\xff\n.tmp")), false),
        Skipped
    );
    assert_eq!(
        patterns.verdict(Path::new(OsStr::from_bytes(b"a\xff.txt")), false),
        Selected
    );
}

#[test]
fn a_bad_pattern_is_named_with_its_place() {
    let error = Patterns::new(&["ok"], &["fine", "bad[", "x"]).unwrap_err();
    assert_eq!(
        (error.list, error.position, error.pattern.as_str()),
        ("exclude", 2, "bad[")
    );
    for bad in ["", "/", "a//b", "../x", "a/./b", "{a", "//"] {
        let error = Patterns::new(&[bad], &[]).unwrap_err();
        assert!(
            error.to_string().contains(&format!("include pattern 1 (`{bad}`)")),
            "{error}"
        );
    }
}

#[test]
fn an_escaped_path_matches_itself_alone() {
    let pattern = escaped(Path::new("/a[1]/b*{c}")).unwrap();
    assert_eq!(verdict(&[&pattern], &[], "a[1]/b*{c}", false), Selected);
    assert_eq!(verdict(&[&pattern], &[], "a1/bxc", false), Skipped);
    assert_eq!(verdict(&[&pattern], &[], "a[1]", true), Leading);
}
