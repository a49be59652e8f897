//! Why a request is refused, and how each reason is said in gRPC and in HTTP: one table.
//!
//! The code decides what the client does next. A permanent fault must never be answered with a code that OTLP lists
//! as retryable (the client would send the same poison for ever), and a passing one must carry a delay.
//! Source: OTLP 1.11, "Failures" for OTLP/gRPC and OTLP/HTTP; `google.rpc.Code`.

use super::RETRY_AFTER_SECS;
use super::compression::Encoding;
use super::wire::Details;
use crate::otlp::DecodeError;
use http::StatusCode;

/// A refused request. `Display` is the message the client gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "request is larger than {limit} bytes, before or after decompression; hint: send smaller batches"
    )]
    TooLarge { limit: usize },
    #[error("{message}")]
    TooManyItems { message: String },
    #[error("{message}")]
    Undecodable { message: String, field: String },
    #[error("body cannot be decompressed: {message}")]
    BadCompression { message: String },
    #[error("body ended early or was framed wrongly: {message}")]
    BadFraming { message: String },
    #[error("the receiver is at its memory or queue limit; try again later")]
    Overloaded,
    #[error("the receiver is shutting down; try again later")]
    ShuttingDown,
    #[error("the receiver failed on this request; it was not counted")]
    Internal,
    #[error("body did not arrive within {secs} s")]
    BodyTimeout { secs: u64 },
    #[error("expected `authorization: Bearer <token>` with the token of this receiver")]
    Unauthenticated,
    #[error("profiles are not received; hint: leave their exporter out")]
    Profiles,
    #[error(
        "no such path; hint: POST OTLP to `/v1/traces`, `/v1/metrics` or `/v1/logs`, or gRPC to their services"
    )]
    NotFound,
    #[error(
        "no such gRPC method; hint: `opentelemetry.proto.collector.trace.v1.TraceService/Export`, and likewise metrics and logs"
    )]
    UnknownMethod,
    #[error("expected POST")]
    MethodNotAllowed,
    #[error("expected content-type `application/x-protobuf` or `application/json`")]
    UnsupportedMediaType,
    #[error("content encoding is not one of: {}", Encoding::ACCEPTED)]
    UnsupportedEncoding,
    #[error("message is flagged as compressed but grpc-encoding names no compression")]
    CompressedWithoutEncoding,
    #[error("expected exactly one message")]
    NotOneMessage,
}

/// `google.rpc.Code` numbers that are sent.
pub(crate) mod code {
    pub(crate) const OK: u8 = 0;
    pub(crate) const INVALID_ARGUMENT: u8 = 3;
    pub(crate) const DEADLINE_EXCEEDED: u8 = 4;
    pub(crate) const NOT_FOUND: u8 = 5;
    pub(crate) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(crate) const UNIMPLEMENTED: u8 = 12;
    pub(crate) const INTERNAL: u8 = 13;
    pub(crate) const UNAVAILABLE: u8 = 14;
    pub(crate) const UNAUTHENTICATED: u8 = 16;
}

/// One row of the table.
pub(crate) struct Row {
    /// Position in [`Refusal::LABELS`].
    pub(crate) index: usize,
    /// gRPC status, also the `code` of the HTTP body.
    pub(crate) code: u8,
    /// HTTP status.
    pub(crate) http: StatusCode,
}

impl Refusal {
    /// Labels of all rows, in the order of [`Row::index`].
    pub(crate) const LABELS: [&'static str; 18] = [
        "too_large",
        "too_many_items",
        "undecodable",
        "bad_compression",
        "bad_framing",
        "overloaded",
        "shutting_down",
        "internal",
        "body_timeout",
        "unauthenticated",
        "profiles",
        "not_found",
        "unknown_method",
        "method_not_allowed",
        "unsupported_media_type",
        "unsupported_encoding",
        "compressed_without_encoding",
        "not_one_message",
    ];

    /// How this refusal is answered.
    pub(crate) fn row(&self) -> Row {
        let (index, code, http) = match self {
            Self::TooLarge { .. } => (0, code::RESOURCE_EXHAUSTED, StatusCode::PAYLOAD_TOO_LARGE),
            Self::TooManyItems { .. } => {
                (1, code::RESOURCE_EXHAUSTED, StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Undecodable { .. } => (2, code::INVALID_ARGUMENT, StatusCode::BAD_REQUEST),
            Self::BadCompression { .. } => (3, code::INVALID_ARGUMENT, StatusCode::BAD_REQUEST),
            Self::BadFraming { .. } => (4, code::INVALID_ARGUMENT, StatusCode::BAD_REQUEST),
            Self::Overloaded => (5, code::UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
            Self::ShuttingDown => (6, code::UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => (7, code::INTERNAL, StatusCode::INTERNAL_SERVER_ERROR),
            Self::BodyTimeout { .. } => (8, code::DEADLINE_EXCEEDED, StatusCode::REQUEST_TIMEOUT),
            Self::Unauthenticated => (9, code::UNAUTHENTICATED, StatusCode::UNAUTHORIZED),
            Self::Profiles => (10, code::UNIMPLEMENTED, StatusCode::NOT_FOUND),
            Self::NotFound => (11, code::NOT_FOUND, StatusCode::NOT_FOUND),
            Self::UnknownMethod => (12, code::UNIMPLEMENTED, StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => (13, code::UNIMPLEMENTED, StatusCode::METHOD_NOT_ALLOWED),
            Self::UnsupportedMediaType => (
                14,
                code::INVALID_ARGUMENT,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ),
            Self::UnsupportedEncoding => {
                (15, code::UNIMPLEMENTED, StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::CompressedWithoutEncoding => (16, code::INTERNAL, StatusCode::BAD_REQUEST),
            Self::NotOneMessage => (17, code::UNIMPLEMENTED, StatusCode::BAD_REQUEST),
        };
        Row { index, code, http }
    }

    /// The details the client's retry logic and its reader need.
    pub(crate) fn details(&self) -> Details {
        let violation = match self {
            Self::Undecodable { message, field } => Some((field.clone(), message.clone())),
            Self::BadCompression { message } | Self::BadFraming { message } => {
                Some(("body".to_owned(), message.clone()))
            }
            _ => None,
        };
        let passing = matches!(self, Self::Overloaded | Self::ShuttingDown);
        Details {
            retry_secs: passing.then_some(RETRY_AFTER_SECS),
            violation,
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let message = error.to_string();
        match error {
            DecodeError::Malformed { path, .. } => {
                let field = if path.is_empty() {
                    "body".to_owned()
                } else {
                    path
                };
                Self::Undecodable { message, field }
            }
            DecodeError::TooManyItems { .. } | DecodeError::TooManyBytes { .. } => {
                Self::TooManyItems { message }
            }
        }
    }
}

#[cfg(test)]
mod tests;
