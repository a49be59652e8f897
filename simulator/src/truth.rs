//! What really happened, counted where it happens: the oracle that every count of the engine is held against.
//!
//! A request is an entry span (a server span of an operation); health checks are counted apart, because an SLI
//! leaves them out. Its second is that of its end, as everywhere in Tidegate.

use std::collections::BTreeMap;

/// Requests and failures of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// All requests.
    pub total: u64,
    /// Those that failed.
    pub failed: u64,
}

/// One cell of the truth.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// `service.name`.
    pub service: &'static str,
    /// `service.version`.
    pub version: String,
    /// Unix second in which the requests ended.
    pub second: u64,
}

/// All that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truth {
    cells: BTreeMap<Cell, Requests>,
    /// Probes answered.
    pub health_checks: u64,
    /// Spans produced, of every role.
    pub spans: u64,
}

impl Truth {
    /// Counts one request.
    pub fn count(&mut self, service: &'static str, version: &str, end_nanos: u64, is_failed: bool) {
        let cell = Cell {
            service,
            version: version.to_owned(),
            second: end_nanos / 1_000_000_000,
        };
        let requests = self.cells.entry(cell).or_default();
        requests.total += 1;
        requests.failed += u64::from(is_failed);
    }

    /// Every cell, by service, version, second.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, Requests)> {
        self.cells.iter().map(|(cell, requests)| (cell, *requests))
    }

    /// Sum over the seconds of one revision.
    pub fn of_revision(&self, service: &str, version: &str) -> Requests {
        self.sum(|cell| cell.service == service && cell.version == version)
    }

    /// Sum over the seconds and revisions of one service.
    pub fn of_service(&self, service: &str) -> Requests {
        self.sum(|cell| cell.service == service)
    }

    fn sum(&self, wanted: impl Fn(&Cell) -> bool) -> Requests {
        self.cells.iter().filter(|(cell, _)| wanted(cell)).fold(
            Requests::default(),
            |sum, (_, requests)| Requests {
                total: sum.total + requests.total,
                failed: sum.failed + requests.failed,
            },
        )
    }
}
