//! Where a setting's value comes from: flag, environment, file, default, in this order.

use super::Config;
use clap::Args;
use engine::input::Problem;
use ingest::definitions::reader::{Field, Fields, Report};
use ingest::definitions::yaml::{self, Node, Position, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that is read when none is named and it exists.
const DEFAULT_FILE: &str = "tidegate.yaml";

/// Flags of commands that read the configuration. The environment is read by [`load`], not by clap, so that both give
/// the same messages.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file [default: tidegate.yaml when there is one] [env: TIDEGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for OTLP over gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<String>,
    /// Address for OTLP over HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Address for the API, the gate and the pages [default: 127.0.0.1:9470]
    #[arg(long, value_name = "ADDRESS")]
    api: Option<String>,
    /// Directory with SLO and service definitions
    #[arg(long, value_name = "DIRECTORY")]
    definitions: Option<String>,
    /// Directory for checkpoints
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// Write every input to this file, for `tidegate replay`
    #[arg(long, value_name = "FILE")]
    record: Option<String>,
    /// File with the bearer token that requests must carry
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Listen on other addresses than loopback without a token
    #[arg(long)]
    allow_insecure_listen: bool,
    /// Any other setting, such as `--set store.bytes=2GiB`
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    others: Vec<String>,
}

impl ConfigArgs {
    /// As given by `--config` alone.
    pub(crate) fn of_file(config: Option<PathBuf>) -> Self {
        Self {
            config,
            ..Self::default()
        }
    }

    /// (setting, flag as shown, value) of every flag given; what `--set` cannot be is a problem.
    fn given(&self, known: &[String], report: &Report) -> Vec<(String, String, String)> {
        let named = [
            ("listen.grpc", "--grpc", &self.grpc),
            ("listen.http", "--http", &self.http),
            ("listen.api", "--api", &self.api),
            ("definitions", "--definitions", &self.definitions),
            ("data_dir", "--data-dir", &self.data_dir),
            ("record", "--record", &self.record),
            ("token_file", "--token-file", &self.token_file),
        ];
        let allow = self.allow_insecure_listen.then(|| "true".to_owned());
        let named =
            named
                .into_iter()
                .chain([("allow_insecure_listen", "--allow-insecure-listen", &allow)]);
        let mut given: Vec<(String, String, String)> = named
            .filter_map(|(path, flag, value)| {
                Some((path.to_owned(), flag.to_owned(), value.clone()?))
            })
            .collect();
        for other in &self.others {
            match other.split_once('=') {
                Some((path, value)) if known.iter().any(|known| known == path) => {
                    given.push((path.to_owned(), format!("--set {path}"), value.to_owned()));
                }
                _ => report.file_error(
                    "--set",
                    format!("expected SETTING=VALUE with a known setting, got `{other}`"),
                    format!("settings: {}", known.join(", ")),
                ),
            }
        }
        given
    }
}

/// The outcome of reading the configuration.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings; `None` when there were errors.
    pub(crate) config: Option<Config>,
    /// Every error and warning.
    pub(crate) problems: Vec<Problem>,
}

