//! `[resource.trial]`: how backups of a PostgreSQL server are tried.

use crate::domain::{Assertion, Checks, Column, Heartbeat, ResourceKind, Span, Trial, TrialRule};

use super::reader::{At, Problems, Table};

/// Values of keys that may be left out.
mod default {
    use crate::domain::Span;

    pub(super) const SUPERUSER: &str = "postgres";
    pub(super) const TIMEOUT: Span = Span::hours(4);
}

/// Reads the trials of a resource; none where it has none, and for a resource of another kind, where the table is refused as
/// every key that is not known.
pub(super) fn read(
    resource: &mut Table<'_>,
    kind: Option<ResourceKind>,
    problems: &mut Problems<'_>,
) -> Option<TrialRule> {
    if kind != Some(ResourceKind::Postgres) {
        return None;
    }
    let mut table = resource.table("trial", "[resource.trial]", problems)?;
    let every: Option<At<Span>> = table.required("every", problems);
    let folder: Option<At<String>> = table.required("folder", problems);
    let superuser: Option<At<String>> = table.word("superuser", problems);
    let programs: Option<At<String>> = table.word("programs", problems);
    let timeout: Option<At<Span>> = table.word("timeout", problems);
    let checks = Checks {
        assertions: read_assertions(&mut table, problems),
        heartbeat: read_heartbeat(&mut table, problems),
    };
    table.finish(problems);
    Some(TrialRule {
        every: every?.value,
        trial: Trial {
            folder: folder?.value,
            superuser: superuser.map_or_else(|| default::SUPERUSER.to_owned(), |superuser| superuser.value),
            programs: programs.map(|programs| programs.value),
            timeout: timeout.map_or(default::TIMEOUT, |timeout| timeout.value),
            checks,
        },
    })
}

fn read_assertions(trial: &mut Table<'_>, problems: &mut Problems<'_>) -> Vec<Assertion> {
    let mut assertions = Vec::new();
    for mut table in trial.tables("assert", "[[resource.trial.assert]]", problems) {
        let database: Option<At<String>> = table.required("database", problems);
        let sql: Option<At<String>> = table.required("sql", problems);
        let expects: Option<At<String>> = table.word("expects", problems);
        table.finish(problems);
        if let (Some(database), Some(sql)) = (database, sql) {
            assertions.push(Assertion {
                database: database.value,
                sql: sql.value,
                expects: expects.map_or_else(Assertion::truth, |expects| expects.value),
            });
        }
    }
    assertions
}

fn read_heartbeat(trial: &mut Table<'_>, problems: &mut Problems<'_>) -> Option<Heartbeat> {
    let mut table = trial.table("heartbeat", "[resource.trial.heartbeat]", problems)?;
    let database: Option<At<String>> = table.required("database", problems);
    let column: Option<At<Column>> = table.required("column", problems);
    table.finish(problems);
    Some(Heartbeat {
        database: database?.value,
        column: column?.value,
    })
}
