//! [`Observer`]: what one place sees of a workload, told to the endpoint of the recovery Region.

use std::time::Duration;

use holdfast_core::domain::{Answer, Failure, FailureKind, WorkloadName};

use crate::authority::Observation;
use crate::http::Client;
use crate::token::Token;

/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks from one place at one workload.
#[derive(Debug)]
pub struct Observer {
    client: Client,
    urls: Vec<String>,
    place: String,
}

impl Observer {
    /// `endpoints` are several ways to one catalog, such as `http://10.0.0.5:7080`.
    pub fn new(token: Token, endpoints: &[String], workload: &WorkloadName, place: &str) -> Self {
        let url = |endpoint: &String| format!("{}/observations/{workload}", endpoint.trim_end_matches('/'));
        Self {
            client: Client::new(token, PATIENCE),
            urls: endpoints.iter().map(url).collect(),
            place: place.to_owned(),
        }
    }

    /// Tells what was seen to the first endpoint that takes it. Blocks.
    pub fn tell(&self, seen: &Answer) -> Result<(), Failure> {
        let seen = Observation {
            place: self.place.clone(),
            up: seen.holds,
            note: seen.note.clone(),
        };
        let mut refused = Failure::new(FailureKind::Invalid, "there is nobody to tell");
        for url in &self.urls {
            match self.client.post(url, &seen) {
                Ok(()) => return Ok(()),
                Err(failure) => refused = failure,
            }
        }
        Err(refused)
    }
}
