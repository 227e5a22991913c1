//! Records as items of the table.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use holdfast_core::domain::{Failure, FailureKind};
use holdfast_core::ports::{Draft, Entry, Key, Wake};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// One item of the table.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const PARTITION: &str = "pk";
pub(super) const SORT: &str = "sk";
pub(super) const VERSION: &str = "version";
const BODY: &str = "body";
pub(super) const WAKE_STATUS: &str = "wake_status";
pub(super) const WAKE_AT: &str = "wake_at";

/// The most bytes that an item may have, names of attributes included.
const MOST_ITEM: usize = 400 * 1024;
/// The most bytes of a partition key, also of an index.
const MOST_PARTITION: usize = 2048;
/// The most bytes of a sort key.
const MOST_SORT: usize = 1024;
/// What a number takes at most.
const NUMBER: usize = 21;

/// A time as text whose order is the order of times: `2026-03-29T01:30:00.000000000Z`. Years before the year 0 are
/// counted up from -9999 behind a minus sign, which stands before every digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SortableTime(pub(super) Timestamp);

/// What is added to a year before the year 0.
const SHIFT: i32 = 9999;

impl fmt::Display for SortableTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = TimeZone::UTC.to_datetime(self.0);
        let year = i32::from(time.year());
        if year < 0 {
            write!(f, "-{:04}", year + SHIFT)?;
        } else {
            write!(f, "{year:04}")?;
        }
        write!(
            f,
            "-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.subsec_nanosecond()
        )
    }
}

impl SortableTime {
    fn parse(text: &str) -> Result<Self, String> {
        let refused = || format!("\"{text}\" is no time");
        let Some(shifted) = text.strip_prefix('-') else {
            return Ok(Self(text.parse().map_err(|_| refused())?));
        };
        let (year, rest) = shifted.split_at_checked(4).ok_or_else(refused)?;
        let year: i32 = year.parse().map_err(|_| refused())?;
        let standard = format!("-{:06}{rest}", SHIFT - year);
        Ok(Self(standard.parse().map_err(|_| refused())?))
    }
}

