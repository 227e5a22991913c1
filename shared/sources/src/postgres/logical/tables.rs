//! What there is in a database: tables, sequences, materialised views, and what an export cannot take.

use super::super::connection::Connection;
use super::super::error::Result;
use super::super::query::{Row, quoted_name};
use super::manifest::{Sequence, Table};

/// Tables that hold rows, the largest first. Of those that an extension makes, only the ones in which it says that there are
/// rows of the user's, with the condition that tells those.
const TABLES: &str = "SELECT c.oid, n.nspname, c.relname, x.extname IS NOT NULL, \
    CASE WHEN x.extname IS NULL THEN '' ELSE x.extcondition[array_position(x.extconfig, c.oid)] END \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e' \
    LEFT JOIN pg_extension x ON x.oid = d.refobjid \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND (x.extname IS NULL OR c.oid = ANY (x.extconfig)) ORDER BY pg_relation_size(c.oid) DESC, c.oid";

const COLUMNS: &str = "SELECT attname FROM pg_attribute WHERE attrelid = $oid AND attnum > 0 AND NOT attisdropped \
    AND attgenerated = '' ORDER BY attnum";

/// A table and what belongs to it: columns' defaults, indexes, constraints, and sequences of its columns. Foreign keys
/// are none of that: the table that they lead to may not be there.
const OBJECTS: &str = "SELECT 'pg_class'::regclass::oid, $oid::oid \
    UNION ALL SELECT 'pg_attrdef'::regclass::oid, oid FROM pg_attrdef WHERE adrelid = $oid \
    UNION ALL SELECT 'pg_class'::regclass::oid, indexrelid FROM pg_index WHERE indrelid = $oid \
    UNION ALL SELECT 'pg_constraint'::regclass::oid, oid FROM pg_constraint WHERE conrelid = $oid AND contype <> 'f' \
    UNION ALL SELECT 'pg_class'::regclass::oid, objid FROM pg_depend WHERE classid = 'pg_class'::regclass \
    AND refclassid = 'pg_class'::regclass AND refobjid = $oid AND refobjsubid > 0 AND deptype IN ('a', 'i')";

const SEQUENCES: &str = "SELECT n.nspname, c.relname, d.refobjid FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') \
    AND d.refclassid = 'pg_class'::regclass \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.objid = c.oid AND e.classid = 'pg_class'::regclass AND e.deptype = 'e') \
    ORDER BY 1, 2";

const VIEWS: &str = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'm' AND c.relispopulated ORDER BY c.oid";

const LARGE_OBJECTS: &str = "SELECT count(*) FROM pg_largeobject_metadata";

/// A table to be copied, with the rows of it that are wanted.
pub(super) struct Source {
    /// The table, nothing of it copied yet.
    pub table: Table,
    /// `WHERE …`, or nothing.
    pub condition: String,
}

impl Source {
    /// The statement that gives its rows.
    pub(super) fn copy(&self) -> String {
        let Table {
            schema, name, columns, ..
        } = &self.table;
        let table = format!("{}.{}", quoted_name(schema), quoted_name(name));
        match self.condition.as_str() {
            "" => format!("COPY {table}{} TO STDOUT", in_brackets(columns)),
            condition => format!(
                "COPY (SELECT {} FROM ONLY {table} {condition}) TO STDOUT",
                list(columns)
            ),
        }
    }
}

/// The columns that a copy is of. Without any, a table has none, and its rows are empty lines.
pub(super) fn in_brackets(columns: &[String]) -> String {
    match columns {
        [] => String::new(),
        columns => format!(" ({})", list(columns)),
    }
}

fn list(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| quoted_name(column)).collect();
    quoted.join(", ")
}

/// The tables of the database, the largest first, locked so that nobody changes or drops them before the transaction ends.
pub(super) fn tables(connection: &mut Connection) -> Result<Vec<Source>> {
    let rows = connection.query(TABLES)?.rows;
    let mut sources = Vec::new();
    for row in &rows {
        let source = source(connection, row)?;
        let (schema, name) = (quoted_name(&source.table.schema), quoted_name(&source.table.name));
        connection.query(&format!("LOCK TABLE ONLY {schema}.{name} IN ACCESS SHARE MODE"))?;
        sources.push(source);
    }
    Ok(sources)
}

fn source(connection: &mut Connection, row: &Row) -> Result<Source> {
    let oid: u32 = connection.parsed(row, 0)?;
    let of_table = |sql: &str| sql.replace("$oid", &oid.to_string());
    let columns = connection.query(&of_table(COLUMNS))?.rows;
    let columns = columns.iter().map(|row| connection.required(row, 0).map(str::to_owned));
    let columns = columns.collect::<Result<_>>()?;
    let objects = connection.query(&of_table(OBJECTS))?.rows;
    let object = |row: &Row| Ok((connection.parsed(row, 0)?, connection.parsed(row, 1)?));
    let objects = objects.iter().map(object).collect::<Result<_>>()?;
    Ok(Source {
        table: Table {
            oid,
            schema: connection.required(row, 1)?.to_owned(),
            name: connection.required(row, 2)?.to_owned(),
            columns,
            parts: 0,
            rows: 0,
            bytes: 0,
            of_extension: connection.required(row, 3)? == "t",
            objects,
        },
        condition: row.text(4).unwrap_or_default().to_owned(),
    })
}

/// The sequences, and where they stand.
pub(super) fn sequences(connection: &mut Connection) -> Result<Vec<Sequence>> {
    let rows = connection.query(SEQUENCES)?.rows;
    let mut sequences = Vec::new();
    for row in &rows {
        let (schema, name) = (
            connection.required(row, 0)?.to_owned(),
            connection.required(row, 1)?.to_owned(),
        );
        let stands = format!(
            "SELECT last_value, is_called FROM {}.{}",
            quoted_name(&schema),
            quoted_name(&name)
        );
        let stands = connection.query_one(&stands)?;
        sequences.push(Sequence {
            schema,
            name,
            owner: connection.optional(row, 2)?,
            last_value: connection.parsed(&stands, 0)?,
            is_called: connection.required(&stands, 1)? == "t",
        });
    }
    Ok(sequences)
}

/// Materialised views that hold rows.
pub(super) fn views(connection: &mut Connection) -> Result<Vec<(String, String)>> {
    let rows = connection.query(VIEWS)?.rows;
    let view = |row| {
        let part = |column| connection.required(row, column).map(str::to_owned);
        Ok((part(0)?, part(1)?))
    };
    rows.iter().map(view).collect()
}

/// How many large objects there are, which nothing here copies.
pub(super) fn large_objects(connection: &mut Connection) -> Result<u64> {
    let row = connection.query_one(LARGE_OBJECTS)?;
    connection.parsed(&row, 0)
}
