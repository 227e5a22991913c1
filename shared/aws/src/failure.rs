//! What AWS refused, as the caller needs to know it. Every adapter's errors pass through here.

use std::error::Error;
use std::fmt::Display;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use holdfast_core::domain::{Failure, FailureKind};

/// The kinds of the codes that services answer with. A code stands under one kind whatever service says it.
const CODES: [(FailureKind, &[&str]); 8] = [
    (
        // Full or busy: nobody did anything wrong, and it passes.
        FailureKind::Deferred,
        &[
            "BackupInUseException",
            "DBClusterQuotaExceededFault",
            "InstanceQuotaExceeded",
            "InsufficientDBClusterCapacityFault",
            "InsufficientDBInstanceCapacity",
            "InsufficientStorageClusterCapacity",
            "InvalidDBClusterSnapshotStateFault",
            "InvalidDBClusterStateFault",
            "InvalidDBInstanceState",
            "InvalidDBSnapshotState",
            "InvalidGlobalClusterStateFault",
            "InvalidResourceStateException",
            "ResourceContention",
            "ResourceInUseException",
            "ScalingActivityInProgress",
            "UpdateInProgressException",
            "SnapshotQuotaExceeded",
            "StorageQuotaExceeded",
            "TableInUseException",
        ],
    ),
    (
        FailureKind::Throttled,
        &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "ProvisionedThroughputExceededException",
            "ProvisionedThroughputExceeded",
            "BandwidthLimitExceeded",
            "LimitExceededException",
            "SlowDown",
            "KMSThrottling",
            "KMSThrottlingException",
            "Throttled",
            "OverLimit",
            "AWS.SimpleQueueService.RequestThrottled",
        ],
    ),
    (
        FailureKind::Denied,
        &[
            "AccessDenied",
            "AccessDeniedException",
            "AllAccessDisabled",
            "AuthorizationError",
            "AuthorizationErrorException",
            "AuthFailure",
            "ExpiredToken",
            "ExpiredTokenException",
            "InsufficientPrivilegesException",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "InvalidToken",
            "KMSAccessDenied",
            "KMSAccessDeniedException",
            "KMSKeyNotAccessibleFault",
            "KMSOptInRequired",
            "MissingAuthenticationToken",
            "NotAuthorized",
            "NotAuthorizedForDetailTypeException",
            "NotAuthorizedForSourceException",
            "NotAuthorizedException",
            "OptInRequired",
            "SignatureDoesNotMatch",
            "UnauthorizedOperation",
            "UnrecognizedClientException",
        ],
    ),
    (
        FailureKind::NotFound,
        &[
            "AWS.SimpleQueueService.NonExistentQueue",
            "BackupNotFoundException",
            "DBClusterNotFoundFault",
            "DBClusterSnapshotNotFoundFault",
            "DBInstanceNotFound",
            "DBSnapshotNotFound",
            "GlobalClusterNotFoundFault",
            "KMSNotFoundException",
            "KMSNotFound",
            "NoSuchBucket",
            "NoSuchKey",
            "NoSuchUpload",
            "NoSuchVersion",
            "ServiceNotFoundException",
            "ClusterNotFoundException",
            "NotFound",
            "NotFoundException",
            "QueueDoesNotExist",
            "ResourceNotFound",
            "ResourceNotFoundException",
            "ResourceNotFoundFault",
            "TableNotFoundException",
        ],
    ),
    (
        FailureKind::Conflict,
        &[
            "ConditionalCheckFailedException",
            "ConditionalRequestConflict",
            "OperationAborted",
            "PreconditionFailed",
            "TransactionConflictException",
        ],
    ),
    (
        FailureKind::Integrity,
        &[
            "BadDigest",
            "InvalidDigest",
            "XAmzContentChecksumMismatch",
            "XAmzContentSHA256Mismatch",
        ],
    ),
    (
        FailureKind::Invalid,
        &[
            "InvalidArgument",
            "InvalidObjectState",
            "InvalidParameter",
            "InvalidParameterCombination",
            "InvalidParameterException",
            "InvalidParameterValue",
            "InvalidParameterValueException",
            "InvalidRequest",
            "InvalidRequestException",
            "MalformedDetail",
            "MissingParameterValueException",
            "SerializationException",
            "ValidationError",
            "ValidationException",
            // A key that is switched off or about to be deleted stays so until somebody acts.
            "DisabledException",
            "KMSDisabled",
            "KMSDisabledException",
            "InvalidStateException",
            "KMSInvalidState",
            "KMSInvalidStateException",
            "InvalidKeyUsageException",
            // The Region is another one than configured.
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
        ],
    ),
    (
        FailureKind::Transient,
        &[
            "BackendTimeoutException",
            "DependencyTimeoutException",
            "EndpointTemporarilyUnavailableException",
            "InternalError",
            "InternalErrorException",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "InternalException",
            "KeyUnavailableException",
            "KMSInternalException",
            "RequestTimeTooSkewed",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServerException",
            "ServiceException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ],
    ),
];

