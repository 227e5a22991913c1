//! Both forms of connection string, and what their parameters mean.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::{Address, AddressError, DEFAULT_DATABASE, DEFAULT_PORT, Endpoint, Password, TlsMode};

/// More is a mistake, or an attack on whoever tries them all.
const MOST_HOSTS: usize = 32;

/// What a string says, not yet understood.
#[derive(Default)]
pub(super) struct Parameters {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    database: Option<String>,
    tls: Option<String>,
    root: Option<String>,
    connect_timeout: Option<String>,
    application_name: Option<String>,
}

impl Parameters {
    fn set(&mut self, name: &str, value: String) -> Result<(), AddressError> {
        if name == "password" {
            return put(&mut self.password, "password", Zeroizing::new(value));
        }
        let (slot, name) = match name {
            "host" => (&mut self.host, "host"),
            "port" => (&mut self.port, "port"),
            "user" => (&mut self.user, "user"),
            "dbname" => (&mut self.database, "dbname"),
            "sslmode" => (&mut self.tls, "sslmode"),
            "sslrootcert" => (&mut self.root, "sslrootcert"),
            "connect_timeout" => (&mut self.connect_timeout, "connect_timeout"),
            "application_name" => (&mut self.application_name, "application_name"),
            _ => {
                let name = name.chars().take(40).collect();
                return Err(AddressError::Unknown { name });
            }
        };
        put(slot, name, value)
    }
}

fn put<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), AddressError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(AddressError::Twice { name }),
    }
}

fn malformed(reason: &'static str) -> AddressError {
    AddressError::Malformed { reason }
}

/// `name = value`, where a value in single quotes may hold spaces and a backslash takes the next character as it is.
pub(super) fn pairs(text: &str) -> Result<Parameters, AddressError> {
    let mut parameters = Parameters::default();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or_else(|| malformed("a parameter has no value: write name=value"))?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(malformed("a parameter has no value: write name=value"));
        }
        let (value, after) = value(after.trim_start())?;
        parameters.set(name, value)?;
        rest = after.trim_start();
    }
    Ok(parameters)
}

/// The value that `text` starts with, and what follows it.
fn value(text: &str) -> Result<(String, &str), AddressError> {
    let (quoted, text) = match text.strip_prefix('\'') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                let (_, escaped) = characters.next().ok_or_else(|| malformed("it ends in a backslash"))?;
                value.push(escaped);
            }
            '\'' if quoted => {
                let rest = &text[at + 1..];
                if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
                    return Err(malformed("a space is missing after a closing quote"));
                }
                return Ok((value, rest));
            }
            _ if !quoted && character.is_whitespace() => return Ok((value, &text[at..])),
            _ => value.push(character),
        }
    }
    match quoted {
        true => Err(malformed("a quote is not closed")),
        false => Ok((value, "")),
    }
}

/// `user:password@host:port,host:port/dbname?name=value&…`, without the scheme.
pub(super) fn uri(rest: &str) -> Result<Parameters, AddressError> {
    let mut parameters = Parameters::default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = match authority.rsplit_once('@') {
        Some((user, hosts)) => {
            let (user, password) = match user.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (user, None),
            };
            if !user.is_empty() {
                parameters.set("user", decoded(user)?)?;
            }
            if let Some(password) = password {
                parameters.set("password", decoded(password)?)?;
            }
            hosts
        }
        None => authority,
    };
    if !hosts.is_empty() {
        let (hosts, ports) = hosts_and_ports(hosts)?;
        parameters.set("host", hosts.join(","))?;
        parameters.set("port", ports.join(","))?;
    }
    if !database.is_empty() {
        parameters.set("dbname", decoded(database)?)?;
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| malformed("a parameter after the question mark has no value"))?;
        parameters.set(&decoded(name)?, decoded(value)?)?;
    }
    Ok(parameters)
}

fn hosts_and_ports(text: &str) -> Result<(Vec<String>, Vec<String>), AddressError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (host, port) = match part.strip_prefix('[') {
            Some(literal) => {
                let (host, after) = literal
                    .split_once(']')
                    .ok_or_else(|| malformed("an IPv6 address lacks its closing bracket"))?;
                match after.strip_prefix(':') {
                    Some(port) => (host, port),
                    None if after.is_empty() => (host, ""),
                    None => return Err(malformed("a colon is missing after the bracket of an IPv6 address")),
                }
            }
            None => part.split_once(':').unwrap_or((part, "")),
        };
        hosts.push(decoded(host)?);
        ports.push(decoded(port)?);
    }
    Ok((hosts, ports))
}

