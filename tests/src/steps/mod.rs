//! Step Functions, as far as the definitions in `infra/statemachines` use it: an interpreter that runs the real files. What a
//! definition has and the interpreter does not know is an error that names it, before anything runs.
//!
//! What it does as AWS does: retries and catches by error names, the size that a state may hand on, the number of events that
//! an execution may have, time-outs of executions, redrive from the state that failed. Tasks take no time on its clock, which
//! waits alone move.

mod definition;
mod paths;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use definition::{Catcher, Choice, Definition, Retrier, State, Task};

/// What a state may hand on, in bytes.
const MAX_DATA: usize = 262_144;
/// How many events an execution may have.
const MAX_EVENTS: usize = 25_000;

/// Why a task failed, as Step Functions names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError {
    /// Its name, such as `Lambda.TooManyRequestsException`.
    pub error: String,
    /// What happened.
    pub cause: String,
}

impl TaskError {
    /// An error of this name.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            cause: cause.into(),
        }
    }
}

/// What an execution works on.
pub trait Surroundings {
    /// Carries a task out.
    fn call(&mut self, resource: &str, parameters: &Value) -> Result<Value, TaskError>;

    /// Lets time pass.
    fn pass(&mut self, seconds: u64);
}

/// How an execution stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It can go on.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed(TaskError),
    /// It took longer than it may.
    TimedOut,
}

/// One execution of a state machine.
#[derive(Debug)]
pub struct Execution {
    definition: Definition,
    context: Value,
    /// The state that is next, and what it is given.
    state: String,
    input: Value,
    status: Status,
    elapsed_seconds: u64,
    /// Names of its events, in order.
    events: Vec<Value>,
}

impl Execution {
    /// An execution of the definition in `text`, in which `substitutions` stand for `${names}`.
    pub fn new(text: &str, substitutions: &BTreeMap<String, String>, name: &str, input: Value) -> Result<Self, String> {
        let definition = Definition::read(text, substitutions)?;
        let id = format!("arn:aws:states:eu-central-1:123456789012:execution:machine:{name}");
        Ok(Self {
            state: definition.start_at.clone(),
            definition,
            context: json!({ "Execution": { "Name": name, "Id": id } }),
            input,
            status: Status::Running,
            elapsed_seconds: 0,
            events: vec![json!({ "id": 1, "type": "ExecutionStarted" })],
        })
    }

    /// How it stands.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The state that it is in, or ended in.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// What the state that it is in is given.
    pub fn input(&self) -> &Value {
        &self.input
    }

    /// How many events its history has.
    pub fn events(&self) -> usize {
        self.events.len()
    }

    /// Runs until it ends, or until it is about to enter the state `until`.
    pub fn run(&mut self, surroundings: &mut dyn Surroundings, until: Option<&str>) -> &Status {
        while self.status == Status::Running && until != Some(self.state.as_str()) {
            self.step(surroundings);
            if self.status == Status::Running && self.elapsed_seconds > self.definition.timeout_seconds {
                self.status = Status::TimedOut;
            }
            if self.status == Status::Running && self.events.len() > MAX_EVENTS {
                self.fail(TaskError::new(
                    "States.Runtime",
                    "the execution has more events than it may",
                ));
            }
        }
        &self.status
    }

    /// Lets an execution that ended badly go on where it ended.
    pub fn redrive(&mut self) -> Result<(), String> {
        match self.status {
            Status::Failed(_) | Status::TimedOut => {
                self.status = Status::Running;
                self.elapsed_seconds = 0;
                self.event("ExecutionRedriven");
                Ok(())
            }
            Status::Running | Status::Succeeded => {
                Err(format!("an execution that is {:?} is not redriven", self.status))
            }
        }
    }

    fn event(&mut self, kind: &str) {
        let event = json!({ "id": self.events.len() + 1, "type": kind });
        self.events.push(event);
    }

    fn fail(&mut self, error: TaskError) {
        self.event("ExecutionFailed");
        self.status = Status::Failed(error);
    }

    /// One state.
    fn step(&mut self, surroundings: &mut dyn Surroundings) {
        let Some(state) = self.definition.states.remove(&self.state) else {
            return self.fail(TaskError::new("States.Runtime", "there is no such state"));
        };
        self.event(&format!("{}StateEntered", state.word()));
        let went = match &state {
            State::Task(task) => self.task(task, surroundings),
            State::Wait(wait) => {
                self.wait(wait.seconds, surroundings);
                Ok(Some((wait.next.clone(), self.input.clone())))
            }
            State::Choice(choice) => self.choose(choice).map(|next| Some((next, self.input.clone()))),
            State::Pass(pass) => paths::fill(&pass.parameters, &self.input, &self.context)
                .and_then(|result| paths::put(pass.result_path.as_deref(), &self.input, result))
                .map(|output| Some((pass.next.clone(), output)))
                .map_err(runtime),
            State::Succeed(_) => Ok(None),
            State::Fail(fail) => Err(TaskError::new(&fail.error, &fail.cause)),
        };
        let word = state.word();
        self.definition.states.insert(self.state.clone(), state);
        match went {
            Ok(Some((_, output))) if output.to_string().len() > MAX_DATA => {
                self.fail(TaskError::new("States.DataLimitExceeded", "a state hands on too much"));
            }
            Ok(Some((next, output))) => {
                self.event(&format!("{word}StateExited"));
                (self.state, self.input) = (next, output);
            }
            Ok(None) => {
                self.event("ExecutionSucceeded");
                self.status = Status::Succeeded;
            }
            Err(error) => self.fail(error),
        }
    }

