//! The wire: which service, operation and Region a request is for, and how the answer is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::faults::{Trouble, meet};
use super::rds::Refusal;
use super::requests::Request;
use super::state::State;
use super::{Shared, backup, dynamodb, rds, services, xml};

pub(super) fn router(shared: Arc<Shared>) -> axum::Router {
    axum::Router::new().fallback(answer).with_state(shared)
}

/// How a service speaks.
#[derive(Clone, Copy)]
enum Protocol {
    /// RDS and Auto Scaling: forms in, XML out.
    Query,
    /// AWS Backup and Lambda: paths and JSON.
    Rest,
    /// DynamoDB, ECS and routing controls: JSON, the operation in a header.
    Json,
}

async fn answer(
    Extract(shared): Extract<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: header::HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let region = region(header(header::AUTHORIZATION));
    if shared.with(|state| state.hears_nothing_from(region)) {
        // Until whoever asks has gone.
        std::future::pending::<()>().await;
    }
    if let Some(target) = headers.get("x-amz-target").and_then(|value| value.to_str().ok()) {
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        return respond(&shared, Protocol::Json, &operation, region, |state| {
            let answer = match target.split('.').next() {
                Some("AmazonEC2ContainerServiceV20141113") => services::ecs(state, region, &operation, &body),
                Some("ToggleCustomerAPI") => services::routing_controls(state, &operation, &body),
                _ => dynamodb::carry_out(state, region, &operation, &body),
            };
            answer.map(|answer| answer.to_string())
        });
    }
    if header(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
        let parameters: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
        let operation = parameters.get("Action").cloned().unwrap_or_default();
        return respond(&shared, Protocol::Query, &operation, region, |state| {
            let call = rds::Call {
                region,
                operation: &operation,
                parameters: &parameters,
            };
            rds::carry_out(state, &call).map(|inside| xml::answer(&operation, &inside))
        });
    }
    let raw = body;
    let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
    let request = Request::read(&method, &uri, region, body);
    let operation = request.operation();
    respond(&shared, Protocol::Rest, operation, region, |state| {
        let answer = match request.is_of_lambda() {
            true => services::lambda(state, &request, &raw),
            false => backup::carry_out(state, &request),
        };
        answer.map(|answer| answer.to_string())
    })
}

/// The Region in the scope of a signature: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn region(authorization: &str) -> &str {
    let scope = authorization.split("Credential=").nth(1).unwrap_or_default();
    scope.split('/').nth(2).unwrap_or("none")
}

fn respond(
    shared: &Shared,
    protocol: Protocol,
    operation: &str,
    region: &str,
    work: impl FnOnce(&mut State) -> Result<String, Refusal>,
) -> Response {
    let result = shared.with(|state| {
        state.calls.push(format!("{operation} {region}"));
        let now = state.now;
        match meet(&mut state.faults, operation, now) {
            Some(Trouble::Throttle) => Err(throttle(protocol)),
            Some(Trouble::Deny) => Err(denial(protocol, operation)),
            Some(Trouble::ServerError) => Err(broken()),
            Some(Trouble::Overlook) => Err(Refusal(
                "ResourceNotFoundException",
                "Requested resource not found.".to_owned(),
                400,
            )),
            Some(Trouble::LoseAnswer) => {
                // Carried out or refused, nobody hears of it.
                let _ = work(state);
                Err(broken())
            }
            None => work(state),
        }
    });
    match result {
        Ok(body) => write(protocol, StatusCode::OK, None, body),
        Err(Refusal(code, message, status)) => {
            let body = match protocol {
                Protocol::Query => xml::refusal(code, &message),
                Protocol::Rest => json!({ "Code": code, "Message": message }).to_string(),
                Protocol::Json => json!({
                    "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"),
                    "message": message,
                })
                .to_string(),
            };
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            write(protocol, status, Some(code), body)
        }
    }
}

fn broken() -> Refusal {
    Refusal("InternalFailure", "An internal error occurred.".to_owned(), 500)
}

fn throttle(protocol: Protocol) -> Refusal {
    let (code, status) = match protocol {
        Protocol::Query => ("Throttling", 400),
        Protocol::Rest => ("ThrottlingException", 429),
        Protocol::Json => ("ThrottlingException", 400),
    };
    Refusal(code, "Rate exceeded".to_owned(), status)
}

fn denial(protocol: Protocol, operation: &str) -> Refusal {
    let (code, status) = match protocol {
        Protocol::Query => ("AccessDenied", 403),
        Protocol::Rest => ("AccessDeniedException", 403),
        Protocol::Json => ("AccessDeniedException", 400),
    };
    Refusal(code, format!("User is not authorized to perform: {operation}"), status)
}

fn write(protocol: Protocol, status: StatusCode, code: Option<&str>, body: String) -> Response {
    let kind = match protocol {
        Protocol::Query => "text/xml",
        Protocol::Rest => "application/json",
        Protocol::Json => "application/x-amz-json-1.0",
    };
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if let (Protocol::Rest, Some(Ok(code))) = (protocol, code.map(str::parse)) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}
