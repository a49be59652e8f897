//! OpenSLO `SLO` and `Service` objects to the engine's [`Slo`] and [`ServicePolicy`].

use super::alerts::{Budget, Targets, read_tiers};
use super::openslo::{Kind, Object, Objects};
use super::reader::{Field, Fields, nearest};
use super::sli::Indicator;
use super::values;
use engine::hand::Level;
use engine::identity::{ServiceId, ServiceKey};
use engine::metric::Instrument;
use engine::slo::{
    Maturity, NoDataPolicy, Op, PointSelector, Ratio, ServicePolicy, Side, Sli, Slo, SloId,
};
use std::collections::BTreeMap;

/// Period of an SLO that names none, s.
const DEFAULT_PERIOD: u64 = 30 * 86_400;
/// Most objectives of one SLO.
const OBJECTIVES_MAX: usize = 16;

/// Services by the name of their OpenSLO object, and their policies by id.
#[derive(Debug, Default)]
pub struct Services<'a> {
    keys: BTreeMap<&'a str, ServiceKey>,
    /// Policies, ready for the engine.
    pub policies: BTreeMap<ServiceId, ServicePolicy>,
}

impl<'a> Services<'a> {
    /// Reads all Service objects.
    pub fn read(objects: &Objects<'a>) -> Self {
        let mut services = Self::default();
        let mut places: BTreeMap<ServiceId, String> = BTreeMap::new();
        for object in objects.of_kind(Kind::Service) {
            let policy = read_service(object);
            let id = policy.service.id();
            services.keys.insert(object.name, policy.service.clone());
            if let Some(first) = places.insert(id, object.metadata.name.place()) {
                object.metadata.name.error(
                    format!(
                        "expected one Service for `{}`, got a second (first at {first})",
                        show(&policy.service)
                    ),
                    format!(
                        "set {} or remove one",
                        "`tidegate.dev/environment`, `/namespace` or `/service-name`"
                    ),
                );
            }
            services.policies.insert(id, policy);
        }
        services
    }

    fn key(&self, field: &Field<'_>) -> Option<ServiceKey> {
        let name = field.name()?;
        if let Some(key) = self.keys.get(name) {
            return Some(key.clone());
        }
        let names: Vec<&str> = self.keys.keys().copied().collect();
        let hint = match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`? Otherwise add a document with `kind: Service`"),
            None => "add a document with `kind: Service`; without one it matches spans of no environment and no namespace"
                .to_owned(),
        };
        field.warn(
            format!(
                "expected a Service called `{}`, got none",
                super::yaml::shorten(name)
            ),
            hint,
        );
        Some(ServiceKey {
            name: name.to_owned(),
            ..ServiceKey::default()
        })
    }
}

fn show(service: &ServiceKey) -> String {
    let parts = [&service.environment, &service.namespace, &service.name];
    let given: Vec<&str> = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect();
    given.join("/")
}

fn read_service(object: &Object<'_>) -> ServicePolicy {
    object.check_own(&[
        "service-name",
        "namespace",
        "environment",
        "maturity",
        "level",
        "undo",
    ]);
    let text = |key: &str| object.own(key).and_then(Field::name).map(str::to_owned);
    ServicePolicy {
        service: ServiceKey {
            tenant: String::new(),
            environment: text("environment").unwrap_or_default(),
            namespace: text("namespace").unwrap_or_default(),
            name: text("service-name").unwrap_or_else(|| object.name.to_owned()),
        },
        maturity: object
            .own("maturity")
            .and_then(read_maturity)
            .unwrap_or_default(),
        team: object
            .metadata
            .labels
            .get("team")
            .map(|teams| teams.join(", "))
            .unwrap_or_default(),
        level: object.own("level").and_then(read_leave).unwrap_or_default(),
        undo: object.own("undo").and_then(read_undo).unwrap_or_default(),
        implicit: false,
    }
}

/// What Tidegate may do to the service's rollouts.
fn read_leave(field: &Field<'_>) -> Option<Level> {
    let level = field.text().and_then(Level::named);
    if level.is_none() {
        field.expected("observe, advise, gate or act", "");
    }
    level
}

/// Annotations are text: `"true"`.
fn read_undo(field: &Field<'_>) -> Option<bool> {
    let undo = match field.text() {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    if undo.is_none() {
        field.expected(
            "`\"true\"` or `\"false\"`",
            "annotations are text: use quotes",
        );
    }
    undo
}

