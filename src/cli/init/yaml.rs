//! A proposal as an OpenSLO file that says what was observed and what to check. Names from telemetry are quoted, and
//! inert in comments.

use super::propose::Proposal;
use crate::cli::output::{duration, short};
use engine::inert::visible;

/// The file of one service.
pub(super) fn file(of: &Proposal<'_>) -> String {
    let mut text = observed(of);
    text.push_str(&service(of));
    text.push_str(&availability(of));
    if let Some((micros, target)) = of.latency {
        text.push_str(&latency(of, micros, target));
    }
    text
}

/// The comment at the top.
fn observed(of: &Proposal<'_>) -> String {
    let mut lines = vec![
        format!(
            "Proposed by `tidegate init --from-traffic`: what {} did in {}.",
            short(&of.body.service),
            duration(of.body.observed_seconds)
        ),
        format!(
            "Observed: {} requests, {} failed ({}).",
            of.requests,
            of.failed,
            percent(of.failed, of.requests)
        ),
    ];
    let quantiles: Vec<String> = of
        .quantiles
        .iter()
        .filter_map(|(name, edge)| Some(format!("{name} within {}", millis((*edge)?))))
        .collect();
    if !quantiles.is_empty() {
        lines.push(format!("Latency: {}.", quantiles.join(", ")));
    }
    lines.push("Busiest routes: requests, failed, 99 % within".to_owned());
    lines.extend(of.routes.iter().map(|route| {
        format!(
            "  {:<40} {:>8} {:>6} {:>9}",
            short(route.name),
            route.requests,
            route.failed,
            route.within.map_or_else(|| "-".to_owned(), millis)
        )
    }));
    if !of.body.sampled.is_empty() {
        lines.push(format!(
            "CHECK FIRST: its spans are {}-sampled, all numbers are those of the sample (`tidegate doctor`).",
            of.body.sampled
        ));
    }
    if !of.availability.1 {
        lines.push(
            "CHECK FIRST: it fails more than any target allows: the proposed one burns at once."
                .to_owned(),
        );
    }
    lines.extend(
        [
            "Check: was that a usual time? Is it what users notice, or only what is? Do slow and quick routes belong",
            "under one promise (`match: {http.route: ...}` splits them)? Which failures are the caller's own?",
        ]
        .map(str::to_owned),
    );
    lines.iter().map(|line| format!("# {line}\n")).collect()
}

fn service(of: &Proposal<'_>) -> String {
    let mut annotations = vec![("service-name", &of.body.service)];
    let places = [
        ("namespace", &of.body.namespace),
        ("environment", &of.body.environment),
    ];
    annotations.extend(places.into_iter().filter(|(_, value)| !value.is_empty()));
    let annotations: String = annotations
        .iter()
        .map(|(key, value)| format!("    tidegate.dev/{key}: {}\n", quoted(value)))
        .collect();
    format!(
        "apiVersion: openslo/v1\nkind: Service\nmetadata:\n  name: {}\n  annotations:\n{annotations}    \
         tidegate.dev/maturity: growth # or prototype (never blocked), mission-critical (never regress)\nspec: {{}}\n",
        of.slug
    )
}

fn availability(of: &Proposal<'_>) -> String {
    let (target, _) = of.availability;
    format!(
        "---\n# {} of {} requests failed; {} % would allow {}.\n{}      ratioMetric:\n        \
         total: {{metricSource: {{type: tidegate-spans, spec: {{}}}}}} # its own entry spans\n        \
         bad: {{metricSource: {{type: tidegate-spans, spec: {{failed: default}}}}}} # HTTP 5xx, gRPC server errors, span status ERROR\n\
         {}    - targetPercent: {}\n",
        of.failed,
        of.requests,
        hundredths(target),
        of.requests * (10_000 - target) / 10_000,
        head(of, "availability"),
        METHOD,
        hundredths(target)
    )
}

fn latency(of: &Proposal<'_>, micros: u64, target: u64) -> String {
    let seconds = micros as f64 / 1e6;
    format!(
        "---\n# At most half of the slow requests it allows were observed.\n{}      thresholdMetric:\n        \
         metricSource: {{type: tidegate-spans, spec: {{}}}}\n{}    - op: lte\n      value: {seconds} # seconds\n      targetPercent: {}\n",
        head(of, "latency"),
        METHOD,
        hundredths(target)
    )
}

const METHOD: &str = "  timeWindow:\n    - duration: 30d\n      isRolling: true\n  budgetingMethod: Occurrences\n  objectives:\n";

fn head(of: &Proposal<'_>, kind: &str) -> String {
    format!(
        "apiVersion: openslo/v1\nkind: SLO\nmetadata:\n  name: {0}-{kind}\nspec:\n  service: {0}\n  indicator:\n    \
         metadata: {{name: {0}-{kind}}}\n    spec:\n",
        of.slug
    )
}

/// `99.95` of 9,995.
fn hundredths(target: u64) -> String {
    let text = format!("{}.{:02}", target / 100, target % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn percent(part: u64, all: u64) -> String {
    format!("{:.3} %", part as f64 * 100.0 / all.max(1) as f64)
}

fn millis(seconds: f64) -> String {
    let millis = seconds * 1e3;
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{millis:.0} ms")
    }
}

/// `text` as a double-quoted YAML scalar; what does not show is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            _ if visible(letter) == letter => out.push(letter),
            _ if u32::from(letter) <= 0xff => {
                out.push_str(&format!("\\x{:02x}", u32::from(letter)))
            }
            _ if u32::from(letter) <= 0xffff => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)))
            }
            _ => out.push_str(&format!("\\U{:08x}", u32::from(letter))),
        }
    }
    out.push('"');
    out
}
