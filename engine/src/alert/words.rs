//! The words of an alert. They are read at three in the morning: what fails, how fast, how long is left, whose fault.

use crate::budget::Budget;
use crate::burn_rate::burn;
use crate::slo::{BurnTier, Ratio, Side, Sli, Slo};
use crate::snapshot::Counts;

/// A revision stands out when it fails at least so many times more often than all others together.
const STANDS_OUT: u128 = 4;
/// Revisions burn alike when the worst fails less than so many times more often than the others.
const ALIKE: u128 = 2;

/// What the words are made of.
#[derive(Debug)]
pub(crate) struct Story<'a> {
    /// The SLO.
    pub(crate) slo: &'a Slo,
    /// The tier that decides.
    pub(crate) tier: &'a BurnTier,
    /// Its long window.
    pub(crate) long: Counts,
    /// Its short window.
    pub(crate) short: Counts,
    /// The budget over the period.
    pub(crate) budget: Budget,
    /// How much of the period was observed, s.
    pub(crate) observed_secs: u64,
    /// Revisions that served in the last `slices_secs`: name and events.
    pub(crate) slices: Vec<(String, Counts)>,
    /// Window of the slices, s.
    pub(crate) slices_secs: u64,
}

impl Story<'_> {
    /// For an alert that fires or escalates.
    pub(crate) fn firing(&self) -> String {
        let mut text = format!("{} {} {}", self.rate(), self.countdown(), self.culprit());
        text.truncate(text.trim_end().len());
        text
    }

    /// For an alert that waits for its `for`.
    pub(crate) fn pending(&self) -> String {
        let wait = duration(self.tier.for_secs);
        format!("{} Fires when it lasts {wait}.", self.rate())
    }

    /// For an alert that ended after `burned_secs`, having fired with `remaining_at_start` of the budget left.
    pub(crate) fn resolved(&self, burned_secs: u64, remaining_at_start: f64) -> String {
        let now = burn(self.short, self.slo.target).map_or_else(
            || "no requests".to_owned(),
            |burn| format!("{}x", factor(burn)),
        );
        let remaining = self.budget.remaining().unwrap_or(1.0);
        let cost = (remaining_at_start - remaining).max(0.0);
        format!(
            "{}: {} no longer burns: {now} over the last {}. It burned for {} and took {} of the {} budget; {}.",
            service(self.slo),
            self.slo.display_name,
            duration(self.tier.short_secs),
            duration(burned_secs),
            percent(cost),
            period(self.slo.period_secs),
            left(remaining),
        )
    }

    /// "checkout (shop, production): 14.2 % of requests failed in the last 5 min: 142x what availability (99.9 %) allows,
    /// 14.5x over 1 h."
    fn rate(&self) -> String {
        let bad = match &self.slo.sli {
            Sli::Availability { .. } => "of requests failed".to_owned(),
            Sli::Latency {
                threshold_nanos, ..
            } => format!("of requests took longer than {}", nanos(*threshold_nanos)),
            Sli::Records { .. } => "of records were bad".to_owned(),
            Sli::Increments {
                at_most: Some(most),
                side: Side::Good,
                part,
                ..
            } => format!("of {} were above {}", part.metric, most.value()),
            Sli::Increments { total, .. } => format!("of {} were bad", total.metric),
            Sli::Level {
                selector,
                op,
                threshold,
            } => format!(
                "of the points of {} were not {} {}",
                selector.metric,
                op.words(),
                threshold.value()
            ),
        };
        let fast = |counts| burn(counts, self.slo.target).map_or_else(|| "?".to_owned(), factor);
        format!(
            "{}: {} {bad} in the last {}: {}x what {} ({}) allows, {}x over {}.",
            service(self.slo),
            percent(self.short.bad_ratio().unwrap_or(0.0)),
            duration(self.tier.short_secs),
            fast(self.short),
            self.slo.display_name,
            target(self.slo.target),
            fast(self.long),
            duration(self.tier.long_secs),
        )
    }

    /// "At this rate the 30-day budget is gone in 2 h 10 min; 64 % left."
    fn countdown(&self) -> String {
        let period_secs = self.slo.period_secs;
        let period = period(period_secs);
        let remaining = self.budget.remaining().unwrap_or(1.0);
        let young = if self.observed_secs < period_secs {
            format!(
                " ({} of {} observed)",
                duration(self.observed_secs),
                duration(period_secs)
            )
        } else {
            String::new()
        };
        if remaining <= 0.0 {
            let budget = if young.is_empty() {
                format!("The {period} budget")
            } else {
                format!(
                    "The budget of the {} observed so far",
                    duration(self.observed_secs)
                )
            };
            return format!("{budget} is spent; {}.", left(remaining));
        }
        let rate = burn(self.short, self.slo.target);
        match self.budget.exhausted_in_secs(rate, period_secs) {
            Some(secs) => format!(
                "At this rate the {period} budget is gone in {}; {}{young}.",
                duration(secs),
                left(remaining)
            ),
            None => format!("Of the {period} budget {}{young}.", left(remaining)),
        }
    }

    /// Whether one revision carries it, or all burn alike; empty when neither can be said.
    fn culprit(&self) -> String {
        let worst = self.slices.iter().max_by(|left, right| {
            let (left, right) = (left.1, right.1);
            (cross(left, right), left.bad).cmp(&(cross(right, left), right.bad))
        });
        let (Some((name, worst)), 2..) = (worst, self.slices.len()) else {
            return String::new();
        };
        let all = self
            .slices
            .iter()
            .fold(Counts::default(), |sum, (_, counts)| Counts {
                good: sum.good + counts.good,
                bad: sum.bad + counts.bad,
            });
        let rest = Counts {
            good: all.good - worst.good,
            bad: all.bad - worst.bad,
        };
        let (of_worst, of_rest) = (cross(*worst, rest), cross(rest, *worst));
        if worst.bad >= 2 && of_worst >= STANDS_OUT * of_rest && of_worst > 0 {
            format!(
                "Revision {name} carries it: {} of its {} requests in the last {}, against {} of {} of the others.",
                worst.bad,
                worst.total(),
                duration(self.slices_secs),
                rest.bad,
                rest.total(),
            )
        } else if rest.bad > 0 && of_worst < ALIKE * of_rest {
            let all = match self.slices.len() {
                2 => "Both".to_owned(),
                several => format!("All {several}"),
            };
            format!("{all} revisions burn alike: not one release alone.")
        } else {
            String::new()
        }
    }
}

