//! Numbers and names as people read them. Answers are read at three in the morning: numbers first, no jargon.

use crate::gate::answer::Arm;
use crate::identity::{Revision, RevisionKind, ServiceKey};
use crate::registry::is_revision_unknown;
use crate::snapshot::RevisionRow;

/// `name (namespace, environment)`, parts that are empty left out.
pub(crate) fn service(key: &ServiceKey) -> String {
    let place: Vec<&str> = [key.namespace.as_str(), key.environment.as_str()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    if place.is_empty() {
        key.name.clone()
    } else {
        format!("{} ({})", key.name, place.join(", "))
    }
}

/// The revision with every attribute that can name it.
pub(crate) fn revision_with_attributes(of: &Revision) -> String {
    if of.attributes.is_empty() {
        return "a revision that nothing names".to_owned();
    }
    let attributes: Vec<String> = of
        .attributes
        .iter()
        .map(|(source, value)| format!("{}={value}", source.attribute()))
        .collect();
    attributes.join(", ")
}

/// At most `most` of `items`, and how many more there are.
pub(crate) fn list(items: &[String], most: usize) -> String {
    let shown = items
        .iter()
        .take(most)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > most {
        format!("{shown} and {} more", items.len() - most)
    } else {
        shown
    }
}

/// An integer with thousands separated by commas.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share as a percentage: as many digits as tell it from zero.
pub(crate) fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    let digits = match percent.abs() {
        size if size >= 9.95 => 0,
        size if size >= 0.095 => 1,
        _ => 3,
    };
    let text = format!("{percent:.digits$}");
    let trimmed = match text.split_once('.') {
        Some((whole, fraction)) if fraction.trim_end_matches('0').is_empty() => whole,
        Some(_) => text.trim_end_matches('0'),
        None => &text,
    };
    format!("{trimmed} %")
}

/// `v2 failed 31 of 412 requests (7.5 %)`.
pub(crate) fn failures(name: &str, arm: &Arm) -> String {
    match arm.failed_ratio() {
        None => format!("{name} has no request yet"),
        Some(ratio) => format!(
            "{name} failed {} of {} requests ({})",
            count(arm.failed),
            count(arm.units),
            percent(ratio)
        ),
    }
}

/// A time span: `45 s`, `12 min`, `2 h 10 min`, `3 d 4 h`.
pub(crate) fn duration(secs: u64) -> String {
    let pair = |big: u64, big_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            format!("{big} {big_unit}")
        } else {
            format!("{big} {big_unit} {small} {small_unit}")
        }
    };
    match secs {
        0..=119 => format!("{secs} s"),
        120..=3_599 => format!("{} min", secs.div_ceil(60)),
        3_600..=172_799 => pair(secs / 3_600, "h", secs % 3_600 / 60, "min"),
        _ => pair(secs / 86_400, "d", secs % 86_400 / 3_600, "h"),
    }
}

/// Why the revision asked about is not on trial.
pub(crate) fn why_no_trial(name: &str, row: &RevisionRow) -> String {
    match row.revision.kind {
        RevisionKind::Intercept => {
            format!("{name} is a local process joined by an intercept: it is no release")
        }
        RevisionKind::Branch => format!("{name} is a branch deployment: it is no release"),
        RevisionKind::Release if is_revision_unknown(&row.revision) => {
            "its spans name no revision".to_owned()
        }
        RevisionKind::Release if !row.is_live => {
            format!("{name} has not served for more than a minute and is not on trial")
        }
        RevisionKind::Release => format!(
            "{name} is not on trial: it was there first and is what later revisions are compared with"
        ),
    }
}

/// What to paste where nothing tells the revision.
pub(crate) fn revision_unknown(service: &str) -> Vec<String> {
    vec![
        format!("the spans of {service} do not say which revision sent them"),
        format!(
            "paste into its environment: OTEL_RESOURCE_ATTRIBUTES=service.name={service},service.version=<version>"
        ),
        "or let the Collector add it: processors: {k8sattributes: {extract: {metadata: [k8s.replicaset.name], \
         labels: [{tag_name: k8s.pod.label.pod-template-hash, key: pod-template-hash, from: pod}]}}}"
            .to_owned(),
    ]
}

/// A positive number with two or three digits that matter.
pub(crate) fn amount(number: f64) -> String {
    if number >= 100.0 {
        count(number as u64)
    } else if number >= 10.0 {
        format!("{number:.0}")
    } else if number >= 1.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// Nanoseconds as milliseconds or seconds.
pub(crate) fn millis(nanos: u64) -> String {
    let millis = nanos as f64 / 1e6;
    if millis >= 1_000.0 {
        format!("{:.1} s", millis / 1_000.0)
    } else if millis >= 10.0 {
        format!("{millis:.0} ms")
    } else {
        format!("{millis:.1} ms")
    }
}

#[cfg(test)]
mod tests;
