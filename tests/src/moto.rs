//! [`Moto`]: most of AWS in one process, with our corrections (`tests/emulators/moto`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use crate::workspace_root;

/// A running emulator with nothing in it. It ends when this is dropped, or when this process dies in any way: it waits for
/// its input to be closed.
pub struct Moto {
    server: Child,
    input: Option<ChildStdin>,
    endpoint: String,
}

impl Moto {
    /// Starts an emulator; that takes a second or two.
    ///
    /// # Panics
    ///
    /// When it does not start: `cargo xtask setup` brings what it needs.
    pub fn start() -> Self {
        let python = workspace_root().join("target/python/bin/python");
        assert!(
            python.is_file(),
            "{}: not there; `cargo xtask setup` makes it",
            python.display()
        );
        let mut server = Command::new(&python)
            // No bytecode beside the sources.
            .arg("-B")
            .arg(workspace_root().join("tests/emulators/moto/server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
        let input = server.stdin.take();
        let output = server.stdout.take().expect("a pipe");
        let mut endpoint = String::new();
        BufReader::new(output)
            .read_line(&mut endpoint)
            .expect("the server's output");
        let endpoint = endpoint.trim().to_owned();
        let moto = Self {
            server,
            input,
            endpoint,
        };
        assert!(
            moto.endpoint.starts_with("http://"),
            "moto does not start: see what it wrote above"
        );
        moto
    }

    /// Its address, as in `http://127.0.0.1:5000`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Moves its clock forward: visibility and delays of queues end, Object Locks expire.
    pub fn advance(&self, seconds: i64) {
        let url = format!("{}/holdfast/clock?advance={seconds}", self.endpoint);
        ureq::post(url).send_empty().expect("the clock moves");
    }

    /// Lets the indexes of tables stay as they are while this is on, as those of AWS do for a moment after each write.
    pub fn freeze_indexes(&self, frozen: bool) {
        let url = format!("{}/holdfast/indexes?frozen={}", self.endpoint, u8::from(frozen));
        ureq::post(url).send_empty().expect("the indexes freeze");
    }

    /// The headers of an object; `path` begins with its bucket.
    pub fn head(&self, region: &str, path: &str) -> BTreeMap<String, String> {
        let request = ureq::head(format!("{}/{path}", self.endpoint));
        let answer = request.header("Authorization", authorization(region, "s3")).call();
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        let headers = answer.headers().iter();
        headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// Deletes an object, or a version of it, and gives the status of the answer.
    pub fn delete(&self, region: &str, path: &str) -> u16 {
        let request = ureq::delete(format!("{}/{path}", self.endpoint))
            .config()
            .http_status_as_error(false)
            .build();
        let answer = request.header("Authorization", authorization(region, "s3")).call();
        answer
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .status()
            .as_u16()
    }

    /// Calls a service that speaks JSON, as its console would: `target` is what the service calls the operation, such as
    /// `DynamoDB_20120810.CreateTable`.
    ///
    /// # Panics
    ///
    /// When the call is refused; the message says how.
    pub fn call(&self, region: &str, service: &str, target: &str, body: &Value) -> Value {
        let request = ureq::post(&self.endpoint)
            .config()
            .http_status_as_error(false)
            .build()
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("Authorization", authorization(region, service));
        let mut answer = request.send(body.to_string()).expect("moto answers");
        let text = answer.body_mut().read_to_string().expect("an answer");
        assert!(
            answer.status().is_success(),
            "{target} {body}: {} {text}",
            answer.status()
        );
        if text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{target}: {error}: {text}"))
    }

    /// Calls a service that takes a form and answers XML, such as SNS. Gives the text of the first element of that name.
    ///
    /// # Panics
    ///
    /// When the call is refused, or its answer has no such element.
    pub fn query(&self, region: &str, service: &str, form: &[(&str, &str)], element: &str) -> String {
        let request = ureq::post(&self.endpoint)
            .config()
            .http_status_as_error(false)
            .build()
            .header("Authorization", authorization(region, service));
        let mut answer = request.send_form(form.iter().copied()).expect("moto answers");
        let text = answer.body_mut().read_to_string().expect("an answer");
        let found = text
            .split_once(&format!("<{element}>"))
            .and_then(|(_, rest)| rest.split_once("</"))
            .map(|(found, _)| found.to_owned());
        found.unwrap_or_else(|| panic!("{form:?}: no {element}: {} {text}", answer.status()))
    }

    /// Makes a bucket with Object Lock, which keeps versions.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn create_locked_bucket(&self, region: &str, bucket: &str) {
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        );
        ureq::put(format!("{}/{bucket}", self.endpoint))
            .header("Authorization", authorization(region, "s3"))
            .header("x-amz-bucket-object-lock-enabled", "true")
            .send(place)
            .unwrap_or_else(|error| panic!("bucket {bucket}: {error}"));
    }
}

/// Says for which Region and service a request is, as a signature would. moto checks none.
fn authorization(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=emulated/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.server.wait());
    }
}
