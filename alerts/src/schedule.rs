//! When to try again, and what an answer means.

use std::time::Duration;

/// Seconds to wait before each attempt: ten attempts over 75 h (Standard Webhooks, "Deliverability and reliability").
const WAITS: [u64; 10] = [
    0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400,
];

/// How long to wait before attempt `number` (from 0); `None` when all were made. Jitter of up to a tenth comes from
/// the message's id, so that a thousand messages do not come back at once and a test can foresee it.
pub fn wait_before(number: u32, id: u128) -> Option<Duration> {
    let seconds = *WAITS.get(number as usize)?;
    let spread = id.rotate_left(number * 7) % 1_000;
    let millis = seconds * 1_000;
    Some(Duration::from_millis(
        millis + millis * spread as u64 / 10_000,
    ))
}

/// What an answer means for the message and for its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: delivered.
    Delivered,
    /// 410: the endpoint wants nothing more.
    Gone,
    /// 429, 502, 503, 504: the endpoint is overloaded, everything for it waits.
    Throttled(Option<Duration>),
    /// Anything else, redirects included (they are never followed): try this message again later.
    Failed,
}

/// Reads a status code and a `Retry-After` in seconds (capped at an hour).
pub fn outcome(status: u16, retry_after: Option<&str>) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        410 => Outcome::Gone,
        429 | 502 | 503 | 504 => {
            let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
            Outcome::Throttled(seconds.map(|seconds| Duration::from_secs(seconds.min(3_600))))
        }
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_over_three_days() {
        let waits: Vec<Duration> = (0..).map_while(|number| wait_before(number, 0)).collect();
        assert_eq!(waits.len(), 10);
        let total: Duration = waits.iter().sum();
        assert!(total >= Duration::from_secs(75 * 3_600), "{total:?}");
    }

    #[test]
    fn jitter_is_at_most_a_tenth_and_differs_between_messages() {
        let base = wait_before(3, 0).unwrap();
        let waits: Vec<Duration> = (0..1_000u128)
            .map(|id| wait_before(3, (id << 64) | (id * 37)).unwrap())
            .collect();
        assert!(
            waits
                .iter()
                .all(|wait| *wait >= base && *wait <= base + base / 10)
        );
        assert!(
            waits
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
                > 100
        );
    }

    #[test]
    fn answers_by_status() {
        assert_eq!(outcome(204, None), Outcome::Delivered);
        assert_eq!(outcome(301, None), Outcome::Failed);
        assert_eq!(outcome(400, None), Outcome::Failed);
        assert_eq!(outcome(410, None), Outcome::Gone);
        assert_eq!(outcome(500, None), Outcome::Failed);
        assert_eq!(
            outcome(429, Some("7")),
            Outcome::Throttled(Some(Duration::from_secs(7)))
        );
        assert_eq!(
            outcome(503, Some("99999999")),
            Outcome::Throttled(Some(Duration::from_secs(3_600)))
        );
        assert_eq!(outcome(502, Some("soon")), Outcome::Throttled(None));
    }
}
