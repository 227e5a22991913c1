//! [`Patterns`]: which parts of a file tree are meant.

use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// Include and exclude patterns.
///
/// - `*`, `?`, `[…]` and `{a,b}` match within one name; `**` matches any number of folders.
/// - A pattern that starts with `/` is anchored at the root of the tree; any other matches at any depth (`*.tmp`).
/// - A pattern that ends with `/` matches folders only (`cache/`).
/// - A match of a folder means everything below it. Excludes win over includes, and prune: what lies below an excluded
///   folder is not even looked at.
/// - Without includes everything is selected. With includes, the folders that lead to a match are kept; below an
///   include that is not anchored, any folder may lead to one.
#[derive(Clone, Debug)]
pub struct Patterns {
    include: Option<Include>,
    exclude: Matcher,
}

#[derive(Clone, Debug)]
struct Include {
    selected: Matcher,
    below: GlobSet,
    leading: GlobSet,
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{list} pattern {position} (`{pattern}`) is not valid: {reason}")]
pub struct PatternError {
    /// `include` or `exclude`.
    pub list: &'static str,
    /// Which of that list, counted from 1.
    pub position: usize,
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What the patterns say about one entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The entry is meant.
    Selected,
    /// A folder that is not meant itself, but may lead to something that is.
    Leading,
    /// Neither the entry nor anything below it is meant.
    Skipped,
}

impl Patterns {
    /// Everything.
    pub fn all() -> Patterns {
        Patterns {
            include: None,
            exclude: Matcher {
                any: GlobSet::empty(),
                folders: GlobSet::empty(),
            },
        }
    }

    /// Reads patterns; see the type for what they mean.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Patterns, PatternError> {
        let exclude = Matcher::new(&parsed("exclude", exclude)?)?;
        if include.is_empty() {
            return Ok(Patterns { include: None, exclude });
        }
        let include = parsed("include", include)?;
        let below = set(&include, |pattern| vec![format!("{}/**", pattern.glob)])?;
        let leading = set(&include, Pattern::leading)?;
        Ok(Patterns {
            include: Some(Include {
                selected: Matcher::new(&include)?,
                below,
                leading,
            }),
            exclude,
        })
    }

    /// What is said about the entry at `relative`, a path from the root of the tree without a slash in front. The
    /// folders above it must have been asked about before: none of them was skipped.
    pub fn verdict(&self, relative: &Path, is_folder: bool) -> Verdict {
        if relative.as_os_str().is_empty() {
            return if self.include.is_none() {
                Verdict::Selected
            } else {
                Verdict::Leading
            };
        }
        let candidate = Candidate::new(relative);
        if self.exclude.is_match(&candidate, is_folder) {
            return Verdict::Skipped;
        }
        match &self.include {
            None => Verdict::Selected,
            Some(include) => {
                if include.selected.is_match(&candidate, is_folder) || include.below.is_match_candidate(&candidate) {
                    Verdict::Selected
                } else if is_folder && include.leading.is_match_candidate(&candidate) {
                    Verdict::Leading
                } else {
                    Verdict::Skipped
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Matcher {
    any: GlobSet,
    folders: GlobSet,
}

impl Matcher {
    fn new(patterns: &[Pattern]) -> Result<Matcher, PatternError> {
        let of = |folders_only| {
            set(patterns, |p| {
                if p.folders_only == folders_only {
                    vec![p.glob.clone()]
                } else {
                    vec![]
                }
            })
        };
        Ok(Matcher {
            any: of(false)?,
            folders: of(true)?,
        })
    }

    fn is_match(&self, candidate: &Candidate<'_>, is_folder: bool) -> bool {
        self.any.is_match_candidate(candidate) || (is_folder && self.folders.is_match_candidate(candidate))
    }
}

struct Pattern {
    list: &'static str,
    position: usize,
    text: String,
    /// Matches the whole path from the root of the tree.
    glob: String,
    folders_only: bool,
}

impl Pattern {
    fn parse(list: &'static str, position: usize, text: &str) -> Result<Pattern, PatternError> {
        let mut pattern = Pattern {
            list,
            position,
            text: text.to_owned(),
            glob: String::new(),
            folders_only: text.ends_with('/'),
        };
        let body = text.strip_suffix('/').unwrap_or(text);
        let (anchored, body) = body.strip_prefix('/').map_or((false, body), |rest| (true, rest));
        if let Some(part) = body.split('/').find(|part| matches!(*part, "" | "." | "..")) {
            let what = if part.is_empty() {
                "has an empty part"
            } else {
                "leads through `.` or `..`"
            };
            return Err(pattern.error(format!("it {what}")));
        }
        pattern.glob = if anchored {
            body.to_owned()
        } else {
            format!("**/{body}")
        };
        GlobBuilder::new(&pattern.glob)
            .build()
            .map_err(|error| pattern.error(error.kind().to_string()))?;
        Ok(pattern)
    }

    /// Globs for the folders above a match. A part with alternatives may hold slashes, so from there on any folder may
    /// lead to a match, as it may after `**`.
    fn leading(&self) -> Vec<String> {
        let parts: Vec<&str> = self.glob.split('/').collect();
        let mut globs = Vec::new();
        for (count, part) in parts.iter().enumerate().take(parts.len() - 1) {
            let above = parts[..count].join("/");
            if *part == "**" || part.contains(['{', '[', '\\']) {
                globs.push(if above.is_empty() {
                    "**".to_owned()
                } else {
                    format!("{above}/**")
                });
                break;
            }
            globs.push(parts[..=count].join("/"));
        }
        globs
    }

    fn error(&self, reason: String) -> PatternError {
        PatternError {
            list: self.list,
            position: self.position,
            pattern: self.text.clone(),
            reason,
        }
    }
}

fn parsed<S: AsRef<str>>(list: &'static str, texts: &[S]) -> Result<Vec<Pattern>, PatternError> {
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| Pattern::parse(list, at + 1, text.as_ref()))
        .collect()
}

fn set(patterns: &[Pattern], globs: impl Fn(&Pattern) -> Vec<String>) -> Result<GlobSet, PatternError> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        for glob in globs(pattern) {
            let built = GlobBuilder::new(&glob)
                .literal_separator(true)
                .backslash_escape(true)
                .build();
            builder.add(built.map_err(|error| pattern.error(error.kind().to_string()))?);
        }
    }
    let too_large = |error: globset::Error| PatternError {
        list: patterns.first().map_or("exclude", |pattern| pattern.list),
        position: patterns.len(),
        pattern: error.glob().unwrap_or_default().to_owned(),
        reason: error.kind().to_string(),
    };
    builder.build().map_err(too_large)
}

/// A pattern that matches exactly `path` (anchored where it starts with `/`), whatever characters it holds. Paths that
/// are not UTF-8 cannot be written as a pattern.
pub fn escaped(path: &Path) -> Option<String> {
    path.to_str().map(globset::escape)
}

#[cfg(test)]
mod tests;
