//! The Invoke API, as the SDKs and Step Functions call it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use serde_json::{Value, json};

use super::environment::Answer;
use super::{Functions, Invoked, Refused, locked};

/// The largest payload of an invocation that is waited for, and of one that is not.
const MAX_SYNCHRONOUS: usize = 6 * 1024 * 1024;
const MAX_ASYNCHRONOUS: usize = 1024 * 1024;

/// How much of the log goes with an answer.
const LOG_TAIL: usize = 4096;

/// How often an asynchronous invocation is tried.
const TRIES: usize = 3;

pub(super) fn router(functions: Arc<Functions>) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .layer(DefaultBodyLimit::disable())
        .with_state(functions)
}

async fn invoke(
    State(functions): State<Arc<Functions>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let said = |header: &str| {
        headers
            .get(header)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if functions.find(&name).is_none() {
        return refuse(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            &format!("Function not found: {name}"),
        );
    }
    let is_event = said("x-amz-invocation-type") == "Event";
    let most = if is_event { MAX_ASYNCHRONOUS } else { MAX_SYNCHRONOUS };
    if body.len() > most {
        let message = format!("{} bytes is more than {most}", body.len());
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", &message);
    }
    let payload = if body.is_empty() {
        "{}".into()
    } else {
        String::from_utf8_lossy(&body).into_owned()
    };
    if let Err(error) = serde_json::from_str::<Value>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &message);
    }
    match said("x-amz-invocation-type") {
        "DryRun" => StatusCode::NO_CONTENT.into_response(),
        "Event" => {
            tokio::spawn(until_done(functions, name, payload));
            StatusCode::ACCEPTED.into_response()
        }
        "" | "RequestResponse" => match functions.invoke(&name, payload).await {
            Ok(invoked) => answered(&functions, &name, invoked, said("x-amz-log-type") == "Tail"),
            Err(Refused::NotFound) => refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &name),
            Err(Refused::Throttled) => refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "Rate Exceeded.",
            ),
        },
        other => refuse(StatusCode::BAD_REQUEST, "InvalidParameterValueException", other),
    }
}

fn refuse(status: StatusCode, kind: &'static str, message: &str) -> Response {
    let body = json!({ "Type": "User", "Message": message }).to_string();
    (status, [("x-amzn-errortype", kind)], body).into_response()
}

fn answered(functions: &Functions, name: &str, invoked: Invoked, wants_log: bool) -> Response {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    set("x-amzn-requestid", invoked.request_id);
    set("x-amz-executed-version", "$LATEST".to_owned());
    if let Some(function) = functions.find(name).filter(|_| wants_log) {
        let log = locked(&function.log);
        let tail = &log.as_bytes()[log.len().saturating_sub(LOG_TAIL)..];
        set(
            "x-amz-log-result",
            base64::engine::general_purpose::STANDARD.encode(tail),
        );
    }
    let body = match invoked.answer {
        Answer::Done(answer) => answer,
        Answer::Failed(error) => {
            set("x-amz-function-error", "Unhandled".to_owned());
            error
        }
    };
    (headers, body).into_response()
}

/// An asynchronous invocation: tried again twice when the function fails.
pub(super) async fn until_done(functions: Arc<Functions>, name: String, payload: String) {
    for _ in 0..TRIES {
        let invoked = functions.invoke_in_turn(&name, payload.clone()).await;
        if matches!(
            invoked,
            Ok(Invoked {
                answer: Answer::Done(_),
                ..
            })
        ) {
            return;
        }
    }
}
