//! A CloudFormation template with its intrinsic functions worked out, as CloudFormation would for given parameters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// What a template is worked out for.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The account.
    pub account: String,
    /// The Region.
    pub region: String,
    /// The stack's name.
    pub stack: String,
    /// Values of parameters; one that has a default may be left out.
    pub parameters: BTreeMap<String, String>,
}

/// A resource of a template, with everything in it worked out.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its name in the template.
    pub id: String,
    /// What it is, such as `AWS::SQS::Queue`.
    pub kind: String,
    /// Its properties.
    pub properties: Value,
    /// What tools noted on it.
    pub metadata: Value,
}

/// The properties that name a resource, by kind. Where CloudFormation would make up a name, it is the name in the template.
const NAMED_BY: [(&str, &str); 14] = [
    ("AWS::CloudWatch::Alarm", "AlarmName"),
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::Events::EventBus", "Name"),
    ("AWS::Events::Rule", "Name"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::SNS::Topic", "TopicName"),
    ("AWS::SQS::Queue", "QueueName"),
    ("AWS::Scheduler::Schedule", "Name"),
    ("AWS::Scheduler::ScheduleGroup", "Name"),
    ("AWS::StepFunctions::StateMachine", "StateMachineName"),
    ("AWS::KMS::Alias", "AliasName"),
];

/// What a value became: nothing where the template says `AWS::NoValue`.
type Worked = Result<Option<Value>, String>;

struct Resolver<'t> {
    template: &'t Value,
    around: &'t Surroundings,
}

/// Works out every resource that the conditions let through. What cannot be worked out is an error that names it.
pub fn work_out(template: &Value, around: &Surroundings) -> Result<Vec<Resource>, String> {
    let resolver = Resolver { template, around };
    let known = template["Parameters"].as_object().cloned().unwrap_or_default();
    let unknown: Vec<&str> = around
        .parameters
        .keys()
        .filter(|name| !known.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        return Err(format!("the template has no parameters {}", unknown.join(", ")));
    }
    let resources = template["Resources"]
        .as_object()
        .ok_or("the template has no Resources")?;
    let mut worked = Vec::new();
    for (id, resource) in resources {
        if let Some(condition) = resource["Condition"].as_str()
            && !resolver.condition(condition)?
        {
            continue;
        }
        let kind = resource["Type"].as_str().ok_or_else(|| format!("{id} has no Type"))?;
        let at = |error: String| format!("{id} ({kind}): {error}");
        let part = |name: &str| resolver.value(&resource[name]).map_err(at);
        worked.push(Resource {
            id: id.clone(),
            kind: kind.to_owned(),
            properties: part("Properties")?.unwrap_or_else(|| json!({})),
            metadata: part("Metadata")?.unwrap_or(Value::Null),
        });
    }
    Ok(worked)
}

