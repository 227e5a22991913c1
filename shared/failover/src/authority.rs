//! The endpoint of the recovery Region: it tells guards who may write (`GET /authority/<workload>`, from the catalog), and hears
//! what observers see (`POST /observations/<workload>`).

use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use holdfast_core::domain::{AuthorityRecord, Failure, FailureKind, WorkloadName};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::token::Token;

/// Where authority is recorded.
#[async_trait]
pub trait Authorities: Send + Sync {
    /// The record of a workload as the last completed write left it; none where nothing is recorded.
    async fn read(&self, workload: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure>;
}

/// What an observer saw of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// Where it looks from.
    pub place: String,
    /// Whether the workload answered as it should.
    pub up: bool,
    /// What it saw, for people.
    pub note: String,
}

/// Whoever wants to know what observers see.
#[async_trait]
pub trait Hearer: Send + Sync {
    /// Takes in what was seen just now.
    async fn hear(&self, workload: WorkloadName, seen: Observation) -> Result<(), Failure>;
}

/// Characters of a place, and of what was seen there.
const LONGEST: (usize, usize) = (63, 300);

struct Endpoint {
    authorities: Arc<dyn Authorities>,
    hearer: Arc<dyn Hearer>,
    token: Token,
}

/// Serves until the task is dropped. Every answer is read anew: a guard counts its lease from the moment at which it asked.
pub async fn run(
    listener: TcpListener,
    authorities: Arc<dyn Authorities>,
    hearer: Arc<dyn Hearer>,
    token: Token,
) -> Result<(), Failure> {
    let endpoint = Endpoint {
        authorities,
        hearer,
        token,
    };
    let router = Router::new()
        .route("/authority/{workload}", get(tell))
        .route("/observations/{workload}", post(hear))
        .with_state(Arc::new(endpoint));
    axum::serve(listener, router)
        .await
        .map_err(|error| Failure::caused(FailureKind::Transient, "the authority endpoint ended", error))
}

/// What is answered instead of what was asked for.
type Refusal = (StatusCode, String);

async fn tell(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    Path(workload): Path<String>,
) -> Result<Json<AuthorityRecord>, Refusal> {
    endpoint.record_of(&headers, workload).await.map(Json)
}

async fn hear(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    Path(workload): Path<String>,
    Json(mut seen): Json<Observation>,
) -> Result<Json<()>, Refusal> {
    let record = endpoint.record_of(&headers, workload).await?;
    let (longest_place, longest_note) = LONGEST;
    if seen.place.is_empty() || seen.place.chars().count() > longest_place || seen.place.contains(char::is_control) {
        let refused = format!("\"place\" says in 1 to {longest_place} characters where the observer looks from");
        return Err((StatusCode::BAD_REQUEST, refused));
    }
    seen.note = seen.note.chars().take(longest_note).collect();
    let heard = endpoint.hearer.hear(record.workload, seen).await;
    heard.map(Json).map_err(|failure| unavailable(&failure))
}

fn unavailable(failure: &Failure) -> Refusal {
    tracing::error!(kind = ?failure.kind, "{failure}");
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "the catalog does not answer".to_owned(),
    )
}

impl Endpoint {
    /// The record of authority over a workload, for whoever holds the token.
    async fn record_of(&self, headers: &HeaderMap, workload: String) -> Result<AuthorityRecord, Refusal> {
        if !is_let_in(&self.token, headers) {
            return Err((StatusCode::UNAUTHORIZED, "the token is missing or wrong".to_owned()));
        }
        let workload = WorkloadName::new(workload)
            .map_err(|_| (StatusCode::BAD_REQUEST, "this is no name of a workload".to_owned()))?;
        let record = self.authorities.read(&workload).await;
        let record = record.map_err(|failure| unavailable(&failure))?;
        record.ok_or_else(|| {
            let refused = format!("no authority over {workload} is recorded");
            (StatusCode::NOT_FOUND, refused)
        })
    }
}

/// Whether a request holds the token.
pub(crate) fn is_let_in(token: &Token, headers: &HeaderMap) -> bool {
    token.is_in(headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes))
}
