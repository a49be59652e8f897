//! Values as people write them: sizes, durations, addresses, webhooks, Alertmanagers.

use super::layers::Leaf;
use engine::hand::Level;
use engine::slo::ExclusionRule;
use ingest::definitions::reader::Field;
use ingest::definitions::sli::read_matches;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A number of bytes: `512MiB`. Units B, KiB, MiB, GiB, TiB and kB, MB, GB, TB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

/// A duration: `30s`. Units ms, s, m, h, d.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// The exclusion rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exclude(pub(crate) ExclusionRule);

/// One webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    /// Name: what definitions and status call it.
    pub(crate) name: String,
    /// Where messages are posted: http or https.
    pub(crate) url: String,
    /// File with its secret; `None` sends unsigned.
    pub(crate) secret_file: Option<PathBuf>,
    /// Events it is sent; empty = all.
    pub(crate) events: Vec<String>,
}

/// One Alertmanager, or one cluster of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alertmanager {
    /// Name: what definitions and status call it.
    pub(crate) name: String,
    /// Base addresses.
    pub(crate) urls: Vec<String>,
    /// How often everything is posted.
    pub(crate) resend: Duration,
    /// How long an alert is believed without hearing more; `None`: by whether there is a data directory.
    pub(crate) hold: Option<Duration>,
    /// File with a bearer token.
    pub(crate) token_file: Option<PathBuf>,
    /// Labels of every alert.
    pub(crate) labels: BTreeMap<String, String>,
}

/// The path of an address: `/v1/traces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UrlPath(pub(crate) String);

/// The origin of a page: scheme, host and port, as a browser sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(pub(crate) String);

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

/// A level that no service is above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaxLevel(pub(crate) Level);

/// An http or https address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url(pub(crate) String);

/// Resend interval of an Alertmanager that names none: Prometheus's.
const RESEND: Duration = Duration::from_secs(60);
/// Shortest and longest one.
const RESEND_LIMITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3_600)];
/// `hold` is at least so many resend intervals: three may be lost.
const HOLD_RESENDS: u32 = 4;

/// Names of events ([`engine::input::Notification::event`]).
const EVENTS: [&str; 13] = [
    "alert.firing",
    "alert.escalated",
    "alert.resolved",
    "incident.opened",
    "incident.resolved",
    "incident.reopened",
    "gate.halt",
    "gate.latch_cleared",
    "rollout.acted",
    "hand.disarmed",
    "hand.armed",
    "hand.not_armed",
    "hand.failed",
];

/// The number and the unit of `12MiB`; spaces between them are allowed.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

impl Leaf for Bytes {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        const UNITS: [(&str, u64); 9] = [
            ("B", 1),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
            ("kB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("TB", 1_000_000_000_000),
        ];
        let text = field.text()?;
        let bytes = split(text).and_then(|(number, unit)| {
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*factor)
        });
        if bytes.is_none_or(|bytes| bytes < 1024) {
            field.expected(
                "a size of at least 1KiB, such as `512MiB`",
                "a whole number and B, KiB, MiB or GiB",
            );
            return None;
        }
        bytes.map(Self)
    }
}

impl Leaf for Span {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        const UNITS: [(&str, u64); 5] = [
            ("ms", 1),
            ("s", 1_000),
            ("m", 60_000),
            ("h", 3_600_000),
            ("d", 86_400_000),
        ];
        let text = field.text()?;
        let millis = split(text).and_then(|(number, unit)| {
            let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
            number
                .checked_mul(*factor)
                .filter(|millis| (1..=400 * 86_400_000).contains(millis))
        });
        if millis.is_none() {
            field.expected(
                "a duration above 0, such as `30s`",
                "a whole number and ms, s, m, h or d",
            );
        }
        millis.map(Duration::from_millis).map(Self)
    }
}

impl<const MIN: u64, const MAX: u64> Leaf for Count<MIN, MAX> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let number = field
            .number_text()?
            .parse()
            .ok()
            .filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            field.expected(&format!("a whole number from {MIN} to {MAX}"), "");
        }
        number.map(Self)
    }
}

impl Leaf for bool {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        field.boolean()
    }
}

impl Leaf for SocketAddr {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let text = field.text()?;
        let text = text.replacen(
            "localhost:",
            "127.0.0.1:",
            usize::from(text.starts_with("localhost:")),
        );
        let address = text.parse().ok();
        if address.is_none() {
            field.expected("an IP address and a port, such as `127.0.0.1:4317`", "");
        }
        address
    }
}

impl Leaf for Option<PathBuf> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        field.name().map(|path| Some(PathBuf::from(path)))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Leaf for Exclude {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let any_of = read_matches(&field.map()?)?;
        Some(Self(ExclusionRule {
            any_of,
            ..ExclusionRule::default()
        }))
    }
}

impl Leaf for Vec<Webhook> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let read: Vec<Option<Webhook>> = field.list()?.iter().map(read_webhook).collect();
        read.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

fn read_webhook(field: &Field<'_>) -> Option<Webhook> {
    let mut fields = field.map()?;
    let name = fields.require("name", "a name");
    let url = fields.require("url", "an http or https URL");
    let secret_file = fields.get("secret_file");
    let events = fields.get("events");
    if let Some(secret) = fields.get("secret") {
        // Its value must not be repeated in a message.
        secret.error(
            "expected no secret in this file, got one",
            "put it into a file and name that as `secret_file`",
        );
    }
    fields.finish(true);
    let name = name.and_then(|name| name.name().map(str::to_owned));
    let url = url.and_then(|url| read_url(&url));
    let secret_file = match secret_file {
        Some(file) => Some(PathBuf::from(file.name()?)),
        None => None,
    };
    let events = match events {
        Some(events) => read_events(&events)?,
        None => Vec::new(),
    };
    Some(Webhook {
        name: name?,
        url: url?,
        secret_file,
        events,
    })
}