fn read_maturity(field: &Field<'_>) -> Option<Maturity> {
    let all = [
        Maturity::Prototype,
        Maturity::Growth,
        Maturity::MissionCritical,
    ];
    let text = field.text()?;
    let found = all.into_iter().find(|maturity| maturity.name() == text);
    if found.is_none() {
        let near =
            nearest(text, &all.map(Maturity::name)).map(|near| format!("did you mean `{near}`?"));
        field.expected(
            "prototype, growth or mission-critical",
            near.unwrap_or_default(),
        );
    }
    found
}

/// All SLOs, by id.
pub fn read_slos(
    objects: &Objects<'_>,
    services: &Services<'_>,
    targets: &mut Targets,
) -> BTreeMap<SloId, Slo> {
    let mut slos: BTreeMap<SloId, Slo> = BTreeMap::new();
    for object in &objects.slos {
        for slo in read_slo(object, objects, services, targets) {
            if let Some(first) = slos.get(&slo.id) {
                object.metadata.name.error(
                    format!(
                        "expected each SLO of service `{}` once, got `{}` again (first at {})",
                        show(&slo.service),
                        slo.name,
                        first.defined_at
                    ),
                    "rename or remove one of them",
                );
                continue;
            }
            slos.insert(slo.id, slo);
        }
    }
    slos
}

/// One SLO object gives one SLO for each of its objectives.
fn read_slo(
    object: &Object<'_>,
    objects: &Objects<'_>,
    services: &Services<'_>,
    targets: &mut Targets,
) -> Vec<Slo> {
    object.check_own(&[]);
    let Some(mut fields) = object.spec.map() else {
        return Vec::new();
    };
    fields.get("description");
    let service = fields
        .require("service", "the name of a Service")
        .and_then(|field| services.key(&field));
    let indicator = read_indicator(&mut fields, objects);
    let period = read_window(&mut fields);
    let method = read_method(&mut fields);
    let objectives = fields.require("objectives", "a list of objectives");
    let policies = fields.get("alertPolicies");
    fields.finish(false);
    let objectives = objectives
        .map(|field| read_objectives(&field, indicator.as_ref(), method))
        .unwrap_or_default();
    let mut slos = Vec::new();
    for objective in objectives {
        // With the period unknown the tiers are still checked, against the longest.
        let budget = Budget {
            target: objective.target,
            period_secs: period.unwrap_or(values::WINDOW_RANGE.1),
        };
        let tiers = read_tiers(object, policies.as_ref(), objects, budget, targets);
        let (Some(service), Some(sli), Some(period_secs)) = (&service, objective.sli, period)
        else {
            continue;
        };
        if !method {
            continue;
        }
        let service_id = service.id();
        let name = format!("{}{}", object.name, objective.suffix);
        slos.push(Slo {
            id: Slo::id_of(service_id, &name),
            display_name: format!(
                "{}{}",
                object.metadata.display_name, objective.display_suffix
            ),
            name,
            service: service.clone(),
            service_id,
            sli,
            target: objective.target,
            period_secs,
            tiers,
            no_data: NoDataPolicy::Carry,
            implicit: false,
            defined_at: object.metadata.name.place(),
        });
    }
    slos
}

fn read_indicator(fields: &mut Fields<'_>, objects: &Objects<'_>) -> Option<Indicator> {
    let inline = fields.get("indicator");
    let reference = fields.get("indicatorRef");
    match (inline, reference) {
        (Some(inline), None) => {
            let mut parts = inline.map()?;
            parts.get("metadata");
            let spec = parts.require("spec", "`ratioMetric` or `thresholdMetric`");
            parts.finish(false);
            Indicator::read(&spec?, objects)
        }
        (None, Some(reference)) => {
            Indicator::read(&objects.find(Kind::Sli, &reference)?.spec, objects)
        }
        (Some(_), Some(reference)) => {
            reference.error(
                "expected one of `indicator` and `indicatorRef`, got both",
                "keep one",
            );
            None
        }
        (None, None) => {
            // A composite has its indicators in the objectives, and they say so themselves.
            if !has_composite(fields) {
                fields
                    .of
                    .error("expected `indicator` or `indicatorRef`, got neither", "");
            }
            None
        }
    }
}

fn has_composite(fields: &mut Fields<'_>) -> bool {
    let objectives = fields.get("objectives");
    let items = match &objectives {
        Some(field) if matches!(field.node.value, super::yaml::Value::List(_)) => {
            field.list().unwrap_or_default()
        }
        _ => return false,
    };
    items.iter().any(|item| match &item.node.value {
        super::yaml::Value::Map(entries) => entries
            .iter()
            .any(|entry| entry.key.starts_with("indicator")),
        _ => false,
    })
}