/// Reads the configuration from flags, environment variables (name, value) and the file.
pub(crate) fn load(
    args: &ConfigArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Loaded {
    let report = Report::new(false);
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    let tree = read_file(args, &environment, &report);
    let overrides = overrides(args, &environment, &report);
    let from = Asked {
        layers: &Layers {
            report: &report,
            overrides,
            places: RefCell::default(),
        },
        path: String::new(),
        file: tree
            .as_ref()
            .map(|(name, node)| Field::root(name, node, &report)),
        default: Preset::Unset(""),
    };
    let config = Config::read(&from);
    if let Some(config) = &config {
        check(config, from.layers);
    }
    let config = config.filter(|_| !report.has_errors());
    Loaded {
        config,
        problems: report.into_problems(),
    }
}

fn read_file(
    args: &ConfigArgs,
    environment: &BTreeMap<String, String>,
    report: &Report,
) -> Option<(String, Node)> {
    let named = args
        .config
        .clone()
        .or_else(|| environment.get("TIDEGATE_CONFIG").map(PathBuf::from));
    let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists());
    let path = named.or_else(default)?;
    let name = path.display().to_string();
    let bytes = read_bounded(&path).inspect_err(|error| {
        report.file_error(&name, format!("expected a readable file, got: {error}"), "");
    });
    let tree = yaml::parse(&bytes.ok()?);
    for fault in tree.faults {
        report.fault(&name, fault);
    }
    let mut documents = tree.documents.into_iter();
    let first = documents.next()?;
    if documents.next().is_some() {
        report.file_error(
            &name,
            "expected one document, got several",
            "remove the `---` between them",
        );
    }
    Some((name, first))
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(yaml::BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Values from flags and, where there is no flag, from the environment: (name shown, value) by setting.
fn overrides(
    args: &ConfigArgs,
    environment: &BTreeMap<String, String>,
    report: &Report,
) -> BTreeMap<String, (String, Node)> {
    let known = Config::paths("");
    let mut overrides = BTreeMap::new();
    for path in &known {
        let name = format!("TIDEGATE_{}", path.replace('.', "_").to_uppercase());
        if let Some(value) = environment.get(&name) {
            overrides.insert(path.clone(), (name, scalar(value)));
        }
    }
    for (path, flag, value) in args.given(&known, report) {
        overrides.insert(path, (flag, scalar(&value)));
    }
    overrides
}

/// A value that has no line: its place is the name of the flag or variable alone.
fn scalar(text: &str) -> Node {
    Node {
        at: Position::default(),
        value: Value::Scalar {
            text: text.to_owned(),
            plain: true,
        },
    }
}

/// Rules that involve several settings.
fn check(config: &Config, layers: &Layers<'_>) {
    let listen = &config.listen;
    let addresses = [
        ("listen.grpc", listen.grpc),
        ("listen.http", listen.http),
        ("listen.api", listen.api),
    ];
    for (path, address) in addresses {
        if !address.ip().is_loopback()
            && config.token_file.is_none()
            && !config.allow_insecure_listen
        {
            layers.error(
                path,
                format!("expected a loopback address or a token, got `{address}` without one"),
                "set `token_file`, or `allow_insecure_listen` when you trust everybody on that network",
            );
        }
    }
    if config.limits.in_flight_bytes.0 < config.limits.request_bytes.0.saturating_mul(3) {
        layers.error(
            "limits.in_flight_bytes",
            "expected at least three times `limits.request_bytes`, got less".to_owned(),
            "or the largest request could never be admitted",
        );
    }
    check_names(config, layers);
    check_paths(config, layers);
}

/// A path tells the signal.
fn check_paths(config: &Config, layers: &Layers<'_>) {
    let http = &config.otlp_http;
    let [traces, metrics, logs] = [&http.traces_path, &http.metrics_path, &http.logs_path];
    let same = match (metrics == traces, logs == traces || logs == metrics) {
        (true, _) => ("otlp_http.metrics_path", metrics),
        (false, true) => ("otlp_http.logs_path", logs),
        (false, false) => return,
    };
    let message = format!("expected a path of its own, got `{}` again", same.1.0);
    layers.error(same.0, message, "a body alone does not tell its signal");
}

/// Definitions name webhooks and Alertmanagers alike: a name means one of them.
fn check_names(config: &Config, layers: &Layers<'_>) {
    let webhooks = config.webhooks.iter().map(|one| ("webhooks", &one.name));
    let alertmanagers = config.alertmanagers.iter();
    let alertmanagers = alertmanagers.map(|one| ("alertmanagers", &one.name));
    let mut known = std::collections::BTreeSet::new();
    for (path, name) in webhooks.chain(alertmanagers) {
        if !known.insert(name) {
            let message = format!("expected each name once, got `{name}` again");
            layers.error(path, message, "rename one of them");
        }
    }
}

/// Everything that can give a value, and where the values in use were given.
#[derive(Debug)]
pub(crate) struct Layers<'a> {
    report: &'a Report,
    overrides: BTreeMap<String, (String, Node)>,
    places: RefCell<BTreeMap<String, (String, Position)>>,
}

impl Layers<'_> {
    /// Reports an error at the place that gave the setting `path`.
    fn error(&self, path: &str, message: String, hint: &str) {
        let places = self.places.borrow();
        let default = ("default".to_owned(), Position::default());
        let (file, at) = places.get(path).unwrap_or(&default);
        let node = Node {
            at: *at,
            value: Value::Null,
        };
        Field::named(file, path, &node, self.report).error(message, hint);
    }
}