impl Resolver<'_> {
    fn value(&self, value: &Value) -> Worked {
        match value {
            Value::Object(fields) => match only_function(fields) {
                Some((function, argument)) => self.function(function, argument),
                None => self.fields(fields).map(Some),
            },
            Value::Array(items) => {
                let mut worked = Vec::new();
                for item in items {
                    worked.extend(self.value(item)?);
                }
                Ok(Some(Value::Array(worked)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(Some(value.clone())),
        }
    }

    fn fields(&self, fields: &Map<String, Value>) -> Result<Value, String> {
        let mut worked = Map::new();
        for (key, value) in fields {
            if let Some(value) = self.value(value).map_err(|error| format!("{key}: {error}"))? {
                worked.insert(key.clone(), value);
            }
        }
        Ok(Value::Object(worked))
    }

    fn function(&self, function: &str, argument: &Value) -> Worked {
        match function {
            "Ref" => self.reference(text(argument)?),
            "Fn::GetAtt" => self.attribute(argument).map(Some),
            "Fn::Sub" => self.substitute(argument).map(Some),
            "Fn::Join" => {
                let parts = self.list(&argument[1])?;
                let parts: Result<Vec<String>, String> = parts.iter().map(as_text).collect();
                Ok(Some(parts?.join(text(&argument[0])?).into()))
            }
            "Fn::If" => {
                let branch = if self.condition(text(&argument[0])?)? { 1 } else { 2 };
                self.value(&argument[branch])
            }
            "Fn::FindInMap" => self.find_in_map(argument).map(Some),
            "Fn::Select" => {
                let place = as_text(&self.needed(&argument[0])?)?;
                let place: usize = place.parse().map_err(|_| format!("Fn::Select of {place}"))?;
                let list = self.list(&argument[1])?;
                let chosen = list.get(place).cloned();
                chosen
                    .ok_or_else(|| format!("Fn::Select of {place} from {} items", list.len()))
                    .map(Some)
            }
            "Fn::Split" => {
                let whole = as_text(&self.needed(&argument[1])?)?;
                Ok(Some(whole.split(text(&argument[0])?).map(Value::from).collect()))
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" | "Condition" => self
                .test(&json!({ function: argument }))
                .map(|holds| Some(holds.into())),
            other => Err(format!("{other} is not understood here: {argument}")),
        }
    }

    fn needed(&self, value: &Value) -> Result<Value, String> {
        self.value(value)?
            .ok_or_else(|| "AWS::NoValue where a value is needed".to_owned())
    }

    fn list(&self, value: &Value) -> Result<Vec<Value>, String> {
        match self.needed(value)? {
            Value::Array(items) => Ok(items),
            other => Err(format!("no list: {other}")),
        }
    }

    fn reference(&self, name: &str) -> Worked {
        let around = self.around;
        let pseudo = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => Some(around.region.clone()),
            "AWS::AccountId" => Some(around.account.clone()),
            "AWS::Partition" => Some("aws".to_owned()),
            "AWS::URLSuffix" => Some("amazonaws.com".to_owned()),
            "AWS::StackName" => Some(around.stack.clone()),
            "AWS::StackId" => Some(self.arn("cloudformation", &format!("stack/{}/1", around.stack))),
            _ => None,
        };
        if let Some(pseudo) = pseudo {
            return Ok(Some(pseudo.into()));
        }
        if let Some(parameter) = self.template["Parameters"].get(name) {
            return self.parameter(name, parameter).map(Some);
        }
        let (kind, own) = self.named(name)?;
        let reference = match kind {
            "AWS::SNS::Topic" | "AWS::StepFunctions::StateMachine" => self.arn_of(kind, &own)?,
            "AWS::SQS::Queue" => format!("https://sqs.{}.amazonaws.com/{}/{own}", around.region, around.account),
            _ => own,
        };
        Ok(Some(reference.into()))
    }

    fn parameter(&self, name: &str, parameter: &Value) -> Result<Value, String> {
        let given = self.around.parameters.get(name).cloned();
        let default = parameter.get("Default").map(as_text).transpose()?;
        let value = given.or(default);
        let value = value.ok_or_else(|| format!("parameter {name} has no default and was not given"))?;
        if let Some(allowed) = parameter["AllowedValues"].as_array()
            && !allowed
                .iter()
                .any(|allowed| as_text(allowed).is_ok_and(|allowed| allowed == value))
        {
            return Err(format!("parameter {name} may not be \"{value}\""));
        }
        let is_list = parameter["Type"].as_str().is_some_and(|kind| kind.contains("List"));
        if is_list {
            return Ok(value.split(',').map(|item| Value::from(item.trim())).collect());
        }
        Ok(value.into())
    }

    /// The kind of a resource, and its own name.
    fn named(&self, id: &str) -> Result<(&str, String), String> {
        let resource = self.template["Resources"].get(id);
        let resource = resource.ok_or_else(|| format!("there is no parameter or resource {id}"))?;
        let kind = resource["Type"].as_str().unwrap_or_default();
        let property = NAMED_BY
            .iter()
            .find(|(named, _)| *named == kind)
            .map(|(_, property)| *property);
        let own = property.and_then(|property| resource["Properties"].get(property));
        let own = match own {
            Some(name) => as_text(&self.needed(name)?)?,
            None => id.to_owned(),
        };
        Ok((kind, own))
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{rest}",
            self.around.region, self.around.account
        )
    }

    fn arn_of(&self, kind: &str, own: &str) -> Result<String, String> {
        Ok(match kind {
            "AWS::CloudWatch::Alarm" => self.arn("cloudwatch", &format!("alarm:{own}")),
            "AWS::DynamoDB::Table" => self.arn("dynamodb", &format!("table/{own}")),
            "AWS::Events::EventBus" => self.arn("events", &format!("event-bus/{own}")),
            "AWS::Events::Rule" => self.arn("events", &format!("rule/{own}")),
            "AWS::IAM::Role" => format!("arn:aws:iam::{}:role/{own}", self.around.account),
            "AWS::Lambda::Function" => self.arn("lambda", &format!("function:{own}")),
            "AWS::Logs::LogGroup" => self.arn("logs", &format!("log-group:{own}:*")),
            "AWS::S3::Bucket" => format!("arn:aws:s3:::{own}"),
            "AWS::SNS::Topic" => self.arn("sns", own),
            "AWS::SQS::Queue" => self.arn("sqs", own),
            "AWS::StepFunctions::StateMachine" => self.arn("states", &format!("stateMachine:{own}")),
            other => return Err(format!("the ARN of {other} \"{own}\" is not known here")),
        })
    }

    fn attribute(&self, argument: &Value) -> Result<Value, String> {
        let (id, attribute) = match argument {
            Value::String(both) => both.split_once('.').ok_or_else(|| format!("Fn::GetAtt {both}"))?,
            other => (text(&other[0])?, text(&other[1])?),
        };
        let (kind, own) = self.named(id)?;
        match attribute {
            "Arn" | "TopicArn" | "StateMachineArn" => self.arn_of(kind, &own).map(Value::from),
            "Name" | "QueueName" | "TopicName" => Ok(own.into()),
            "QueueUrl" => self.reference(id)?.ok_or_else(|| format!("no URL of {id}")),
            other => Err(format!("Fn::GetAtt {id}.{other} is not understood here")),
        }
    }

    fn substitute(&self, argument: &Value) -> Result<Value, String> {
        let (pattern, own) = match argument {
            Value::Array(both) => (text(&both[0])?, both.get(1)),
            other => (text(other)?, None),
        };
        let (mut worked, mut rest) = (String::new(), pattern);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("Fn::Sub without an end: {pattern}"))?;
            worked.push_str(before);
            worked.push_str(&self.substitution(name, own)?);
            rest = after;
        }
        worked.push_str(rest);
        Ok(worked.into())
    }

    fn substitution(&self, name: &str, own: Option<&Value>) -> Result<String, String> {
        if let Some(literal) = name.strip_prefix('!') {
            return Ok(format!("${{{literal}}}"));
        }
        let value = match own.and_then(|own| own.get(name)) {
            Some(value) => self.needed(value)?,
            None if name.contains('.') => self.attribute(&name.into())?,
            None => self
                .reference(name)?
                .ok_or_else(|| format!("${{{name}}} has no value"))?,
        };
        as_text(&value)
    }

    fn find_in_map(&self, argument: &Value) -> Result<Value, String> {
        let mut names = Vec::new();
        for part in argument.as_array().into_iter().flatten().take(3) {
            names.push(as_text(&self.needed(part)?)?);
        }
        let mut place = &self.template["Mappings"];
        for name in &names {
            place = &place[name.as_str()];
        }
        match place {
            Value::Null => Err(format!("Fn::FindInMap {} leads nowhere", names.join(", "))),
            found => Ok(found.clone()),
        }
    }

    fn condition(&self, name: &str) -> Result<bool, String> {
        match self.template["Conditions"].get(name) {
            Some(condition) => self
                .test(condition)
                .map_err(|error| format!("condition {name}: {error}")),
            None => Err(format!("there is no condition {name}")),
        }
    }

    fn test(&self, condition: &Value) -> Result<bool, String> {
        let fields = condition
            .as_object()
            .ok_or_else(|| format!("no condition: {condition}"))?;
        let (function, argument) = only_function(fields).ok_or_else(|| format!("no condition: {condition}"))?;
        let each = || argument.as_array().into_iter().flatten().map(|part| self.test(part));
        match function {
            "Condition" => self.condition(text(argument)?),
            "Fn::Equals" => {
                let (left, right) = (self.needed(&argument[0])?, self.needed(&argument[1])?);
                Ok(as_text(&left)? == as_text(&right)?)
            }
            "Fn::And" => each()
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.into_iter().all(|holds| holds)),
            "Fn::Or" => each()
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.into_iter().any(|holds| holds)),
            "Fn::Not" => self.test(&argument[0]).map(|holds| !holds),
            other => Err(format!("{other} is no condition that is understood here")),
        }
    }
}

