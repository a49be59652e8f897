//! A finished span as the shop produces it: facts only, no attributes; `encode` dresses it.

use crate::topology::ServiceIndex;

/// Which span of an operation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The operation itself: an entry span of its service.
    Server,
    /// An outgoing call: index into the operation's calls.
    Client(u8),
    /// A probe of the orchestrator; belongs to no operation.
    HealthCheck,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// As asked.
    Fine,
    /// 404 or NOT_FOUND: the asker's mistake, no failure.
    NotFound,
    /// 500 or INTERNAL: the service's own fault.
    Internal,
    /// 502 or UNAVAILABLE: something it needs failed.
    Dependency,
    /// Nobody listens: only the caller has a span.
    Refused,
}

impl Outcome {
    /// Whether the request failed, as Tidegate's default rules should judge it.
    pub const fn is_failed(self) -> bool {
        matches!(self, Self::Internal | Self::Dependency | Self::Refused)
    }
}

/// Everything about a span that is the same for many: the key of its encoded template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Service that made it.
    pub service: ServiceIndex,
    /// Operation it belongs to; 0 for health checks.
    pub operation: usize,
    /// Which span of the operation.
    pub role: Role,
    /// How it ended.
    pub outcome: Outcome,
    /// Resends before this attempt; 0 for servers.
    pub resends: u8,
    /// Whether it has a parent.
    pub has_parent: bool,
}

/// One finished span. Times are Unix nanoseconds, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// 0 for a root.
    pub parent_id: u64,
    /// Start.
    pub start: u64,
    /// End.
    pub end: u64,
    /// The rest.
    pub shape: Shape,
    /// The shopper: the same in all spans of a trace, a value of high cardinality.
    pub shopper: u64,
}
