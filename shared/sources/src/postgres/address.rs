//! [`Address`]: where a server is and who asks, read from a libpq connection string of either form.
//!
//! Only what this client honours is accepted; any other parameter is refused by name, because one that is silently
//! ignored may be the one that was meant to keep the connection safe.

mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// The port of a server when none is said.
pub const DEFAULT_PORT: u16 = 5432;
/// The database that checks connect to when none is said: every server has it, while few have one named as a backup role.
pub const DEFAULT_DATABASE: &str = "postgres";

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A host by name or IP address.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// The folder that holds the socket.
        folder: PathBuf,
        /// The port, which is part of the socket's name.
        port: u16,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}"),
            Endpoint::Unix { folder, port } => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// How a connection over TCP is encrypted. Unix sockets never are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Where the server offers it, without looking at who answers.
    Prefer,
    /// Always, without looking at who answers.
    Require,
    /// Always, and the certificate must come from one of the authorities in this PEM file.
    VerifyAuthority(PathBuf),
    /// As [`TlsMode::VerifyAuthority`], and the certificate must be for the host.
    VerifyHost(PathBuf),
}

/// A word that is kept out of logs and wiped from memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Keeps `password`.
    pub fn new(password: String) -> Password {
        Password(Zeroizing::new(password))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where a server is, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Tried in this order; never empty.
    pub endpoints: Vec<Endpoint>,
    /// The role.
    pub user: String,
    /// Its password, where one is known.
    pub password: Option<Password>,
    /// The database that checks connect to.
    pub database: String,
    /// Encryption.
    pub tls: TlsMode,
    /// How long one host may take to answer; `None` for the client's default.
    pub connect_timeout: Option<Duration>,
    /// What the server's logs and views call this client; `None` for the client's default.
    pub application_name: Option<String>,
}

impl Address {
    /// Reads `host=… user=…` or `postgresql://user@host/…`.
    pub fn parse(text: &str) -> Result<Address, AddressError> {
        let text = text.trim();
        let parameters = match text.strip_prefix("postgresql://").or(text.strip_prefix("postgres://")) {
            Some(rest) => read::uri(rest)?,
            None => read::pairs(text)?,
        };
        read::assemble(parameters)
    }

    /// The address as `host=… user=…` for PostgreSQL's own programs, without its password.
    pub(super) fn words(&self) -> String {
        let (hosts, ports): (Vec<String>, Vec<String>) = self
            .endpoints
            .iter()
            .map(|endpoint| match endpoint {
                Endpoint::Tcp { host, port } => (host.clone(), port.to_string()),
                Endpoint::Unix { folder, port } => (folder.display().to_string(), port.to_string()),
            })
            .unzip();
        let (tls, authorities) = match &self.tls {
            TlsMode::Disable => ("disable", None),
            TlsMode::Prefer => ("prefer", None),
            TlsMode::Require => ("require", None),
            TlsMode::VerifyAuthority(path) => ("verify-ca", Some(path)),
            TlsMode::VerifyHost(path) => ("verify-full", Some(path)),
        };
        let named = [
            ("host", Some(hosts.join(","))),
            ("port", Some(ports.join(","))),
            ("user", Some(self.user.clone())),
            ("dbname", Some(self.database.clone())),
            ("sslmode", Some(tls.to_owned())),
            ("sslrootcert", authorities.map(|path| path.display().to_string())),
            (
                "connect_timeout",
                self.connect_timeout.map(|time| time.as_secs().to_string()),
            ),
            ("application_name", self.application_name.clone()),
        ];
        let quoted = |value: String| value.replace('\\', "\\\\").replace('\'', "\\'");
        let words = named
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}='{}'", quoted(value?))));
        words.collect::<Vec<_>>().join(" ")
    }

    /// The same with a password from elsewhere: a file of secrets, a secrets manager.
    #[must_use]
    pub fn with_password(mut self, password: Password) -> Address {
        self.password = Some(password);
        self
    }

    /// The same with the password that a file holds. One line break at its end does not count.
    pub fn with_password_file(self, path: &std::path::Path) -> Result<Address, AddressError> {
        let content = std::fs::read_to_string(path).map(Zeroizing::new);
        let content = content.map_err(|source| AddressError::PasswordFile {
            path: path.to_owned(),
            source,
        })?;
        let line = content.strip_suffix('\n').unwrap_or(&content);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(AddressError::NoPasswordInFile { path: path.to_owned() });
        }
        Ok(self.with_password(Password::new(line.to_owned())))
    }
}

/// A connection string that cannot be used. No variant repeats a value that may be secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A parameter that this client does not honour.
    #[error(
        "connection string: {name} is not supported: use host, port, user, password, dbname, sslmode, sslrootcert, \
             connect_timeout and application_name"
    )]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A parameter was given twice.
    #[error("connection string: {name} is given twice: keep one")]
    Twice {
        /// Its name.
        name: &'static str,
    },
    /// A parameter that cannot be left out.
    #[error("connection string: {name} is missing: {mend}")]
    Missing {
        /// Its name.
        name: &'static str,
        /// What to write.
        mend: &'static str,
    },
    /// A value that makes no sense.
    #[error("connection string: {name} is not valid: {mend}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What to write.
        mend: &'static str,
    },
    /// The string is in neither form.
    #[error("connection string: {reason}")]
    Malformed {
        /// Where it breaks.
        reason: &'static str,
    },
    /// The file with the password cannot be read.
    #[error("cannot read the password file {}: {source}", .path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file with the password is empty.
    #[error("the password file {} is empty: write the password into its first line", .path.display())]
    NoPasswordInFile {
        /// The file.
        path: PathBuf,
    },
}