/// The key alone.
pub(super) fn of_key(key: &Key) -> Item {
    HashMap::from([
        (PARTITION.to_owned(), AttributeValue::S(key.partition.clone())),
        (SORT.to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

/// The item of a record. A record that DynamoDB would refuse is [`FailureKind::Invalid`].
pub(super) fn encode(draft: &Draft, version: u64, table: &str) -> Result<Item, Failure> {
    let Draft { key, body, wake } = draft;
    let mut item = of_key(key);
    item.insert(VERSION.to_owned(), AttributeValue::N(version.to_string()));
    item.insert(BODY.to_owned(), AttributeValue::S(body.to_string()));
    if let Some(Wake { status, at }) = wake {
        item.insert(WAKE_STATUS.to_owned(), AttributeValue::S(status.clone()));
        item.insert(WAKE_AT.to_owned(), AttributeValue::S(SortableTime(*at).to_string()));
    }
    let status = wake.as_ref().map_or("none", |wake| &wake.status);
    require_length(key, table, "partition", &key.partition, MOST_PARTITION)?;
    require_length(key, table, "order", &key.sort, MOST_SORT)?;
    require_length(key, table, "word to wake under", status, MOST_PARTITION)?;
    let size: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
    if size > MOST_ITEM {
        let message = format!(
            "record {} {} does not fit into table {table}: it has {size} bytes, and an item of DynamoDB at most \
             {MOST_ITEM}; let it name fewer things",
            key.partition, key.sort
        );
        return Err(Failure::new(FailureKind::Invalid, message));
    }
    Ok(item)
}

fn require_length(key: &Key, table: &str, what: &str, word: &str, most: usize) -> Result<(), Failure> {
    if (1..=most).contains(&word.len()) {
        return Ok(());
    }
    let start: String = format!("{} {}", key.partition, key.sort).chars().take(100).collect();
    let message = format!(
        "record {start} does not fit into table {table}: its {what} has {} bytes, and may have 1 to {most}",
        word.len()
    );
    Err(Failure::new(FailureKind::Invalid, message))
}

fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        _ => NUMBER,
    }
}

/// The key of an item.
pub(super) fn key(item: &Item, table: &str) -> Result<Key, Failure> {
    let text = |name| text(item, name).ok_or_else(|| damaged(table, "a record", &format!("no {name}")));
    Ok(Key {
        partition: text(PARTITION)?.to_owned(),
        sort: text(SORT)?.to_owned(),
    })
}

/// The record that an item is.
pub(super) fn decode(item: &Item, table: &str) -> Result<Entry, Failure> {
    let key = key(item, table)?;
    let name = format!("{} {}", key.partition, key.sort);
    let damaged = |reason: &str| damaged(table, &name, reason);
    let version = item.get(VERSION).and_then(|value| value.as_n().ok());
    let version = version.and_then(|number| number.parse().ok());
    let body = text(item, BODY).ok_or_else(|| damaged("no body"))?;
    let wake = match (text(item, WAKE_STATUS), text(item, WAKE_AT)) {
        (None, None) => None,
        (Some(status), Some(at)) => Some(Wake {
            status: status.to_owned(),
            at: SortableTime::parse(at).map_err(|reason| damaged(&reason))?.0,
        }),
        _ => return Err(damaged("half a wake-up")),
    };
    Ok(Entry {
        version: version.ok_or_else(|| damaged("no version"))?,
        body: serde_json::from_str(body).map_err(|error| damaged(&format!("its body is no JSON: {error}")))?,
        key,
        wake,
    })
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn damaged(table: &str, record: &str, reason: &str) -> Failure {
    let message = format!("{record} of table {table} is damaged ({reason}): put back a copy of it");
    Failure::new(FailureKind::Integrity, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn draft(body: serde_json::Value) -> Draft {
        Draft {
            key: Key {
                partition: "RES#photos".to_owned(),
                sort: "POINT#1".to_owned(),
            },
            body,
            wake: None,
        }
    }

    #[test]
    fn the_order_of_the_texts_is_the_order_of_the_times() {
        let seconds = [
            -377_705_023_201_i64,
            -300_000_000_000,
            -62_167_219_201,
            -62_167_219_200,
            -1,
            0,
            1_800_000_000,
        ];
        let mut times: Vec<Timestamp> = seconds.iter().map(|s| Timestamp::from_second(*s).unwrap()).collect();
        times.extend([Timestamp::new(1_800_000_000, 1).unwrap(), Timestamp::MAX]);
        let texts: Vec<String> = times.iter().map(|time| SortableTime(*time).to_string()).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[6], "2027-01-15T08:00:00.000000000Z");
        for (time, text) in times.iter().zip(&texts) {
            assert_eq!(SortableTime::parse(text), Ok(SortableTime(*time)));
        }
        for wrong in ["", "-", "-99", "-äö", "tomorrow", "-abcd-01-01T00:00:00Z"] {
            assert!(SortableTime::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_comes_back_from_its_item() {
        let mut draft = draft(json!({"a": [1, "ä"]}));
        draft.wake = Some(Wake {
            status: "job.backup".to_owned(),
            at: Timestamp::MIN,
        });
        let item = encode(&draft, 7, "table").unwrap();
        assert_eq!(item[VERSION], AttributeValue::N("7".to_owned()));
        let entry = decode(&item, "table").unwrap();
        assert_eq!(
            (entry.version, entry.key, entry.body, entry.wake),
            (7, draft.key, draft.body, draft.wake)
        );
    }

    #[test]
    fn what_the_table_would_refuse_is_refused_before_and_says_why() {
        // The names pk, sk, version and body, the key, the number, and the quotes around the text.
        let fits = "x".repeat(MOST_ITEM - (2 + 2 + 7 + 4) - (10 + 7) - NUMBER - 2);
        assert!(encode(&draft(json!(fits)), 1, "table").is_ok());
        let refused = encode(&draft(json!(format!("{fits}x"))), 1, "table")
            .map(drop)
            .unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(
            refused.message.contains("RES#photos POINT#1") && refused.message.contains("409600"),
            "{refused}"
        );
        for (partition, sort, word) in [
            ("", "s", "partition"),
            ("p", "", "order"),
            ("p", &*"s".repeat(1025), "1025"),
        ] {
            let mut wrong = draft(json!(1));
            (wrong.key.partition, wrong.key.sort) = (partition.to_owned(), sort.to_owned());
            let refused = encode(&wrong, 1, "table").map(drop).unwrap_err();
            assert!(refused.message.contains(word), "{refused}");
        }
    }

    #[test]
    fn a_damaged_item_is_named() {
        let good = encode(&draft(json!(1)), 1, "table").unwrap();
        for (name, value) in [
            (VERSION, AttributeValue::S("1".to_owned())),
            (BODY, AttributeValue::S("{".to_owned())),
            (BODY, AttributeValue::Null(true)),
            (WAKE_AT, AttributeValue::S("soon".to_owned())),
            (SORT, AttributeValue::Null(true)),
        ] {
            let mut item = good.clone();
            item.insert(name.to_owned(), value);
            assert_eq!(
                decode(&item, "table").unwrap_err().kind,
                FailureKind::Integrity,
                "{name}"
            );
        }
    }
}
