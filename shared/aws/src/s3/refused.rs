//! [`Refused`]: a call to S3 that failed, with what callers tell apart.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use holdfast_core::domain::{Failure, FailureKind};

use crate::failure;

/// A call that failed.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// What the caller should do.
    pub(crate) kind: FailureKind,
    /// The code that S3 answered with; empty where it gave none.
    code: String,
    /// The status of the answer; 0 where there was none.
    status: u16,
    /// What failed, where, and why.
    pub(crate) message: String,
}

impl Refused {
    /// The refusal of `operation` on `key` of `bucket`.
    pub(crate) fn new<E>(operation: &str, bucket: &str, key: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let on = if key.is_empty() {
            format!("s3://{bucket}")
        } else {
            format!("s3://{bucket}/{}", key.escape_debug())
        };
        let code = failure::code(error).unwrap_or_default().to_owned();
        let Failure { kind, mut message, .. } = failure::failure(&format!("S3 {operation}"), on, error);
        let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
        match code.as_str() {
            "NoSuchBucket" => message.push_str(" (the bucket does not exist: check its name and its Region)"),
            "InvalidObjectState" => message.push_str(" (it is archived: restore it in S3 first)"),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                message.push_str(" (the bucket is in another Region than configured)");
            }
            _ => {}
        }
        Self {
            kind,
            code,
            status,
            message,
        }
    }

    /// A call whose answer broke off or makes no sense.
    pub(crate) fn broken(message: String) -> Self {
        Self {
            kind: FailureKind::Transient,
            code: String::new(),
            status: 0,
            message,
        }
    }

    /// There is no such object. A missing bucket is something else.
    pub(crate) fn is_missing(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }

    /// There is no such bucket.
    pub(crate) fn is_no_bucket(&self) -> bool {
        self.code == "NoSuchBucket"
    }

    /// A condition on the call did not hold: something is there already, or is not what it was. The end of an upload in
    /// parts says so with status 200.
    pub(crate) fn is_condition(&self) -> bool {
        self.status == 412 || self.code == "PreconditionFailed"
    }

    /// Somebody else writes the same key at this moment; or the upload has ended already, by a call whose answer was lost:
    /// what stands there then says how.
    pub(crate) fn is_race(&self) -> bool {
        self.code == "ConditionalRequestConflict"
            || self.code == "NoSuchUpload"
            || (self.status == 409 && self.code.is_empty())
    }

    /// The range begins at or after the end.
    pub(crate) fn is_past_end(&self) -> bool {
        self.status == 416
    }

    /// The bytes that arrived do not have the checksum that was sent with them.
    pub(crate) fn is_damaged_on_the_way(&self) -> bool {
        self.kind == FailureKind::Integrity
    }

    /// No room is left to write.
    pub(crate) fn is_full(&self) -> bool {
        self.status == 507 || self.code == "QuotaExceeded"
    }

    /// The object is in an archive and cannot be read now.
    pub(crate) fn is_archived(&self) -> bool {
        self.code == "InvalidObjectState"
    }

    /// As it crosses a port.
    pub(crate) fn into_failure(self) -> Failure {
        Failure::new(self.kind, self.message)
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn refused(status: u16, code: &str) -> Refused {
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        let error = SdkError::service_error(ErrorMetadata::builder().code(code).build(), response);
        Refused::new("CompleteMultipartUpload", "bucket", "key", &error)
    }

    #[test]
    fn the_end_of_an_upload_tells_what_is_there_by_its_code() {
        assert!(refused(200, "PreconditionFailed").is_condition());
        assert!(refused(200, "ConditionalRequestConflict").is_race());
        assert!(refused(404, "NoSuchUpload").is_race());
        assert!(!refused(200, "InternalError").is_condition());
        assert!(!refused(409, "OperationAborted").is_race());
    }

    #[test]
    fn a_bucket_of_another_region_is_no_lost_region() {
        let elsewhere = refused(301, "PermanentRedirect");
        assert_eq!(elsewhere.kind, FailureKind::Invalid);
        assert!(elsewhere.message.contains("another Region"), "{}", elsewhere.message);
    }
}