/// A default: YAML text, or nothing, with text that shows what could stand there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Preset {
    /// This value.
    Is(&'static str),
    /// No value; an example of one.
    Unset(&'static str),
}

/// One setting about to be read.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    layers: &'a Layers<'a>,
    path: String,
    file: Option<Field<'a>>,
    default: Preset,
}

impl<'a> Asked<'a> {
    /// The fields of a group in the file.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        self.file.as_ref().and_then(Field::map)
    }

    /// The setting `name` of this group.
    pub(crate) fn child(
        &self,
        fields: &mut Option<Fields<'a>>,
        name: &'static str,
        default: Preset,
    ) -> Self {
        let file = fields.as_mut().and_then(|fields| fields.get(name));
        Self {
            layers: self.layers,
            path: join(&self.path, name),
            file,
            default,
        }
    }
}

/// Something that can be read from the layers: a value, or a group of settings.
pub(crate) trait Setting: Sized {
    /// Reads it; `None` after a problem.
    fn read(from: &Asked<'_>) -> Option<Self>;
    /// Its YAML text in the example, for a value its default.
    fn example(default: &Preset) -> String;
    /// Dotted names of the values in it.
    fn paths(path: &str) -> Vec<String>;
    /// Whether it is a group of settings.
    const IS_GROUP: bool;
}

/// A single value.
pub(crate) trait Leaf: Sized {
    /// Reads it from what a person wrote, or from the default's text.
    fn leaf(field: &Field<'_>) -> Option<Self>;
    /// The value when there is neither.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Leaf> Setting for T {
    fn read(from: &Asked<'_>) -> Option<Self> {
        if let Some((name, node)) = from.layers.overrides.get(&from.path) {
            from.layers
                .places
                .borrow_mut()
                .insert(from.path.clone(), (name.clone(), node.at));
            return T::leaf(&Field::named(name, &from.path, node, from.layers.report));
        }
        if let Some(field) = &from.file {
            let place = (field.file.to_owned(), field.node.at);
            from.layers
                .places
                .borrow_mut()
                .insert(from.path.clone(), place);
            return T::leaf(field);
        }
        let Preset::Is(text) = from.default else {
            return T::absent();
        };
        let tree = yaml::parse(text.as_bytes());
        let node = tree.documents.first()?;
        T::leaf(&Field::named(
            "default",
            &from.path,
            node,
            from.layers.report,
        ))
    }

    fn example(default: &Preset) -> String {
        let (Preset::Is(text) | Preset::Unset(text)) = default;
        (*text).to_owned()
    }

    fn paths(path: &str) -> Vec<String> {
        vec![path.to_owned()]
    }

    const IS_GROUP: bool = false;
}

/// `prefix.name`, or the name alone.
pub(crate) fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}.{name}")
    }
}

/// Appends one setting to the example: its comment, then `name: value`.
pub(crate) fn example_of<T: Setting>(text: &mut String, doc: &[&str], name: &str, default: Preset) {
    let is_unset = !T::IS_GROUP && matches!(default, Preset::Unset(_));
    let value = T::example(&default);
    let comment = |lines: &mut String, line: &str| {
        lines.push('#');
        lines.push_str(line);
        lines.push('\n');
    };
    text.push('\n');
    doc.iter().for_each(|line| comment(text, line));
    let mut lines = String::new();
    if T::IS_GROUP || value.contains('\n') {
        lines.push_str(&format!("{name}:\n"));
        for line in value.trim_start_matches('\n').lines() {
            lines.push_str(if line.is_empty() { "" } else { "  " });
            lines.push_str(line);
            lines.push('\n');
        }
    } else {
        lines.push_str(&format!("{name}: {value}\n"));
    }
    for line in lines.lines() {
        text.push_str(if is_unset { "# " } else { "" });
        text.push_str(line);
        text.push('\n');
    }
}
