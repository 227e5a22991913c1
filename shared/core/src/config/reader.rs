//! Strict reading of TOML tables: every key must be asked for, every problem is kept with its place.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Problem;

/// The problems found so far in one text.
pub(super) struct Problems<'t> {
    text: &'t str,
    list: Vec<Problem>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, list: Vec::new() }
    }

    /// Adds a problem at a byte offset of the text.
    pub(super) fn add(&mut self, at: usize, message: impl Into<String>) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.list.push(Problem {
            line: self.line(at),
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        });
    }

    /// The line, from 1, of a byte offset.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    /// How many problems there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// The problems in the order of the text.
    pub(super) fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort();
        self.list.dedup();
        self.list
    }
}

/// A value and the byte offset where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// A table that is being read.
pub(super) struct Table<'a> {
    /// How messages call it, such as `[[vault]]`.
    pub(super) title: String,
    /// Where it begins.
    pub(super) at: usize,
    entries: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(title: impl Into<String>, at: usize, entries: &'a DeTable<'a>) -> Self {
        Self {
            title: title.into(),
            at,
            entries,
            asked: Vec::new(),
        }
    }

    /// Whether the key is there, without asking for it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.entries.get(key)
    }

    /// The text of a key, if it is there.
    pub(super) fn text(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<At<&'a str>> {
        let value = self.ask(key)?;
        as_text(key, value, problems)
    }

    /// A word of a key, if it is there.
    pub(super) fn word<T>(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<At<T>>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(key, problems)?;
        parse_word(key, text, problems)
    }

    /// A word of a key that must be there.
    pub(super) fn required<T>(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<At<T>>
    where
        T: FromStr<Err: Display>,
    {
        if !self.has(key) {
            problems.add(self.at, format!("{} lacks \"{key}\"", self.title));
        }
        self.word(key, problems)
    }

    /// The words of a key; none when it is not there.
    pub(super) fn words<T>(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Vec<At<T>>
    where
        T: FromStr<Err: Display>,
    {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            wrong_type(key, "an array of strings", value, problems);
            return Vec::new();
        };
        let mut words = Vec::new();
        for item in items {
            let text = as_text(key, item, problems);
            words.extend(text.and_then(|text| parse_word(key, text, problems)));
        }
        words
    }

    /// One of a few words of a key that must be there.
    pub(super) fn required_choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        problems: &mut Problems<'_>,
    ) -> Option<T> {
        let word: At<String> = self.required(key, problems)?;
        choose(key, &word, choices, problems)
    }

    /// A whole number of a key, if it is there.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: RangeInclusive<u32>,
        problems: &mut Problems<'_>,
    ) -> Option<u32> {
        let value = self.ask(key)?;
        let Some(integer) = value.get_ref().as_integer() else {
            wrong_type(key, "a whole number", value, problems);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            problems.add(
                value.span().start,
                format!("\"{key}\" must be a whole number from {least} to {most}, not {integer}"),
            );
        }
        number
    }

    /// An amount of a key, if it is there: a number above 0.
    pub(super) fn amount(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<f64> {
        let value = self.ask(key)?;
        as_amount(key, value, problems)
    }

    /// All entries of a table whose keys are free, as amounts.
    pub(super) fn amounts(self, problems: &mut Problems<'_>) -> Vec<(&'a str, f64)> {
        let mut amounts = Vec::new();
        for (key, value) in self.entries {
            let key: &str = key.get_ref();
            amounts.extend(as_amount(key, value, problems).map(|amount| (key, amount)));
        }
        amounts
    }

    /// A table of a key, if it is there.
    pub(super) fn table(&mut self, key: &'static str, title: &str, problems: &mut Problems<'_>) -> Option<Table<'a>> {
        let value = self.ask(key)?;
        let entries = value.get_ref().as_table();
        if entries.is_none() {
            wrong_type(key, "a table", value, problems);
        }
        Some(Table::new(title, value.span().start, entries?))
    }

    /// The tables of a key (`[[key]]`); none when it is not there.
    pub(super) fn tables(&mut self, key: &'static str, title: &str, problems: &mut Problems<'_>) -> Vec<Table<'a>> {
        let Some(value) = self.ask(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            problems.add(
                value.span().start,
                format!("\"{key}\" must be written as {title}, so that there can be several"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items {
            match item.get_ref().as_table() {
                Some(entries) => tables.push(Table::new(title, item.span().start, entries)),
                None => wrong_type(key, "an array of tables", item, problems),
            }
        }
        tables
    }

    /// All entries of a table whose keys are free, as texts.
    pub(super) fn texts(self, problems: &mut Problems<'_>) -> Vec<(&'a str, &'a str)> {
        let mut texts = Vec::new();
        for (key, value) in self.entries {
            let key: &str = key.get_ref();
            if key.is_empty() {
                problems.add(value.span().start, format!("{} has an empty key", self.title));
            }
            texts.extend(as_text(key, value, problems).map(|text| (key, text.value)));
        }
        texts
    }

    /// Ends the reading: a key that nobody asked for is a problem.
    pub(super) fn finish(self, problems: &mut Problems<'_>) {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let hint = did_you_mean(name, self.asked.iter().copied());
                let name: String = name.chars().take(80).collect();
                problems.add(
                    key.span().start,
                    format!("unknown key \"{name}\" in {}{hint}", self.title),
                );
            }
        }
    }
}

