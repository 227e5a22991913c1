//! Where a guard answers: `GET /state` and `POST /orders`, with the shared token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use holdfast_core::domain::{Failure, FailureKind};
use tokio::net::TcpListener;

use super::api::GuardOrder;
use super::lease::Shared;
use crate::authority::is_let_in;
use crate::token::Token;

struct Endpoint {
    shared: Arc<Shared>,
    token: Token,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, shared: Arc<Shared>, token: Token) -> Result<(), Failure> {
    let router = Router::new()
        .route("/state", get(tell))
        .route("/orders", post(obey))
        .with_state(Arc::new(Endpoint { shared, token }));
    axum::serve(listener, router)
        .await
        .map_err(|error| Failure::caused(FailureKind::Transient, "the guard's endpoint ended", error))
}

async fn tell(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap) -> Response {
    if !is_let_in(&endpoint.token, &headers) {
        return (StatusCode::UNAUTHORIZED, "the token is missing or wrong").into_response();
    }
    Json(endpoint.shared.state()).into_response()
}

async fn obey(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, Json(order): Json<GuardOrder>) -> Response {
    if !is_let_in(&endpoint.token, &headers) {
        return (StatusCode::UNAUTHORIZED, "the token is missing or wrong").into_response();
    }
    match endpoint.shared.order(&order) {
        Ok(()) => Json(endpoint.shared.state()).into_response(),
        Err(failure) if failure.kind == FailureKind::Fenced => (StatusCode::CONFLICT, failure.message).into_response(),
        Err(failure) => {
            tracing::error!(kind = ?failure.kind, "{failure}");
            (StatusCode::SERVICE_UNAVAILABLE, failure.message).into_response()
        }
    }
}
