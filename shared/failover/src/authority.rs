//! The endpoint that tells guards who may write: `GET /authority/<workload>`, from the catalog of the recovery Region.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use holdfast_core::domain::{AuthorityRecord, Failure, FailureKind, WorkloadName};
use tokio::net::TcpListener;

use crate::token::Token;

/// Where authority is recorded.
#[async_trait]
pub trait Authorities: Send + Sync {
    /// The record of a workload as the last completed write left it; none where nothing is recorded.
    async fn read(&self, workload: &WorkloadName) -> Result<Option<AuthorityRecord>, Failure>;
}

struct Endpoint {
    authorities: Arc<dyn Authorities>,
    token: Token,
}

/// Serves until the task is dropped. Every answer is read anew: a guard counts its lease from the moment at which it asked.
pub async fn run(listener: TcpListener, authorities: Arc<dyn Authorities>, token: Token) -> Result<(), Failure> {
    let router = Router::new()
        .route("/authority/{workload}", get(tell))
        .with_state(Arc::new(Endpoint { authorities, token }));
    axum::serve(listener, router)
        .await
        .map_err(|error| Failure::caused(FailureKind::Transient, "the authority endpoint ended", error))
}

async fn tell(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, Path(workload): Path<String>) -> Response {
    if !is_let_in(&endpoint.token, &headers) {
        return (StatusCode::UNAUTHORIZED, "the token is missing or wrong").into_response();
    }
    let Ok(workload) = WorkloadName::new(workload) else {
        return (StatusCode::BAD_REQUEST, "this is no name of a workload").into_response();
    };
    match endpoint.authorities.read(&workload).await {
        Ok(Some(record)) => axum::Json(record).into_response(),
        Ok(None) => (
            StatusCode::NOT_FOUND,
            format!("no authority over {workload} is recorded"),
        )
            .into_response(),
        Err(failure) => {
            tracing::error!(workload = workload.as_str(), kind = ?failure.kind, "{failure}");
            (StatusCode::SERVICE_UNAVAILABLE, "the catalog does not answer").into_response()
        }
    }
}

/// Whether a request holds the token.
pub(crate) fn is_let_in(token: &Token, headers: &HeaderMap) -> bool {
    token.is_in(headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes))
}
