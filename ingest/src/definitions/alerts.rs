//! Alert policies to burn tiers: one AlertPolicy is one multi-window tier.
//!
//! The long window is the condition's `lookbackWindow`, the threshold its burn rate, the short window the policy's
//! annotation `tidegate.dev/short-window` (default a twelfth of the long one, rounded down to whole buckets).

use super::openslo::{Kind, Object, Objects};
use super::reader::Field;
use super::values::{bucket_secs, duration, factor_milli, show_secs};
use engine::slo::{BurnTier, RATIO_ONE, Ratio, Severity, default_tiers};
use std::collections::BTreeMap;

/// Most tiers of one SLO.
const TIERS_MAX: usize = 16;

/// Targets by name, as found in files and inline.
pub type Targets = BTreeMap<String, String>;

/// What an SLO's tiers are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The SLO's target.
    pub target: Ratio,
    /// Its period, s.
    pub period_secs: u64,
}

impl Budget {
    /// Whether a tier of this factor can ever fire: no burn rate exceeds `1 / (1 - target)`.
    fn can_reach(&self, factor_milli: u64) -> bool {
        let budget = u128::from(self.target.complement().parts_per_billion);
        u128::from(factor_milli) * budget < 1000 * u128::from(RATIO_ONE)
    }

    /// The highest possible burn rate, rounded up, for messages.
    fn highest(&self) -> u64 {
        RATIO_ONE.div_ceil(self.target.complement().parts_per_billion.max(1))
    }
}

/// The tiers of the SLO whose `alertPolicies` is `field` (`None`: absent or null).
pub fn read_tiers(
    slo: &Object<'_>,
    field: Option<&Field<'_>>,
    objects: &Objects<'_>,
    budget: Budget,
    targets: &mut Targets,
) -> Vec<BurnTier> {
    let items = field.and_then(Field::list).unwrap_or_default();
    if items.is_empty() {
        return usable_defaults(slo, budget);
    }
    if items.len() > TIERS_MAX
        && let Some(field) = field
    {
        field.error(
            format!("expected at most {TIERS_MAX} policies, got {}", items.len()),
            "",
        );
        return Vec::new();
    }
    let mut tiers: Vec<BurnTier> = Vec::new();
    for item in &items {
        let Some(tier) = read_item(item, objects, budget, targets) else {
            continue;
        };
        if tiers.iter().any(|other| other.name == tier.name) {
            item.error(
                format!("expected each policy once, got `{}` again", tier.name),
                "",
            );
            continue;
        }
        tiers.push(tier);
    }
    tiers
}

/// The default tiers that can fire; those that cannot are left out with a warning.
fn usable_defaults(slo: &Object<'_>, budget: Budget) -> Vec<BurnTier> {
    let fits = |tier: &BurnTier| {
        budget.can_reach(tier.factor_milli) && tier.long_secs <= budget.period_secs
    };
    let (kept, dropped): (Vec<_>, Vec<_>) = default_tiers().into_iter().partition(fits);
    if !dropped.is_empty() {
        let names: Vec<&str> = dropped.iter().map(|tier| tier.name.as_str()).collect();
        slo.spec.warn(
            format!(
                "expected all four default alert tiers to be able to fire, got {} that cannot: {}",
                dropped.len(),
                names.join(", ")
            ),
            format!(
                "the burn rate cannot exceed {} and windows cannot exceed the period; write `alertPolicies` that fit",
                budget.highest()
            ),
        );
    }
    kept
}

fn read_item(
    item: &Field<'_>,
    objects: &Objects<'_>,
    budget: Budget,
    targets: &mut Targets,
) -> Option<BurnTier> {
    let mut fields = item.map()?;
    let Some(reference) = fields.get("alertPolicyRef") else {
        let policy = Object::read_inline(item, Kind::AlertPolicy)?;
        return read_policy(&policy, objects, budget, targets, None);
    };
    fields.finish(false);
    let policy = objects.find(Kind::AlertPolicy, &reference)?;
    read_policy(policy, objects, budget, targets, Some(item))
}

/// Checks the policies that no SLO uses, so that their mistakes do not wait for the first use.
pub fn check_unused(
    objects: &Objects<'_>,
    used: &std::collections::BTreeSet<String>,
    targets: &mut Targets,
) {
    let any = Budget {
        target: Ratio::from_ppb(RATIO_ONE - 1),
        period_secs: u64::MAX,
    };
    for policy in objects
        .of_kind(Kind::AlertPolicy)
        .filter(|policy| !used.contains(policy.name))
    {
        read_policy(policy, objects, any, targets, None);
    }
}

