//! [`Front`]: stands before a server, remembers what it was asked, and lets chosen requests go wrong.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::runtime::Runtime;

/// What may go wrong with a request.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// One bit of its body is flipped on the way; of the answer's, where it has none.
    Damaged,
    /// It is answered with this status.
    Answered(u16),
    /// It takes so many milliseconds longer.
    Delayed(u64),
    /// The connection ends after half of its answer.
    BrokenOff,
}

/// Bytes of an answer that set out together where they are slow.
const SENT_AT_ONCE: usize = 256 << 10;

/// How slowly it is answered, as if the server were far away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How much later each answer comes.
    pub latency: Duration,
    /// How many bytes of each request and answer come in a second; all at once without a number.
    pub bytes_per_second: Option<u64>,
    /// How many bytes of all requests and answers together come in a second.
    pub link_bytes_per_second: Option<u64>,
}

fn transfer(rate: Option<u64>, bytes: u64) -> Duration {
    Duration::from_secs_f64(rate.map_or(0.0, |rate| bytes as f64 / rate as f64))
}

struct Trouble {
    words: String,
    after: usize,
    times: usize,
    what: What,
}

/// Answers a request whose body has been read.
pub type Server = Box<dyn Fn(Parts, Vec<u8>) -> BoxFuture<'static, Response> + Send + Sync>;

/// A listener on loopback; it ends when this is dropped.
pub struct Front {
    runtime: Option<Runtime>,
    address: SocketAddr,
    state: Arc<Shared>,
}

struct Shared {
    server: Server,
    requests: Mutex<Vec<String>>,
    troubles: Mutex<Vec<Trouble>>,
    pace: Mutex<Pace>,
    /// Until when the link is taken.
    link: Mutex<Option<Instant>>,
}

impl Front {
    /// Stands before `server`.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn before(server: Server) -> Front {
        let state = Arc::new(Shared {
            server,
            requests: Mutex::default(),
            troubles: Mutex::default(),
            pace: Mutex::default(),
            link: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("its address");
        // The head of an answer does not wait for more to send along.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Front {
            runtime: Some(runtime),
            address,
            state,
        }
    }

    /// Stands before the server at `endpoint`, as in `http://127.0.0.1:5000`.
    pub fn before_endpoint(endpoint: String) -> Front {
        Front::before(Box::new(move |parts, body| {
            let endpoint = endpoint.clone();
            let passed_on = tokio::task::spawn_blocking(move || pass_on(&endpoint, &parts, &body));
            Box::pin(async move {
                let answer = passed_on.await.map_err(|error| error.to_string()).flatten();
                answer.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error).into_response())
            })
        }))
    }

    /// Its address, as in `http://127.0.0.1:5000`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since this was last asked, as in `GET /bucket/key?versionId=1`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.state.requests))
    }

    /// Whether a request that contains `words` came since the requests were last asked for.
    pub fn has_asked(&self, words: &str) -> bool {
        locked(&self.state.requests)
            .iter()
            .any(|request| request.contains(words))
    }

    /// Of the requests that contain `words`, as in `PUT /bucket/data/`, lets some go wrong: the first `after` of them are
    /// left alone, and `times` that follow are not.
    pub fn trouble(&self, words: &str, after: usize, times: usize, what: What) {
        locked(&self.state.troubles).push(Trouble {
            words: words.to_owned(),
            after,
            times,
            what,
        });
    }

    /// Answers at this pace from now on.
    pub fn keep_pace(&self, pace: Pace) {
        *locked(&self.state.pace) = pace;
    }

    /// Nothing goes wrong any more.
    pub fn no_more_trouble(&self) {
        locked(&self.state.troubles).clear();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// When so many bytes are across that set out at `start`: behind those that are on the link already, and as fast as one
    /// connection is.
    fn on_its_way(&self, pace: Pace, start: Instant, bytes: u64) -> Instant {
        let mut taken = locked(&self.link);
        let free = taken.map_or(start, |free| free.max(start)) + transfer(pace.link_bytes_per_second, bytes);
        *taken = Some(free);
        free.max(start + transfer(pace.bytes_per_second, bytes))
    }

    fn trouble_of(&self, request: &str) -> Option<What> {
        let mut troubles = locked(&self.troubles);
        let mut meant = troubles
            .iter_mut()
            .filter(|trouble| trouble.times > 0 && request.contains(&trouble.words));
        let trouble = meant.next()?;
        if trouble.after > 0 {
            trouble.after -= 1;
            return None;
        }
        trouble.times -= 1;
        Some(trouble.what)
    }
}

