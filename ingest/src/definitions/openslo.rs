//! OpenSLO objects: their envelope (`apiVersion`, `kind`, `metadata`, `spec`) and who refers to whom.

use super::reader::{Field, Fields, Report, nearest};
use super::yaml::{Node, Tree, Value, shorten};
use std::collections::BTreeMap;

/// Prefix of Tidegate's own annotations.
pub const OWN_PREFIX: &str = "tidegate.dev/";

/// Kinds of OpenSLO v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A service, its team and its policy.
    Service,
    /// A reusable indicator.
    Sli,
    /// An objective.
    Slo,
    /// One burn-rate tier.
    AlertPolicy,
    /// A reusable condition of a policy.
    AlertCondition,
    /// Where alerts go.
    AlertNotificationTarget,
    /// Where metrics come from: spans are received, so nothing is read from it.
    DataSource,
}

impl Kind {
    const ALL: [(&'static str, Self); 7] = [
        ("Service", Self::Service),
        ("SLI", Self::Sli),
        ("SLO", Self::Slo),
        ("AlertPolicy", Self::AlertPolicy),
        ("AlertCondition", Self::AlertCondition),
        ("AlertNotificationTarget", Self::AlertNotificationTarget),
        ("DataSource", Self::DataSource),
    ];

    /// The word in `kind:`.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

/// `metadata` of an object.
#[derive(Debug, Clone)]
pub struct Metadata<'a> {
    /// `name`.
    pub name: Field<'a>,
    /// `displayName`, or the name.
    pub display_name: &'a str,
    /// `labels`: each has one or more values.
    pub labels: BTreeMap<&'a str, Vec<&'a str>>,
    /// `annotations` that start with `tidegate.dev/`, without the prefix.
    pub own: Vec<(&'a str, Field<'a>)>,
}

/// An object with its envelope read.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: &'a str,
    /// The whole object.
    pub root: Field<'a>,
    /// Its metadata.
    pub metadata: Metadata<'a>,
    /// Its spec.
    pub spec: Field<'a>,
}

impl<'a> Object<'a> {
    /// Reads a top-level object; `None` (and problems) when it is none that can be used.
    pub fn read(root: &Field<'a>) -> Option<Self> {
        let mut fields = root.map()?;
        check_version(&mut fields)?;
        let kind = read_kind(&fields.require("kind", "an OpenSLO kind")?)?;
        Self::read_rest(root, fields, kind)
    }

    /// Reads an inline object, whose `kind` may be left out.
    pub fn read_inline(root: &Field<'a>, kind: Kind) -> Option<Self> {
        let mut fields = root.map()?;
        fields.get("apiVersion");
        if let Some(field) = fields.get("kind")
            && field.text()? != kind.name()
        {
            field.expected(&format!("`{}`", kind.name()), "");
            return None;
        }
        Self::read_rest(root, fields, kind)
    }

    fn read_rest(root: &Field<'a>, mut fields: Fields<'a>, kind: Kind) -> Option<Self> {
        let metadata = fields.require("metadata", "a map with the object's `name`");
        let spec = match kind {
            // These say everything in their metadata; the examples of OpenSLO leave `spec` empty.
            Kind::Service | Kind::DataSource => {
                Some(fields.get("spec").unwrap_or_else(|| root.clone()))
            }
            _ => fields.require("spec", "a map"),
        };
        fields.finish(false);
        let metadata = read_metadata(&metadata?)?;
        let name = metadata.name.name()?;
        Some(Self {
            kind,
            name,
            root: root.clone(),
            metadata,
            spec: spec?,
        })
    }

    /// The own annotation called `key`, without the prefix.
    pub fn own(&self, key: &str) -> Option<&Field<'a>> {
        self.metadata
            .own
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, field)| field)
    }

    /// Refuses own annotations other than `known`: a slip there would silently change a policy.
    pub fn check_own(&self, known: &[&str]) {
        for (key, field) in self
            .metadata
            .own
            .iter()
            .filter(|(key, _)| !known.contains(key))
        {
            let hint = match nearest(key, known) {
                Some(near) => format!("did you mean `{OWN_PREFIX}{near}`?"),
                None if known.is_empty() => format!("a {} has none", self.kind.name()),
                None => format!("known here: {}", known.join(", ")),
            };
            field.key_error(
                format!(
                    "expected a known `{OWN_PREFIX}` annotation, got `{OWN_PREFIX}{}`",
                    shorten(key)
                ),
                hint,
            );
        }
    }
}

fn check_version(fields: &mut Fields<'_>) -> Option<()> {
    if fields.has("version") && !fields.has("apiVersion") {
        let version = fields.get("version")?;
        if version.text()?.starts_with("prometheus/") {
            version.later("Sloth files", "write it as `apiVersion: openslo/v1`");
            return None;
        }
    }
    let version = fields.require("apiVersion", "`openslo/v1`")?;
    let later = |what: &str| version.later(what, "write it as `apiVersion: openslo/v1`");
    match version.text()? {
        "openslo/v1" | "openslo.com/v1" => return Some(()),
        "openslo/v1alpha" | "openslo.com/v1alpha" => later("OpenSLO v1alpha"),
        "openslo/v2alpha" | "openslo.com/v2alpha" | "openslo/v2alpha1" => later("OpenSLO v2alpha"),
        text if text.starts_with("sloth.slok.dev/") => later("Sloth's PrometheusServiceLevel"),
        text if text.starts_with("pyrra.dev/") => later("Pyrra's ServiceLevelObjective"),
        _ => version.expected(
            "`openslo/v1`",
            "only OpenSLO objects belong into the definitions directory",
        ),
    }
    None
}

