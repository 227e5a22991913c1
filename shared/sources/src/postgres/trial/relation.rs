//! One table or index of a database, looked through over one connection.

use super::super::connection::Connection;
use super::super::error::Result;
use super::super::query::quoted_name;
use super::{Check, Fault};
use holdfast_core::domain::Level;

/// Tables up to this size are counted, larger ones estimated, in bytes.
const MOST_COUNTED: u64 = 1 << 30;
/// Faults of one table that are told.
const MOST_FAULTS: usize = 5;

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    /// A heap, an index, or the rows of a table.
    pub check: Check,
    /// Its number.
    pub oid: u32,
    /// Its name with its schema.
    pub name: String,
    /// How large it is.
    pub bytes: u64,
    /// The rows that the server estimates, below 0 where it does not.
    pub estimate: i64,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What does not hold.
    pub faults: Vec<Fault>,
    /// Rows, and whether they were counted.
    pub rows: Option<(u64, bool)>,
}

/// The heaps with their parts for large values, and the B-trees, of a database.
const HEAPS_AND_INDEXES: &str = "SELECT CASE a.amname WHEN 'heap' THEN 'h' ELSE 'i' END, c.oid, c.oid::regclass, \
    pg_relation_size(c.oid), 0 FROM pg_class c JOIN pg_am a ON a.oid = c.relam \
    LEFT JOIN pg_index i ON i.indexrelid = c.oid \
    WHERE c.relpersistence <> 't' AND (a.amname = 'heap' AND c.relkind IN ('r', 'm', 't') \
    OR a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND i.indisready)";

/// The tables of a database that are not the system's.
const TABLES: &str = "SELECT 'r', c.oid, c.oid::regclass, pg_relation_size(c.oid), c.reltuples::bigint FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' \
    AND n.nspname !~ '^pg_'";

/// What there is to look at, the largest first. Without `amcheck` that is how many rows there are.
pub(super) fn list(connection: &mut Connection, has_amcheck: bool) -> Result<Vec<Relation>> {
    let mut relations = Vec::new();
    let questions = match has_amcheck {
        true => &[HEAPS_AND_INDEXES, TABLES][..],
        false => &[TABLES][..],
    };
    for question in questions {
        for row in connection.query(question)?.rows {
            let check = match connection.required(&row, 0)? {
                "h" => Check::Heap,
                "i" => Check::Index,
                _ => Check::Rows,
            };
            // Other parts of the server's own, of versions that cannot look through heaps.
            if check == Check::Heap && connection.major() < HEAPS_SINCE {
                continue;
            }
            relations.push(Relation {
                check,
                oid: connection.parsed(&row, 1)?,
                name: connection.required(&row, 2)?.to_owned(),
                bytes: connection.parsed(&row, 3)?,
                estimate: connection.parsed(&row, 4)?,
            });
        }
    }
    relations.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.name.cmp(&other.name)));
    Ok(relations)
}

/// The first version whose `amcheck` looks through heaps.
pub(super) const HEAPS_SINCE: u32 = 14;
/// The first version whose `amcheck` looks for values that a unique index has twice.
const UNIQUE_SINCE: u32 = 17;

/// Looks at one of them. `schema` is that of `amcheck`.
pub(super) fn look(connection: &mut Connection, relation: &Relation, schema: &str) -> Result<Seen> {
    let (oid, schema) = (relation.oid, quoted_name(schema));
    match relation.check {
        Check::Index => {
            let unique = if connection.major() >= UNIQUE_SINCE {
                ", true"
            } else {
                ""
            };
            connection.query(&format!(
                "SELECT {schema}.bt_index_check({oid}::oid::regclass, true{unique})"
            ))?;
            Ok(Seen::default())
        }
        Check::Heap => {
            let rows = connection.query(&format!(
                "SELECT blkno, offnum, msg FROM {schema}.verify_heapam({oid}::oid::regclass, check_toast => true) LIMIT {MOST_FAULTS}"
            ))?;
            let fault = |row: &super::super::query::Row| {
                let text = |column| row.text(column).unwrap_or("?");
                let reason = format!("block {}, row {}: {}", text(0), text(1), text(2));
                Fault::of(Level::L4, Check::Heap, reason).at(&relation.name)
            };
            Ok(Seen {
                faults: rows.rows.iter().map(fault).collect(),
                rows: None,
            })
        }
        _ if relation.bytes > MOST_COUNTED => Ok(Seen {
            faults: Vec::new(),
            rows: u64::try_from(relation.estimate).ok().map(|rows| (rows, false)),
        }),
        _ => {
            // The rows themselves are to be read, not an index of them.
            let count = format!("SET enable_indexonlyscan = off; SELECT count(*) FROM {}", relation.name);
            let row = connection.query_one(&count)?;
            Ok(Seen {
                faults: Vec::new(),
                rows: Some((connection.parsed(&row, 0)?, true)),
            })
        }
    }
}