/// Reads one policy. `user` is the place in an SLO that refers to it: what does not fit this SLO is said there.
fn read_policy(
    policy: &Object<'_>,
    objects: &Objects<'_>,
    budget: Budget,
    targets: &mut Targets,
    user: Option<&Field<'_>>,
) -> Option<BurnTier> {
    policy.check_own(&["short-window"]);
    let mut fields = policy.spec.map()?;
    fields.get("description");
    let is_silent = read_switches(&mut fields);
    let conditions = fields.require("conditions", "a list of one condition");
    let receivers = fields.get("notificationTargets");
    fields.finish(false);
    let receivers = match receivers {
        Some(receivers) => read_targets(&receivers, objects, targets)?,
        None => {
            policy.spec.warn(
                "expected `notificationTargets`, got none",
                "alerts go to every configured webhook and Alertmanager",
            );
            Vec::new()
        }
    };
    let condition = Condition::read(&conditions?, objects)?;
    let long_secs = duration(
        &condition.lookback,
        60,
        budget.period_secs.min(400 * 86_400),
    )?;
    aligned(&condition.lookback, long_secs)?;
    let short_secs = match policy.own("short-window") {
        Some(field) => {
            let secs = duration(field, 1, long_secs.saturating_sub(1))?;
            aligned(field, secs)?;
            secs
        }
        None => long_secs / 12 / bucket_secs(long_secs / 12) * bucket_secs(long_secs / 12),
    };
    if !budget.can_reach(condition.factor_milli) {
        user.unwrap_or(&condition.threshold).error(
            format!(
                "expected a burn rate below {}, got {}: it can never be exceeded with this target",
                budget.highest(),
                show_milli(condition.factor_milli)
            ),
            format!(
                "use a smaller threshold (it is at {}), or a higher target",
                condition.threshold.place()
            ),
        );
        return None;
    }
    if is_silent {
        return None;
    }
    Some(BurnTier {
        name: policy.name.to_owned(),
        severity: condition.severity,
        factor_milli: condition.factor_milli,
        long_secs,
        short_secs,
        for_secs: condition.for_secs,
        targets: receivers,
    })
}

/// Reads the three `alertWhen...` switches; true when the policy is switched off.
fn read_switches(fields: &mut super::reader::Fields<'_>) -> bool {
    let mut is_silent = false;
    if let Some(field) = fields.get("alertWhenNoData")
        && field.boolean() == Some(true)
    {
        field.warn(
            "comes later: alerts on missing data",
            "the last state is kept and shown as stale",
        );
    }
    if let Some(field) = fields.get("alertWhenResolved")
        && field.boolean() == Some(false)
    {
        field.warn(
            "comes later: silence on resolution",
            "resolved alerts are always sent",
        );
    }
    if let Some(field) = fields.get("alertWhenBreaching")
        && field.boolean() == Some(false)
    {
        field.warn(
            "expected `alertWhenBreaching: true`, got `false`",
            "this policy never alerts",
        );
        is_silent = true;
    }
    is_silent
}

fn aligned(field: &Field<'_>, secs: u64) -> Option<()> {
    let bucket = bucket_secs(secs);
    if secs.is_multiple_of(bucket) {
        return Some(());
    }
    field.expected(
        &format!(
            "a multiple of {} for a window of this length",
            show_secs(bucket)
        ),
        "windows are made of whole buckets",
    );
    None
}

