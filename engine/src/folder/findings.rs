//! What settled traces and log records say, since the last flush. Counts only add up, so no order matters here.

use super::arms::Arms;
use super::peers::Peers;
use crate::blame::{Blame, Called, Rows, Work};
use crate::delta::{
    BlameDelta, BlameKey, Callee, Delta, LogErrorDelta, LogErrorKey, LogMoments, Party, WorkDelta,
    WorkKey,
};
use crate::hash::FixedMap;

/// What the spans of one operation did in one second.
#[derive(Debug, Clone, Copy, Default)]
struct WorkSum {
    spans: i64,
    failed: i64,
    exclusive_nanos: i64,
    exclusive: LogMoments,
    critical_nanos: i64,
    children: i64,
}

/// The sums. Emptied by [`Findings::take`].
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// By packed (second, actor, route).
    work: FixedMap<u128, WorkSum>,
    /// By all of a row but its shares.
    blame: FixedMap<Blame, i64>,
    log_errors: FixedMap<LogErrorKey, i64>,
}

const ROUTE_BITS: u32 = 16;
const ACTOR_BITS: u32 = 32;

impl Findings {
    /// Counts an error record.
    pub(super) fn log_error(&mut self, error: LogErrorKey) {
        *self.log_errors.entry(error).or_default() += 1;
    }

    /// Takes rows in (1) or back (-1).
    pub(super) const fn signed(&mut self, sign: i64) -> Signed<'_> {
        Signed {
            findings: self,
            sign,
        }
    }

    /// Moves everything into `delta`, which is to be normalized. O(rows).
    pub(super) fn take(&mut self, arms: &Arms, peers: &Peers, delta: &mut Delta) {
        let party = |actor: u32| {
            let (service, revision) = arms.resolve(actor);
            Party { service, revision }
        };
        let work = self.work.drain().map(|(key, sum)| WorkDelta {
            key: WorkKey {
                party: party((key >> ROUTE_BITS) as u32),
                route: u64::from(key as u16),
                second: (key >> (ROUTE_BITS + ACTOR_BITS)) as u64,
            },
            spans: sum.spans,
            failed: sum.failed,
            exclusive_nanos: sum.exclusive_nanos,
            exclusive: sum.exclusive,
            critical_nanos: sum.critical_nanos,
            children: sum.children,
        });
        delta.work.extend(work);
        let blame = self.blame.drain().map(|(row, shares)| BlameDelta {
            key: BlameKey {
                root: party(row.root).service,
                origin: party(row.origin),
                callee: row.callee.map(|callee| match callee {
                    Called::Actor(actor) => Callee::Service(party(actor)),
                    Called::Peer(number) => Callee::Peer(peers.id(number)),
                }),
                class: row.class,
                fatal: row.fatal,
                second: row.second,
            },
            shares,
        });
        delta.blame.extend(blame);
        let errors = self.log_errors.drain();
        delta
            .log_errors
            .extend(errors.map(|(key, records)| LogErrorDelta { key, records }));
    }
}

/// Rows of one sign on their way into [`Findings`].
#[derive(Debug)]
pub(super) struct Signed<'a> {
    findings: &'a mut Findings,
    sign: i64,
}

impl Rows for Signed<'_> {
    fn work(&mut self, work: Work) {
        let key = u128::from(work.second) << (ROUTE_BITS + ACTOR_BITS)
            | u128::from(work.actor) << ROUTE_BITS
            | u128::from(work.route);
        let sum = self.findings.work.entry(key).or_default();
        let sign = self.sign;
        sum.spans += sign;
        sum.failed += sign * i64::from(work.failed);
        sum.children += sign * i64::from(work.children);
        let add = |into: &mut i64, nanos: u64| {
            *into = into.wrapping_add(sign.wrapping_mul(nanos as i64));
        };
        add(&mut sum.critical_nanos, work.critical);
        if let Some(nanos) = work.exclusive {
            add(&mut sum.exclusive_nanos, nanos);
            let moments = LogMoments::of(nanos.max(1));
            sum.exclusive.add(match sign {
                1 => moments,
                _ => moments.negated(),
            });
        }
    }

    fn blame(&mut self, blame: Blame) {
        let key = Blame { shares: 0, ..blame };
        *self.findings.blame.entry(key).or_default() += self.sign * blame.shares;
    }
}
