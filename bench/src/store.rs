//! [`Store`]: an S3 server that holds everything in memory. It takes next to no processor time, so that what is measured
//! over it is the programs and the pace that it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use holdfast_tests::front::Front;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// When everything was stored: nothing here looks at it.
const MODIFIED: &str = "2026-01-01T00:00:00.000Z";
const MODIFIED_IN_HEADERS: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
/// Keys on one page of a listing.
const PAGE: usize = 1000;
/// What stands in a listing as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Bytes by `bucket/key`.
type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// The server. Every bucket exists, everybody may do everything, and each write is there at once.
pub struct Store {
    objects: Objects,
    /// Where it is reached, at a pace.
    pub front: Front,
}

impl Store {
    /// Starts an empty one.
    pub fn start() -> Self {
        let objects = Objects::default();
        let served = Arc::clone(&objects);
        let front = Front::before(Box::new(move |parts, body| {
            let answer = answer(&served, &parts, body);
            Box::pin(async move { answer })
        }));
        Self { objects, front }
    }

    /// Stores an object without asking.
    pub fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        locked(&self.objects).insert(format!("{bucket}/{key}"), bytes.into());
    }
}

fn locked(objects: &Objects) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(objects: &Objects, parts: &Parts, body: Vec<u8>) -> Response {
    let path = percent_decode_str(parts.uri.path().trim_start_matches('/')).decode_utf8_lossy();
    let query: BTreeMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    match path.split_once('/') {
        Some((_, key)) if !key.is_empty() => object(objects, parts, &path, body),
        _ => bucket(objects, &parts.method, path.trim_end_matches('/'), &query),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

fn xml(status: StatusCode, text: String) -> Response {
    (status, [("content-type", "application/xml")], text).into_response()
}

fn refused(status: StatusCode, code: &str) -> Response {
    xml(
        status,
        format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"),
    )
}

fn etag(bytes: &Bytes) -> String {
    format!("\"{:032x}\"", bytes.as_ptr() as usize)
}

fn object(objects: &Objects, parts: &Parts, name: &str, body: Vec<u8>) -> Response {
    match parts.method {
        Method::PUT => {
            let bytes = Bytes::from(unframed(&parts.headers, body));
            let mut objects = locked(objects);
            if parts.headers.contains_key("if-none-match") && objects.contains_key(name) {
                return refused(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
            let etag = etag(&bytes);
            objects.insert(name.to_owned(), bytes);
            [("etag", etag)].into_response()
        }
        Method::GET | Method::HEAD => match locked(objects).get(name) {
            Some(bytes) => content(&parts.headers, &parts.method, bytes),
            None => refused(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        Method::DELETE => {
            locked(objects).remove(name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => refused(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
    }
}

fn content(headers: &HeaderMap, method: &Method, bytes: &Bytes) -> Response {
    let range = headers.get("range").and_then(|range| range.to_str().ok());
    let asked = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (status, part) = match asked {
        None => (StatusCode::OK, 0..bytes.len()),
        Some((from, to)) => {
            let from = from.parse().unwrap_or(0);
            let to = to.parse().map_or(bytes.len(), |last: usize| bytes.len().min(last + 1));
            if from >= to {
                return refused(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
            }
            (StatusCode::PARTIAL_CONTENT, from..to)
        }
    };
    let answer = Response::builder()
        .status(status)
        .header("etag", etag(bytes))
        .header("last-modified", MODIFIED_IN_HEADERS)
        .header("accept-ranges", "bytes")
        .header("content-length", part.len())
        .header(
            "content-range",
            format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), bytes.len()),
        );
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(bytes.slice(part)),
    };
    answer
        .body(body)
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// The bytes of a body that comes in signed or checksummed pieces, as `<length in hex>[;…]\r\n<bytes>\r\n`.
fn unframed(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    let signed = headers.get("x-amz-content-sha256");
    if !signed.is_some_and(|how| how.as_bytes().starts_with(b"STREAMING-")) {
        return body;
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.as_slice();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]);
        let length = head
            .split(';')
            .next()
            .and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(length) = length.filter(|length| *length > 0) else {
            break;
        };
        let from = end + 2;
        bytes.extend_from_slice(&rest[from..(from + length).min(rest.len())]);
        rest = &rest[(from + length + 2).min(rest.len())..];
    }
    bytes
}

fn bucket(objects: &Objects, method: &Method, name: &str, query: &BTreeMap<String, String>) -> Response {
    if *method != Method::GET {
        return StatusCode::OK.into_response();
    }
    if query.contains_key("location") {
        return xml(StatusCode::OK, "<LocationConstraint></LocationConstraint>".to_owned());
    }
    xml(StatusCode::OK, page(objects, name, query))
}

/// One page of a listing (ListObjectsV2).
fn page(objects: &Objects, bucket: &str, query: &BTreeMap<String, String>) -> String {
    let of = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let prefix = format!("{bucket}/{}", of("prefix"));
    let delimiter = of("delimiter");
    let most = of("max-keys").parse().unwrap_or(PAGE).min(PAGE);
    let after = [of("continuation-token"), of("start-after")]
        .into_iter()
        .find(|after| !after.is_empty());
    let mut from = match after {
        Some(after) => Bound::Excluded(format!("{bucket}/{after}").max(prefix.clone())),
        None => Bound::Included(prefix.clone()),
    };
    let (mut contents, mut folders, mut last) = (String::new(), BTreeSet::new(), None);
    let mut count = 0;
    let objects = locked(objects);
    let is_truncated = loop {
        let next = objects.range((from.clone(), Bound::Unbounded)).next();
        let Some((name, bytes)) = next.filter(|(name, _)| name.starts_with(&prefix)) else {
            break false;
        };
        if count == most {
            break true;
        }
        count += 1;
        let below = &name[prefix.len()..];
        let folder = (!delimiter.is_empty()).then(|| below.find(delimiter)).flatten();
        let key = |name: &str| utf8_percent_encode(&name[bucket.len() + 1..], PLAIN).to_string();
        match folder {
            Some(at) => {
                let folder = &name[..prefix.len() + at + delimiter.len()];
                folders.insert(key(folder));
                // The first name that does not begin with the folder's.
                let beyond = format!("{folder}\u{10ffff}");
                last = Some(beyond.clone());
                from = Bound::Excluded(beyond);
            }
            None => {
                contents.push_str(&format!(
                    "<Contents><Key>{}</Key><LastModified>{MODIFIED}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                     <StorageClass>STANDARD</StorageClass></Contents>",
                    key(name),
                    etag(bytes).replace('"', "&quot;"),
                    bytes.len()
                ));
                last = Some(name.clone());
                from = Bound::Excluded(name.clone());
            }
        }
    };
    let folders: String = folders
        .iter()
        .map(|folder| format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"))
        .collect();
    let next = match last.filter(|_| is_truncated) {
        Some(last) => {
            let token = last[bucket.len() + 1..].replace('&', "&amp;").replace('<', "&lt;");
            format!("<NextContinuationToken>{token}</NextContinuationToken>")
        }
        None => String::new(),
    };
    format!(
        "<ListBucketResult><Name>{bucket}</Name><EncodingType>url</EncodingType><KeyCount>{count}</KeyCount>\
         <MaxKeys>{most}</MaxKeys><IsTruncated>{is_truncated}</IsTruncated>{next}{contents}{folders}</ListBucketResult>"
    )
}
