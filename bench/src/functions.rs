//! What the functions cost: to start, to invoke when they are warm, and a tick of the scheduler with many policies.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_core::domain::FunctionName;
use holdfast_tests::front::Front;
use holdfast_tests::lambda::provision::{catalog_table, make_table, make_topic};
use holdfast_tests::lambda::wire::Wire;
use holdfast_tests::lambda::wiring::Wiring;
use holdfast_tests::lambda::{ACCOUNT, Answer, LambdaService, Launch};
use holdfast_tests::moto::Moto;
use holdfast_tests::time::MovableTime;
use serde_json::{Value, json};

use crate::process;

const REGION: &str = "eu-central-1";
const TABLE: &str = "holdfast-catalog";
const ROUNDS: usize = 20;
/// The name of the policy and of the resource that are multiplied.
const ORIGINAL: &str = "number-original";
/// How many records one BatchWriteItem takes.
const BATCH: usize = 25;
/// Longer than any invocation here takes.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Measures everything and prints it as tables.
pub fn measure(folder: &Path, policies: usize) -> Result<(), String> {
    let folder = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let scene = Scene::start()?;
    println!(
        "{:<18} {:>9} {:>9} {:>12} {:>11} {:>12} {:>10} {:>14}",
        "function", "program", "zip", "start CPU", "start peak", "warm, wall", "warm, CPU", "catalog calls"
    );
    println!(
        "{:<18} {:>9} {:>9} {:>12} {:>11} {:>12} {:>10} {:>14}",
        "", "kB", "kB", "ms", "MiB", "ms", "ms", "an invocation"
    );
    for function in FunctionName::ALL {
        println!("{}", scene.of_function(&folder, function.as_str())?);
    }
    scene.tick(&program(&folder, "scheduler")?, policies)
}

/// The program of a function: zipped as `cargo xtask package` leaves it, or as cargo builds it.
fn program(folder: &Path, function: &str) -> Result<PathBuf, String> {
    let built = folder.join(format!("holdfast-{function}"));
    if built.is_file() {
        return Ok(built);
    }
    Err(format!(
        "{}: not there; `cargo xtask package` builds it",
        built.display()
    ))
}

/// An emulated AWS in which nothing is protected yet.
struct Scene {
    _moto: Moto,
    dynamodb: Front,
    wire: Wire,
    variables: BTreeMap<String, String>,
}

impl Scene {
    fn start() -> Result<Self, String> {
        let moto = Moto::start();
        let wire = Wire::new(moto.endpoint(), REGION);
        make_table(&wire, &catalog_table(TABLE))?;
        make_topic(&wire, "alerts")?;
        wire.events("CreateEventBus", &json!({ "Name": "holdfast" }))?;
        let dynamodb = Front::before_endpoint(moto.endpoint().to_owned());
        let vaults = json!([{ "name": "primary", "region": REGION, "bucket": "vault", "key": "arn:aws:kms:eu-central-1:1:key/v", "backup_vault": "holdfast" }]);
        let evidence = json!([{ "region": REGION, "bucket": "evidence", "lock_days": 30 }]);
        let variables = [
            ("AWS_ENDPOINT_URL", moto.endpoint().to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.endpoint()),
            ("HOLDFAST_TABLE", TABLE.to_owned()),
            ("HOLDFAST_BUS", "holdfast".to_owned()),
            ("HOLDFAST_ALERT_TOPIC", format!("arn:aws:sns:{REGION}:{ACCOUNT}:alerts")),
            ("HOLDFAST_VAULTS", vaults.to_string()),
            ("HOLDFAST_EVIDENCE", evidence.to_string()),
            ("HOLDFAST_WRAPPING_KEY", "arn:aws:kms:eu-central-1:1:key/w".to_owned()),
            ("HOLDFAST_SIGNING_KEY", "arn:aws:kms:eu-central-1:1:key/s".to_owned()),
            (
                "HOLDFAST_ESCROW_SECRET",
                "arn:aws:secretsmanager:eu-central-1:1:secret:e".to_owned(),
            ),
            ("HOLDFAST_BACKUP_ROLE", "arn:aws:iam::1:role/b".to_owned()),
            ("HOLDFAST_DRILL_AREA", "s3://drills/area".to_owned()),
        ];
        Ok(Self {
            _moto: moto,
            dynamodb,
            wire,
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
        })
    }