/// Percent signs must stand for bytes, and the bytes for text.
fn decoded(text: &str) -> Result<String, AddressError> {
    let mut parts = text.split('%');
    parts.next();
    let escapes = parts.all(|part| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    if !escapes {
        return Err(malformed(
            "a percent sign lacks its two hexadecimal digits: write %25 for a percent sign",
        ));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(malformed("percent signs stand for bytes that are no text")),
    }
}

/// The address that the parameters mean.
pub(super) fn assemble(parameters: Parameters) -> Result<Address, AddressError> {
    let host = parameters.host.filter(|host| !host.is_empty());
    let host = host.ok_or(AddressError::Missing {
        name: "host",
        mend: "write a name, an address, or the folder of a Unix socket",
    })?;
    let user = parameters.user.filter(|user| !user.is_empty());
    let user = user.ok_or(AddressError::Missing {
        name: "user",
        mend: "write the role that makes backups",
    })?;
    let database = parameters.database.filter(|database| !database.is_empty());
    Ok(Address {
        endpoints: endpoints(&host, parameters.port.as_deref().unwrap_or(""))?,
        user,
        password: parameters
            .password
            .map(|mut password| Password::new(std::mem::take(&mut *password))),
        database: database.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()),
        tls: tls(parameters.tls.as_deref(), parameters.root)?,
        connect_timeout: parameters
            .connect_timeout
            .map(|text| seconds(&text))
            .transpose()?
            .flatten(),
        application_name: parameters.application_name,
    })
}

/// Hosts and ports go in pairs; one port alone is for every host.
fn endpoints(hosts: &str, ports: &str) -> Result<Vec<Endpoint>, AddressError> {
    let (hosts, ports): (Vec<&str>, Vec<&str>) = (hosts.split(',').collect(), ports.split(',').collect());
    if hosts.len() > MOST_HOSTS {
        return Err(AddressError::Invalid {
            name: "host",
            mend: "name at most 32 hosts",
        });
    }
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(AddressError::Invalid {
            name: "port",
            mend: "write one port for all hosts, or as many as hosts",
        });
    }
    let pair = |(number, host): (usize, &&str)| {
        let port = port(ports.get(number).unwrap_or(&ports[0]))?;
        match *host {
            "" => Err(AddressError::Invalid {
                name: "host",
                mend: "one of the hosts has no name",
            }),
            folder if folder.starts_with('/') => Ok(Endpoint::Unix {
                folder: PathBuf::from(folder),
                port,
            }),
            host => Ok(Endpoint::Tcp {
                host: host.to_owned(),
                port,
            }),
        }
    };
    hosts.iter().enumerate().map(pair).collect()
}

fn port(text: &str) -> Result<u16, AddressError> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or(AddressError::Invalid {
            name: "port",
            mend: "write a number from 1 to 65535",
        })
}

fn tls(mode: Option<&str>, root: Option<String>) -> Result<TlsMode, AddressError> {
    let root = root.filter(|root| !root.is_empty());
    if root.as_deref() == Some("system") {
        return Err(AddressError::Invalid {
            name: "sslrootcert",
            mend: "name a PEM file with the certificates of the authorities that you trust",
        });
    }
    let needed = |root: Option<String>| {
        root.map(PathBuf::from).ok_or(AddressError::Missing {
            name: "sslrootcert",
            mend: "sslmode=verify-ca and verify-full need a PEM file with the authorities that you trust",
        })
    };
    match (mode.unwrap_or("prefer"), root) {
        ("disable", _) => Ok(TlsMode::Disable),
        ("prefer", _) => Ok(TlsMode::Prefer),
        // As libpq does: whoever names authorities wants them looked at.
        ("require", None) => Ok(TlsMode::Require),
        ("require", Some(root)) => Ok(TlsMode::VerifyAuthority(PathBuf::from(root))),
        ("verify-ca", root) => Ok(TlsMode::VerifyAuthority(needed(root)?)),
        ("verify-full", root) => Ok(TlsMode::VerifyHost(needed(root)?)),
        _ => Err(AddressError::Invalid {
            name: "sslmode",
            mend: "write disable, prefer, require, verify-ca or verify-full",
        }),
    }
}

/// As libpq does: zero and less mean no wish.
fn seconds(text: &str) -> Result<Option<Duration>, AddressError> {
    let seconds: i32 = text.trim().parse().map_err(|_| AddressError::Invalid {
        name: "connect_timeout",
        mend: "write whole seconds",
    })?;
    Ok(u64::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs))
}
