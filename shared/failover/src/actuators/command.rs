//! Kind `command`: a program on this machine, run without a shell. Settings: `program`, `arguments` (a JSON list), `check` (a
//! program that ends with 0 once the act stands, given the same), `timeout_seconds`.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_core::domain::{Act, ActOrder, Failure, FailureKind, Seen};
use tokio::process::Command;

use super::settings::{invalid, number_or, required};
use super::unknown_act;

/// How long a program may run, where settings say nothing else, in seconds.
const TIMEOUT_SECONDS: u32 = 300;
/// Characters of what a program says that are kept.
const MOST_SAID: usize = 500;

/// What has become of a program that was started by this process.
#[derive(Clone)]
enum Ran {
    Runs,
    Ended(String),
    Failed(String),
}

/// What a program was started for: an order, and not its opposite, nor the same one of a later generation.
type Key = (String, String, String, Option<u64>);

/// The programs that this process has started.
#[derive(Default)]
pub struct Commands {
    ran: Arc<Mutex<BTreeMap<Key, Ran>>>,
}

impl Commands {
    /// Starts the program unless it runs, or what it does stands: as `check` tells, or else because it has ended well here.
    pub async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let (command, timeout) = command(order, "program")?;
        let key = key(order);
        let stands = check(order).await?.is_some();
        {
            let mut ran = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = match ran.get(&key) {
                Some(Ran::Runs) => true,
                Some(Ran::Ended(_)) => !has_check(order),
                Some(Ran::Failed(_)) | None => false,
            };
            if is_known || stands {
                return Ok(());
            }
            ran.insert(key.clone(), Ran::Runs);
        }
        let all = Arc::clone(&self.ran);
        tokio::spawn(async move {
            let ended = run(command, timeout).await;
            let ended = ended.map_or_else(Ran::Failed, Ran::Ended);
            all.lock().unwrap_or_else(PoisonError::into_inner).insert(key, ended);
        });
        Ok(())
    }

    /// What has become of it: `check` tells, or else what this process remembers.
    pub async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let ran = self
            .ran
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key(order))
            .cloned();
        let note = match ran {
            Some(Ran::Runs) => {
                let note = "the program runs".to_owned();
                return Ok(Seen::Working { note });
            }
            Some(Ran::Failed(said)) => {
                let message = format!(
                    "step {}: the program of actuator {} failed: {said}",
                    order.step,
                    order.on.name()
                );
                self.ran
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&key(order));
                return Err(Failure::new(FailureKind::Transient, message));
            }
            Some(Ran::Ended(said)) => Some(said),
            None => None,
        };
        let stands = match has_check(order) {
            true => check(order).await?,
            false => note,
        };
        Ok(stands.map_or(Seen::NotDone, |note| Seen::Done {
            note,
            lag_seconds: None,
            divergence: None,
        }))
    }
}

fn has_check(order: &ActOrder) -> bool {
    order.on.settings().contains_key("check")
}

/// What `check` says if the act stands; none where it does not, or there is no check.
async fn check(order: &ActOrder) -> Result<Option<String>, Failure> {
    if !has_check(order) {
        return Ok(None);
    }
    let (command, timeout) = command(order, "check")?;
    Ok(run(command, timeout).await.ok())
}

fn key(order: &ActOrder) -> Key {
    (
        order.on.run().to_string(),
        order.step.to_string(),
        format!("{:?}", order.act),
        order.on.generation(),
    )
}

fn command(order: &ActOrder, which: &str) -> Result<(Command, Duration), Failure> {
    let payload = match &order.act {
        Act::Start | Act::Stop | Act::Fence | Act::Unfence => "",
        Act::Invoke { payload } => payload,
        _ => return Err(unknown_act(order, "start, stop, fence, unfence and invoke")),
    };
    let program = required(&order.on, which, "/usr/local/bin/orders-ctl")?;
    if !program.starts_with('/') {
        return Err(invalid(&order.on, which, "/usr/local/bin/orders-ctl"));
    }
    let arguments = order.on.settings().get("arguments").map_or("[]", String::as_str);
    let arguments: Vec<String> = serde_json::from_str(arguments)
        .map_err(|_| invalid(&order.on, "arguments", "[\\\"restart\\\", \\\"orders\\\"]"))?;
    let seconds = number_or(&order.on, "timeout_seconds", TIMEOUT_SECONDS)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("HOLDFAST_ACT", order.act.as_str())
        .env("HOLDFAST_STEP", order.step.as_str())
        .env("HOLDFAST_RUN", order.on.run().as_str())
        .env("HOLDFAST_PAYLOAD", payload)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(generation) = order.on.generation() {
        command.env("HOLDFAST_GENERATION", generation.to_string());
    }
    Ok((command, Duration::from_secs(seconds.into())))
}

/// Runs it to its end and gives what it said, or why it failed.
async fn run(mut command: Command, timeout: Duration) -> Result<String, String> {
    let ended = tokio::time::timeout(timeout, command.output()).await;
    let output = match ended {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("it cannot be started: {error}")),
        Err(_) => return Err(format!("it ran for more than {} s and was ended", timeout.as_secs())),
    };
    let said = [output.stdout, output.stderr].concat();
    let said: String = String::from_utf8_lossy(&said).trim().chars().take(MOST_SAID).collect();
    match output.status.success() {
        true => Ok(format!("it ended well: {said}")),
        false => Err(format!("{}: {said}", output.status)),
    }
}