/// Codes whose messages repeat the request, its session token included.
const TELLS_TOO_MUCH: [&str; 2] = ["SignatureDoesNotMatch", "InvalidSignatureException"];

/// The failure of a call: `operation` names the service and what it was asked, such as `DynamoDB PutItem`, and `on` the
/// thing that it was asked of.
pub(crate) fn failure<E>(operation: &str, on: impl Display, error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let (kind, what) = match error {
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            let code = refusal.err().code();
            (kind(code, status), told(code, status, refusal.err().message()))
        }
        SdkError::ConstructionFailure(_) => (FailureKind::Invalid, format!("cannot be asked: {}", chain(error))),
        SdkError::TimeoutError(_) => (FailureKind::Transient, "no answer in time".to_owned()),
        SdkError::ResponseError(broken) => {
            let status = broken.raw().status().as_u16();
            (
                kind(None, status),
                format!("status {status}: the answer cannot be read"),
            )
        }
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
            (FailureKind::Invalid, format!("cannot be asked: {}", chain(error)))
        }
        _ => (FailureKind::Transient, format!("no answer: {}", chain(error))),
    };
    Failure::new(kind, format!("{operation} on {on}: {what}"))
}

/// The code with which a service refused a call, if it did and said why.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(ProvideErrorMetadata::code)
}

/// The kind of a refusal that the service told by code alone, such as an entry of a batch.
pub(crate) fn kind_of_code(code: &str) -> FailureKind {
    known_kind(code).unwrap_or(FailureKind::Transient)
}

fn known_kind(code: &str) -> Option<FailureKind> {
    // SQS and S3 name what KMS refused to them as `KMS.DisabledException`.
    let code = code.strip_prefix("KMS.").unwrap_or(code);
    let known = CODES.iter().find(|(_, codes)| codes.contains(&code));
    known.map(|(kind, _)| *kind)
}

/// The kind of a refusal. A code that is not known is judged by the status it came with.
fn kind(code: Option<&str>, status: u16) -> FailureKind {
    match (code.and_then(known_kind), status) {
        (Some(kind), _) => kind,
        // Sent on to another Region: it would be sent on again.
        (None, 300..=399) => FailureKind::Invalid,
        (None, 401 | 403) => FailureKind::Denied,
        (None, 404) => FailureKind::NotFound,
        (None, 409 | 412) => FailureKind::Conflict,
        (None, 408) => FailureKind::Transient,
        (None, 429) => FailureKind::Throttled,
        (None, 400..=499) => FailureKind::Invalid,
        (None, _) => FailureKind::Transient,
    }
}

fn told(code: Option<&str>, status: u16, message: Option<&str>) -> String {
    let Some(code) = code else {
        return format!("status {status}");
    };
    match message {
        Some(message) if !message.is_empty() && !TELLS_TOO_MUCH.contains(&code) => format!("{code}: {message}"),
        _ => format!("{code} (status {status})"),
    }
}