    fn of_function(&self, folder: &Path, function: &str) -> Result<String, String> {
        let program = program(folder, function)?;
        let zip = folder.join(function).join("bootstrap.zip");
        let starts: Result<Vec<_>, String> = (0..ROUNDS).map(|_| self.start_of(&program)).collect();
        let (mut cpu, mut memory): (Vec<_>, Vec<_>) = starts?.into_iter().unzip();
        let warm = self.warm(&program, function)?;
        let mut line = format!("{function:<18} {:>9}", size(&program)?);
        let zipped = if zip.is_file() {
            size(&zip)?.to_string()
        } else {
            "-".to_owned()
        };
        let _ = write!(
            line,
            " {zipped:>9} {:>12.2} {:>11.1}",
            ms(median(&mut cpu)),
            median(&mut memory) as f64 / 1024.0
        );
        let _ = write!(
            line,
            " {:>12.2} {:>10.2} {:>14}",
            ms(warm.wall),
            ms(warm.cpu),
            warm.calls
        );
        Ok(line)
    }

    /// Processor time and memory (KiB) of a new process at the moment when it asks for its first invocation.
    fn start_of(&self, program: &Path) -> Result<(Duration, u64), String> {
        let at = |error: std::io::Error| format!("{}: {error}", program.display());
        let listener = TcpListener::bind("127.0.0.1:0").map_err(at)?;
        let address = listener.local_addr().map_err(at)?.to_string();
        let mut running = Running(
            Command::new(program)
                .env_clear()
                .envs(&self.variables)
                .envs([
                    ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                    ("AWS_LAMBDA_FUNCTION_NAME", "measured"),
                    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                    ("AWS_REGION", REGION),
                    ("AWS_ACCESS_KEY_ID", "testing"),
                    ("AWS_SECRET_ACCESS_KEY", "testing"),
                ])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(at)?,
        );
        listener.set_nonblocking(true).map_err(at)?;
        let mut stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(at(error)),
            }
            if let Some(status) = running.0.try_wait().map_err(at)? {
                return Err(format!(
                    "{} ended before it asked for work: {status}",
                    program.display()
                ));
            }
            #[expect(clippy::disallowed_methods, reason = "a real program takes real time")]
            std::thread::sleep(Duration::from_micros(200));
        };
        stream.set_nonblocking(false).map_err(at)?;
        let mut request = [0; 1024];
        let length = stream.read(&mut request).map_err(at)?;
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let measured = (
            process::cpu_of_threads(running.0.id())?,
            process::peak_memory(running.0.id())?,
        );
        if !request.starts_with("GET /2018-06-01/runtime/invocation/next") {
            let first = request.lines().next().unwrap_or_default();
            return Err(format!("{} did not ask for work but for {first}", program.display()));
        }
        let _ = stream.write_all(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n");
        Ok(measured)
    }

    fn service(&self, program: &Path, function: &str) -> Result<LambdaService, String> {
        let name = format!("holdfast-{function}");
        let launch = Launch {
            arn: format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"),
            name,
            region: REGION.to_owned(),
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: self.variables.clone(),
            timeout: TIMEOUT,
            memory_mb: 256,
            concurrency: 1,
            time: MovableTime::default(),
        };
        LambdaService::start(vec![launch], Wiring::default(), self.wire.clone()).map_err(|error| error.to_string())
    }

    /// Medians of wake-ups of a process that has had some, where nothing is due.
    fn warm(&self, program: &Path, function: &str) -> Result<Warm, String> {
        let service = self.service(program, function)?;
        let name = format!("holdfast-{function}");
        for _ in 0..3 {
            invoke(&service, &name, &wake_up(function))?;
        }
        let pid = process::running(program)?;
        self.dynamodb.requests();
        let before = process::cpu(pid)?;
        let mut walls = Vec::new();
        for _ in 0..ROUNDS {
            walls.push(invoke(&service, &name, &wake_up(function))?);
        }
        Ok(Warm {
            wall: median(&mut walls),
            cpu: (process::cpu(pid)? - before) / u32::try_from(ROUNDS).unwrap_or(1),
            calls: self.dynamodb.requests().len() / ROUNDS,
        })
    }

    /// What a wake-up of the scheduler costs when so many policies are in force, each with a resource of its own.
    fn tick(&self, program: &Path, policies: usize) -> Result<(), String> {
        let service = self.service(program, "scheduler")?;
        let name = "holdfast-scheduler";
        invoke(&service, name, &json!({ "configuration": configuration() }))?;
        self.multiply(policies)?;
        let pid = process::running(program)?;
        println!();
        for round in 1..=3 {
            self.dynamodb.requests();
            let before = process::cpu(pid)?;
            let wall = invoke(&service, name, &wake_up("scheduler"))?;
            let cpu = process::cpu(pid)? - before;
            println!(
                "tick {round} with {policies} policies: {:.1} s beside the emulator, {:.2} s of processor, {} catalog calls, peak {:.1} MiB",
                wall.as_secs_f64(),
                cpu.as_secs_f64(),
                self.dynamodb.requests().len(),
                process::peak_memory(pid)? as f64 / 1024.0
            );
        }
        drop(service);
        Ok(())
    }

    /// Writes the one policy and its resource again under so many names: what applying a configuration of that many would
    /// leave, sooner than an emulator applies it; and as if that were long ago.
    fn multiply(&self, policies: usize) -> Result<(), String> {
        let all = self.wire.dynamodb("Scan", &json!({ "TableName": TABLE }))?;
        let items = all["Items"].as_array().ok_or("the table cannot be read")?;
        let items: Vec<String> = items.iter().map(Value::to_string).collect();
        let state = items.iter().find_map(|item| item.split_once(r#""changed_at\":\""#));
        let (before, changed_at) = state.ok_or("the state of the configuration is not there")?;
        let year = changed_at
            .get(4..)
            .ok_or("the state of the configuration has no year")?;
        let long_ago = format!(r#"{before}"changed_at\":\"2020{year}"#);
        let originals: Vec<&String> = items.iter().filter(|item| item.contains(ORIGINAL)).collect();
        if originals.len() != 2 {
            return Err(format!("one policy and its resource are {} records", originals.len()));
        }
        let named = |number: usize| {
            originals
                .iter()
                .map(move |item| item.replace(ORIGINAL, &format!("number-{number}")))
        };
        let puts: Result<Vec<Value>, String> = (0..policies)
            .flat_map(named)
            .chain([long_ago])
            .map(|item| {
                let item: Value = serde_json::from_str(&item).map_err(|error| error.to_string())?;
                Ok(json!({ "PutRequest": { "Item": item } }))
            })
            .collect();
        for batch in puts?.chunks(BATCH) {
            let written = self
                .wire
                .dynamodb("BatchWriteItem", &json!({ "RequestItems": { TABLE: batch } }))?;
            if written["UnprocessedItems"]
                .as_object()
                .is_some_and(|left| !left.is_empty())
            {
                return Err("the emulator left records unwritten".to_owned());
            }
        }
        Ok(())
    }
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Warm {
    wall: Duration,
    cpu: Duration,
    calls: usize,
}

/// Invokes and waits for the answer; says how long that took.
fn invoke(service: &LambdaService, function: &str, payload: &Value) -> Result<Duration, String> {
    let payload = payload.to_string();
    #[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
    let started = Instant::now();
    let invoked = service.invoke(function, &payload);
    let took = started.elapsed();
    match invoked.map_err(|refused| format!("{function}: {refused:?}"))?.answer {
        Answer::Done(answer) if !answer.contains("itemIdentifier") => Ok(took),
        Answer::Done(answer) | Answer::Failed(answer) => {
            Err(format!("{function}: {answer}\n{}", service.log(function)))
        }
    }
}

/// A wake-up as SQS hands it over.
fn wake_up(function: &str) -> Value {
    let event = json!({ "version": "0", "id": "5c646443-ee32-39e6-0659-e92bcf2337b8", "detail-type": "Scheduled Wake-Up",
        "source": "holdfast", "time": "2026-11-20T02:30:00Z", "detail": {} });
    json!({ "Records": [{
        "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
        "receiptHandle": "r",
        "body": event.to_string(),
        "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1795141867000", "SenderId": "s",
            "ApproximateFirstReceiveTimestamp": "1795141867002" },
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:holdfast-{function}"),
        "awsRegion": REGION,
    }] })
}

/// One policy for one resource, both of which go by [`ORIGINAL`].
fn configuration() -> String {
    format!(
        "region = \"{REGION}\"\n\n[[vault]]\nname = \"primary\"\nregion = \"{REGION}\"\n\n[[resource]]\nname = \"{ORIGINAL}\"\n\
         kind = \"s3\"\npath = \"s3://photos/{ORIGINAL}\"\n\n[[policy]]\nname = \"{ORIGINAL}\"\nvault = \"primary\"\nrpo = \
         \"2d\"\nrto = \"1d\"\n[policy.select]\nresources = [\"{ORIGINAL}\"]\n[policy.keep]\nlast = 7\n[[policy.rule]]\nname = \
         \"nightly\"\ncron = \"0 2 * * *\"\nkind = \"incremental\"\n"
    )
}

fn median<T: Ord + Copy>(values: &mut [T]) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The size of a file in kB, rounded up.
fn size(file: &Path) -> Result<u64, String> {
    let metadata = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(metadata.len().div_ceil(1000))
}
