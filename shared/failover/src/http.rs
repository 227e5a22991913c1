//! Small requests in JSON to guards and to the authority endpoint, with the shared token.

use std::time::Duration;

use holdfast_core::domain::{Failure, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use crate::token::Token;

/// Bytes of the longest answer.
const LONGEST: u64 = 256 << 10;

/// One caller.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    token: Token,
}

impl Client {
    /// A caller that waits so long for a whole answer. Connections are not kept: one that died with a network would be
    /// noticed too late.
    pub fn new(token: Token, patience: Duration) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .build();
        Self {
            agent: agent.into(),
            token,
        }
    }

    pub fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Failure> {
        let request = self
            .agent
            .get(url)
            .header("authorization", self.token.header().as_str());
        answer(url, request.call())
    }

    pub fn post<T: DeserializeOwned>(&self, url: &str, body: &impl Serialize) -> Result<T, Failure> {
        let request = self
            .agent
            .post(url)
            .header("authorization", self.token.header().as_str());
        answer(url, request.send_json(body))
    }
}

fn answer<T: DeserializeOwned>(url: &str, answered: Result<Response<ureq::Body>, ureq::Error>) -> Result<T, Failure> {
    let lost = |error: ureq::Error| {
        let kind = match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => FailureKind::Invalid,
            _ => FailureKind::Transient,
        };
        Failure::caused(kind, format!("{url} does not answer: {error}"), error)
    };
    let mut response = answered.map_err(lost)?;
    let status = response.status();
    let text = response
        .body_mut()
        .with_config()
        .limit(LONGEST)
        .read_to_string()
        .map_err(lost)?;
    if status.is_success() {
        return serde_json::from_str(&text)
            .map_err(|error| Failure::unreadable(&format!("the answer of {url}"), error));
    }
    let kind = match status {
        StatusCode::CONFLICT => FailureKind::Fenced,
        StatusCode::NOT_FOUND => FailureKind::NotFound,
        StatusCode::UNAUTHORIZED => FailureKind::Denied,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => FailureKind::Invalid,
        _ => FailureKind::Transient,
    };
    let said: String = text.chars().take(300).collect();
    Err(Failure::new(kind, format!("{url} answers {status}: {said}")))
}