fn as_text<'a>(key: &str, value: &'a Spanned<DeValue<'a>>, problems: &mut Problems<'_>) -> Option<At<&'a str>> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        wrong_type(key, "a string", value, problems);
    }
    Some(At {
        at: value.span().start,
        value: text?,
    })
}

fn as_amount(key: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems<'_>) -> Option<f64> {
    let number: Option<f64> = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
        _ => None,
    };
    let amount = number.filter(|number| number.is_finite() && *number > 0.0);
    if amount.is_none() {
        problems.add(
            value.span().start,
            format!("\"{key}\" must be a number above 0, such as 5.00"),
        );
    }
    amount
}

fn parse_word<T>(key: &str, text: At<&str>, problems: &mut Problems<'_>) -> Option<At<T>>
where
    T: FromStr<Err: Display>,
{
    match text.value.parse() {
        Ok(value) => Some(At { at: text.at, value }),
        Err(error) => {
            problems.add(text.at, format!("\"{key}\": {error}"));
            None
        }
    }
}

/// What a word stands for among a few.
pub(super) fn choose<T: Copy>(
    key: &str,
    word: &At<String>,
    choices: &[(&str, T)],
    problems: &mut Problems<'_>,
) -> Option<T> {
    let chosen = choices.iter().find(|(name, _)| *name == word.value);
    if chosen.is_none() {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let shown: String = word.value.chars().take(40).collect();
        let known = names.join(", ");
        problems.add(
            word.at,
            format!("\"{key}\": \"{shown}\" is not known here; known: {known}"),
        );
    }
    chosen.map(|(_, value)| *value)
}

fn wrong_type(key: &str, wanted: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems<'_>) {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    problems.add(value.span().start, format!("\"{key}\" must be {wanted}, not {found}"));
}

/// `; did you mean "…"?` with the nearest of the known words, or nothing when none is near.
pub(super) fn did_you_mean<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    let allowed = 1 + word.chars().count() / 4;
    let is_begun = |known: &str| word.len() > 3 && known.starts_with(word);
    let nearest = known
        .map(|known| (edits(word, known), known))
        .filter(|(edits, known)| *edits <= allowed || is_begun(known))
        .min();
    nearest.map_or_else(String::new, |(_, known)| format!("; did you mean \"{known}\"?"))
}

/// How many single-character changes turn one word into the other (Levenshtein), ignoring case and taking `_` for `-`.
fn edits(a: &str, b: &str) -> usize {
    let fold = |word: &str| -> Vec<char> {
        let word = word
            .chars()
            .take(80)
            .map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() });
        word.collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
