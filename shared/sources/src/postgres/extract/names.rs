//! Databases and tables by the names that an operator gives.

use super::super::error::PostgresError;
use super::super::isolated::{DATABASE, Server};
use super::super::query::{quoted_name, quoted_text};
use super::ExtractError;

/// Names that are told where one is not there.
const MOST_TOLD: usize = 20;

/// Everything in a database that a dump takes by name: schema, name, and its number where it has partitions.
const RELATIONS: &str = "SELECT n.nspname, c.relname, CASE c.relkind WHEN 'p' THEN c.oid END FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S') \
    AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2";

/// A relation as a dump takes it.
struct Relation {
    schema: String,
    name: String,
    partitioned: Option<u32>,
}

impl Relation {
    fn is_called(&self, wanted: &str) -> bool {
        self.name == wanted || self.plain() == wanted
    }

    fn plain(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// In quotes: a dump takes names for patterns otherwise.
    fn quoted(&self) -> String {
        format!("{}.{}", quoted_name(&self.schema), quoted_name(&self.name))
    }
}

/// Some names, and how many more there are.
fn told(names: &[String]) -> String {
    let mut text = names.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        "none".clone_into(&mut text);
    }
    match names.len().saturating_sub(MOST_TOLD) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// Refuses a database that the cluster does not have.
pub(super) fn require_database(server: &Server<'_>, name: &str) -> Result<(), ExtractError> {
    let mut connection = server.connect(DATABASE)?;
    let rows = connection
        .query("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")?
        .rows;
    let known: Vec<String> = rows.iter().filter_map(|row| row.text(0)).map(str::to_owned).collect();
    match known.iter().any(|known| known == name) {
        true => Ok(()),
        false => Err(ExtractError::UnknownDatabase {
            name: name.to_owned(),
            known: told(&known),
        }),
    }
}

/// The tables that are meant, as a dump takes them; those with partitions come with all of them.
pub(super) fn find(server: &Server<'_>, database: &str, wanted: &[String]) -> Result<Vec<String>, ExtractError> {
    let mut connection = server.connect(database)?;
    let rows = connection.query(RELATIONS)?.rows;
    let relation = |row| {
        Ok(Relation {
            schema: connection.required(row, 0)?.to_owned(),
            name: connection.required(row, 1)?.to_owned(),
            partitioned: connection.optional(row, 2)?,
        })
    };
    let relations: Vec<Relation> = rows.iter().map(relation).collect::<Result<_, PostgresError>>()?;
    let mut tables = Vec::new();
    for name in wanted {
        let found: Vec<&Relation> = relations.iter().filter(|relation| relation.is_called(name)).collect();
        let [relation] = found.as_slice() else {
            let (name, database) = (name.clone(), database.to_owned());
            let all = if found.is_empty() {
                relations.iter().collect()
            } else {
                found.clone()
            };
            let names: Vec<String> = all.into_iter().map(Relation::plain).collect();
            return Err(match found.is_empty() {
                true => ExtractError::UnknownTable {
                    database,
                    name,
                    known: told(&names),
                },
                false => ExtractError::Ambiguous {
                    name,
                    found: names.join(" or "),
                },
            });
        };
        tables.push(relation.quoted());
        if let Some(oid) = relation.partitioned {
            let parts = format!(
                "SELECT n.nspname, c.relname FROM pg_partition_tree({}::oid) p JOIN pg_class c ON c.oid = p.relid \
                 JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.level > 0 ORDER BY 1, 2",
                quoted_text(&oid.to_string())
            );
            for row in connection.query(&parts)?.rows {
                let (schema, name) = (connection.required(&row, 0)?, connection.required(&row, 1)?);
                tables.push(format!("{}.{}", quoted_name(schema), quoted_name(name)));
            }
        }
    }
    tables.sort();
    tables.dedup();
    Ok(tables)
}
