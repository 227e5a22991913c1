//! What is connected to what: read from a template that has been worked out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::template::{Resource, Surroundings, work_out};

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The name of its program, as the build makes it.
    pub program: String,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// Its memory.
    pub memory_mb: u64,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// How many of it may run at once, where the template says so.
    pub concurrency: Option<usize>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its attributes, as SQS spells them.
    pub attributes: BTreeMap<String, String>,
    /// Where its messages go after so many deliveries.
    pub redrive: Option<(String, u64)>,
}

/// A rule of a bus.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The bus; none is the account's own.
    pub bus: Option<String>,
    /// What it takes.
    pub pattern: Value,
    /// Where it delivers: target ids and ARNs, in the form that EventBridge takes them.
    pub targets: Vec<Value>,
}

/// What a queue's messages are handed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The function.
    pub function: String,
    /// The queue.
    pub queue: String,
    /// How many messages at once.
    pub batch: usize,
    /// How many batches at once.
    pub concurrency: usize,
    /// Whether the function says which messages of a batch failed.
    pub is_partial: bool,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// How often it fires.
    pub every: Duration,
    /// The ARN of what it tells.
    pub target: String,
    /// What it tells.
    pub input: String,
}

/// A subscription to a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The topic's ARN.
    pub topic: String,
    /// The protocol.
    pub protocol: String,
    /// Where to.
    pub endpoint: String,
    /// Further attributes, as SNS spells them.
    pub attributes: BTreeMap<String, String>,
}

/// Everything that a template connects.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "fields are named as what they hold")]
pub struct Wiring {
    pub functions: Vec<Function>,
    pub queues: Vec<Queue>,
    pub buses: Vec<String>,
    pub rules: Vec<Rule>,
    pub mappings: Vec<Mapping>,
    pub schedules: Vec<Schedule>,
    pub topics: Vec<String>,
    pub subscriptions: Vec<Subscription>,
    /// The queue of what a function's asynchronous invocations could not do, by the function's name.
    pub on_failure: BTreeMap<String, String>,
    /// Tables, as DynamoDB takes them.
    pub tables: Vec<Value>,
}

/// A reader of one resource's properties; errors name both.
struct Properties<'r>(&'r Resource);

impl<'r> Properties<'r> {
    fn wrong<T>(&self, why: &str) -> Result<T, String> {
        Err(format!("{} ({}): {why}", self.0.id, self.0.kind))
    }

