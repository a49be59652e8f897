//! `serve` and `demo` run this: bind the ports, start the receivers, the engine's thread, the executors and the API,
//! wait, drain.

use crate::clock;
use crate::config::{self, Config};
use crate::shell::{self, Channels, Keeping, Published, Shell};
use crate::telemetry;
use alerts::Endpoint;
use alerts::alertmanager::{Alertmanager, Executors, Stats};
use anyhow::{Context, Result, bail};
use engine::doctor::Endpoints;
use engine::folder::FolderLimits;
use engine::hash::{HashSeed, SHARDS};
use engine::input::{Effect, Input};
use engine::machine::EngineConfig;
use ingest::definitions::{LoadOptions, Reloader, WatchOptions, watch};
use ingest::log::{Checkpoints, LogHeader, LogWriter};
use ingest::receive::{HttpPaths, ReceiveConfig, ReceiveStats, Receiver, Token};
use query::api::ApiState;
use query::metrics::Sample;
use query::sql::{Sql, SqlLimits};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Tick interval (DESIGN 4).
const TICK: Duration = Duration::from_millis(250);
/// Decoded requests that wait for the engine; their bytes are bounded by `limits.in_flight_bytes`.
const REQUESTS_WAITING: usize = 1_024;
/// Control inputs that wait for the engine.
const CONTROL_WAITING: usize = 1_024;
/// Effects that wait for the executors; more wait in the engine's outbox.
const EFFECTS_WAITING: usize = 256;
/// Threads that answer the API, beside the one that accepts: one may render a large page while the other answers a gate.
const API_THREADS: usize = 2;
/// How long Alertmanagers believe an alert without hearing more, unless it is configured.
const HOLD: Duration = Duration::from_secs(24 * 3_600);
/// The same without a data directory.
const HOLD_FORGETFUL: Duration = Duration::from_secs(3_600);
/// Bytes a key takes in the dedup tables.
const KEY_BYTES: u64 = 16;

/// A running Tidegate.
pub(crate) struct Running {
    /// Where the API, gate and pages are.
    pub(crate) api: SocketAddr,
    /// Where OTLP over gRPC is received.
    pub(crate) grpc: SocketAddr,
    /// Where OTLP over HTTP is received.
    pub(crate) http: SocketAddr,
    /// What readers see.
    pub(crate) published: Published,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    threads: [(&'static str, JoinHandle<()>); 2],
}

impl Running {
    /// Stops accepting, lets the engine finish what was accepted, writes the last checkpoint.
    pub(crate) async fn drain(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        for (name, thread) in self.threads {
            let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
            if !joined.unwrap_or(false) {
                tracing::error!("the thread `{name}` ended in a panic");
            }
        }
    }
}

/// Starts everything.
///
/// # Errors
/// When a port is taken, a file cannot be read, or settings contradict each other; nothing is left running then.
pub(crate) async fn start(config: &Config) -> Result<Running> {
    let token = read_token(config)?;
    refuse_open_listeners(config, token.is_some())?;
    let endpoints = endpoints(config)?;
    let grpc = bind("grpc", "--grpc", config.listen.grpc).await?;
    let http = bind("http", "--http", config.listen.http).await?;
    let api = bind("api", "--api", config.listen.api).await?;
    let (grpc_at, http_at, api_at) = (grpc.local_addr()?, http.local_addr()?, api.local_addr()?);

    let checkpoints = config
        .data_dir
        .as_deref()
        .map(Checkpoints::open)
        .transpose()?;
    let restored = checkpoints.as_ref().map(shell::load).transpose()?.flatten();
    let seed = random_seed();
    let log = config
        .record
        .as_deref()
        .map(|path| start_recording(path, seed))
        .transpose()?;
    let keeping = Keeping {
        log,
        checkpoints,
        tick: TICK,
    };
    let (shell, published) = Shell::new(&engine_config(config, seed), restored, keeping);

    let (requests_in, requests) = mpsc::channel(REQUESTS_WAITING);
    let (control_in, control) = mpsc::channel(CONTROL_WAITING);
    let (effects_in, effects) = mpsc::channel(EFFECTS_WAITING);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();

    let receiver = Receiver::new(
        receive_config(config, token.as_deref()),
        seed,
        requests_in,
        clock::now,
    )?;
    let stats = receiver.stats();
    let alertmanagers = alertmanagers(config, &pages_of(config, api_at));
    let executors = Executors::new(&alertmanagers, clock::now)?;
    let delivered = executors.stats();
    let shell_samples: Arc<dyn Fn() -> Vec<Sample> + Send + Sync> = Arc::new(move || {
        let mut samples = receive_samples(&stats);
        samples.extend(alertmanager_samples(&delivered));
        samples
    });
    let (own, counted) = (Arc::clone(&published.snapshot), Arc::clone(&shell_samples));
    telemetry::observe(move || {
        let mut samples = query::metrics::own_samples(&own.load());
        samples.extend(counted());
        samples
    });
    tasks.spawn(receiver.serve(vec![grpc, http], stop.clone()));

    let reload = start_definitions(config, &control_in, &stop, &mut tasks);
    tasks.spawn(executors.run(published.standings.clone(), stop.clone()));
    let outbox = alerts::outbox::run(
        endpoints,
        effects,
        control_in.clone(),
        clock::now,
        stop.clone(),
    );
    tasks.spawn(async move {
        if let Err(error) = outbox.await {
            tracing::error!("webhooks are off: {error}");
        }
    });

    let hand = start_hand(config, &control_in, &stop, &mut tasks).await?;
    let state = ApiState {
        snapshot: Arc::clone(&published.snapshot),
        control: control_in,
        reload,
        receivers: shell_samples,
        sql: Sql::new(sql_limits(config)),
        token: token.map(Arc::from),
        endpoints: Arc::new(Endpoints {
            grpc: reachable(grpc_at),
            http: reachable(http_at),
        }),
    };
    let app = query::api::router(state.clone(), dashboards::pages(state.clone()));
    drop(state);
    let answering = start_api(api, app, stop.clone())?;

    let channels = Channels {
        requests,
        control,
        effects: effects_in,
        hand,
    };
    let engine = start_engine(shell, channels)?;
    Ok(Running {
        api: api_at,
        grpc: grpc_at,
        http: http_at,
        published,
        stop,
        tasks,
        threads: [("api", answering), ("engine", engine)],
    })
}

/// Answers on threads of its own: a gate must not queue behind requests that are being decoded.
fn start_api(
    listener: TcpListener,
    app: query::server::Router,
    stop: CancellationToken,
) -> Result<JoinHandle<()>> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(API_THREADS)
        .thread_name("api")
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("api".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => query::server::serve(listener, app, stop).await,
                    Err(error) => tracing::error!("the API cannot be served: {error}"),
                }
            });
        })
        .context("the API's thread cannot be started")
}

