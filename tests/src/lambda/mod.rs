//! A small Lambda of our own: it runs the real programs of the functions, hands them what queues and schedules deliver, and
//! answers the Invoke API, wired as the template says.
//!
//! What it does as AWS does: one invocation at a time in each process, processes kept for the next one, killed when they take
//! too long; the limits of payloads; at-least-once delivery from queues with partial batches; two retries of asynchronous
//! invocations, and a record of what those could not do where its template sends failures. What it does not: permissions, cold
//! starts of microVMs, memory limits, frozen processes between invocations, and the minutes that AWS waits between retries.

mod api;
mod environment;
pub mod provision;
mod sources;
pub mod template;
pub mod wire;
pub mod wiring;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use environment::{Environment, Log};
use wiring::Wiring;

pub use environment::Answer;

use crate::time::MovableTime;

/// How many processes of a function run at once where the template sets no limit.
const CONCURRENCY: usize = 4;

/// The account that everything belongs to; the emulators use the same.
pub const ACCOUNT: &str = "123456789012";

/// How a function is run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The Region that it runs in.
    pub region: String,
    /// Its program.
    pub program: PathBuf,
    /// What the program is started with.
    pub arguments: Vec<String>,
    /// Its environment, besides what Lambda itself sets.
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// Its memory, which is told and not enforced.
    pub memory_mb: u64,
    /// How many processes of it may run at once.
    pub concurrency: usize,
    /// The clock that it sees.
    pub time: MovableTime,
}

impl Launch {
    /// A function as the template describes it, with its program in `folder` and further variables.
    pub fn of(function: &wiring::Function, region: &str, folder: &Path, variables: &BTreeMap<String, String>) -> Self {
        let mut environment = function.environment.clone();
        environment.extend(variables.clone());
        Self {
            name: function.name.clone(),
            arn: format!("arn:aws:lambda:{region}:{ACCOUNT}:function:{}", function.name),
            region: region.to_owned(),
            program: folder.join(&function.program),
            arguments: Vec::new(),
            environment,
            timeout: function.timeout,
            memory_mb: function.memory_mb,
            concurrency: function.concurrency.unwrap_or(CONCURRENCY),
            time: MovableTime::default(),
        }
    }
}

/// Why an invocation was not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such function.
    NotFound,
    /// As many as may run do.
    Throttled,
}

/// What became of an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoked {
    /// Its id.
    pub request_id: String,
    /// What the function answered.
    pub answer: Answer,
}

/// A function that is deployed here.
struct Deployed {
    launch: Launch,
    /// Environments that wait for work.
    idle: Mutex<Vec<Arc<Environment>>>,
    /// Environments that are at work.
    busy: Mutex<Vec<Arc<Environment>>>,
    slots: Arc<Semaphore>,
    log: Log,
    invocations: AtomicU64,
}

/// All functions, shared by everything that invokes them.
struct Functions {
    deployed: BTreeMap<String, Arc<Deployed>>,
    on_failure: BTreeMap<String, String>,
    wire: wire::Wire,
    requests: AtomicU64,
    time: MovableTime,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Functions {
    /// A function by its name or ARN.
    fn find(&self, name: &str) -> Option<&Arc<Deployed>> {
        self.deployed.get(wiring::name_in(name))
    }

    /// Waits until something that a function wrote has been collected; what was written just now may still be on its way.
    async fn until_logged(&self, name: &str) {
        for _ in 0..100 {
            if self.find(name).is_none_or(|function| !locked(&function.log).is_empty()) {
                return;
            }
            environment::elapsed(Duration::from_millis(20)).await;
        }
    }

    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012x}")
    }

    /// Invokes at once, or refuses.
    async fn invoke(&self, name: &str, payload: String) -> Result<Invoked, Refused> {
        let function = self.find(name).ok_or(Refused::NotFound)?;
        let slot = function
            .slots
            .clone()
            .try_acquire_owned()
            .map_err(|_| Refused::Throttled)?;
        let invoked = self.run(function, payload).await;
        drop(slot);
        Ok(invoked)
    }

    /// Invokes as soon as there is room.
    async fn invoke_in_turn(&self, name: &str, payload: String) -> Result<Invoked, Refused> {
        let function = self.find(name).ok_or(Refused::NotFound)?;
        let slot = function
            .slots
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Refused::Throttled)?;
        let invoked = self.run(function, payload).await;
        drop(slot);
        Ok(invoked)
    }

    async fn run(&self, function: &Deployed, payload: String) -> Invoked {
        let request_id = self.request_id();
        function.invocations.fetch_add(1, Ordering::SeqCst);
        let started = match take_idle(function) {
            Some(environment) => Ok(environment),
            None => Environment::start(&function.launch, &function.log).await.map(Arc::new),
        };
        let environment = match started {
            Ok(environment) => environment,
            Err(answer) => return Invoked { request_id, answer },
        };
        locked(&function.busy).push(environment.clone());
        let trace = format!("Root=1-00000000-{}", request_id.replace('-', "").split_off(8));
        let answer = environment.invoke(&function.launch, payload, &request_id, &trace).await;
        locked(&function.busy).retain(|busy| !Arc::ptr_eq(busy, &environment));
        if environment.is_alive() && !matches!(&answer, Answer::Failed(error) if error.contains("Sandbox.Timedout")) {
            locked(&function.idle).push(environment);
        }
        Invoked { request_id, answer }
    }
}