fn read_kind(field: &Field<'_>) -> Option<Kind> {
    let text = field.text()?;
    let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    let kind = Kind::ALL
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, kind)| *kind);
    if kind.is_none() {
        let same = names
            .iter()
            .find(|name| name.eq_ignore_ascii_case(text))
            .copied();
        let hint = same
            .or_else(|| nearest(text, &names))
            .map(|near| format!("did you mean `{near}`?"));
        field.expected(
            &format!("a kind of OpenSLO v1 ({})", names.join(", ")),
            hint.unwrap_or_default(),
        );
    }
    kind
}

fn read_metadata<'a>(field: &Field<'a>) -> Option<Metadata<'a>> {
    let mut fields = field.map()?;
    let name = fields.require("name", "a name");
    let display = fields.get("displayName").and_then(|display| display.text());
    let labels = fields
        .get("labels")
        .map(|labels| read_labels(&labels))
        .unwrap_or_default();
    let annotations = fields.get("annotations");
    // Objects applied to Kubernetes carry these.
    fields.get("namespace");
    fields.finish(false);
    let name = name?;
    let text = name.name()?;
    if !is_dns_label(text) {
        let got = shorten(text);
        name.warn(
            format!(
                "expected a name of at most 63 lower-case letters, digits and `-`, got `{got}`"
            ),
            "other OpenSLO tools refuse it",
        );
    }
    let own = match annotations {
        Some(annotations) => own_annotations(&annotations),
        None => Vec::new(),
    };
    Some(Metadata {
        name,
        display_name: display.unwrap_or(text),
        labels,
        own,
    })
}

fn own_annotations<'a>(annotations: &Field<'a>) -> Vec<(&'a str, Field<'a>)> {
    let all = annotations
        .map()
        .map(|fields| fields.all())
        .unwrap_or_default();
    let own = |(key, field): (&'a str, Field<'a>)| Some((key.strip_prefix(OWN_PREFIX)?, field));
    all.into_iter().filter_map(own).collect()
}

fn read_labels<'a>(field: &Field<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let values = |field: &Field<'a>| match field.node.value {
        Value::List(_) => field
            .list()
            .unwrap_or_default()
            .iter()
            .filter_map(|value| value.text())
            .collect(),
        Value::Null => Vec::new(),
        _ => field.text().into_iter().collect(),
    };
    let all = field.map().map(|fields| fields.all()).unwrap_or_default();
    all.into_iter()
        .map(|(key, field)| (key, values(&field)))
        .collect()
}

fn is_dns_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 63 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// All objects of all files.
#[derive(Debug, Default)]
pub struct Objects<'a> {
    /// SLOs in file order; their names need be unique per service only.
    pub slos: Vec<Object<'a>>,
    named: BTreeMap<Kind, BTreeMap<&'a str, Object<'a>>>,
    /// Some file could not be read to its end: what it holds cannot be called missing.
    is_partial: bool,
}

impl<'a> Objects<'a> {
    /// Reads the envelopes of all documents of all files.
    pub fn read(files: &'a [(String, Tree)], report: &'a Report) -> Self {
        let mut objects = Self::default();
        for (file, tree) in files {
            objects.is_partial |= !tree.complete;
            for document in &tree.documents {
                objects.read_document(Field::root(file, document, report));
            }
        }
        objects
    }

    fn read_document(&mut self, root: Field<'a>) {
        // Anything but a list is one object; a list is a sequence of them.
        let items = match root.node.value {
            Value::List(_) => root.list().unwrap_or_default(),
            _ => vec![root],
        };
        for item in items {
            match Object::read(&item) {
                Some(object) => self.add(object),
                // Its name may be what others refer to.
                None => self.is_partial = true,
            }
        }
    }

    fn add(&mut self, object: Object<'a>) {
        if object.kind == Kind::Slo {
            self.slos.push(object);
            return;
        }
        let named = self.named.entry(object.kind).or_default();
        if let Some(first) = named.get(object.name) {
            let place = first.metadata.name.place();
            let (kind, name) = (object.kind.name(), shorten(object.name));
            object.metadata.name.error(
                format!("expected each {kind} once, got `{name}` again (first at {place})"),
                "rename or remove one of them",
            );
            return;
        }
        named.insert(object.name, object);
    }

    /// The objects of `kind` by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Object<'a>> {
        self.named.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    /// The object called `name`, if any.
    pub fn named(&self, kind: Kind, name: &str) -> Option<&Object<'a>> {
        self.named.get(&kind)?.get(name)
    }

    /// The object that `reference` names; a problem when there is none.
    pub fn find(&self, kind: Kind, reference: &Field<'a>) -> Option<&Object<'a>> {
        let name = reference.name()?;
        let found = self.named(kind, name);
        if found.is_none() && !self.is_partial {
            let names: Vec<&str> = self.of_kind(kind).map(|object| object.name).collect();
            let hint = match nearest(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add a document with `kind: {}` and this name", kind.name()),
            };
            reference.expected(&format!("the name of an existing {}", kind.name()), hint);
        }
        found
    }

    /// The `type` of the DataSource that `reference` names, if it can be told.
    pub fn data_source_type(&self, reference: &Field<'a>) -> Option<&'a str> {
        let source = self.named(Kind::DataSource, reference.name()?)?;
        match &source.spec.node.value {
            Value::Map(entries) => match entries.iter().find(|entry| entry.key == "type")?.value {
                Node {
                    value: Value::Scalar { ref text, .. },
                    ..
                } => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}