/// What an error says, with what is underneath.
fn chain(error: &dyn Error) -> String {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
        next = error.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn refused(status: u16, code: Option<&str>, message: &str) -> Failure {
        let mut metadata = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            metadata = metadata.code(code);
        }
        let response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        let error = SdkError::service_error(metadata.build(), response);
        failure("Service Operation", "thing", &error)
    }

    #[test]
    fn every_refusal_has_one_kind() {
        use FailureKind::{Conflict, Deferred, Denied, Integrity, Invalid, NotFound, Throttled, Transient};
        let table = [
            (400, Some("ThrottlingException"), Throttled),
            (400, Some("ProvisionedThroughputExceededException"), Throttled),
            (503, Some("SlowDown"), Throttled),
            (429, None, Throttled),
            (403, Some("AccessDenied"), Denied),
            (400, Some("AccessDeniedException"), Denied),
            (400, Some("UnrecognizedClientException"), Denied),
            (400, Some("ExpiredTokenException"), Denied),
            (403, None, Denied),
            (404, Some("NoSuchBucket"), NotFound),
            (400, Some("ResourceNotFoundException"), NotFound),
            (400, Some("NotFoundException"), NotFound),
            (404, None, NotFound),
            (400, Some("ConditionalCheckFailedException"), Conflict),
            (412, Some("PreconditionFailed"), Conflict),
            (409, None, Conflict),
            (400, Some("BadDigest"), Integrity),
            (400, Some("ValidationException"), Invalid),
            (400, Some("DisabledException"), Invalid),
            (400, Some("SomethingNew"), Invalid),
            (418, None, Invalid),
            (301, Some("PermanentRedirect"), Invalid),
            (301, None, Invalid),
            (307, None, Invalid),
            (400, Some("AuthorizationHeaderMalformed"), Invalid),
            (400, Some("IllegalLocationConstraintException"), Invalid),
            (400, Some("KMSThrottling"), Throttled),
            (400, Some("KMS.ThrottlingException"), Throttled),
            (400, Some("KMS.AccessDeniedException"), Denied),
            (400, Some("KMS.OptInRequired"), Denied),
            (400, Some("KMS.NotFoundException"), NotFound),
            (400, Some("KMS.DisabledException"), Invalid),
            (400, Some("KMS.InvalidStateException"), Invalid),
            (403, Some("DBClusterQuotaExceededFault"), Deferred),
            (400, Some("InstanceQuotaExceeded"), Deferred),
            (400, Some("InsufficientStorageClusterCapacity"), Deferred),
            (400, Some("StorageQuotaExceeded"), Deferred),
            (500, Some("InternalServerError"), Transient),
            (400, Some("RequestTimeout"), Transient),
            (503, Some("SomethingNew"), Transient),
            (500, None, Transient),
        ];
        for (status, code, kind) in table {
            let failure = refused(status, code, "why");
            assert_eq!(failure.kind, kind, "{status} {code:?}");
            assert!(failure.retry_at.is_none());
        }
    }

    #[test]
    fn no_code_stands_under_two_kinds() {
        let mut all: Vec<&str> = CODES.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let known = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), known);
    }

    #[test]
    fn a_message_tells_operation_thing_code_and_reason() {
        let failure = refused(400, Some("ValidationException"), "no such attribute");
        assert_eq!(
            failure.message,
            "Service Operation on thing: ValidationException: no such attribute"
        );
        assert_eq!(refused(404, None, "").message, "Service Operation on thing: status 404");
    }

    #[test]
    fn a_refused_signature_does_not_repeat_the_request() {
        let failure = refused(403, Some("SignatureDoesNotMatch"), "x-amz-security-token:secret");
        assert_eq!(failure.kind, FailureKind::Denied);
        assert!(!failure.message.contains("secret"), "{failure}");
    }

    #[test]
    fn a_call_without_an_answer_passes_and_says_why() {
        let lost = ConnectorError::io("connection refused".into());
        let error: SdkError<ErrorMetadata, HttpResponse> = SdkError::dispatch_failure(lost);
        let told = failure("Service Operation", "thing", &error);
        assert_eq!(told.kind, FailureKind::Transient);
        assert!(told.message.contains("connection refused"), "{told}");
        let error: SdkError<ErrorMetadata, HttpResponse> = SdkError::timeout_error("late");
        assert_eq!(
            failure("Service Operation", "thing", &error).kind,
            FailureKind::Transient
        );
    }

    #[test]
    fn a_code_alone_has_the_same_kind() {
        assert_eq!(kind_of_code("ThrottlingException"), FailureKind::Throttled);
        assert_eq!(kind_of_code("NotAuthorizedForDetailTypeException"), FailureKind::Denied);
        assert_eq!(kind_of_code("InternalFailure"), FailureKind::Transient);
    }
}
