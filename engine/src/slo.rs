//! Definitions as the engine knows them: validated, exact, without YAML. `ingest::definitions` makes them.

use crate::hand::Level;
use crate::hash::blake3_128;
use crate::identity::{ServiceId, ServiceKey};
use crate::items::Signal;
use crate::metric::Instrument;
use crate::time::NANOS_PER_SEC;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Denominator of [`Ratio`]: parts per billion, so that `0.999` and `99.9` % are exact.
pub const RATIO_ONE: u64 = 1_000_000_000;

/// Stable id of an SLO: BLAKE3-128 of its service and name. State is keyed by it, so a reload keeps counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SloId(#[serde(with = "crate::hash::hex128")] pub u128);

/// A ratio in 0..=1, exact in parts per billion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ratio {
    /// 0..=[`RATIO_ONE`].
    pub parts_per_billion: u64,
}

impl Ratio {
    /// From parts per billion, clamped to 1.
    pub const fn from_ppb(parts_per_billion: u64) -> Self {
        let capped = if parts_per_billion > RATIO_ONE {
            RATIO_ONE
        } else {
            parts_per_billion
        };
        Self {
            parts_per_billion: capped,
        }
    }

    /// `1 - self`: the error budget of a target.
    pub const fn complement(self) -> Self {
        Self {
            parts_per_billion: RATIO_ONE - self.parts_per_billion,
        }
    }

    /// For showing only; nothing decides on it.
    pub fn as_f64(self) -> f64 {
        self.parts_per_billion as f64 / RATIO_ONE as f64
    }
}

/// How a team trades stability for velocity (DESIGN 1, 10).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Maturity {
    /// Fast feedback; never blocks itself, notify only.
    Prototype,
    /// Features without disrupting users.
    #[default]
    Growth,
    /// Never regress.
    MissionCritical,
}

impl Maturity {
    /// The name used in files and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prototype => "prototype",
            Self::Growth => "growth",
            Self::MissionCritical => "mission-critical",
        }
    }
}

/// One condition on an attribute or field of an item: the text form is one of `any_of`.
///
/// Patterns may hold `*` for any run of characters. Numbers compare by their decimal text, so `503` matches
/// the integer 503 and the text "503".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeMatch {
    /// Attribute key; `resource.` prefix reads the resource. Of a span, `name` means its name; of a log record, `body`,
    /// `severity_text`, `severity_number` and `event_name` mean its fields, which are absent when empty.
    pub key: String,
    /// Accepted patterns.
    pub any_of: Vec<String>,
    /// True for "none of them".
    pub negated: bool,
}

/// Which spans are events of an SLI.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpanSelector {
    /// Accepted span kinds ([`crate::span::kind`]); empty = the service's own entry spans (SERVER and CONSUMER).
    pub kinds: Vec<u8>,
    /// All must hold.
    pub matches: Vec<AttributeMatch>,
}

/// When a selected span is a bad event.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FailedRule {
    /// The house rule table ([`crate::outcome`]).
    #[default]
    Default,
    /// All of these hold.
    Attributes(Vec<AttributeMatch>),
}

/// Which side of a ratio is said; the other one is the rest of the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// The good events.
    Good,
    /// The bad events.
    Bad,
}

impl Side {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// A decimal of a definition as the nearest double. Thresholds are compared as doubles, so a threshold written `0.3` is
/// the bucket bound that a sender wrote `0.3`; never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decimal {
    bits: u64,
}

impl Decimal {
    /// Of `value`; -0 reads as 0, NaN as 0.
    pub fn new(value: f64) -> Self {
        let value = if value.is_nan() || value == 0.0 {
            0.0
        } else {
            value
        };
        Self {
            bits: value.to_bits(),
        }
    }

    /// The double.
    pub const fn value(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

/// How a value is compared with a threshold, for it to be good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// At most: `lte`.
    AtMost,
    /// Less than: `lt`.
    Below,
    /// At least: `gte`.
    AtLeast,
    /// More than: `gt`.
    Above,
}

impl Op {
    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AtMost => "lte",
            Self::Below => "lt",
            Self::AtLeast => "gte",
            Self::Above => "gt",
        }
    }

    /// In words, before the threshold.
    pub const fn words(self) -> &'static str {
        match self {
            Self::AtMost => "at most",
            Self::Below => "below",
            Self::AtLeast => "at least",
            Self::Above => "above",
        }
    }

    /// Whether a value that compares so to the threshold is good.
    pub const fn holds(self, order: Ordering) -> bool {
        match self {
            Self::AtMost => order.is_le(),
            Self::Below => order.is_lt(),
            Self::AtLeast => order.is_ge(),
            Self::Above => order.is_gt(),
        }
    }
}