/// The rolling period, s; `None` after a problem.
fn read_window(fields: &mut Fields<'_>) -> Option<u64> {
    let Some(field) = fields.get("timeWindow") else {
        fields.of.warn(
            "expected `timeWindow`, got none",
            "read as a rolling window of 30d",
        );
        return Some(DEFAULT_PERIOD);
    };
    let items = field.list()?;
    let [item] = items.as_slice() else {
        field.error(
            format!("expected exactly one time window, got {}", items.len()),
            "write one SLO for each window",
        );
        return None;
    };
    let mut window = item.map()?;
    let duration = window.require("duration", "a duration, such as `30d`");
    let rolling = window.get("isRolling");
    let calendar = window.get("calendar");
    window.finish(false);
    let is_rolling = match &rolling {
        Some(field) => Some(field.boolean()?),
        None => None,
    };
    match (is_rolling, calendar) {
        (Some(true), Some(calendar)) => {
            calendar.warn(
                "expected no `calendar` in a rolling window, got one",
                "it is ignored",
            );
        }
        (_, Some(calendar)) => {
            calendar.later(
                "calendar windows",
                "use a rolling window: `isRolling: true`, without `calendar`",
            );
            return None;
        }
        (Some(false), None) => {
            if let Some(rolling) = rolling {
                rolling.later("calendar windows", "write `isRolling: true`");
            }
            return None;
        }
        (None, None) => item.warn(
            "expected `isRolling: true`, got nothing",
            "read as a rolling window",
        ),
        (Some(true), None) => {}
    }
    let duration = duration?;
    let (least, most) = values::WINDOW_RANGE;
    values::duration(&duration, least, most)
}

/// Whether the budgeting method is one we have.
fn read_method(fields: &mut Fields<'_>) -> bool {
    let Some(field) = fields.get("budgetingMethod") else {
        fields.of.warn(
            "expected `budgetingMethod: Occurrences`, got none",
            "read as `Occurrences`",
        );
        return true;
    };
    let later = |what: &str| {
        field.later(
            &format!("the budgeting method `{what}`"),
            "use `budgetingMethod: Occurrences`, without `timeSliceTarget` and `timeSliceWindow`",
        );
    };
    match field.text() {
        Some("Occurrences") => return true,
        Some(method @ ("Timeslices" | "RatioTimeslices")) => later(method),
        Some(text) => {
            let all = ["Occurrences", "Timeslices", "RatioTimeslices"];
            let near = nearest(text, &all).map(|near| format!("did you mean `{near}`?"));
            field.expected("`Occurrences`", near.unwrap_or_default());
        }
        None => {}
    }
    false
}

/// An objective; `sli` is `None` when the indicator or the threshold has a problem.
struct Objective {
    target: Ratio,
    sli: Option<Sli>,
    suffix: String,
    display_suffix: String,
}

fn read_objectives(
    field: &Field<'_>,
    indicator: Option<&Indicator>,
    is_occurrences: bool,
) -> Vec<Objective> {
    let items = field.list().unwrap_or_default();
    if items.is_empty() || items.len() > OBJECTIVES_MAX {
        field.error(
            format!(
                "expected 1 to {OBJECTIVES_MAX} objectives, got {}",
                items.len()
            ),
            "",
        );
        return Vec::new();
    }
    let several = items.len() > 1;
    let read = |(index, item): (usize, &Field<'_>)| {
        read_objective(item, indicator, is_occurrences, several.then_some(index))
    };
    items.iter().enumerate().filter_map(read).collect()
}

