//! The process of a function: its environment is read once, its clients are made once, then it serves.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use holdfast_core::config::deployment::Deployment;
use holdfast_core::domain::{Event, Failure, FailureKind, FunctionName};
use holdfast_core::workflow::World;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::Value;

use crate::{Answer, Call, Connected, Edge, Handle, telemetry};

/// What Lambda sets and the runtime needs.
const OF_LAMBDA: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Threads that drive the function; Lambda gives it less than two processors below 3.5 GB of memory.
const THREADS: usize = 2;

/// Serves a function that takes events only, until Lambda ends the process.
pub fn run<C, Fut, H>(function: FunctionName, connect: C, handle: H) -> ExitCode
where
    C: FnOnce(Deployment) -> Fut,
    Fut: Future<Output = Result<Connected, Failure>>,
    H: for<'a> Fn(&'a World, &'a Event) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync + 'static,
{
    run_with_requests(function, connect, handle, move |_, _| {
        let message = format!("{function} takes no requests, only events: give it a wake-up, or an event of its own");
        async { Err(Failure::new(FailureKind::Invalid, message)) }.boxed()
    })
}

/// Serves a function that also answers requests, until Lambda ends the process.
pub fn run_with_requests<C, Fut, H, A>(function: FunctionName, connect: C, handle: H, answer: A) -> ExitCode
where
    C: FnOnce(Deployment) -> Fut,
    Fut: Future<Output = Result<Connected, Failure>>,
    H: for<'a> Fn(&'a World, &'a Event) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync + 'static,
    A: for<'a> Fn(&'a World, Value) -> BoxFuture<'a, Result<Value, Failure>> + Send + Sync + 'static,
{
    let variables = environment();
    telemetry::start(variables.get("HOLDFAST_LOG").map(String::as_str));
    let served = serve(function, &variables, connect, Box::new(handle), Box::new(answer));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let kind = telemetry::kind_of(&failure);
            tracing::error!(
                function = function.as_str(),
                failure_kind = kind,
                "cannot serve: {}",
                failure.message
            );
            ExitCode::FAILURE
        }
    }
}

fn environment() -> BTreeMap<String, String> {
    let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(readable).collect()
}

/// Reads what Lambda and the deployment say; all problems are told at once.
fn settings(variables: &BTreeMap<String, String>) -> Result<Deployment, Failure> {
    let missing = OF_LAMBDA.iter().filter(|name| !variables.contains_key(**name));
    let mut problems: Vec<String> = missing.map(|name| format!("{name} is not set")).collect();
    if !problems.is_empty() {
        problems.push("this program is a function of AWS Lambda and is started there".to_owned());
    }
    match Deployment::read(variables) {
        Ok(deployment) if problems.is_empty() => return Ok(deployment),
        Ok(_) => {}
        Err(failure) => problems.push(failure.message),
    }
    Err(Failure::new(FailureKind::Invalid, problems.join("; ")))
}

fn serve<C, Fut>(
    function: FunctionName,
    variables: &BTreeMap<String, String>,
    connect: C,
    handle: Handle,
    answer: Answer,
) -> Result<(), Failure>
where
    C: FnOnce(Deployment) -> Fut,
    Fut: Future<Output = Result<Connected, Failure>>,
{
    let deployment = settings(variables)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::caused(FailureKind::Bug, format!("no threads: {error}"), error))?;
    runtime.block_on(async {
        let edge = Arc::new(Edge {
            function,
            connected: connect(deployment).await?,
            handle,
            answer,
            rest: Box::new(|span| rest(span).boxed()),
        });
        let service = service_fn(move |event: LambdaEvent<Value>| {
            let edge = Arc::clone(&edge);
            async move { invoke(&edge, event).await.map_err(Refusal) }
        });
        let served = Runtime::new(service).run().await;
        served.map_err(|error| Failure::new(FailureKind::Transient, format!("Lambda does not answer: {error}")))
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the process: nothing else can let time pass inside an invocation"
)]
async fn rest(span: std::time::Duration) {
    tokio::time::sleep(span).await;
}

async fn invoke(edge: &Edge, event: LambdaEvent<Value>) -> Result<Value, Failure> {
    let deadline = i64::try_from(event.context.deadline).ok();
    let call = Call {
        deadline: deadline
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            .unwrap_or(Timestamp::MAX),
        trace: event.context.xray_trace_id,
        request_id: event.context.request_id,
    };
    edge.invoke(&event.payload, &call).await
}

/// A failure as Lambda reports it: its kind is the error's type, which a state machine may catch by name.
#[derive(Debug)]
struct Refusal(Failure);

impl From<Refusal> for Diagnostic {
    fn from(Refusal(failure): Refusal) -> Self {
        Self {
            error_type: format!("{:?}", failure.kind),
            error_message: failure.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_of_an_environment_are_told_at_once() {
        let failure = settings(&BTreeMap::new()).unwrap_err();
        for named in OF_LAMBDA.iter().chain(&["HOLDFAST_TABLE", "HOLDFAST_VAULTS"]) {
            assert!(failure.message.contains(named), "{named}: {failure}");
        }
        assert_eq!(failure.kind, FailureKind::Invalid);
    }
}
