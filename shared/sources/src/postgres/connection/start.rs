//! How a connection comes about: hosts in order, encryption, who asks, what answers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use rustls::StreamOwned;

use super::super::address::{Address, Endpoint, TlsMode};
use super::super::error::{PostgresError, Result};
use super::super::tls;
use super::reply::Authentication;
use super::socket::{Socket, Stream};
use super::{ClientOptions, Connection, PATIENCE, Purpose, Reply};

/// How long one host may take to answer, where the address does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What the server calls this client, where the address does not say.
const APPLICATION_NAME: &str = "holdfast";
/// Versions whose replication protocol is known.
const SUPPORTED: std::ops::RangeInclusive<u32> = 13..=18;

impl Connection {
    /// Connects to the first host that answers and takes the role. A wrong password or missing right is final: the other
    /// hosts are not asked.
    pub fn open(address: &Address, purpose: Purpose, options: &ClientOptions) -> Result<Connection> {
        let mut tried = Vec::new();
        for endpoint in &address.endpoints {
            match Connection::open_one(address, endpoint, purpose, options) {
                Err(error) if error.is_of_this_host() && address.endpoints.len() > 1 => tried.push(error.to_string()),
                outcome => return outcome,
            }
        }
        Err(PostgresError::Unreachable {
            tried: tried.join("; "),
        })
    }

    fn open_one(
        address: &Address,
        endpoint: &Endpoint,
        purpose: Purpose,
        options: &ClientOptions,
    ) -> Result<Connection> {
        let timeout = address.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let socket = Socket::connect(endpoint, timeout).map_err(|error| PostgresError::Unreachable {
            tried: format!("{endpoint}: {error}"),
        })?;
        let mut connection = Connection {
            stream: Stream::Plain(socket),
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            options: options.clone(),
            patience: timeout,
            place: endpoint.to_string(),
            user: address.user.clone(),
            doing: "connecting".to_owned(),
            parameters: BTreeMap::new(),
            warnings: Vec::new(),
            backend: 0,
            major: 0,
        };
        if let Endpoint::Tcp { host, .. } = endpoint
            && address.tls != TlsMode::Disable
        {
            connection = connection.encrypt(&address.tls, host)?;
        }
        connection.introduce(address, purpose)?;
        connection.begin("logging in");
        connection.authenticate(address.password.as_ref())?;
        connection.await_ready()?;
        connection.set_patience(PATIENCE);
        Ok(connection)
    }

    /// Asks for TLS and begins it. The answer is one byte that is read alone: whatever somebody pushed in behind it is
    /// taken for TLS, and fails as such.
    fn encrypt(mut self, mode: &TlsMode, host: &str) -> Result<Connection> {
        frontend::ssl_request(&mut self.outgoing);
        self.flush()?;
        match (self.read_byte()?, mode) {
            (b'S', _) => {}
            (b'N' | b'E', TlsMode::Prefer) => return Ok(self),
            (b'N' | b'E', _) => {
                return Err(PostgresError::NoTls {
                    place: self.place.clone(),
                });
            }
            (other, _) => return Err(self.protocol(format!("byte {other} as the answer to a request for TLS"))),
        }
        let mut session = tls::session(mode, host, &self.place)?;
        let mut silent = Duration::ZERO;
        while session.is_handshaking() {
            let Stream::Plain(socket) = &mut self.stream else {
                return Err(self.protocol("TLS within TLS"));
            };
            if let Err(error) = session.complete_io(socket) {
                silent = match error.kind() {
                    // What rustls finds wrong with the other side.
                    io::ErrorKind::InvalidData => {
                        return Err(PostgresError::Tls {
                            place: self.place.clone(),
                            reason: error.to_string(),
                        });
                    }
                    _ => self.after(error, silent)?,
                };
            }
        }
        self.encrypted(session)
    }

    fn encrypted(mut self, session: rustls::ClientConnection) -> Result<Connection> {
        // The plain stream's place is taken by the one around it; a closed pair of sockets stands in meanwhile.
        let (stand_in, _) = std::os::unix::net::UnixStream::pair().map_err(|error| self.lost(error))?;
        match std::mem::replace(&mut self.stream, Stream::Plain(Socket::Unix(stand_in))) {
            Stream::Plain(socket) => self.stream = Stream::Tls(Box::new(StreamOwned::new(session, socket))),
            Stream::Tls(stream) => self.stream = Stream::Tls(stream),
        }
        Ok(self)
    }

    fn read_byte(&mut self) -> Result<u8> {
        let (mut byte, mut silent) = ([0], Duration::ZERO);
        loop {
            match self.stream.read(&mut byte) {
                Ok(0) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => return Ok(byte[0]),
                Err(error) => silent = self.after(error, silent)?,
            }
        }
    }

    fn introduce(&mut self, address: &Address, purpose: Purpose) -> Result<()> {
        let name = address.application_name.as_deref().unwrap_or(APPLICATION_NAME);
        let to = match purpose {
            Purpose::Sql => ("database", address.database.as_str()),
            Purpose::Replication => ("replication", "true"),
        };
        let parameters = [
            ("user", address.user.as_str()),
            to,
            ("application_name", name),
            ("client_encoding", "UTF8"),
        ];
        frontend::startup_message(parameters, &mut self.outgoing)
            .map_err(|_| self.protocol("user, database or application name hold a zero byte"))?;
        self.flush()
    }

    /// What the server tells about itself before the first command.
    fn await_ready(&mut self) -> Result<()> {
        loop {
            match self.receive()? {
                Reply::Ready => break,
                Reply::Backend(process) => self.backend = process,
                Reply::Error(report) => return Err(self.refused(report)),
                Reply::Authentication(Authentication::Ok) | Reply::Other => {}
                _ => return Err(self.protocol("data before the first command")),
            }
        }
        let version = self
            .parameter("server_version")
            .unwrap_or("of unknown version")
            .to_owned();
        let digits = version.split(|character: char| !character.is_ascii_digit()).next();
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(major) if SUPPORTED.contains(&major) => self.major = major,
            _ => {
                return Err(PostgresError::Version {
                    place: self.place.clone(),
                    version,
                });
            }
        }
        Ok(())
    }
}