fn show_milli(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn read_targets(
    field: &Field<'_>,
    objects: &Objects<'_>,
    targets: &mut Targets,
) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for item in field.list()? {
        let mut fields = item.map()?;
        let name = match fields.get("targetRef") {
            Some(reference) => {
                fields.finish(false);
                let target = objects.find(Kind::AlertNotificationTarget, &reference)?;
                target.name.to_owned()
            }
            None => {
                let target = Object::read_inline(&item, Kind::AlertNotificationTarget)?;
                read_target(&target, targets)?;
                target.name.to_owned()
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Some(names)
}

/// Reads a notification target; two of one name must say the same.
pub fn read_target(object: &Object<'_>, targets: &mut Targets) -> Option<()> {
    object.check_own(&[]);
    let mut fields = object.spec.map()?;
    let target = fields.require(
        "target",
        "where to send: the name of a configured webhook or Alertmanager",
    );
    fields.get("description");
    fields.finish(false);
    let target = target?;
    let text = target.name()?;
    if let Some(other) = targets.get(object.name)
        && other != text
    {
        target.error(
            format!(
                "expected one target of the name `{}`, got a second that says something else",
                object.name
            ),
            "rename one of them",
        );
        return None;
    }
    targets.insert(object.name.to_owned(), text.to_owned());
    Some(())
}

struct Condition<'a> {
    severity: Severity,
    threshold: Field<'a>,
    factor_milli: u64,
    lookback: Field<'a>,
    for_secs: u64,
}

impl<'a> Condition<'a> {
    /// Reads `conditions`: a list of one, inline or by reference.
    fn read(field: &Field<'a>, objects: &Objects<'a>) -> Option<Self> {
        let items = field.list()?;
        let [item] = items.as_slice() else {
            field.error(
                format!("expected exactly one condition, got {}", items.len()),
                "one AlertPolicy is one tier: write a policy for each",
            );
            return None;
        };
        let mut fields = item.map()?;
        if let Some(reference) = fields.get("conditionRef") {
            fields.finish(false);
            return Self::of_object(objects.find(Kind::AlertCondition, &reference)?);
        }
        Self::of_object(&Object::read_inline(item, Kind::AlertCondition)?)
    }

    fn of_object(object: &Object<'a>) -> Option<Self> {
        object.check_own(&[]);
        let mut fields = object.spec.map()?;
        let severity = match fields.get("severity") {
            Some(field) => read_severity(&field),
            None => {
                object.spec.warn(
                    "expected `severity: page` or `ticket`, got none",
                    "read as `ticket`",
                );
                Some(Severity::Ticket)
            }
        };
        fields.get("description");
        let condition = fields.require("condition", "a burn-rate condition");
        fields.finish(false);
        let mut fields = condition?.map()?;
        let (kind, op) = (fields.get("kind"), fields.get("op"));
        let threshold = fields.require("threshold", "a burn rate, such as 14.4");
        let lookback = fields.require("lookbackWindow", "the long window, such as `1h`");
        let after = fields.get("alertAfter");
        fields.finish(false);
        let kind = kind.is_none_or(|kind| check_kind(&kind));
        let op = op.is_none_or(|op| check_op(&op));
        let for_secs = after.map_or(Some(0), |after| duration(&after, 0, 7 * 86_400));
        let threshold = threshold?;
        let factor_milli = factor_milli(&threshold);
        let (lookback, severity) = (lookback?, severity?);
        (kind && op).then_some(())?;
        Some(Self {
            severity,
            threshold,
            factor_milli: factor_milli?,
            lookback,
            for_secs: for_secs?,
        })
    }
}

/// Checks an AlertCondition that no policy refers to.
pub fn check_condition(object: &Object<'_>) {
    Condition::of_object(object);
}

fn check_kind(field: &Field<'_>) -> bool {
    let is_burn = field
        .text()
        .is_some_and(|text| text.eq_ignore_ascii_case("burnrate"));
    if !is_burn {
        field.expected("`burnrate`", "the only kind of OpenSLO v1");
    }
    is_burn
}

fn check_op(field: &Field<'_>) -> bool {
    match field.text() {
        Some("gt") => true,
        Some("gte") => {
            field.warn(
                "expected `gt`, got `gte`",
                "burn rates are compared with `>`",
            );
            true
        }
        // An example of the OpenSLO README says so, and it cannot have been meant.
        Some(op @ ("lt" | "lte")) => {
            field.warn(
                format!(
                    "expected `gt`, got `{op}`, which would alert while the service is healthy"
                ),
                "read as `gt`",
            );
            true
        }
        Some(_) => {
            field.expected("`gt`", "");
            false
        }
        None => false,
    }
}

fn read_severity(field: &Field<'_>) -> Option<Severity> {
    let text = field.text()?;
    let severity = match text.to_ascii_lowercase().as_str() {
        "page" | "pager" | "critical" | "high" | "emergency" | "urgent" | "sev1" | "sev2"
        | "p1" | "p2" => Severity::Page,
        _ => Severity::Ticket,
    };
    if text != severity.name() {
        let got = super::yaml::shorten(text);
        field.warn(
            format!("expected `page` or `ticket`, got `{got}`"),
            format!("read as `{}`", severity.name()),
        );
    }
    Some(severity)
}