/// An address as a sender on another host would write it.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("<host of Tidegate>:{}", address.port());
    }
    address.to_string()
}

fn start_engine(shell: Shell, channels: Channels) -> Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(move || runtime.block_on(shell.run(channels)))
        .context("the engine's thread cannot be started")
}

fn engine_config(config: &Config, seed: HashSeed) -> EngineConfig {
    let folders = match config.folder_threads.0 {
        0 => std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).clamp(1, 8)),
        count => count as usize,
    };
    let keys = config.limits.dedup_bytes.0 / KEY_BYTES / SHARDS as u64;
    EngineConfig {
        seed,
        folders,
        limits: FolderLimits {
            keys_per_shard: usize::try_from(keys).unwrap_or(usize::MAX).max(64),
            ..FolderLimits::default()
        },
        store_bytes: config.store.bytes.0,
    }
}

/// The seed of shards and item keys: unpredictable to senders, recorded in the log.
fn random_seed() -> HashSeed {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's per-process random keys are the random source; two states give two words.
    HashSeed(
        RandomState::new().hash_one(1u8),
        RandomState::new().hash_one(2u8),
    )
}

fn start_recording(path: &Path, seed: HashSeed) -> Result<LogWriter> {
    let header = LogHeader {
        uuid: u128::from(seed.0) << 64 | u128::from(clock::now().0),
        segment: 0,
        first_lsn: 0,
        semantics: engine::SEMANTICS,
        seed,
    };
    LogWriter::create(path, &header).with_context(|| {
        format!(
            "cannot record to {}: the file must not exist yet, and its folder must",
            path.display()
        )
    })
}

fn receive_config(config: &Config, token: Option<&str>) -> ReceiveConfig {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let origins = config.otlp_http.cors_origins.iter();
    ReceiveConfig {
        request_bytes_max: size(config.limits.request_bytes.0),
        in_flight_bytes_max: size(config.limits.in_flight_bytes.0),
        connections_max: size(config.limits.connections.0),
        body_timeout: config.limits.body_timeout.0,
        idle_timeout: config.limits.idle_timeout.0,
        paths: HttpPaths {
            traces: config.otlp_http.traces_path.0.clone(),
            metrics: config.otlp_http.metrics_path.0.clone(),
            logs: config.otlp_http.logs_path.0.clone(),
        },
        cors_origins: origins.map(|origin| origin.0.clone()).collect(),
        token: token.map(Token::new),
        ..ReceiveConfig::default()
    }
}

