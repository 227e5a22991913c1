//! Which entries of a schema's archive belong to chosen tables, from the list that `pg_restore` prints of it.

use std::collections::BTreeSet;

use super::manifest::{Manifest, Table};

/// The list with the entries of some tables alone: the tables, their columns' defaults, sequences, indexes and constraints.
/// A line is `number; catalog object KIND schema name owner`, and other lines are comments, which begin with `;`. What says that
/// a sequence belongs to a column has no object of its own, and is known by the sequence's name; so is what makes a partition one,
/// which stays out where the whole is not chosen.
pub(super) fn chosen(list: &str, manifest: &Manifest, tables: &[&Table]) -> String {
    let objects: BTreeSet<(u32, u32)> = tables.iter().flat_map(|table| table.objects.iter().copied()).collect();
    let owned: Vec<String> = manifest
        .sequences
        .iter()
        .filter(|sequence| {
            sequence
                .owner
                .is_some_and(|owner| tables.iter().any(|table| table.oid == owner))
        })
        .map(|sequence| format!("SEQUENCE OWNED BY {} {} ", sequence.schema, sequence.name))
        .collect();
    let is_chosen = |line: &&str| {
        let Some((catalog, object, rest)) = entry(line) else {
            return false;
        };
        objects.contains(&(catalog, object)) || owned.iter().any(|owned| rest.starts_with(owned.as_str()))
    };
    list.lines().filter(is_chosen).fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}

fn entry(line: &str) -> Option<(u32, u32, &str)> {
    let (number, rest) = line.split_once("; ")?;
    number.parse::<u32>().ok()?;
    let (catalog, rest) = rest.split_once(' ')?;
    let (object, rest) = rest.split_once(' ')?;
    Some((catalog.parse().ok()?, object.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Sequence, VERSION};
    use super::*;

    #[test]
    fn the_entries_of_a_table_are_found_by_their_numbers() {
        let list = ";\n; Archive created at 2026-03-01\n\
            215; 1259 16385 TABLE public orders admin\n\
            214; 1259 16384 SEQUENCE public orders_id_seq admin\n\
            3329; 0 0 SEQUENCE OWNED BY public orders_id_seq admin\n\
            3330; 0 0 SEQUENCE OWNED BY public orders_id_seq_2 admin\n\
            3181; 2604 16388 DEFAULT public orders id admin\n\
            217; 1259 16395 TABLE public parts admin\n\
            3183; 2606 16390 CONSTRAINT public orders orders_pkey admin\n";
        let table = Table {
            oid: 16385,
            schema: "public".into(),
            name: "orders".into(),
            columns: vec!["id".into()],
            parts: 0,
            rows: 0,
            bytes: 0,
            of_extension: false,
            objects: vec![(1259, 16385), (1259, 16384), (2604, 16388), (2606, 16390)],
        };
        let sequence = |name: &str| Sequence {
            schema: "public".into(),
            name: name.into(),
            owner: Some(16385),
            last_value: 1,
            is_called: false,
        };
        let manifest = Manifest {
            version: VERSION,
            database: "shop".into(),
            major: 15,
            tables: vec![table.clone()],
            sequences: vec![sequence("orders_id_seq")],
            views: Vec::new(),
            left_out: Vec::new(),
        };
        let text = chosen(list, &manifest, &[&table]);
        let numbers: Vec<&str> = text.lines().map(|line| line.split_once(';').unwrap().0).collect();
        assert_eq!(numbers, ["215", "214", "3329", "3181", "3183"]);
    }
}
