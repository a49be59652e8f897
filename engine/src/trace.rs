//! The vocabulary of traces: what is kept of a span while its trace is open, and how a call failed.
//!
//! Two readers share it. The pairing of halves makes edges of it ([`crate::delta::EdgeDelta`]); blame, once a trace has
//! settled, says where its failure began and where its time went ([`crate::delta::BlameDelta`],
//! [`crate::delta::WorkDelta`]).

use serde::{Deserialize, Serialize};

/// How a call ended, seen from the half that tells more. The numbers are a format: they are in Deltas and in SQL.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[repr(u8)]
pub enum FailureClass {
    /// It did not fail.
    #[default]
    Ok = 0,
    /// HTTP 4xx or a gRPC code that is the caller's fault, where that counts as a failure.
    Client4xx = 1,
    /// HTTP 5xx or a gRPC code that is the server's fault.
    Server5xx = 2,
    /// The caller stopped waiting, or a deadline passed.
    Timeout = 3,
    /// Nobody listens there.
    Refused = 4,
    /// The connection broke while in use.
    Reset = 5,
    /// The name could not be resolved.
    Dns = 6,
    /// A proxy had no healthy host to choose from.
    NoHost = 7,
    /// Turned away: 429, circuit breaker, RESOURCE_EXHAUSTED.
    Overload = 8,
    /// The caller went away.
    Cancelled = 9,
    /// Failed, and nothing says how.
    Other = 10,
}

impl FailureClass {
    /// Number of classes.
    pub const COUNT: usize = 11;

    /// Every class, by number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Ok,
        Self::Client4xx,
        Self::Server5xx,
        Self::Timeout,
        Self::Refused,
        Self::Reset,
        Self::Dns,
        Self::NoHost,
        Self::Overload,
        Self::Cancelled,
        Self::Other,
    ];

    /// The word in JSON, SQL and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Client4xx => "client_4xx",
            Self::Server5xx => "server_5xx",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Dns => "dns",
            Self::NoHost => "no_host",
            Self::Overload => "overload",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }

    /// Whether the call failed.
    pub const fn is_failure(self) -> bool {
        !matches!(self, Self::Ok)
    }
}

/// Bits of [`TraceSpan::flags`].
pub mod trace_flag {
    /// The parent is known to be in another process (OTLP span flags, bits 8 and 9): an entry, whatever its kind.
    pub const REMOTE_PARENT: u8 = 1;
    /// The duration is not known: `start` is not to be trusted.
    pub const NO_DURATION: u8 = 1 << 1;
    /// Left out of SLIs by the exclusion rule (health checks).
    pub const EXCLUDED: u8 = 1 << 2;
    /// One attempt of several of the same logical call, and not the first (`http.request.resend_count`, Envoy's
    /// `retry.count`).
    pub const RETRY: u8 = 1 << 3;
    /// The span is of a revision that is no release (intercept, branch).
    pub const NO_RELEASE: u8 = 1 << 4;
    /// The parent is known to be in the same process.
    pub const LOCAL_PARENT: u8 = 1 << 5;
    /// Nothing but a proxy can tell its revision.
    pub const NO_REVISION: u8 = 1 << 6;
    /// It only creates a message: nothing is sent by it.
    pub const NO_CALL: u8 = 1 << 7;
}

/// One span of an open trace. 48 bytes; with its links in the trace table at most 64.
///
/// `actor`, `route` and `peer` are numbers of one folder: they never reach a Delta and no result may depend on their
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceSpan {
    /// Its id.
    pub span_id: u64,
    /// Its parent's id; 0 = root.
    pub parent_id: u64,
    /// Start, ns since the epoch.
    pub start: u64,
    /// End, ns since the epoch: its event time.
    pub end: u64,
    /// Who made it: number of (service, revision).
    pub actor: u32,
    /// Whom it called, as the client tells it: number of the raw peer; 0 = nothing said.
    pub peer: u32,
    /// Operation: [`crate::folder::route_number`], shown by name.
    pub route: u16,
    /// Span kind ([`crate::span::kind`]).
    pub kind: u8,
    /// How it ended, seen from its own side.
    pub class: FailureClass,
    /// Bits of [`trace_flag`].
    pub flags: u8,
}