/// Which metric points an SLI looks at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointSelector {
    /// Metric name as sent.
    pub metric: String,
    /// Types the points may have, sorted; a point of another one makes the SLO a type mismatch.
    pub instruments: Vec<Instrument>,
    /// All must hold.
    pub matches: Vec<AttributeMatch>,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sli {
    /// Bad events over all selected events.
    Availability {
        /// The events.
        selector: SpanSelector,
        /// Which of them are bad.
        failed: FailedRule,
    },
    /// An event is bad when it lasted longer than the threshold (exact: compared in nanoseconds).
    /// Spans of unknown duration are left out.
    Latency {
        /// The events.
        selector: SpanSelector,
        /// Longest good duration, ns, inclusive.
        threshold_nanos: u64,
    },
    /// Log records: each selected one is an event.
    Records {
        /// The events: all must hold; empty = every record.
        selector: Vec<AttributeMatch>,
        /// Those of them for which all of these hold are on `side`.
        part: Vec<AttributeMatch>,
        /// The side that `part` says.
        side: Side,
    },
    /// Counted metrics: counters, and the counts of histograms. Increments are events, at the time of their point.
    Increments {
        /// All events.
        total: PointSelector,
        /// The events on `side`.
        part: PointSelector,
        /// Of a histogram's events only those up to this value, in the metric's own unit, are on `side`.
        at_most: Option<Decimal>,
        /// The side that `part` says.
        side: Side,
    },
    /// Points of gauges: each is an event, good when its value compares so to the threshold.
    Level {
        /// The points.
        selector: PointSelector,
        /// How a good value compares.
        op: Op,
        /// The threshold, in the metric's own unit.
        threshold: Decimal,
    },
}

impl Sli {
    /// The types that its metric points may have; empty when it is not measured from metrics.
    pub fn instruments(&self) -> &[Instrument] {
        match self {
            Self::Increments { total, .. } => &total.instruments,
            Self::Level { selector, .. } => &selector.instruments,
            Self::Availability { .. } | Self::Latency { .. } | Self::Records { .. } => &[],
        }
    }

    /// The signal it is measured from.
    pub const fn signal(&self) -> Signal {
        match self {
            Self::Availability { .. } | Self::Latency { .. } => Signal::Traces,
            Self::Records { .. } => Signal::Logs,
            Self::Increments { .. } | Self::Level { .. } => Signal::Metrics,
        }
    }
}

/// How serious an alert tier is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Look at it in working hours.
    Ticket,
    /// Wake somebody.
    Page,
}

impl Severity {
    /// The name used in files and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// One multi-window burn-rate tier: fires while both windows burn faster than `factor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurnTier {
    /// Name of the AlertPolicy it came from.
    pub name: String,
    /// Page or ticket.
    pub severity: Severity,
    /// Burn-rate threshold in thousandths (14.4 -> 14400), compared with strict `>`.
    pub factor_milli: u64,
    /// Long window, s.
    pub long_secs: u64,
    /// Short window, s (default a twelfth of the long one).
    pub short_secs: u64,
    /// How long the condition must hold before it fires, s.
    pub for_secs: u64,
    /// Names of the notification targets; empty = every configured webhook and Alertmanager.
    pub targets: Vec<String>,
}

/// Sloth's four tiers for a period: 14.4x 1h/5m and 6x 6h/30m page, 3x 1d/2h and 1x 3d/6h ticket.
pub fn default_tiers() -> Vec<BurnTier> {
    let tier = |name: &str, severity, factor_milli, long_secs| BurnTier {
        name: name.to_owned(),
        severity,
        factor_milli,
        long_secs,
        short_secs: long_secs / 12,
        for_secs: 0,
        targets: Vec::new(),
    };
    vec![
        tier("page-fast", Severity::Page, 14_400, 3_600),
        tier("page-slow", Severity::Page, 6_000, 6 * 3_600),
        tier("ticket-fast", Severity::Ticket, 3_000, 24 * 3_600),
        tier("ticket-slow", Severity::Ticket, 1_000, 72 * 3_600),
    ]
}

/// What an SLO's state becomes when no events arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum NoDataPolicy {
    /// Keep the last state and say so.
    #[default]
    Carry,
}

/// One SLO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slo {
    /// Stable id.
    pub id: SloId,
    /// Name (`metadata.name`), unique per service.
    pub name: String,
    /// Display name; the name when none is given.
    pub display_name: String,
    /// Service whose spans are measured.
    pub service: ServiceKey,
    /// `service.id()`.
    pub service_id: ServiceId,
    /// What is measured.
    pub sli: Sli,
    /// Target ratio of good events.
    pub target: Ratio,
    /// Rolling period, s.
    pub period_secs: u64,
    /// Alert tiers; empty = never alerts.
    pub tiers: Vec<BurnTier>,
    /// No-data policy.
    pub no_data: NoDataPolicy,
    /// True for the SLO that a service without a file gets.
    pub implicit: bool,
    /// File, line and column it was defined at; empty for implicit ones.
    pub defined_at: String,
}