/// An environment that waits for work and has not ended meanwhile.
fn take_idle(function: &Deployed) -> Option<Arc<Environment>> {
    let mut idle = locked(&function.idle);
    while let Some(environment) = idle.pop() {
        if environment.is_alive() {
            return Some(environment);
        }
    }
    None
}

/// The service. Everything that it started ends when it is dropped.
pub struct LambdaService {
    functions: Arc<Functions>,
    wiring: Wiring,
    wire: wire::Wire,
    address: SocketAddr,
    /// None only while it is being dropped.
    runtime: Option<Runtime>,
}

impl LambdaService {
    /// Starts the service: the Invoke API on a free port. Queues and schedules deliver once they are told to.
    pub fn start(launches: Vec<Launch>, wiring: Wiring, wire: wire::Wire) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let time = launches.first().map(|launch| launch.time.clone()).unwrap_or_default();
        let deployed = launches.into_iter().map(|launch| {
            let function = Deployed {
                idle: Mutex::default(),
                busy: Mutex::default(),
                slots: Arc::new(Semaphore::new(launch.concurrency)),
                log: Log::default(),
                invocations: AtomicU64::new(0),
                launch,
            };
            (function.launch.name.clone(), Arc::new(function))
        });
        let functions = Arc::new(Functions {
            deployed: deployed.collect(),
            on_failure: wiring.on_failure.clone(),
            wire: wire.clone(),
            requests: AtomicU64::new(1),
            time,
        });
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let router = api::router(functions.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            functions,
            wiring,
            wire,
            address,
            runtime: Some(runtime),
        })
    }

    /// Where the Invoke API answers.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn runtime(&self) -> &Runtime {
        match &self.runtime {
            Some(runtime) => runtime,
            None => unreachable!("the runtime is taken by drop alone"),
        }
    }

    /// Begins to hand messages of the queues to the functions that they are mapped to; queues of functions that are not
    /// deployed here keep theirs.
    pub fn poll_queues(&self) {
        let deployed = |mapping: &&wiring::Mapping| self.functions.find(&mapping.function).is_some();
        for mapping in self.wiring.mappings.iter().filter(deployed) {
            for _ in 0..mapping.concurrency {
                let (functions, wire, mapping) = (self.functions.clone(), self.wire.clone(), mapping.clone());
                self.runtime().spawn(sources::poll(functions, wire, mapping));
            }
        }
    }

    /// Lets every schedule fire, with time running `faster` times as fast.
    pub fn run_schedules(&self, faster: u32) {
        for schedule in &self.wiring.schedules {
            let (functions, wire, schedule) = (self.functions.clone(), self.wire.clone(), schedule.clone());
            self.runtime()
                .spawn(sources::fire_each(functions, wire, schedule, faster));
        }
    }

    /// Fires a schedule once, now.
    pub fn fire(&self, schedule: &str) -> Result<(), String> {
        let found = self.wiring.schedules.iter().find(|known| known.name == schedule);
        let found = found.ok_or_else(|| format!("there is no schedule {schedule}"))?;
        self.runtime()
            .block_on(sources::fire(&self.functions, &self.wire, found))
    }

    /// Invokes a function and waits for its answer.
    pub fn invoke(&self, function: &str, payload: &str) -> Result<Invoked, Refused> {
        self.runtime()
            .block_on(self.functions.invoke(function, payload.to_owned()))
    }

    /// Lets no function be invoked any more, and waits until those that are at work have answered. Calling it again changes
    /// nothing.
    pub fn stand_still(&self) {
        self.runtime().block_on(async {
            for function in self.functions.deployed.values() {
                let all = u32::try_from(function.launch.concurrency).unwrap_or(u32::MAX);
                // Refused when it is closed already.
                if let Ok(slots) = function.slots.acquire_many(all).await {
                    function.slots.close();
                    drop(slots);
                }
            }
        });
    }

    /// Kills every process of a function that is at work. Returns how many there were.
    pub fn kill_busy(&self, function: &str) -> usize {
        let Some(function) = self.functions.find(function) else {
            return 0;
        };
        let busy = locked(&function.busy);
        busy.iter().for_each(|environment| environment.end());
        busy.len()
    }

    /// How many processes of a function are at work.
    pub fn busy(&self, function: &str) -> usize {
        self.functions
            .find(function)
            .map_or(0, |function| locked(&function.busy).len())
    }

    /// How often a function was invoked.
    pub fn invocations(&self, function: &str) -> u64 {
        let found = self.functions.find(function);
        found.map_or(0, |function| function.invocations.load(Ordering::SeqCst))
    }

    /// The functions that are deployed.
    pub fn functions(&self) -> Vec<&str> {
        self.functions.deployed.keys().map(String::as_str).collect()
    }

    /// Everything that a function's processes have written.
    pub fn log(&self, function: &str) -> String {
        let found = self.functions.find(function);
        found.map_or_else(String::new, |function| locked(&function.log).clone())
    }
}

impl Drop for LambdaService {
    fn drop(&mut self) {
        for function in self.functions.deployed.values() {
            for environment in locked(&function.busy).iter().chain(locked(&function.idle).iter()) {
                environment.end();
            }
        }
        // Processes are killed with the tasks that hold them, should one not have heard.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}
