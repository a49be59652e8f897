//! Settings, their order of precedence, and what their mistakes are called.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use std::time::Duration;

/// Writes `file` as a configuration and loads it with the environment and the flags given.
fn load_with(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Loaded {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        config: ConfigArgs,
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.yaml");
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let arguments = ["tidegate", "--config", path]
        .into_iter()
        .chain(flags.iter().copied());
    let cli = <Cli as clap::Parser>::try_parse_from(arguments).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut loaded = load(&cli.config, environment);
    for problem in &mut loaded.problems {
        problem.place = problem.place.replace(path, "t.yaml");
    }
    loaded
}

/// The problems as text, those without a line first, then by place.
fn messages(loaded: &Loaded) -> Vec<String> {
    let mut problems = loaded.problems.clone();
    problems.sort_by_key(|problem| problem.place.starts_with("t.yaml"));
    problems
        .iter()
        .map(ingest::definitions::show::problem_text)
        .collect()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let loaded = load_with("", &[], &[]);
    assert_eq!(messages(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!(config.listen.grpc.to_string(), "127.0.0.1:4317");
    assert_eq!(config.listen.api.to_string(), "127.0.0.1:9470");
    assert_eq!(config.definitions, None);
    assert_eq!(config.store.bytes, Bytes(512 << 20));
    assert_eq!(config.limits.idle_timeout, Span(Duration::from_secs(600)));
    assert_eq!(config.webhooks, Vec::new());
    let mut expected = engine::slo::ExclusionRule::default();
    expected.any_of.sort_by(|a, b| a.key.cmp(&b.key));
    expected.any_of.iter_mut().for_each(|one| one.any_of.sort());
    assert_eq!(config.exclude.0, expected);
}

#[test]
fn flag_goes_before_environment_before_file_before_default() {
    let file = "listen: {grpc: '127.0.0.1:1', http: '127.0.0.1:1', api: '127.0.0.1:1'}\nstore: {bytes: 1MiB}\n";
    let environment = [
        ("TIDEGATE_LISTEN_HTTP", "127.0.0.1:2"),
        ("TIDEGATE_LISTEN_API", "127.0.0.1:2"),
        ("TIDEGATE_STORE_BYTES", "2MiB"),
        // What Kubernetes sets for a Service called `tidegate` is no setting.
        ("TIDEGATE_PORT", "tcp://10.0.0.1:9470"),
    ];
    let loaded = load_with(
        file,
        &environment,
        &["--api", "127.0.0.1:3", "--set", "store.bytes=3MiB"],
    );
    assert_eq!(messages(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!(
        [config.listen.grpc, config.listen.http, config.listen.api].map(|a| a.port()),
        [1, 2, 3]
    );
    assert_eq!(config.store.bytes, Bytes(3 << 20));
    assert_eq!(config.limits.connections, Count(4096));
}

#[test]
fn every_problem_is_named_at_once() {
    let file = "\
listen:
  grpc: everywhere
  api: 0.0.0.0:9470
store:
  bites: 1GiB
  bytes: 1 gig
limits: {request_bytes: 1GiB, idle_timeout: -1s}
webhooks:
  - name: a
    url: ftp://x
    secret: whsec_dG9wIHNlY3JldA==
    events: [alert.fire]
alertmanagers:
  - name: b
    token: c2VjcmV0
    urls: []
  - {name: c, url: 'http://c', resend: 2h}
  - {name: d, url: 'http://d', hold: 3m}
  - {name: e, url: 'http://u:p@e', labels: {severity: x}}
  - {name: f, url: 'http://f', labels: {severity: x}}
  - {name: g, url: 'http://g', labels: {1a: x}}
folder_threads: 65
";
    let loaded = load_with(
        file,
        &[("TIDEGATE_LIMITS_CONNECTIONS", "many")],
        &["--set", "nothing"],
    );
    assert_eq!(loaded.config, None);
    let text = messages(&loaded).join("\n");
    assert!(
        !text.contains("dG9wIHNlY3JldA") && !text.contains("c2VjcmV0"),
        "a secret is never repeated"
    );
    let expected = "\
error: --set: expected SETTING=VALUE with a known setting, got `nothing`
  hint: settings: listen.grpc, listen.http, listen.api, external_url, definitions, strict_definitions, data_dir, record, token_file, allow_insecure_listen, folder_threads, otlp_http.traces_path, otlp_http.metrics_path, otlp_http.logs_path, otlp_http.cors_origins, store.bytes, sql.query_bytes, sql.queries, sql.timeout, limits.request_bytes, limits.in_flight_bytes, limits.connections, limits.body_timeout, limits.idle_timeout, limits.dedup_bytes, exclude, false_alarm_hours, kubernetes.watch, kubernetes.max_level, kubernetes.kubeconfig, kubernetes.namespace, kubernetes.selector, kubernetes.environment, webhooks, alertmanagers
error: TIDEGATE_LIMITS_CONNECTIONS: limits.connections: expected a whole number from 1 to 1000000, got `many`
error: t.yaml:2:9: listen.grpc: expected an IP address and a port, such as `127.0.0.1:4317`, got `everywhere`
error: t.yaml:5:3: store.bites: expected a known field, got `bites`
  hint: did you mean `bytes`?
error: t.yaml:6:10: store.bytes: expected a size of at least 1KiB, such as `512MiB`, got `1 gig`
  hint: a whole number and B, KiB, MiB or GiB
error: t.yaml:7:45: limits.idle_timeout: expected a duration above 0, such as `30s`, got `-1s`
  hint: a whole number and ms, s, m, h or d
error: t.yaml:10:10: webhooks[0].url: expected an http or https URL, got `ftp://x`
error: t.yaml:11:13: webhooks[0].secret: expected no secret in this file, got one
  hint: put it into a file and name that as `secret_file`
error: t.yaml:12:14: webhooks[0].events[0]: expected one of alert.firing, alert.escalated, alert.resolved, incident.opened, incident.resolved, incident.reopened, gate.halt, gate.latch_cleared, rollout.acted, hand.disarmed, hand.armed, hand.not_armed, hand.failed, got `alert.fire`
error: t.yaml:14:5: alertmanagers[0]: expected either `url` or `urls`
  hint: write `url: http://alertmanager:9093`, or `urls` with every member of a cluster
error: t.yaml:15:12: alertmanagers[0].token: expected no token in this file, got one
  hint: put it into a file and name that as `token_file`
error: t.yaml:17:40: alertmanagers[1].resend: expected a duration from `1s` to `1h`, got `2h`
error: t.yaml:18:38: alertmanagers[2].hold: expected at least 4 times `resend`, got `3m`
  hint: alerts would end because of a few lost deliveries
error: t.yaml:19:20: alertmanagers[3].url: expected a URL without user and password, got one with them
  hint: use a `secret_file` or a `token_file`
error: t.yaml:20:41: alertmanagers[4].labels.severity: expected a name that Tidegate does not write itself, got `severity`
  hint: choose another name
error: t.yaml:21:41: alertmanagers[5].labels.1a: expected a label name, got `1a`
  hint: letters, digits and `_`, not a digit first
error: t.yaml:22:17: folder_threads: expected a whole number from 0 to 64, got `65`";
    assert_eq!(text, expected);
}

#[test]
fn an_alertmanager_has_defaults_and_its_own_name() {
    let file = "\
data_dir: /d
webhooks: [{name: a, url: 'http://a'}]
alertmanagers: [{name: b, url: 'http://b/path', labels: {cluster: eu-1}}, {name: c, urls: ['http://c', 'http://d'], resend: 10s, hold: 40s}]
";
    let loaded = load_with(file, &[], &[]);
    assert_eq!(messages(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    let made = crate::serve::alertmanagers(&config, "http://pages");
    let secs = |at: usize| [made[at].resend.as_secs(), made[at].hold.as_secs()];
    assert_eq!(secs(0), [60, 24 * 3_600]);
    assert_eq!(secs(1), [10, 40]);
    assert_eq!(made[1].urls, ["http://c", "http://d"]);
    assert_eq!(made[0].labels["cluster"], "eu-1");
    let forgetful = load_with(&file.replace("data_dir: /d\n", ""), &[], &[]);
    let made = crate::serve::alertmanagers(&forgetful.config.unwrap(), "http://pages");
    assert_eq!(
        made[0].hold.as_secs(),
        3_600,
        "a restart forgets what to end"
    );
    let twice = load_with(&file.replace("name: b", "name: a"), &[], &[]);
    assert_eq!(
        messages(&twice),
        [
            "error: t.yaml:3:16: alertmanagers: expected each name once, got `a` again\n  hint: rename one of them"
        ]
    );
}

#[test]
fn listening_elsewhere_needs_a_token_or_a_word() {
    let file = "listen: {api: '0.0.0.0:9470'}\n";
    let refused = load_with(file, &[("TIDEGATE_LISTEN_HTTP", "[::]:4318")], &[]);
    assert_eq!(refused.config, None);
    assert_eq!(
        messages(&refused),
        [
            "error: TIDEGATE_LISTEN_HTTP: listen.http: expected a loopback address or a token, got `[::]:4318` without one\n  hint: set `token_file`, or `allow_insecure_listen` when you trust everybody on that network",
            "error: t.yaml:1:15: listen.api: expected a loopback address or a token, got `0.0.0.0:9470` without one\n  hint: set `token_file`, or `allow_insecure_listen` when you trust everybody on that network",
        ]
    );
    assert!(
        load_with(file, &[], &["--allow-insecure-listen"])
            .config
            .is_some()
    );
    assert!(
        load_with(file, &[("TIDEGATE_TOKEN_FILE", "/t")], &[])
            .config
            .is_some()
    );
}

/// Guarantees: the example is what the code generates, says the defaults, and every line in it can be used.
#[test]
fn the_example_is_fresh_and_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.yaml");
    if std::env::var_os("TIDEGATE_WRITE_EXAMPLES").is_some() {
        std::fs::write(path, example()).unwrap();
    }
    let example = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        example,
        super::example(),
        "TIDEGATE_WRITE_EXAMPLES=1 cargo test -p tidegate the_example writes it"
    );
    assert_eq!(
        load_with(&example, &[], &[]).config,
        load_with("", &[], &[]).config
    );

    let is_setting = |line: &str| {
        let rest = line.trim_start().trim_start_matches("# ");
        line.trim_start().starts_with("# ")
            && (rest.starts_with("- ") || rest.starts_with("  ") || {
                let key = rest.split(':').next().unwrap_or("");
                Config::paths("").iter().any(|path| path == key)
            })
    };
    let uncommented: Vec<String> = example
        .lines()
        .map(|line| {
            if is_setting(line) {
                line.replacen("# ", "", 1)
            } else {
                line.to_owned()
            }
        })
        .collect();
    let loaded = load_with(&uncommented.join("\n"), &[], &[]);
    assert_eq!(messages(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!((config.webhooks.len(), config.alertmanagers.len()), (1, 1));
    assert!(
        config.definitions.is_some() && config.data_dir.is_some() && config.token_file.is_some()
    );
}

#[test]
fn paths_and_origins_that_cannot_work_are_named() {
    let file = "otlp_http:
  traces_path: v1/traces
  logs_path: /v1/logs?x
  cors_origins: ['*', https://app.example.com/, HTTPS://APP.example.com, https://app.example.com]
";
    let places = |loaded: &Loaded| -> Vec<String> {
        let problems = loaded.problems.iter();
        problems
            .map(|problem| format!("{} {}", problem.place, problem.field))
            .collect()
    };
    assert_eq!(
        places(&load_with(file, &[], &[])),
        [
            "t.yaml:2:16 otlp_http.traces_path",
            "t.yaml:3:14 otlp_http.logs_path",
            "t.yaml:4:18 otlp_http.cors_origins[0]",
            "t.yaml:4:23 otlp_http.cors_origins[1]",
            "t.yaml:4:49 otlp_http.cors_origins[2]",
        ]
    );
    let file = "otlp_http: {logs_path: /v1/metrics}\n";
    assert_eq!(
        places(&load_with(file, &[], &[])),
        ["t.yaml:1:24 otlp_http.logs_path"]
    );
}