fn sql_limits(config: &Config) -> SqlLimits {
    SqlLimits {
        query_bytes: usize::try_from(config.sql.query_bytes.0).unwrap_or(usize::MAX),
        queries: usize::try_from(config.sql.queries.0).unwrap_or(usize::MAX),
        timeout: config.sql.timeout.0,
        ..SqlLimits::default()
    }
}

fn receive_samples(stats: &ReceiveStats) -> Vec<Sample> {
    let help = "Requests that were refused, by reason";
    let refused = stats.refused().map(|(reason, count)| {
        Sample::counter(
            "tidegate_receive_refused_requests",
            help,
            vec![("reason", reason.to_owned())],
            count,
        )
    });
    let mut samples: Vec<Sample> = refused.collect();
    let gauge = |name, help, value: u64| Sample::gauge(name, help, Vec::new(), value as f64);
    samples.push(gauge(
        "tidegate_receive_in_flight_bytes",
        "Memory of requests in progress",
        stats.in_flight_bytes(),
    ));
    samples.push(gauge(
        "tidegate_receive_connections",
        "Open connections",
        stats.connections(),
    ));
    samples.push(Sample::counter(
        "tidegate_receive_bytes",
        "Bytes of accepted request bodies",
        Vec::new(),
        stats.body_bytes(),
    ));
    samples
}

/// Starts watching the cluster and executing what is to be done there; `None` when no cluster is watched.
#[cfg(feature = "kubernetes")]
async fn start_hand(
    config: &Config,
    control: &mpsc::Sender<Input>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> Result<Option<mpsc::Sender<Effect>>> {
    let asked = &config.kubernetes;
    if !asked.watch {
        return Ok(None);
    }
    let text = |text: &Option<config::Text>| text.as_ref().map(|text| text.0.clone());
    let data_dir = config.data_dir.as_ref();
    let hand = alerts::kubernetes::Hand::new(alerts::kubernetes::Settings {
        kubeconfig: asked.kubeconfig.clone(),
        namespace: text(&asked.namespace),
        selector: text(&asked.selector),
        environment: text(&asked.environment).unwrap_or_default(),
        max_level: asked.max_level.0,
        actions_log: data_dir.map(|folder| folder.join("actions.log")),
    });
    let hand = hand.await.context("the cluster cannot be watched")?;
    let (effects_in, effects) = mpsc::channel(EFFECTS_WAITING);
    tasks.spawn(hand.run(effects, control.clone(), clock::now, stop.clone()));
    Ok(Some(effects_in))
}

/// The same without support for clusters: asked for, it is a mistake.
#[cfg(not(feature = "kubernetes"))]
async fn start_hand(
    config: &Config,
    _: &mpsc::Sender<Input>,
    _: &CancellationToken,
    _: &mut JoinSet<()>,
) -> Result<Option<mpsc::Sender<Effect>>> {
    if config.kubernetes.watch {
        bail!("kubernetes.watch: this binary was built without the feature `kubernetes`");
    }
    Ok(None)
}

/// Starts watching the definitions (or sends the empty ones, so that webhooks and exclusions are known).
fn start_definitions(
    config: &Config,
    control: &mpsc::Sender<Input>,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> mpsc::Sender<()> {
    let options = LoadOptions {
        strict: config.strict_definitions,
        exclusion: config.exclude.0.clone(),
        endpoints: names(config.webhooks.iter().map(|one| &one.name)),
        alertmanagers: names(config.alertmanagers.iter().map(|one| &one.name)),
        false_alarm_secs: config.false_alarm_hours.0 * 3_600,
        ..LoadOptions::default()
    };
    let (reload, asked) = mpsc::channel(1);
    let control = control.clone();
    let Some(directory) = config.definitions.clone() else {
        let loaded = ingest::definitions::load_sources(&[], &options);
        tasks.spawn(async move {
            drop(control.send(Input::Definitions(loaded)).await);
        });
        return reload;
    };
    let (found_in, mut found) = mpsc::channel(1);
    let (watcher, reloader) = watch(WatchOptions::new(directory, options), found_in);
    tasks.spawn(watcher.run(stop.clone()));
    tasks.spawn(reload_on_request(reloader, asked, stop.clone()));
    tasks.spawn(async move {
        while let Some(loaded) = found.recv().await {
            for problem in loaded.problems.iter().filter(|problem| problem.is_error) {
                tracing::error!(
                    place = problem.place,
                    field = problem.field,
                    "definitions: {}",
                    problem.message
                );
            }
            if control.send(Input::Definitions(loaded)).await.is_err() {
                return;
            }
        }
    });
    reload
}

/// `POST /-/reload` and SIGHUP.
async fn reload_on_request(
    reloader: Reloader,
    mut asked: mpsc::Receiver<()>,
    stop: CancellationToken,
) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            request = asked.recv() => if request.is_none() { return },
            _ = hangup.recv() => {}
        }
        if reloader.reload().await.is_none() {
            return;
        }
    }
}