/// The function that an object stands for: it has one key, which says so. A resource's `Condition` key is text beside others.
fn only_function(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut both = fields.iter();
    match (both.next(), both.next()) {
        (Some((key, argument)), None)
            if key == "Ref" || key.starts_with("Fn::") || (key == "Condition" && argument.is_string()) =>
        {
            Some((key, argument))
        }
        _ => None,
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("no text: {value}"))
}

fn as_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(format!("no text: {value}")),
    }
}

/// The kinds of resources in a template, for a look at what is not wired.
pub fn kinds(resources: &[Resource]) -> BTreeSet<&str> {
    resources.iter().map(|resource| resource.kind.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(parameters: &[(&str, &str)]) -> Surroundings {
        Surroundings {
            account: "123456789012".to_owned(),
            region: "eu-central-1".to_owned(),
            stack: "holdfast".to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn template(value: &Value) -> Value {
        json!({
            "Parameters": {
                "Stage": { "Type": "String", "AllowedValues": ["test", "live"] },
                "Zones": { "Type": "CommaDelimitedList", "Default": "a, b" },
                "Days": { "Type": "Number", "Default": 30 },
            },
            "Conditions": {
                "IsLive": { "Fn::Equals": [{ "Ref": "Stage" }, "live"] },
                "IsNot": { "Fn::Not": [{ "Condition": "IsLive" }] },
                "Both": { "Fn::And": [{ "Condition": "IsLive" }, { "Condition": "IsNot" }] },
            },
            "Mappings": { "Sizes": { "test": { "memory": 256 } } },
            "Resources": {
                "Queue": { "Type": "AWS::SQS::Queue", "Properties": { "QueueName": { "Fn::Sub": "q-${Stage}" } } },
                "Topic": { "Type": "AWS::SNS::Topic" },
                "Only": { "Type": "AWS::SNS::Topic", "Condition": "IsLive" },
                "It": { "Type": "Custom::It", "Properties": { "Is": value } },
            },
        })
    }

    fn worked(value: &Value) -> Result<Value, String> {
        let resources = work_out(&template(value), &around(&[("Stage", "test")]))?;
        let it = resources.iter().find(|resource| resource.id == "It").unwrap();
        Ok(it.properties["Is"].clone())
    }

    #[test]
    fn functions_are_worked_out_as_cloudformation_would() {
        let arn = "arn:aws:sqs:eu-central-1:123456789012:q-test";
        let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/q-test";
        let cases = [
            (json!({ "Ref": "Queue" }), json!(url)),
            (
                json!({ "Ref": "Topic" }),
                json!("arn:aws:sns:eu-central-1:123456789012:Topic"),
            ),
            (json!({ "Fn::GetAtt": ["Queue", "Arn"] }), json!(arn)),
            (json!({ "Fn::GetAtt": "Queue.QueueName" }), json!("q-test")),
            (
                json!({ "Fn::Sub": "${Queue.Arn}/${!Keep}/${AWS::Region}" }),
                json!(format!("{arn}/${{Keep}}/eu-central-1")),
            ),
            (
                json!({ "Fn::Sub": ["${A}-${Stage}", { "A": { "Ref": "Days" } }] }),
                json!("30-test"),
            ),
            (json!({ "Fn::Join": [":", ["a", { "Ref": "Stage" }]] }), json!("a:test")),
            (json!({ "Fn::Select": [1, { "Ref": "Zones" }] }), json!("b")),
            (json!({ "Fn::Split": ["/", "a/b"] }), json!(["a", "b"])),
            (
                json!({ "Fn::FindInMap": ["Sizes", { "Ref": "Stage" }, "memory"] }),
                json!(256),
            ),
            (json!({ "Fn::If": ["IsLive", 1, 2] }), json!(2)),
            (json!({ "Fn::If": ["IsNot", "yes", "no"] }), json!("yes")),
            (json!({ "Fn::If": ["Both", 1, { "Ref": "AWS::NoValue" }] }), Value::Null),
            (json!([1, { "Ref": "AWS::NoValue" }, 2]), json!([1, 2])),
            (
                json!({ "Condition": { "Bool": { "x": "y" } } }),
                json!({ "Condition": { "Bool": { "x": "y" } } }),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(worked(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_worked_out_is_named_with_its_place() {
        let cases = [
            (json!({ "Ref": "Gone" }), "Gone"),
            (json!({ "Fn::GetAtt": ["Queue", "Colour"] }), "Queue.Colour"),
            (json!({ "Fn::ImportValue": "x" }), "Fn::ImportValue"),
            (json!({ "Fn::If": ["IsOdd", 1, 2] }), "IsOdd"),
            (
                json!({ "Fn::FindInMap": ["Sizes", "live", "memory"] }),
                "Sizes, live, memory",
            ),
            (json!({ "Fn::Select": [2, { "Ref": "Zones" }] }), "from 2 items"),
            (json!({ "Fn::Sub": "${Nobody}" }), "Nobody"),
        ];
        for (value, culprit) in cases {
            let error = worked(&value).unwrap_err();
            assert!(
                error.contains(culprit) && error.starts_with("It (Custom::It): Is:"),
                "{error}"
            );
        }
    }

    #[test]
    fn parameters_and_conditions_are_held_to() {
        let known = template(&json!(1));
        let missing = work_out(&known, &around(&[])).unwrap_err();
        assert!(missing.contains("parameter Stage"), "{missing}");
        let refused = work_out(&known, &around(&[("Stage", "prod")])).unwrap_err();
        assert!(refused.contains("may not be \"prod\""), "{refused}");
        let unknown = work_out(&known, &around(&[("Stage", "test"), ("Stag", "x")])).unwrap_err();
        assert!(unknown.contains("no parameters Stag"), "{unknown}");
        let live = work_out(&known, &around(&[("Stage", "live")])).unwrap();
        assert!(live.iter().any(|resource| resource.id == "Only"));
        let test = work_out(&known, &around(&[("Stage", "test")])).unwrap();
        assert!(test.iter().all(|resource| resource.id != "Only"));
    }
}
