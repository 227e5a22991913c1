//! Links in Markdown files.

use std::collections::BTreeSet;

use crate::rust;
use crate::tree::Tree;

/// Links to files, folders and headings of this checkout that are not there.
pub fn broken(tree: &Tree) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, text) in tree.ending(".md") {
        let prose = without_code(text);
        for (at, target) in targets(&prose) {
            if let Some(problem) = problem(tree, path, target) {
                offenders.push(format!("{path}:{}: {target}: {problem}", rust::line_of(&prose, at)));
            }
        }
    }
    offenders
}

fn problem(tree: &Tree, from: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let Some(path) = resolve(from, file) else {
        return Some("leads out of the checkout".to_owned());
    };
    if !tree.has(&path) {
        return Some(format!("no {path}"));
    }
    let missing = match tree.text(&path).filter(|_| path.ends_with(".md")) {
        Some(text) => !anchor.is_empty() && !headings(text).contains(anchor),
        None => false,
    };
    missing.then(|| format!("{path} has no such heading"))
}

/// The path from the root that a link in `from` means; none when it leads out.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            "" => return None,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The text with code blocks and code spans blanked; lines stay.
fn without_code(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut fenced = false;
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        if fenced || is_fence {
            prose.push('\n');
        } else {
            let spans = line.split('`').enumerate();
            prose.extend(spans.map(|(number, span)| if number % 2 == 0 { span } else { "code" }));
        }
        fenced ^= is_fence;
    }
    prose
}

/// Every link's target with its offset: `[text](target)` and `[name]: target`.
fn targets(prose: &str) -> Vec<(usize, &str)> {
    let mut targets = Vec::new();
    for (at, opening) in prose.match_indices("](") {
        let target = prose[at + opening.len()..].split([')', ' ', '\n']).next();
        targets.extend(target.map(|target| (at, target)));
    }
    for (at, separator) in prose.match_indices("]: ") {
        let line_start = prose[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if prose[line_start..].starts_with('[') {
            let target = prose[at + separator.len()..].split_whitespace().next();
            targets.extend(target.map(|target| (at, target)));
        }
    }
    targets
}

/// The anchors that a document's headings make.
fn headings(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let title = line.trim_start_matches('#');
        if fenced || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        anchors.insert(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    anchors
}

#[test]
fn links_that_lead_nowhere_are_named() {
    let text = "[a](docs/a.md) [b](docs/b.md)\n[c](docs/a.md#the-end) [d](docs/a.md#no) [e](../x) [f](https://x.org/y)
`[g](none)`\n```\n[h](none)\n```\n[i](docs) [j](#none)\n[k]: docs/c.md\n";
    let tree = Tree::of(&[("README.md", text), ("docs/a.md", "# The `end`\n[up](../README.md)")]);
    let expected = [
        "README.md:1: docs/b.md: no docs/b.md",
        "README.md:2: docs/a.md#no: docs/a.md has no such heading",
        "README.md:2: ../x: leads out of the checkout",
        "README.md:7: #none: README.md has no such heading",
        "README.md:8: docs/c.md: no docs/c.md",
    ];
    assert_eq!(broken(&tree), expected);
}
