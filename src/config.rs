//! `tidegate.yaml`: every setting, its default and what it trades; flag > `TIDEGATE_*` > file > default.
//!
//! A setting is written once, below: its doc comment is the comment in `config.example.yaml`, its default is YAML text
//! read by the same code as the file. Unknown keys are refused; every problem is named with its place, all at once.
//! Secrets are never in the file: settings named `*_file` say where they are. The structs are plain data; what they
//! mean to a receiver or a store is translated in `main.rs`.

mod layers;
mod values;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use layers::Loaded;
pub(crate) use layers::{ConfigArgs, load};
pub(crate) use values::{
    Alertmanager, Bytes, Count, Exclude, MaxLevel, Origin, Span, Text, Url, UrlPath, Webhook,
};

use Preset::{Is, Unset};
use layers::{Asked, Preset, Setting};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Makes a struct of settings, its reader and its example text from one list.
macro_rules! settings {
    ($(#[doc = $about:literal])+ $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name {
            $($(#[doc = $doc])+ pub(crate) $field: $type,)+
        }

        impl Setting for $name {
            fn read(from: &Asked<'_>) -> Option<Self> {
                let mut fields = from.fields();
                $(let $field = <$type>::read(&from.child(&mut fields, stringify!($field), $default));)+
                if let Some(fields) = fields {
                    fields.finish(true);
                }
                Some(Self { $($field: $field?,)+ })
            }

            fn example(_default: &Preset) -> String {
                let mut text = String::new();
                $(layers::example_of::<$type>(&mut text, &[$($doc),+], stringify!($field), $default);)+
                text
            }

            fn paths(prefix: &str) -> Vec<String> {
                let mut paths = Vec::new();
                $(paths.extend(<$type>::paths(&layers::join(prefix, stringify!($field))));)+
                paths
            }

            const IS_GROUP: bool = true;
        }
    };
}

settings! {
    /// All settings of `tidegate serve`.
    Config {
        /// Addresses to listen on. Loopback by default: telemetry and answers are nobody else's business until you say so.
        listen: Listen = Unset(""),
        /// Where people reach the pages, with the path if a proxy adds one: links in alerts begin with it. Unset: the
        /// address of the API.
        external_url: Option<Url> = Unset("https://tidegate.example.com"),
        /// Directory with SLO and service definitions (OpenSLO files), watched for changes. Unset: every service has its
        /// implicit SLO only (availability 99 %, never pages).
        definitions: Option<PathBuf> = Unset("slos"),
        /// Warnings in definitions are errors. Catches slips, but a file that another tool accepts may be refused.
        strict_definitions: bool = Is("false"),
        /// Directory for checkpoints: counts, latches, decisions and pending webhooks survive a restart. Unset: nothing
        /// does. After a kill at most 10 s of counts are missing, and shown as missing.
        data_dir: Option<PathBuf> = Unset("/var/lib/tidegate"),
        /// File that every input is written to, for `tidegate replay`. About as large as the telemetry itself.
        record: Option<PathBuf> = Unset("tidegate.rec"),
        /// File whose first line is the bearer token that every request must carry, but for the health endpoints.
        /// Unset: whoever reaches a port may use it.
        token_file: Option<PathBuf> = Unset("/run/secrets/tidegate-token"),
        /// Allows addresses other than loopback without a token. Only for networks in which you trust everybody.
        allow_insecure_listen: bool = Is("false"),
        /// Threads that fold spans, 0 to 64; 0 is one for every four cores, 1 to 8: decoding takes
        /// the others. Answers are the same for any number.
        folder_threads: Count<0, 64> = Is("0"),
        /// OTLP over HTTP, where a proxy or a page in a browser wants it otherwise.
        otlp_http: OtlpHttp = Unset(""),
        /// Telemetry kept for looking at; nothing that decides reads it.
        store: Store = Unset(""),
        /// Bounds of SQL (`tidegate query`, `/v1/sql`), where the program has it.
        sql: Sql = Unset(""),
        /// Bounds of what is accepted at once. Beyond them senders are told to come again, or that it is too much.
        limits: Limits = Unset(""),
        /// Spans left out of every SLI and of the gate, and counted as such: those of which any attribute here matches any
        /// of its patterns (`*` is any run of characters, `name` the span name, `resource.x` the resource's x; in quotes,
        /// `!` in front negates). `{}` leaves out none.
        exclude: Exclude = Is("
http.route: &paths [/health, /healthz, /livez, /readyz, /ready, /live, /ping, /-/healthy, /-/ready, /actuator/health*, /health/*]
url.path: *paths
http.target: *paths
rpc.service: &services [grpc.health.v1.Health, grpc.health.v1.Health/*]
rpc.method: *services
name: [grpc.health.v1.Health/*, /grpc.health.v1.Health/*]"),
        /// Hours that pass between false incidents of the whole system, in the mean, 1 to 8760: all detectors together are
        /// set by it. Fewer hours see smaller failures, and see them earlier.
        false_alarm_hours: Count<1, 8760> = Is("168"),
        /// The cluster whose rollouts are watched, and halted where their teams allow it.
        kubernetes: Kubernetes = Unset(""),
        /// Webhooks: where alerts, incidents and gate halts are sent, with Standard Webhooks signatures when there is a secret
        /// (`secret_file` holds `whsec_` and base64). `events` narrows it: alert.firing, alert.escalated, alert.resolved,
        /// incident.opened, incident.resolved, incident.reopened, gate.halt, gate.latch_cleared, rollout.acted, hand.disarmed,
        /// hand.armed, hand.not_armed, hand.failed; all when left out. Alert policies name them as `target`.
        webhooks: Vec<Webhook> = Unset("
- name: oncall
  url: https://hooks.example.com/tidegate
  secret_file: /run/secrets/oncall-webhook
  events: [alert.firing, alert.resolved, gate.halt]"),
        /// Alertmanagers (API v2): they are shown what fires and what is halted, at every change and every `resend`
        /// (1m when left out), until it is over, then that it is over. `url`, or `urls` with every member of a cluster.
        /// `hold` is how long an alert stays there when nothing more is heard from here (a crash, a cut network): more rides
        /// out longer ones, less ends sooner what a Tidegate that is gone for good left behind; at least four times `resend`;
        /// 24h when left out, 1h without a `data_dir`. `token_file` holds a bearer token, `labels` are added to every
        /// alert. Alert policies name them as `target`, as they do webhooks; `docs/alertmanager.md` has the labels.
        alertmanagers: Vec<Alertmanager> = Unset("
- name: alertmanager
  url: http://alertmanager:9093
  resend: 1m
  hold: 24h
  token_file: /run/secrets/alertmanager-token
  labels: {cluster: eu-1}"),
    }
}

settings! {
    /// Addresses to listen on.
    Listen {
        /// OTLP over gRPC.
        grpc: SocketAddr = Is("127.0.0.1:4317"),
        /// OTLP over HTTP, protobuf and JSON.
        http: SocketAddr = Is("127.0.0.1:4318"),
        /// API, gate, pages and `/metrics`.
        api: SocketAddr = Is("127.0.0.1:9470"),
    }
}

settings! {
    /// OTLP over HTTP.
    OtlpHttp {
        /// Path that spans are posted to; it must be this one exactly.
        traces_path: UrlPath = Is("/v1/traces"),
        /// Path of metrics.
        metrics_path: UrlPath = Is("/v1/metrics"),
        /// Path of logs.
        logs_path: UrlPath = Is("/v1/logs"),
        /// Origins whose pages may send telemetry from a browser (CORS), each exact. Unset: none. Browsers send no token
        /// when they ask for leave, and every visitor of such a page can read the one that it sends.
        cors_origins: Vec<Origin> = Unset("[https://app.example.com]"),
    }
}

settings! {
    /// The cluster whose rollouts are watched.
    Kubernetes {
        /// Watch Deployments and Argo Rollouts: with the pod's service account, or the kubeconfig.
        watch: bool = Is("false"),
        /// Highest level of any service: observe (watch and show), advise (and say in Kubernetes Events what would be done),
        /// gate (and answer Argo's analyses), act (and halt). A service is at the level of its file (annotation
        /// `tidegate.dev/level`, observe when left out), never above this one; an annotation in the cluster only lowers it.
        /// `act` needs a `data_dir` and the permissions of `deploy/kubernetes`.
        max_level: MaxLevel = Is("observe"),
        /// Kubeconfig file. Unset: the pod's service account, else the usual places.
        kubeconfig: Option<PathBuf> = Unset("/etc/tidegate/kubeconfig"),
        /// The only namespace watched. Unset: all.
        namespace: Option<Text> = Unset("shop"),
        /// Label selector of the workloads watched. Unset: all.
        selector: Option<Text> = Unset("team=checkout"),
        /// Environment of the cluster's telemetry (`deployment.environment.name`), so that staging never halts production
        /// when both send here. Unset: services of any environment, if their names are unique.
        environment: Option<Text> = Unset("production"),
    }
}

settings! {
    /// Telemetry kept for looking at.
    Store {
        /// Memory for recent spans. More keeps more minutes of them; the oldest leave first.
        bytes: Bytes = Is("512MiB"),
    }
}

settings! {
    /// Bounds of SQL.
    Sql {
        /// Memory that sorting, grouping and joining of one query may take; nothing goes to disk. More answers larger
        /// questions, and is taken from the machine as often as `queries` says.
        query_bytes: Bytes = Is("40MiB"),
        /// Queries that run at once, 1 to 64; more are told to come again.
        queries: Count<1, 64> = Is("2"),
        /// Longest time of a query.
        timeout: Span = Is("10s"),
    }
}

settings! {
    /// Bounds of what is accepted at once.
    Limits {
        /// Largest request after decompression. Larger ones are refused for good.
        request_bytes: Bytes = Is("64MiB"),
        /// Memory for all requests in progress; at least three times `request_bytes`. Beyond it senders retry later: more
        /// rides out longer bursts.
        in_flight_bytes: Bytes = Is("256MiB"),
        /// Most open connections; more are closed at once.
        connections: Count<1, 1_000_000> = Is("4096"),
        /// Longest wait for the body of a request.
        body_timeout: Span = Is("30s"),
        /// Longest pause between requests on a connection. SDKs send metrics once a minute.
        idle_timeout: Span = Is("10m"),
        /// Memory for the keys of spans seen, 16 bytes each: a span sent twice within the window they cover (at most 10m) is
        /// counted once. Too little shortens the window, which `tidegate_dedup_window_seconds` shows.
        dedup_bytes: Bytes = Is("256MiB"),
    }
}

/// `config.example.yaml`: every setting with its comment; those unset by default are commented out.
pub(crate) fn example() -> String {
    let head = "# Tidegate's settings with their defaults; all may be left out. Generated from the code: do not edit.\n\
        # A flag goes before an environment variable (`listen.grpc` is TIDEGATE_LISTEN_GRPC), that before this file.\n\
        # Sizes: B, KiB, MiB, GiB. Durations: ms, s, m, h, d. Relative paths start where Tidegate is started.\n";
    head.to_owned() + &Config::example(&Unset(""))
}
