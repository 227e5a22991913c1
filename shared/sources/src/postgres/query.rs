//! Commands of the simple protocol whose answer is rows of text.

use std::ops::Range;

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use super::connection::{Connection, Reply};
use super::error::{PostgresError, Result};

/// More rows than any question here has for an answer.
const MOST_ROWS: usize = 100_000;

/// One row: a value is text, or nothing.
#[derive(Clone, Debug)]
pub struct Row {
    buffer: Bytes,
    values: Vec<Option<Range<usize>>>,
}

impl Row {
    /// The raw value of a column.
    pub fn bytes(&self, column: usize) -> Option<&[u8]> {
        let range = self.values.get(column)?.clone()?;
        self.buffer.get(range)
    }

    /// The value of a column, where it is text.
    pub fn text(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(column)?).ok()
    }
}

/// The answer to a question.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Connection {
    /// Asks, and waits for all rows. A question with several answers gives the last.
    pub fn query(&mut self, sql: &str) -> Result<Rows> {
        self.begin(format!("asking {}", first_words(sql)));
        self.send_query(sql)?;
        let mut rows = Rows::default();
        loop {
            match self.receive()? {
                Reply::Columns(body) => rows = self.columns(&body)?,
                Reply::Row(body) if rows.rows.len() < MOST_ROWS => rows.rows.push(self.row(&body)?),
                Reply::Row(_) => return Err(self.protocol("more rows than make sense")),
                Reply::Done => {}
                Reply::Ready => return Ok(rows),
                Reply::Error(report) => return Err(self.fail(report)),
                _ => return Err(self.protocol("something else than rows")),
            }
        }
    }

    /// The only row of an answer.
    pub fn query_one(&mut self, sql: &str) -> Result<Row> {
        let rows = self.query(sql)?.rows;
        let [row] =
            <[Row; 1]>::try_from(rows).map_err(|rows| self.protocol(format!("{} rows, not one", rows.len())))?;
        Ok(row)
    }

    /// The value of a setting.
    pub fn show(&mut self, setting: &str) -> Result<String> {
        let row = self.query_one(&format!("SHOW {}", quoted_name(setting)))?;
        self.required(&row, 0).map(str::to_owned)
    }

    /// The value of a setting that is a size, in bytes. Pages of the server have no unit, larger sizes do.
    pub fn show_size(&mut self, setting: &str) -> Result<u64> {
        let text = self.show(setting)?;
        size(&text).ok_or_else(|| self.protocol(format!("{text:?} as {setting}")))
    }

    pub(super) fn columns(&self, body: &RowDescriptionBody) -> Result<Rows> {
        let names = body.fields().map(|field| Ok(field.name().to_owned())).collect();
        let columns = names.map_err(|error| self.protocol(error.to_string()))?;
        Ok(Rows {
            columns,
            rows: Vec::new(),
        })
    }

    pub(super) fn row(&self, body: &DataRowBody) -> Result<Row> {
        let values = body
            .ranges()
            .collect()
            .map_err(|error| self.protocol(error.to_string()))?;
        Ok(Row {
            buffer: body.buffer_bytes().clone(),
            values,
        })
    }

    /// Text that must be there.
    pub(super) fn required<'a>(&self, row: &'a Row, column: usize) -> Result<&'a str> {
        row.text(column)
            .ok_or_else(|| self.protocol(format!("no text in column {}", column + 1)))
    }

    /// A value that must be there.
    pub(super) fn parsed<T: std::str::FromStr>(&self, row: &Row, column: usize) -> Result<T, PostgresError> {
        let text = self.required(row, column)?;
        let what = || format!("{text:?} in column {}", column + 1);
        text.parse().map_err(|_| self.protocol(what()))
    }
}

/// Bytes of a size as SHOW writes it: `8192`, `16MB`, `1GB`.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "kB" => 10,
        "MB" => 20,
        "GB" => 30,
        "TB" => 40,
        _ => return None,
    };
    digits
        .parse::<u64>()
        .ok()?
        .checked_mul(1 << shift)
        .filter(|bytes| *bytes > 0)
}

/// Enough of a command to know it by.
fn first_words(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().take(4).collect();
    words.join(" ").chars().take(60).collect()
}

/// A name as SQL writes it.
pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(super) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("8192", Some(8192)),
            ("16MB", Some(16 << 20)),
            ("1GB", Some(1 << 30)),
            ("4 kB", None),
            ("0", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quoted_text("it's"), "'it''s'");
        assert_eq!(quoted_name("a\"b"), "\"a\"\"b\"");
    }
}