fn read_token(config: &Config) -> Result<Option<String>> {
    let Some(path) = &config.token_file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the token file {}", path.display()))?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() {
        bail!("the token file {} has an empty first line", path.display());
    }
    Ok(Some(token.to_owned()))
}

fn refuse_open_listeners(config: &Config, has_token: bool) -> Result<()> {
    if has_token || config.allow_insecure_listen {
        return Ok(());
    }
    for (flag, address) in [
        ("--grpc", config.listen.grpc),
        ("--http", config.listen.http),
        ("--api", config.listen.api),
    ] {
        if !address.ip().is_loopback() {
            bail!(
                "{flag} {address} is reachable from other machines and nothing asks for a token: give --token-file FILE, \
                 or --allow-insecure-listen if everybody who can reach it may read and steer"
            );
        }
    }
    Ok(())
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.cloned().collect()
}

/// Where people find the pages: as configured, else at `api`.
pub(crate) fn pages_of(config: &Config, api: SocketAddr) -> String {
    let external = config.external_url.as_ref();
    external.map_or_else(|| format!("http://{api}"), |url| url.0.clone())
}

/// The Alertmanagers; `pages` is where their links lead.
pub(crate) fn alertmanagers(config: &Config, pages: &str) -> Vec<Alertmanager> {
    // Without a data directory a restart forgets what fires: what was left behind ends sooner then.
    let hold = if config.data_dir.is_some() {
        HOLD
    } else {
        HOLD_FORGETFUL
    };
    let one = |settings: &config::Alertmanager| Alertmanager {
        name: settings.name.clone(),
        urls: settings.urls.clone(),
        resend: settings.resend,
        hold: settings.hold.unwrap_or(hold.max(4 * settings.resend)),
        token_file: settings.token_file.clone(),
        labels: settings.labels.clone(),
        pages: pages.to_owned(),
    };
    config.alertmanagers.iter().map(one).collect()
}

fn alertmanager_samples(all: &[Arc<Stats>]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for one in all {
        let labels = || vec![("alertmanager", one.name.clone()), ("url", one.url.clone())];
        let with = |outcome: &str| {
            let mut labels = labels();
            labels.push(("outcome", outcome.to_owned()));
            labels
        };
        let help = "Times that everything that stands was posted to an Alertmanager, by outcome";
        for (outcome, count) in [("taken", one.delivered()), ("failed", one.failed())] {
            let name = "tidegate_alertmanager_posts";
            samples.push(Sample::counter(name, help, with(outcome), count));
        }
        samples.push(Sample::gauge(
            "tidegate_alertmanager_last_taken_timestamp_seconds",
            "When everything that stands was last taken by an Alertmanager; 0 before the first time",
            labels(),
            one.delivered_at_secs() as f64,
        ));
    }
    samples
}

/// The webhooks, with their secrets.
///
/// # Errors
/// When a secret file cannot be read.
pub(crate) fn endpoints(config: &Config) -> Result<Vec<Endpoint>> {
    config
        .webhooks
        .iter()
        .map(|webhook| {
            let secret = webhook.secret_file.as_ref().map(|path| {
                std::fs::read_to_string(path)
                    .map(|text| text.trim().to_owned())
                    .with_context(|| {
                        format!(
                            "webhook `{}`: cannot read its secret file {}",
                            webhook.name,
                            path.display()
                        )
                    })
            });
            Ok(Endpoint {
                name: webhook.name.clone(),
                url: webhook.url.clone(),
                secret: secret.transpose()?,
                events: webhook.events.clone(),
            })
        })
        .collect()
}

async fn bind(name: &str, flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| taken(name, flag, address))
}

/// What to do about a port that cannot be bound: the flag, and how a Collector goes on sending.
fn taken(name: &str, flag: &str, address: SocketAddr) -> String {
    let port = address.port();
    let other = if port > 50_000 {
        port - 10_000
    } else {
        port + 10_000
    };
    let mut text = format!(
        "cannot listen on {address} ({name}): is port {port} taken? Choose another with {flag} {}:{other}",
        address.ip()
    );
    if name != "api" {
        let exporter = if name == "grpc" { "otlp" } else { "otlphttp" };
        let endpoint = if name == "grpc" {
            format!("{}:{other}", address.ip())
        } else {
            format!("http://{}:{other}", address.ip())
        };
        text.push_str(&format!(
            "\nif an OpenTelemetry Collector has the port, let it send to Tidegate as well:\n\n\
             exporters:\n  {exporter}/tidegate:\n    endpoint: {endpoint}\n    tls: {{insecure: true}}\n\
             service:\n  pipelines:\n    traces:\n      exporters: [{exporter}/tidegate]  # beside the ones you have\n"
        ));
    }
    text
}
