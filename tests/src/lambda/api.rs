//! The Invoke API, as the SDKs and Step Functions call it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::environment::Answer;
use super::wiring::name_in;
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
            Ok(invoked) if said("x-amz-log-type") == "Tail" => {
                functions.until_logged(&name).await;
                answered(&functions, &name, invoked, true)
            }
            Ok(invoked) => answered(&functions, &name, invoked, false),
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

/// An asynchronous invocation: tried again twice when the function fails, then left where the function's failures go.
pub(super) async fn until_done(functions: Arc<Functions>, name: String, payload: String) {
    let mut failure = None;
    for _ in 0..TRIES {
        if let Ok(invoked) = functions.invoke_in_turn(&name, payload.clone()).await {
            match invoked.answer {
                Answer::Done(_) => return,
                Answer::Failed(error) => failure = Some((invoked.request_id, error)),
            }
        }
    }
    let queue = functions.on_failure.get(name_in(&name)).cloned();
    let (Some((request_id, error)), Some(queue), Some(function)) = (failure, queue, functions.find(&name)) else {
        return;
    };
    let call = (function.launch.arn.as_str(), request_id.as_str());
    let record = failure_record(call, &payload, &error, functions.time.now());
    let wire = functions.wire.clone();
    // As on AWS, nobody is told of a record that could not be left.
    let _ = tokio::task::spawn_blocking(move || wire.send(&queue, &record.to_string())).await;
}

/// What Lambda leaves at the destination of failures: the payload within an account of what became of it.
fn failure_record((arn, request_id): (&str, &str), payload: &str, error: &str, at: Timestamp) -> Value {
    let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    json!({
        "version": "1.0",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
        "requestContext": {
            "requestId": request_id,
            "functionArn": format!("{arn}:$LATEST"),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": TRIES,
        },
        "requestPayload": json(payload),
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "responsePayload": json(error),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::lambda::wire::Wire;
    use crate::lambda::wiring::Wiring;
    use crate::lambda::{LambdaService, Launch};
    use crate::moto::Moto;
    use crate::time::MovableTime;

    #[test]
    fn what_an_asynchronous_call_could_not_do_is_left_with_its_reason_after_the_last_try() {
        let (moto, region) = (Moto::start(), "eu-central-1");
        let wire = Wire::new(moto.endpoint(), region);
        wire.sqs("CreateQueue", &json!({ "QueueName": "letters" })).unwrap();
        let launch = Launch {
            name: "broken".to_owned(),
            arn: "arn:aws:lambda:eu-central-1:123456789012:function:broken".to_owned(),
            region: region.to_owned(),
            program: PathBuf::from("/bin/false"),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(1),
            memory_mb: 128,
            concurrency: 1,
            time: MovableTime::default(),
        };
        let wiring = Wiring {
            on_failure: BTreeMap::from([("broken".to_owned(), "letters".to_owned())]),
            ..Wiring::default()
        };
        let service = LambdaService::start(vec![launch], wiring, wire.clone()).unwrap();
        let accepted = ureq::post(format!(
            "{}/2015-03-31/functions/broken/invocations",
            service.endpoint()
        ))
        .header("x-amz-invocation-type", "Event")
        .send(r#"{"resource":"photos"}"#)
        .unwrap();
        assert_eq!(accepted.status().as_u16(), 202);
        let url = wire.queue_url("letters").unwrap();
        let asked = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 });
        let received = wire.sqs("ReceiveMessage", &asked).unwrap();
        let record: Value = serde_json::from_str(received["Messages"][0]["Body"].as_str().unwrap()).unwrap();
        assert_eq!(service.invocations("broken"), 3);
        assert_eq!(record["requestPayload"], json!({ "resource": "photos" }));
        assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
        assert_eq!(record["responsePayload"]["errorType"], "Runtime.ExitError");
    }
}