/// Reads one objective. `is_occurrences`: the time-slice fields have no meaning. `index`: its position when there are several; then it becomes an SLO of its own name,
/// `<SLO>-<display name>` (or the position, from 1), so that its counts survive a change of the others.
fn read_objective(
    item: &Field<'_>,
    indicator: Option<&Indicator>,
    is_occurrences: bool,
    index: Option<usize>,
) -> Option<Objective> {
    let mut fields = item.map()?;
    let display = fields.get("displayName").and_then(|field| field.text());
    let (ratio, percent) = (fields.get("target"), fields.get("targetPercent"));
    let (op, value) = (fields.get("op"), fields.get("value"));
    for key in ["timeSliceTarget", "timeSliceWindow"] {
        if let Some(field) = fields.get(key)
            && is_occurrences
        {
            field.warn(
                format!("expected no `{key}` with `Occurrences`, got one"),
                "it is ignored",
            );
        }
    }
    let composite = ["indicator", "indicatorRef", "compositeWeight"].map(|key| fields.get(key));
    fields.finish(false);
    if let Some(field) = composite.iter().flatten().next() {
        field.later(
            "composite SLOs (an indicator or weight inside an objective)",
            "write one SLO for each indicator",
        );
        return None;
    }
    let sli = match indicator {
        None => None,
        Some(Indicator::Ratio(sli)) => {
            for (key, field) in [("op", &op), ("value", &value)] {
                if let Some(field) = field {
                    field.warn(
                        format!("expected no `{key}` beside a ratioMetric, got one"),
                        "it is ignored",
                    );
                }
            }
            Some(sli.clone())
        }
        Some(Indicator::Latency(selector)) => read_threshold(item, op.as_ref(), value.as_ref())
            .map(|threshold_nanos| Sli::Latency {
                selector: selector.clone(),
                threshold_nanos,
            }),
        Some(Indicator::Points(selector)) => {
            read_level(item, selector, op.as_ref(), value.as_ref())
        }
    };
    let target = match (ratio, percent) {
        (Some(ratio), None) => values::target(&ratio),
        (None, Some(percent)) => values::target_percent(&percent),
        (Some(_), Some(percent)) => {
            percent.error(
                "expected one of `target` and `targetPercent`, got both",
                "keep one",
            );
            None
        }
        (None, None) => {
            item.error("expected `target` or `targetPercent`, got neither", "");
            None
        }
    }?;
    let (suffix, display_suffix) = suffixes(index, display);
    Some(Objective {
        target,
        sli,
        suffix,
        display_suffix,
    })
}

fn suffixes(index: Option<usize>, display: Option<&str>) -> (String, String) {
    let Some(index) = index else {
        return (String::new(), String::new());
    };
    let word = display.map(slug).filter(|word| !word.is_empty());
    let word = word.unwrap_or_else(|| (index + 1).to_string());
    let shown = display.map_or_else(|| word.clone(), str::to_owned);
    (format!("-{word}"), format!(" ({shown})"))
}

/// Lower-case letters and digits of `text`, other runs as one `-`.
fn slug(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("-")
}

fn read_threshold(
    item: &Field<'_>,
    op: Option<&Field<'_>>,
    value: Option<&Field<'_>>,
) -> Option<u64> {
    let exclusive = match op {
        None => {
            item.warn(
                "expected `op: lte` beside a thresholdMetric, got none",
                "read as `lte`",
            );
            Some(false)
        }
        Some(op) => match op.text()? {
            "lte" => Some(false),
            "lt" => Some(true),
            "gt" | "gte" => {
                op.later(
                    "thresholds that must be exceeded (`gt`, `gte`)",
                    "a latency is good when it is `lte` the value",
                );
                None
            }
            _ => {
                op.expected("`lte` or `lt`", "");
                None
            }
        },
    };
    let Some(value) = value else {
        item.error(
            "expected `value`: the longest good duration in seconds, got nothing",
            "",
        );
        return None;
    };
    let nanos = values::seconds_as_nanos(value)?;
    // Durations are whole nanoseconds: "less than v" is "at most v - 1 ns".
    Some(if exclusive? { nanos - 1 } else { nanos })
}

/// The SLI of a metric's `op` and `value`.
fn read_level(
    item: &Field<'_>,
    selector: &PointSelector,
    op: Option<&Field<'_>>,
    value: Option<&Field<'_>>,
) -> Option<Sli> {
    let is_gauge = selector.instruments == [Instrument::Gauge];
    let Some(op) = op else {
        let all = if is_gauge {
            "lte, lt, gte or gt"
        } else {
            "lte"
        };
        item.error(
            format!("expected `op`: {all}, how a good value compares to `value`, got nothing"),
            "",
        );
        return None;
    };
    let ops = [Op::AtMost, Op::Below, Op::AtLeast, Op::Above];
    let word = op.text()?;
    let Some(read) = ops.into_iter().find(|one| one.name() == word) else {
        op.expected("`lte`, `lt`, `gte` or `gt`", "");
        return None;
    };
    if !is_gauge && read != Op::AtMost {
        op.error(
            format!("expected `lte` of a histogram, got `{word}`: its buckets hold the events up to their bound"),
            "write `op: lte`",
        );
        return None;
    }
    let Some(value) = value else {
        item.error(
            "expected `value`: what is compared with, in the metric's own unit, got nothing",
            "",
        );
        return None;
    };
    let threshold = values::number(value)?;
    if is_gauge {
        return Some(Sli::Level {
            selector: selector.clone(),
            op: read,
            threshold,
        });
    }
    if threshold.value() <= 0.0 {
        value.expected("a number above 0, in the metric's own unit", "");
        return None;
    }
    Some(Sli::Increments {
        total: selector.clone(),
        part: selector.clone(),
        at_most: Some(threshold),
        side: Side::Good,
    })
}