/// For an alert whose SLO was removed, or measures something else now.
pub(crate) fn withdrawn(slo: &Slo) -> String {
    format!(
        "{}: the definition of {} was removed or now measures something else; its alert ends here.",
        service(slo),
        slo.display_name
    )
}

/// `left`'s bad events times `right`'s total: comparing these compares the failed shares, exactly.
fn cross(left: Counts, right: Counts) -> u128 {
    u128::from(left.bad) * u128::from(right.total())
}

fn service(slo: &Slo) -> String {
    crate::gate::words::service(&slo.service)
}

/// "64 % left", "38 % overspent".
fn left(remaining: f64) -> String {
    if remaining < 0.0 {
        format!("{} overspent", percent(-remaining))
    } else {
        format!("{} left", percent(remaining))
    }
}

/// "30-day", "12-hour", "90-minute".
pub(crate) fn period(secs: u64) -> String {
    if secs >= 86_400 && secs.is_multiple_of(86_400) {
        format!("{}-day", secs / 86_400)
    } else if secs.is_multiple_of(3_600) {
        format!("{}-hour", secs / 3_600)
    } else {
        format!("{}-minute", secs / 60)
    }
}

/// The two largest units: "3 d 4 h", "2 h 10 min", "5 min", "1 min 30 s", "45 s".
pub(crate) fn duration(secs: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    if secs >= 10 * 365 * 86_400 {
        return "more than 10 years".to_owned();
    }
    let Some(large) = UNITS.iter().position(|(unit, _)| secs >= *unit) else {
        return "0 s".to_owned();
    };
    let (unit, name) = UNITS[large];
    let whole = format!("{} {name}", secs / unit);
    match UNITS.get(large + 1) {
        Some((smaller, name)) if secs % unit / smaller > 0 => {
            format!("{whole} {} {name}", secs % unit / smaller)
        }
        _ => whole,
    }
}

/// A duration given in nanoseconds: "300 ms", "1.5 s".
fn nanos(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0..1_000_000 => (1e3, "us"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {name}", trimmed(nanos as f64 / unit, 3))
}

/// A target as written: "99.9 %".
pub(crate) fn target(target: Ratio) -> String {
    let ppb = target.parts_per_billion;
    let digits = format!("{}.{:07}", ppb / 10_000_000, ppb % 10_000_000);
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} %")
}

/// A burn factor: "1000", "14.5", "0.93".
pub(crate) fn factor(burn: f64) -> String {
    match burn {
        burn if burn >= 100.0 => trimmed(burn, 0),
        burn if burn >= 10.0 => trimmed(burn, 1),
        burn => trimmed(burn, 2),
    }
}

/// A share as percent; never rounded up to 100 % nor down to 0 %.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        percent if percent >= 1_000.0 => trimmed(percent, 0),
        percent if percent > 99.0 && percent < 100.0 => {
            trimmed((percent * 100.0).floor() / 100.0, 2)
        }
        percent if percent >= 10.0 => trimmed(percent, 1),
        percent if percent >= 0.01 => trimmed(percent, 2),
        percent if percent > 0.0 => "less than 0.01".to_owned(),
        _ => "0".to_owned(),
    };
    format!("{digits} %")
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if decimals == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