impl Leaf for Option<Text> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let text = field.text()?;
        if text.is_empty() {
            field.expected("text that is not empty", "leave it out instead");
            return None;
        }
        Some(Some(Text(text.to_owned())))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Leaf for MaxLevel {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let level = field.text().and_then(Level::named);
        if level.is_none() {
            field.expected("observe, advise, gate or act", "");
        }
        level.map(Self)
    }
}

impl Leaf for Option<Url> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        read_url(field).map(|url| Some(Url(url)))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Leaf for UrlPath {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let text = field.text()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if !text.starts_with('/') || !text.bytes().all(is_plain) {
            field.expected(
                "a path such as `/v1/traces`",
                "it begins with `/`; letters, digits and `-_.~/` need no escapes",
            );
            return None;
        }
        Some(Self(text.to_owned()))
    }
}

impl Leaf for Vec<Origin> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let read: Vec<Option<Origin>> = field.list()?.iter().map(read_origin).collect();
        read.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// Browsers send origins in small letters, without a path and without the scheme's usual port.
fn read_origin(field: &Field<'_>) -> Option<Origin> {
    let text = field.text()?;
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let is_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    if !host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_host)) {
        field.expected(
            "an origin such as `https://app.example.com`",
            "scheme and host in small letters, a port if it is not the usual one, no path",
        );
        return None;
    }
    Some(Origin(text.to_owned()))
}

impl Leaf for Vec<Alertmanager> {
    fn leaf(field: &Field<'_>) -> Option<Self> {
        let items = field.list()?;
        let read: Vec<Option<Alertmanager>> = items.iter().map(read_alertmanager).collect();
        read.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

fn read_alertmanager(field: &Field<'_>) -> Option<Alertmanager> {
    let mut fields = field.map()?;
    let name = fields.require("name", "a name");
    let (url, urls) = (fields.get("url"), fields.get("urls"));
    let (resend, hold) = (fields.get("resend"), fields.get("hold"));
    let (token_file, labels) = (fields.get("token_file"), fields.get("labels"));
    if let Some(token) = fields.get("token") {
        // Its value must not be repeated in a message.
        token.error(
            "expected no token in this file, got one",
            "put it into a file and name that as `token_file`",
        );
    }
    fields.finish(true);
    let name = name.and_then(|name| name.name().map(str::to_owned));
    let urls = match (url, urls) {
        (Some(url), None) => vec![read_url(&url)?],
        (None, Some(urls)) => {
            let read: Option<Vec<String>> = urls.list()?.iter().map(read_url).collect();
            read?
        }
        _ => Vec::new(),
    };
    if urls.is_empty() {
        field.error(
            "expected either `url` or `urls`",
            "write `url: http://alertmanager:9093`, or `urls` with every member of a cluster",
        );
        return None;
    }
    let resend = match resend {
        Some(resend) => read_resend(&resend)?,
        None => RESEND,
    };
    let hold = match hold {
        Some(hold) => Some(read_hold(&hold, resend)?),
        None => None,
    };
    let token_file = match token_file {
        Some(file) => Some(PathBuf::from(file.name()?)),
        None => None,
    };
    let labels = match labels {
        Some(labels) => read_labels(&labels)?,
        None => BTreeMap::new(),
    };
    Some(Alertmanager {
        name: name?,
        urls,
        resend,
        hold,
        token_file,
        labels,
    })
}

fn read_resend(field: &Field<'_>) -> Option<Duration> {
    let Span(resend) = Span::leaf(field)?;
    let [least, most] = RESEND_LIMITS;
    if !(least..=most).contains(&resend) {
        field.expected("a duration from `1s` to `1h`", "");
        return None;
    }
    Some(resend)
}

fn read_hold(field: &Field<'_>, resend: Duration) -> Option<Duration> {
    let Span(hold) = Span::leaf(field)?;
    if hold < resend * HOLD_RESENDS {
        field.expected(
            &format!("at least {HOLD_RESENDS} times `resend`"),
            "alerts would end because of a few lost deliveries",
        );
        return None;
    }
    Some(hold)
}

fn read_labels(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for (name, value) in field.map()?.all() {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            value.key_error(
                format!("expected a label name, got `{name}`"),
                "letters, digits and `_`, not a digit first",
            );
            return None;
        }
        if alerts::alertmanager::payload::OWN_LABELS.contains(&name) {
            value.key_error(
                format!("expected a name that Tidegate does not write itself, got `{name}`"),
                "choose another name",
            );
            return None;
        }
        labels.insert(name.to_owned(), value.name()?.to_owned());
    }
    Some(labels)
}

fn read_url(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let url = reqwest::Url::parse(text).ok();
    let is_http = url
        .as_ref()
        .is_some_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_http {
        field.expected("an http or https URL", "");
        return None;
    }
    if url.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
        field.error(
            "expected a URL without user and password, got one with them",
            "use a `secret_file` or a `token_file`",
        );
        return None;
    }
    Some(text.to_owned())
}

fn read_events(field: &Field<'_>) -> Option<Vec<String>> {
    let mut events = Vec::new();
    for item in field.list()? {
        let text = item.text()?;
        if !EVENTS.contains(&text) {
            item.expected(&format!("one of {}", EVENTS.join(", ")), "");
            return None;
        }
        events.push(text.to_owned());
    }
    Some(events)
}
