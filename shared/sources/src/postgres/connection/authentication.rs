//! How a role proves itself: in clear, by MD5, or by SCRAM-SHA-256, bound to the TLS session where there is one.

use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::AuthenticationSaslBody;
use postgres_protocol::message::frontend;

use super::super::address::Password;
use super::super::error::{PostgresError, Result};
use super::super::tls;
use super::reply::Authentication;
use super::socket::Stream;
use super::{Connection, Reply};

/// PostgreSQL asks for 4096 rounds, the careful for a few hundred thousand; more than this only wears the client out.
const MOST_ROUNDS: u64 = 10_000_000;

impl Connection {
    /// Answers until the server is satisfied.
    pub(super) fn authenticate(&mut self, password: Option<&Password>) -> Result<()> {
        loop {
            match self.authentication()? {
                Authentication::Ok => return Ok(()),
                Authentication::Cleartext => {
                    let password = self.needed(password)?;
                    self.answer(password.reveal().as_bytes())?;
                }
                Authentication::Md5(salt) => {
                    let password = self.needed(password)?;
                    let answer = md5_hash(self.user.as_bytes(), password.reveal().as_bytes(), salt);
                    self.answer(answer.as_bytes())?;
                }
                Authentication::Sasl(body) => {
                    let password = self.needed(password)?;
                    self.scram(&body, password)?;
                }
                Authentication::Unsupported(method) => {
                    let place = self.place.clone();
                    return Err(PostgresError::Method { place, method });
                }
                Authentication::SaslContinue(_) | Authentication::SaslFinal(_) => {
                    return Err(self.protocol("the middle of a password exchange that never began"));
                }
            }
        }
    }

    fn authentication(&mut self) -> Result<Authentication> {
        loop {
            match self.receive()? {
                Reply::Authentication(asks) => return Ok(asks),
                Reply::Error(report) => return Err(self.refused(report)),
                Reply::Other => {}
                _ => return Err(self.protocol("data before the login")),
            }
        }
    }

    fn needed<'a>(&self, password: Option<&'a Password>) -> Result<&'a Password> {
        password.ok_or_else(|| PostgresError::NoPassword {
            place: self.place.clone(),
            user: self.user.clone(),
        })
    }

    fn answer(&mut self, password: &[u8]) -> Result<()> {
        frontend::password_message(password, &mut self.outgoing)
            .map_err(|_| self.protocol("the password holds a zero byte"))?;
        self.flush()
    }

    fn failed_exchange(&self, reason: &dyn std::fmt::Display) -> PostgresError {
        PostgresError::Exchange {
            place: self.place.clone(),
            reason: reason.to_string(),
        }
    }

    fn scram(&mut self, body: &AuthenticationSaslBody, password: &Password) -> Result<()> {
        let (mechanism, binding) = self.mechanism(body)?;
        let mut scram = ScramSha256::new(password.reveal().as_bytes(), binding);
        frontend::sasl_initial_response(mechanism, scram.message(), &mut self.outgoing)
            .map_err(|error| self.protocol(error.to_string()))?;
        self.flush()?;
        let Authentication::SaslContinue(challenge) = self.authentication()? else {
            return Err(self.protocol("no challenge in a password exchange"));
        };
        if rounds(&challenge).is_none_or(|rounds| rounds > MOST_ROUNDS) {
            return Err(self.failed_exchange(&"the server asks for an absurd number of rounds"));
        }
        scram.update(&challenge).map_err(|error| self.failed_exchange(&error))?;
        frontend::sasl_response(scram.message(), &mut self.outgoing)
            .map_err(|error| self.protocol(error.to_string()))?;
        self.flush()?;
        let Authentication::SaslFinal(signature) = self.authentication()? else {
            return Err(self.protocol("no signature at the end of a password exchange"));
        };
        scram.finish(&signature).map_err(|error| self.failed_exchange(&error))
    }

    /// The strongest way that both sides know.
    fn mechanism(&self, body: &AuthenticationSaslBody) -> Result<(&'static str, ChannelBinding)> {
        let (mut plain, mut bound) = (false, false);
        let mut offered = body.mechanisms();
        while let Some(name) = offered.next().map_err(|error| self.protocol(error.to_string()))? {
            plain |= name == SCRAM_SHA_256;
            bound |= name == SCRAM_SHA_256_PLUS;
        }
        let end_point = match &self.stream {
            Stream::Tls(stream) => tls::end_point(&stream.conn),
            Stream::Plain(_) => None,
        };
        match end_point {
            Some(end_point) if bound => Ok((SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(end_point))),
            // Tells the server that a binding would have been possible: it notices when its offer was taken out on the way.
            Some(_) if plain => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
            None if plain => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
            _ => Err(PostgresError::Method {
                place: self.place.clone(),
                method: "a SASL mechanism other than SCRAM-SHA-256",
            }),
        }
    }
}

/// The rounds that a challenge `r=…,s=…,i=…` asks for.
fn rounds(challenge: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(challenge).ok()?;
    text.split(',').find_map(|part| part.strip_prefix("i="))?.parse().ok()
}