    fn wait(&mut self, seconds: u64, surroundings: &mut dyn Surroundings) {
        self.elapsed_seconds += seconds;
        surroundings.pass(seconds);
    }

    fn choose(&self, choice: &Choice) -> Result<String, TaskError> {
        for rule in &choice.choices {
            let found = paths::at(&rule.variable, &self.input, &self.context).map_err(runtime)?;
            let holds = match (&rule.string_equals, rule.is_present, rule.boolean_equals) {
                (Some(text), None, None) => found.and_then(Value::as_str) == Some(text.as_str()),
                (None, Some(present), None) => found.is_some() == present,
                (None, None, Some(wanted)) => found.and_then(Value::as_bool) == Some(wanted),
                _ => {
                    return Err(runtime(format!(
                        "the rule about {} compares by nothing, or twice",
                        rule.variable
                    )));
                }
            };
            if holds {
                return Ok(rule.next.clone());
            }
        }
        Ok(choice.default.clone())
    }

    /// Carries a task out, again where its retriers say so. Gives the next state and what it is given.
    fn task(&mut self, task: &Task, surroundings: &mut dyn Surroundings) -> Result<Option<(String, Value)>, TaskError> {
        let mut attempts = vec![0; task.retry.len()];
        loop {
            let error = match self.attempt(task, surroundings) {
                Ok(output) => return Ok(Some((task.next.clone(), output))),
                Err(error) => error,
            };
            let retrier = task
                .retry
                .iter()
                .position(|retrier| names(&retrier.error_equals, &error));
            if let Some(place) = retrier
                && attempts[place] < task.retry[place].max_attempts
            {
                let delay = delay(&task.retry[place], attempts[place]);
                attempts[place] += 1;
                self.wait(delay, surroundings);
                continue;
            }
            let catcher = task.catch.iter().find(|catcher| names(&catcher.error_equals, &error));
            return catcher.map_or(Err(error.clone()), |catcher| self.caught(catcher, &error));
        }
    }

    fn attempt(&mut self, task: &Task, surroundings: &mut dyn Surroundings) -> Result<Value, TaskError> {
        let parameters = paths::fill(&task.parameters, &self.input, &self.context).map_err(runtime)?;
        self.event("TaskScheduled");
        self.event("TaskStarted");
        let answer = match task.resource.as_str() {
            "arn:aws:states:::aws-sdk:sfn:getExecutionHistory" => self.history(&parameters),
            resource => surroundings.call(resource, &parameters),
        };
        self.event(if answer.is_ok() { "TaskSucceeded" } else { "TaskFailed" });
        let answer = answer?;
        let result = match &task.result_selector {
            Some(selector) => paths::fill(selector, &answer, &self.context).map_err(runtime)?,
            None => answer,
        };
        paths::put(task.result_path.as_deref(), &self.input, result).map_err(runtime)
    }

    fn caught(&self, catcher: &Catcher, error: &TaskError) -> Result<Option<(String, Value)>, TaskError> {
        let told = json!({ "Error": error.error, "Cause": error.cause });
        let output = paths::put(catcher.result_path.as_deref(), &self.input, told).map_err(runtime)?;
        Ok(Some((catcher.next.clone(), output)))
    }

    /// A page of its own history.
    fn history(&self, parameters: &Value) -> Result<Value, TaskError> {
        if parameters["ExecutionArn"] != self.context["Execution"]["Id"] {
            return Err(TaskError::new(
                "Sfn.ExecutionDoesNotExistException",
                "an execution of somebody else",
            ));
        }
        let size = parameters["MaxResults"]
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(100);
        let from = parameters["NextToken"].as_str().map_or(Ok(0), str::parse::<usize>);
        let from = from.map_err(|_| TaskError::new("Sfn.InvalidTokenException", "no token of ours"))?;
        let page: Vec<&Value> = self.events.iter().skip(from).take(size).collect();
        let mut answer = json!({ "Events": page });
        if from + size < self.events.len() {
            answer["NextToken"] = Value::from((from + size).to_string());
        }
        Ok(answer)
    }
}

/// The definition asks for something that cannot be.
fn runtime(what: String) -> TaskError {
    TaskError::new("States.Runtime", what)
}

/// Whether a list of names holds an error's. What is wrong with the definition itself is caught by nothing.
fn names(list: &[String], error: &TaskError) -> bool {
    let named = |name: &String| match name.as_str() {
        "States.ALL" => true,
        "States.TaskFailed" => error.error != "States.Timeout",
        name => name == error.error,
    };
    error.error != "States.Runtime" && list.iter().any(named)
}

/// How long to wait before the next attempt.
fn delay(retrier: &Retrier, attempts: usize) -> u64 {
    let power = i32::try_from(attempts).unwrap_or(i32::MAX);
    let seconds = retrier.interval_seconds as f64 * retrier.backoff_rate.powi(power);
    (seconds as u64).min(retrier.max_delay_seconds.unwrap_or(u64::MAX))
}