async fn answer(State(state): State<Arc<Shared>>, request: Request) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    locked(&state.requests).push(line.clone());
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut body = body.to_vec();
    match state.trouble_of(&line) {
        Some(What::Answered(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return status.into_response();
        }
        Some(What::Delayed(milliseconds)) => pause(Duration::from_millis(milliseconds)).await,
        Some(What::Damaged) => match body.first_mut() {
            Some(byte) => *byte ^= 1,
            None => return damaged((state.server)(parts, body).await).await,
        },
        Some(What::BrokenOff) => return broken_off((state.server)(parts, body).await).await,
        None => {}
    }
    let pace = *locked(&state.pace);
    let asked = body.len() as u64;
    let answer = (state.server)(parts, body).await;
    if pace == Pace::default() {
        return answer;
    }
    let arrived = state.on_its_way(pace, now(), asked);
    pause_until(arrived + pace.latency).await;
    paced(state, pace, answer).await
}

/// Sends the body of an answer as slowly as the pace says.
async fn paced(state: Arc<Shared>, pace: Pace, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let pieces = (0..body.len()).step_by(SENT_AT_ONCE);
    let sent = futures::stream::unfold((pieces, now()), move |(mut pieces, sent)| {
        let (state, body) = (Arc::clone(&state), body.clone());
        async move {
            let from = pieces.next()?;
            let piece = body.slice(from..body.len().min(from + SENT_AT_ONCE));
            let sent = state.on_its_way(pace, sent, piece.len() as u64);
            pause_until(sent).await;
            Some((Ok::<_, std::io::Error>(piece), (pieces, sent)))
        }
    });
    Response::from_parts(parts, Body::from_stream(sent))
}

#[expect(clippy::disallowed_methods, reason = "a slow server takes its time")]
fn now() -> Instant {
    Instant::now()
}

async fn pause_until(time: Instant) {
    tokio::time::sleep_until(time.into()).await;
}

#[expect(clippy::disallowed_methods, reason = "a slow server takes its time")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn damaged(answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut body = body.to_vec();
    if let Some(byte) = body.first_mut() {
        *byte ^= 1;
    }
    Response::from_parts(parts, Body::from(body))
}

async fn broken_off(answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = body.slice(..body.len() / 2);
    // The head and the first half are on their way before.
    let end = futures::stream::once(async {
        pause(Duration::from_millis(50)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))
    });
    let body = futures::stream::iter([Ok(half)]).chain(end);
    Response::from_parts(parts, Body::from_stream(body))
}

fn pass_on(endpoint: &str, parts: &Parts, body: &[u8]) -> Result<Response, String> {
    let mut request = ureq::http::Request::builder()
        .method(parts.method.clone())
        .uri(format!("{endpoint}{}", parts.uri));
    for (name, value) in &parts.headers {
        request = request.header(name, value);
    }
    let request = request.body(body).map_err(|error| error.to_string())?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build()
        .into();
    let answer = agent.run(request).map_err(|error| error.to_string())?;
    let (mut parts, mut body) = answer.into_parts();
    let body = match parts.headers.get("content-length") {
        // The answer to HEAD promises bytes that do not come.
        Some(_) if body.content_length().is_none() => Vec::new(),
        _ => body
            .with_config()
            .limit(u64::MAX)
            .read_to_vec()
            .map_err(|error| error.to_string())?,
    };
    // How the bytes came is between those two.
    for hop in ["transfer-encoding", "connection"] {
        parts.headers.remove(hop);
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// A panic of another thread does not make what it left here wrong.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