    fn value(&self, key: &str) -> &'r Value {
        &self.0.properties[key]
    }

    fn text(&self, key: &str) -> Result<String, String> {
        match self.value(key).as_str() {
            Some(text) => Ok(text.to_owned()),
            None => self.wrong(&format!("{key} is no text: {}", self.value(key))),
        }
    }

    fn name(&self, key: &str) -> Result<String, String> {
        if self.value(key).is_null() {
            return Ok(self.0.id.clone());
        }
        self.text(key)
    }

    fn number(&self, key: &str, default: u64) -> Result<u64, String> {
        match number(self.value(key)) {
            Some(number) => Ok(number),
            None if self.value(key).is_null() => Ok(default),
            None => self.wrong(&format!("{key} is no number: {}", self.value(key))),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A value as an attribute of a service: text as it is, anything else as JSON.
fn attribute(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The last part of an ARN of a queue or function.
pub(super) fn name_in(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

impl Wiring {
    /// Reads what a template connects. Anything that cannot be worked out is an error that names it.
    pub fn from_template(template: &Value, around: &Surroundings) -> Result<Self, String> {
        let resources = work_out(template, around)?;
        let mut wiring = Self::default();
        for resource in &resources {
            wiring.take(resource)?;
        }
        Ok(wiring)
    }

    fn take(&mut self, resource: &Resource) -> Result<(), String> {
        let properties = Properties(resource);
        match resource.kind.as_str() {
            "AWS::Lambda::Function" => self.functions.push(function(&properties)?),
            "AWS::SQS::Queue" => self.queues.push(queue(&properties)?),
            "AWS::Events::EventBus" => self.buses.push(properties.name("Name")?),
            "AWS::Events::Rule" => self.rules.push(rule(&properties)?),
            "AWS::Lambda::EventSourceMapping" => self.mappings.extend(mapping(&properties)?),
            "AWS::Lambda::EventInvokeConfig" => self.on_failure.extend(failures(&properties)?),
            "AWS::Scheduler::Schedule" => self.schedules.extend(schedule(&properties)?),
            "AWS::SNS::Topic" => self.topics.push(properties.name("TopicName")?),
            "AWS::SNS::Subscription" => self.subscriptions.push(subscription(&properties)?),
            "AWS::DynamoDB::Table" => self.tables.push(resource.properties.clone()),
            // Roles, alarms, logs and policies connect nothing.
            _ => {}
        }
        Ok(())
    }

    /// A function by its name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}

fn function(properties: &Properties<'_>) -> Result<Function, String> {
    let name = properties.name("FunctionName")?;
    let built = properties.0.metadata["BuildProperties"]["Binary"].as_str();
    let mut environment = BTreeMap::new();
    let variables = properties.value("Environment")["Variables"].as_object();
    for (key, value) in variables.into_iter().flatten() {
        let Some(value) = value.as_str() else {
            return properties.wrong(&format!("variable {key} is no text: {value}"));
        };
        environment.insert(key.clone(), value.to_owned());
    }
    Ok(Function {
        program: built.map_or_else(|| name.clone(), str::to_owned),
        timeout: Duration::from_secs(properties.number("Timeout", 3)?),
        memory_mb: properties.number("MemorySize", 128)?,
        concurrency: number(properties.value("ReservedConcurrentExecutions"))
            .and_then(|most| usize::try_from(most).ok()),
        environment,
        name,
    })
}

fn queue(properties: &Properties<'_>) -> Result<Queue, String> {
    let kept = [
        "DelaySeconds",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "VisibilityTimeout",
    ];
    let given = kept.iter().filter(|key| !properties.value(key).is_null());
    let attributes = given.map(|key| ((*key).to_owned(), attribute(properties.value(key))));
    let redrive = properties.value("RedrivePolicy");
    let redrive = match (
        redrive["deadLetterTargetArn"].as_str(),
        number(&redrive["maxReceiveCount"]),
    ) {
        (Some(arn), Some(most)) => Some((name_in(arn).to_owned(), most)),
        _ if redrive.is_null() => None,
        _ => return properties.wrong(&format!("RedrivePolicy is not understood: {redrive}")),
    };
    Ok(Queue {
        name: properties.name("QueueName")?,
        attributes: attributes.collect(),
        redrive,
    })
}

fn rule(properties: &Properties<'_>) -> Result<Rule, String> {
    if !properties.value("ScheduleExpression").is_null() {
        return properties.wrong("a rule with a schedule; use AWS::Scheduler::Schedule");
    }
    let bus = properties.value("EventBusName").as_str();
    let targets = properties.value("Targets").as_array().cloned().unwrap_or_default();
    if targets.is_empty() {
        return properties.wrong("has no Targets");
    }
    Ok(Rule {
        name: properties.name("Name")?,
        bus: bus.filter(|bus| *bus != "default").map(str::to_owned),
        pattern: properties.value("EventPattern").clone(),
        targets,
    })
}

fn mapping(properties: &Properties<'_>) -> Result<Option<Mapping>, String> {
    if properties.value("Enabled").as_bool() == Some(false) {
        return Ok(None);
    }
    let source = properties.text("EventSourceArn")?;
    if !source.starts_with("arn:aws:sqs:") {
        return properties.wrong(&format!("only queues are mapped here, not {source}"));
    }
    let responses = properties.value("FunctionResponseTypes");
    let most = number(&properties.value("ScalingConfig")["MaximumConcurrency"]).unwrap_or(5);
    Ok(Some(Mapping {
        function: name_in(&properties.text("FunctionName")?).to_owned(),
        queue: name_in(&source).to_owned(),
        batch: usize::try_from(properties.number("BatchSize", 10)?).unwrap_or(10),
        concurrency: usize::try_from(most).unwrap_or(5),
        is_partial: responses
            .as_array()
            .is_some_and(|types| types.contains(&json!("ReportBatchItemFailures"))),
    }))
}

/// A function, and the queue that its failures go to.
fn failures(properties: &Properties<'_>) -> Result<Option<(String, String)>, String> {
    let destination = &properties.value("DestinationConfig")["OnFailure"]["Destination"];
    match destination.as_str() {
        Some(arn) if arn.starts_with("arn:aws:sqs:") => {
            let function = properties.text("FunctionName")?;
            Ok(Some((name_in(&function).to_owned(), name_in(arn).to_owned())))
        }
        None if destination.is_null() => Ok(None),
        _ => properties.wrong(&format!("failures go to queues only here, not to {destination}")),
    }
}

fn schedule(properties: &Properties<'_>) -> Result<Option<Schedule>, String> {
    if properties.value("State").as_str() == Some("DISABLED") {
        return Ok(None);
    }
    let expression = properties.text("ScheduleExpression")?;
    let Some(every) = rate(&expression) else {
        return properties.wrong(&format!(
            "the schedule \"{expression}\" is not understood here; rate(…) is"
        ));
    };
    let target = properties.value("Target");
    let (Some(arn), Some(input)) = (target["Arn"].as_str(), target["Input"].as_str()) else {
        return properties.wrong("Target needs Arn and Input");
    };
    Ok(Some(Schedule {
        name: properties.name("Name")?,
        every,
        target: arn.to_owned(),
        input: input.to_owned(),
    }))
}

/// `rate(1 minute)` and the like.
fn rate(expression: &str) -> Option<Duration> {
    let (count, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let count: u64 = count.parse().ok()?;
    let seconds = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    (count > 0).then(|| Duration::from_secs(count * seconds))
}

fn subscription(properties: &Properties<'_>) -> Result<Subscription, String> {
    let kept = [
        "FilterPolicy",
        "FilterPolicyScope",
        "RawMessageDelivery",
        "RedrivePolicy",
    ];
    let given = kept.iter().filter(|key| !properties.value(key).is_null());
    Ok(Subscription {
        topic: properties.text("TopicArn")?,
        protocol: properties.text("Protocol")?,
        endpoint: properties.text("Endpoint")?,
        attributes: given
            .map(|key| ((*key).to_owned(), attribute(properties.value(key))))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wired(kind: &str, properties: &Value) -> Result<Wiring, String> {
        let template = json!({ "Resources": { "It": { "Type": kind, "Properties": properties } } });
        let around = Surroundings {
            account: "1".to_owned(),
            region: "eu-central-1".to_owned(),
            stack: "s".to_owned(),
            parameters: BTreeMap::new(),
        };
        Wiring::from_template(&template, &around)
    }

    #[test]
    fn rates_are_read() {
        assert_eq!(rate("rate(1 minute)"), Some(Duration::from_secs(60)));
        assert_eq!(rate("rate(12 hours)"), Some(Duration::from_secs(43_200)));
        for wrong in ["rate(0 minutes)", "rate(1 fortnight)", "cron(0 3 * * ? *)", "1 minute"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_the_resource() {
        let cases = [
            (
                "AWS::Scheduler::Schedule",
                json!({ "ScheduleExpression": "cron(0 3 * * ? *)" }),
                "cron(0 3",
            ),
            (
                "AWS::Lambda::EventSourceMapping",
                json!({ "EventSourceArn": "arn:aws:kinesis:x" }),
                "kinesis",
            ),
            (
                "AWS::Lambda::EventInvokeConfig",
                json!({ "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:sns:x" } } }),
                "arn:aws:sns:x",
            ),
            ("AWS::Events::Rule", json!({ "EventPattern": {} }), "no Targets"),
            (
                "AWS::Events::Rule",
                json!({ "ScheduleExpression": "rate(1 minute)" }),
                "a rule with a schedule",
            ),
            (
                "AWS::SQS::Queue",
                json!({ "RedrivePolicy": { "maxReceiveCount": 5 } }),
                "RedrivePolicy",
            ),
            ("AWS::Lambda::Function", json!({ "Timeout": "soon" }), "Timeout"),
        ];
        for (kind, properties, culprit) in cases {
            let error = wired(kind, &properties).unwrap_err();
            assert!(error.starts_with("It (") && error.contains(culprit), "{error}");
        }
    }
}