impl Slo {
    /// The id of the SLO called `name` of `service`.
    pub fn id_of(service: ServiceId, name: &str) -> SloId {
        SloId(blake3_128(
            "slo",
            &[&service.0.to_le_bytes(), name.as_bytes()],
        ))
    }

    /// The SLO of a service nobody wrote a file for: availability of its entry spans, 99 % over 30 d, never alerts.
    pub fn implicit(service: &ServiceKey) -> Self {
        let service_id = service.id();
        Self {
            id: Self::id_of(service_id, "implicit-availability"),
            name: "implicit-availability".to_owned(),
            display_name: "Availability (implicit)".to_owned(),
            service: service.clone(),
            service_id,
            sli: Sli::Availability {
                selector: SpanSelector::default(),
                failed: FailedRule::Default,
            },
            target: Ratio::from_ppb(990_000_000),
            period_secs: 30 * 86_400,
            tiers: Vec::new(),
            no_data: NoDataPolicy::Carry,
            implicit: true,
            defined_at: String::new(),
        }
    }
}

/// What a team says about its service (OpenSLO `Service` with `tidegate.dev/` annotations).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePolicy {
    /// The service.
    pub service: ServiceKey,
    /// Trade-off.
    pub maturity: Maturity,
    /// Owning team; empty when unknown.
    pub team: String,
    /// What Tidegate may do to its rollouts.
    #[serde(default)]
    pub level: Level,
    /// Whether going back to an older template may be done, too.
    #[serde(default)]
    pub undo: bool,
    /// True when no file names the service.
    pub implicit: bool,
}

/// Spans left out of every SLI and of the gate, visibly: health checks by default, editable in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExclusionRule {
    /// Name shown beside the count.
    pub name: String,
    /// A span is left out when any of these holds.
    pub any_of: Vec<AttributeMatch>,
}

impl Default for ExclusionRule {
    fn default() -> Self {
        let paths = [
            "/health",
            "/healthz",
            "/livez",
            "/readyz",
            "/ready",
            "/live",
            "/ping",
            "/-/healthy",
            "/-/ready",
            "/actuator/health*",
            "/health/*",
        ];
        let any = |key: &str, patterns: Vec<String>| AttributeMatch {
            key: key.to_owned(),
            any_of: patterns,
            negated: false,
        };
        let routes: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let services = vec![
            "grpc.health.v1.Health".to_owned(),
            "grpc.health.v1.Health/*".to_owned(),
        ];
        Self {
            name: "health-checks".to_owned(),
            any_of: vec![
                any("http.route", routes.clone()),
                any("url.path", routes.clone()),
                any("http.target", routes),
                any("rpc.service", services.clone()),
                any("rpc.method", services),
                any(
                    "name",
                    vec![
                        "grpc.health.v1.Health/*".to_owned(),
                        "/grpc.health.v1.Health/*".to_owned(),
                    ],
                ),
            ],
        }
    }
}

/// Everything a definitions directory says, after validation. Swapped as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Definitions {
    /// Counts up at every successful swap; 0 = nothing loaded yet.
    pub generation: u64,
    /// SLOs by id.
    pub slos: BTreeMap<SloId, Slo>,
    /// Policies by service.
    pub services: BTreeMap<ServiceId, ServicePolicy>,
    /// Notification targets by name: the configured webhook or Alertmanager an AlertNotificationTarget's `target` names.
    pub targets: BTreeMap<String, String>,
    /// Names of the configured webhooks, in order: where a notification goes when its policy names no target.
    pub endpoints: Vec<String>,
    /// Names of the configured Alertmanagers, in order: they are shown what stands ([`crate::standing`]).
    #[serde(default)]
    pub alertmanagers: Vec<String>,
    /// The exclusion rule.
    pub exclusion: ExclusionRule,
    /// Wanted time between false alarms of all detectors together, s; 0 = a week
    /// ([`crate::cascade::machine::FALSE_ALARM_SECS`]).
    #[serde(default)]
    pub false_alarm_secs: u64,
}

impl Definitions {
    /// The SLOs of `service` in id order; none means that the implicit one applies.
    pub fn slos_of(&self, service: ServiceId) -> impl Iterator<Item = &Slo> {
        self.slos
            .values()
            .filter(move |slo| slo.service_id == service)
    }

    /// The policy of `service`, or the implicit one: growth, no team.
    pub fn policy_of(&self, service: &ServiceKey) -> ServicePolicy {
        self.services
            .get(&service.id())
            .cloned()
            .unwrap_or_else(|| ServicePolicy {
                service: service.clone(),
                maturity: Maturity::default(),
                team: String::new(),
                level: Level::default(),
                undo: false,
                implicit: true,
            })
    }
}

/// Allowed lateness: events older than this are a counted correction.
pub const LATENESS_NANOS: u64 = 600 * NANOS_PER_SEC;
