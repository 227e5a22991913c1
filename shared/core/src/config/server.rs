//! What a `[[resource]]` of kind `postgres` says besides its connection string.

use crate::domain::{ResourceKind, ServerAccess};

use super::reader::{At, Problems, Table, choose};

/// The slot where none is named.
const SLOT: &str = "holdfast";

/// When log is stored, by the word that the file uses; whether it is received as it is written.
const LOGS: [(&str, bool); 2] = [("scheduled", false), ("continuous", true)];

/// Reads `password-file` or `password-secret`, `slot` and `log`; none for a resource of another kind, where they are refused as
/// every key that is not known.
pub(super) fn read(
    table: &mut Table<'_>,
    kind: Option<ResourceKind>,
    problems: &mut Problems<'_>,
) -> Option<ServerAccess> {
    if kind != Some(ResourceKind::Postgres) {
        return None;
    }
    let file: Option<At<String>> = table.word("password-file", problems);
    let secret: Option<At<String>> = table.word("password-secret", problems);
    let slot: Option<At<String>> = table.word("slot", problems);
    let log: Option<At<String>> = table.word("log", problems);
    let is_received = log.is_some_and(|log| choose("log", &log, &LOGS, problems) == Some(true));
    if let (Some(_), Some(secret)) = (&file, &secret) {
        problems.add(
            secret.at,
            "give either \"password-file\" or \"password-secret\", not both",
        );
    }
    if let Some(secret) = &secret
        && !secret.value.starts_with("arn:")
    {
        problems.add(
            secret.at,
            "\"password-secret\" is the ARN of a secret in Secrets Manager",
        );
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let most = if is_received {
        63 - ServerAccess::RECEIVER.len()
    } else {
        63
    };
    if let Some(slot) = &slot
        && !((1..=most).contains(&slot.value.len()) && slot.value.chars().all(allowed))
    {
        problems.add(
            slot.at,
            format!("\"slot\" names a replication slot: use 1 to {most} lower-case letters, digits and underscores"),
        );
    }
    Some(ServerAccess {
        password: file.or(secret).map(|password| password.value),
        slot: slot.map_or_else(|| SLOT.to_owned(), |slot| slot.value),
        is_received,
        pulls_log: false,
    })
}

/// Why a connection string may not stand in the configuration: a password in it would be kept in the catalog. The text itself is
/// never repeated.
pub(super) fn wrong_connection(text: &str) -> Option<&'static str> {
    let uri = text.split_once("://").map(|(_, rest)| rest);
    let authority = uri.and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let in_uri = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let mut words = text.split(['?', '&']).flat_map(str::split_whitespace);
    let in_words = words.any(|word| {
        let name = word.split('=').next().unwrap_or_default();
        name.eq_ignore_ascii_case("password")
    });
    let refusal = "\"path\" of a postgres resource holds a password: take it out, and name \"password-file\" or \
                   \"password-secret\"";
    (in_uri || in_words).then_some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_connection_string_is_found_in_every_form() {
        for with in [
            "host=db user=u password=x",
            "host=db password = x",
            "postgresql://u:x@db/postgres",
            "postgresql://u@db/postgres?password=x",
            "postgresql://u@db/postgres?sslmode=require&password=x",
        ] {
            assert!(wrong_connection(with).is_some(), "{with}");
        }
        for without in [
            "host=db user=u",
            "postgresql://u@db:5432/postgres",
            "postgresql://db?user=u",
        ] {
            assert_eq!(wrong_connection(without), None, "{without}");
        }
    }
}
