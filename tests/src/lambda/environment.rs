//! One execution environment: a process of the function, and the Runtime API that it alone speaks to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path as FolderPath;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

use super::Launch;

/// The largest answer.
const MAX_ANSWER: usize = 6 * 1024 * 1024;

/// How long a process may take until it asks for its first invocation.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is written by all environments of a function.
pub(super) type Log = Arc<Mutex<String>>;

/// What a function answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its answer.
    Done(String),
    /// Its error, as JSON with `errorType` and `errorMessage`.
    Failed(String),
}

impl Answer {
    fn failed(kind: &str, message: &str) -> Self {
        Self::Failed(serde_json::json!({ "errorType": kind, "errorMessage": message }).to_string())
    }
}

struct Task {
    request_id: String,
    payload: String,
    deadline_ms: i64,
    trace: String,
    arn: String,
    reply: oneshot::Sender<Answer>,
}

/// What the Runtime API of one process knows.
struct Api {
    inbox: AsyncMutex<mpsc::UnboundedReceiver<Task>>,
    pending: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    ready: watch::Sender<bool>,
    failed_to_start: Mutex<Option<String>>,
}

/// A process of a function.
pub(super) struct Environment {
    tasks: mpsc::UnboundedSender<Task>,
    api: Arc<Api>,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    kill: mpsc::UnboundedSender<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Environment {
    /// Starts a process and waits until it asks for work.
    pub(super) async fn start(launch: &Launch, log: &Log) -> Result<Self, Answer> {
        let crashed = |error: std::io::Error| Answer::failed("Runtime.InvalidEntrypoint", &error.to_string());
        let (tasks, inbox) = mpsc::unbounded_channel();
        let (ready, mut is_ready) = watch::channel(false);
        let api = Arc::new(Api {
            inbox: AsyncMutex::new(inbox),
            pending: Mutex::default(),
            ready,
            failed_to_start: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(crashed)?;
        let address = listener.local_addr().map_err(crashed)?.to_string();
        let folder = tempfile::tempdir().map_err(crashed)?;
        let child = spawn(launch, &address, folder.path()).map_err(crashed)?;
        let (kill, killed) = mpsc::unbounded_channel();
        let (end, mut ended) = watch::channel(None);
        let served = tokio::spawn(axum::serve(listener, router(api.clone())).into_future());
        let log = log.clone();
        tokio::spawn(async move {
            end.send_replace(Some(watch_child(child, killed, log).await));
            served.abort();
            drop(folder);
        });
        let environment = Self {
            tasks,
            api,
            ended: ended.clone(),
            kill,
        };
        let started = tokio::select! {
            started = tokio::time::timeout(INIT_TIMEOUT, is_ready.wait_for(|ready| *ready)) => started.is_ok(),
            _ = ended.wait_for(Option::is_some) => false,
        };
        match started {
            true => Ok(environment),
            false => Err(environment.why_not_started()),
        }
    }

    fn why_not_started(&self) -> Answer {
        let _ = self.kill.send(());
        if let Some(reported) = locked(&self.api.failed_to_start).take() {
            return Answer::Failed(reported);
        }
        match &*self.ended.borrow() {
            Some(how) => Answer::failed(
                "Runtime.ExitError",
                &format!("the process ended before it served: {how}"),
            ),
            None => Answer::failed("Sandbox.Timedout", "the process did not ask for work in time"),
        }
    }

    /// Hands one payload over and waits for the answer. A process that takes too long is killed.
    pub(super) async fn invoke(&self, launch: &Launch, payload: String, request_id: &str, trace: &str) -> Answer {
        let (reply, answered) = oneshot::channel();
        let within = SignedDuration::try_from(launch.timeout).unwrap_or(SignedDuration::MAX);
        let task = Task {
            request_id: request_id.to_owned(),
            payload,
            deadline_ms: launch
                .time
                .now()
                .saturating_add(within)
                .unwrap_or(Timestamp::MAX)
                .as_millisecond(),
            trace: trace.to_owned(),
            arn: launch.arn.clone(),
            reply,
        };
        if self.tasks.send(task).is_err() {
            return Answer::failed("Runtime.ExitError", "the process has ended");
        }
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            answer = answered => answer.unwrap_or_else(|_| Answer::failed("Runtime.ExitError", "no answer")),
            how = ended.wait_for(Option::is_some) => {
                let how = how.ok().and_then(|how| how.clone()).unwrap_or_default();
                Answer::failed("Runtime.ExitError", &format!("RequestId: {request_id} Error: the process ended: {how}"))
            }
            () = elapsed(launch.timeout) => {
                self.end();
                let seconds = launch.timeout.as_secs_f64();
                Answer::failed("Sandbox.Timedout", &format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds"))
            }
        }
    }

    /// Whether it can take another invocation.
    pub(super) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// Kills the process.
    pub(super) fn end(&self) {
        let _ = self.kill.send(());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this stands for a service, whose time is the real one"
)]
pub(super) async fn elapsed(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Starts the program. What it writes to its folder of temporary files no other process sees, as on AWS.
fn spawn(launch: &Launch, address: &str, folder: &FolderPath) -> std::io::Result<Child> {
    let own = BTreeMap::from([
        ("AWS_LAMBDA_RUNTIME_API", address.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", launch.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", launch.memory_mb.to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", launch.name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_REGION", launch.region.clone()),
        ("AWS_DEFAULT_REGION", launch.region.clone()),
        ("AWS_ACCESS_KEY_ID", "testing".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "testing".to_owned()),
        ("TZ", ":UTC".to_owned()),
    ]);
    Command::new(&launch.program)
        .args(&launch.arguments)
        .env_clear()
        .env("TMPDIR", folder)
        .envs(own)
        .envs(launch.time.environment())
        .envs(&launch.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Collects what a process writes until it ends by itself or is killed. Returns how it ended.
async fn watch_child(mut child: Child, mut killed: mpsc::UnboundedReceiver<()>, log: Log) -> String {
    let out = child
        .stdout
        .take()
        .map(|stream| tokio::spawn(collect(stream, log.clone())));
    let err = child.stderr.take().map(|stream| tokio::spawn(collect(stream, log)));
    let status = tokio::select! {
        status = child.wait() => status,
        _ = killed.recv() => {
            let _ = child.start_kill();
            child.wait().await
        }
    };
    for stream in [out, err].into_iter().flatten() {
        let _ = stream.await;
    }
    status.map_or_else(|error| error.to_string(), |status| status.to_string())
}

async fn collect(stream: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = locked(&log);
        log.push_str(&line);
        log.push('\n');
    }
}

fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    api.ready.send_replace(true);
    let Some(task) = api.inbox.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let mut headers = HeaderMap::new();
    let values = [
        ("lambda-runtime-aws-request-id", task.request_id.clone()),
        ("lambda-runtime-deadline-ms", task.deadline_ms.to_string()),
        ("lambda-runtime-trace-id", task.trace),
        ("lambda-runtime-invoked-function-arn", task.arn),
        ("content-type", "application/json".to_owned()),
    ];
    for (name, value) in values {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    locked(&api.pending).insert(task.request_id, task.reply);
    (headers, task.payload).into_response()
}

fn reply(api: &Api, id: &str, answer: Answer) -> StatusCode {
    match locked(&api.pending).remove(id) {
        Some(waiting) => {
            let _ = waiting.send(answer);
            StatusCode::ACCEPTED
        }
        None => StatusCode::BAD_REQUEST,
    }
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    if body.len() > MAX_ANSWER {
        let message = format!("the answer has {} bytes, more than {MAX_ANSWER}", body.len());
        reply(&api, &id, Answer::failed("Function.ResponseSizeTooLarge", &message));
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    reply(&api, &id, Answer::Done(String::from_utf8_lossy(&body).into_owned()))
}

async fn error(State(api): State<Arc<Api>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    reply(&api, &id, Answer::Failed(String::from_utf8_lossy(&body).into_owned()))
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    *locked(&api.failed_to_start) = Some(String::from_utf8_lossy(&body).into_owned());
    StatusCode::ACCEPTED
}
