//! A receiver with Alertmanager's contract: what fires stays, whatever fails on the way, and ends when it is over.

use crate::burning::{SLOS, definitions};
use crate::canary::{Traffic, wait_for_halt, wait_until_known};
use crate::server::{Server, tidegate, until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;

/// Bearer token of the receiver.
const TOKEN: &str = "alertmanager-token";

/// An alert as it is kept, with the rules of Alertmanager's `Alert.Merge`: an end that lies in the past rules; of two that
/// lie ahead the later one.
#[derive(Debug, Clone)]
struct Kept {
    alert: Value,
    ends_at: Timestamp,
    /// Every time it was told: when, and the end it came with.
    told: Vec<(Timestamp, Timestamp)>,
    /// Times that it ended because nothing more was heard.
    lapsed: usize,
}

#[derive(Debug, Default)]
struct Book {
    alerts: BTreeMap<String, Kept>,
    is_refusing: bool,
    refused: usize,
}

impl Book {
    /// What would be known after a restart of the receiver, which keeps nothing.
    fn forget(&mut self) {
        self.alerts.clear();
    }

    fn take(&mut self, alert: Value) -> Result<(), String> {
        let time = |field: &str| -> Result<Timestamp, String> {
            let text = alert[field].as_str().unwrap_or_default();
            text.parse().map_err(|_| format!("{field}: `{text}`"))
        };
        let (starts_at, ends_at) = (time("startsAt")?, time("endsAt")?);
        if ends_at < starts_at {
            return Err("start time must be before end time".to_owned());
        }
        let labels = alert["labels"].as_object().cloned().unwrap_or_default();
        let is_label = |name: &str, value: &Value| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && value.as_str().is_some_and(|value| !value.is_empty())
        };
        if labels.is_empty() || !labels.iter().all(|(name, value)| is_label(name, value)) {
            return Err(format!("bad labels: {labels:?}"));
        }
        let link = alert["generatorURL"].as_str().unwrap_or_default();
        reqwest::Url::parse(link).map_err(|error| format!("generatorURL: {error}"))?;
        let now = Timestamp::now();
        let kept = self.alerts.entry(json!(labels).to_string());
        let kept = kept.or_insert_with(|| Kept {
            alert: alert.clone(),
            ends_at,
            told: Vec::new(),
            lapsed: 0,
        });
        // Silence until the end that was told is an end, too.
        let was_over = kept.ends_at <= now;
        let last = kept.told.last();
        kept.lapsed += usize::from(was_over && last.is_some_and(|(at, end)| end > at));
        kept.ends_at = if ends_at <= now || was_over {
            ends_at
        } else {
            kept.ends_at.max(ends_at)
        };
        kept.told.push((now, ends_at));
        kept.alert = alert;
        Ok(())
    }
}

/// The receiver; it ends with the test.
struct Receiver {
    url: String,
    book: Arc<Mutex<Book>>,
    stop: CancellationToken,
}

impl Receiver {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}/prefix", listener.local_addr().unwrap());
        let book = Arc::<Mutex<Book>>::default();
        let app = Router::new()
            .route("/prefix/api/v2/alerts", axum::routing::any(alerts))
            .with_state(Arc::clone(&book));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(std::thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    result = async { axum::serve(listener, app).await } => result.unwrap(),
                    () = stopped.cancelled() => {}
                }
            });
        }));
        Self { url, book, stop }
    }

    fn refuse(&self, is_refusing: bool) {
        self.book.lock().unwrap().is_refusing = is_refusing;
    }

    /// Alerts of `alertname` that fire now.
    fn firing(&self, alertname: &str) -> Vec<Kept> {
        let now = Timestamp::now();
        let mut all = self.all(alertname);
        all.retain(|kept| kept.ends_at > now);
        all
    }

    fn all(&self, alertname: &str) -> Vec<Kept> {
        let book = self.book.lock().unwrap();
        let all = book.alerts.values().cloned();
        all.filter(|kept| kept.alert["labels"]["alertname"] == alertname)
            .collect()
    }

    fn wait(&self, what: &str, is_met: impl Fn(&Self) -> bool) {
        until(
            || is_met(self).then_some(()),
            || format!("{what}: {:#?}", self.book.lock().unwrap()),
        );
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn alerts(
    State(book): State<Arc<Mutex<Book>>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = headers.get("authorization");
    if token.is_none_or(|token| token != &format!("Bearer {TOKEN}")) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut book = book.lock().unwrap();
    if method == Method::GET {
        // The one question that is asked: where the test is routed to.
        let listed = json!([{"receivers": [{"name": "pager"}], "status": {"state": "active"}}]);
        return axum::Json(listed).into_response();
    }
    if book.is_refusing {
        book.refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let alerts: Vec<Value> = serde_json::from_slice(&body).unwrap_or_default();
    let taken: Result<Vec<()>, String> = alerts.into_iter().map(|one| book.take(one)).collect();
    match taken {
        Ok(_) => StatusCode::OK.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
    }
}

/// Writes a configuration with `receiver` as the Alertmanager `people` and returns its path.
fn configuration(folder: &Path, receiver: &Receiver) -> PathBuf {
    let (token, slos) = (folder.join("token"), folder.join("slos"));
    std::fs::write(&token, TOKEN).unwrap();
    std::fs::create_dir(&slos).unwrap();
    definitions(&slos, "shop", "main");
    let text = format!(
        "external_url: https://tidegate.example.com/
definitions: {}
data_dir: {}
alertmanagers:
- {{name: main, url: '{}', resend: 1s, hold: 1h, token_file: '{}', labels: {{cluster: eu-1}}}}
",
        slos.display(),
        folder.join("data").display(),
        receiver.url,
        token.display()
    );
    let file = folder.join("tidegate.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Scenario: a release burns two SLOs and is halted; then the receiver refuses for a time, then it forgets everything, then
/// Tidegate is restarted; at last the release is mended and the halt cleared.
/// Guarantees: both alerts and the Halt are told and stay, who they are never changes, and none of them ends before its
/// condition does; after the restart they are told again by themselves; each end is told, and told again.
#[test]
fn only_the_end_of_its_condition_ends_an_alert() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &receiver);
    let arguments = ["--config", file.to_str().unwrap()];
    let mut server = Server::start(&arguments);
    let services = ["shop".to_owned()];
    let traffic = Traffic::start(&server.http, &services);
    wait_until_known(&server, &services);
    traffic.release("shop");
    receiver.wait("no alert", |book| {
        book.firing("ErrorBudgetBurn").len() == SLOS.len()
    });
    wait_for_halt(&server, "shop");
    receiver.wait("no halt", |book| book.firing("RolloutHalted").len() == 1);
    let labels = |book: &Receiver| -> Vec<Value> {
        let (mut all, halts) = (book.all("ErrorBudgetBurn"), book.all("RolloutHalted"));
        all.extend(halts);
        all.iter()
            .map(|kept| kept.alert["labels"].clone())
            .collect()
    };
    let known = labels(&receiver);
    for label in &known {
        assert_eq!(label["service"], "shop");
        assert_eq!(label["team"], "payments");
        assert_eq!(label["severity"], "page");
        assert_eq!(label["cluster"], "eu-1");
    }
    let halt = &receiver.all("RolloutHalted")[0].alert;
    let link = halt["generatorURL"].as_str().unwrap();
    assert!(
        link.starts_with("https://tidegate.example.com/gate/"),
        "{link}"
    );
    let page = link.strip_prefix("https://tidegate.example.com").unwrap();
    assert_eq!(server.ask(page).0, 200, "{page}");

    receiver.refuse(true);
    receiver.wait("not tried again", |book| {
        book.book.lock().unwrap().refused >= 4
    });
    receiver.refuse(false);
    let told = |book: &Receiver| -> usize {
        let all = book.all("RolloutHalted");
        all.iter().map(|kept| kept.told.len()).sum()
    };
    let before = told(&receiver);
    receiver.wait("not told after the failures", |book| {
        told(book) > before + 1
    });
    let (_, metrics) = server.ask("/metrics");
    let failed = format!(
        "tidegate_alertmanager_posts_total{{alertmanager=\"main\",url=\"{}\",outcome=\"failed\"}}",
        receiver.url
    );
    assert!(metrics.contains(&failed), "{metrics}");

    receiver.book.lock().unwrap().forget();
    receiver.wait("not told again", |book| {
        book.firing("ErrorBudgetBurn").len() == SLOS.len()
            && book.firing("RolloutHalted").len() == 1
    });
    assert_eq!(labels(&receiver), known);

    assert_eq!(server.terminate(), Some(0));
    receiver.book.lock().unwrap().forget();
    // No telemetry reaches the new one until everything was told again: it is told from what was kept.
    server = Server::start(&arguments);
    receiver.wait("not told after the restart", |book| {
        book.firing("ErrorBudgetBurn").len() == SLOS.len()
            && book.firing("RolloutHalted").len() == 1
    });
    assert_eq!(labels(&receiver), known);
    let restarted = receiver.all("ErrorBudgetBurn");
    assert!(
        restarted.iter().all(|kept| kept.lapsed == 0),
        "{restarted:#?}"
    );

    traffic.redirect(&server.http);
    traffic.mend("shop");
    receiver.wait("it does not end", |book| {
        book.firing("ErrorBudgetBurn").is_empty()
    });
    assert_eq!(
        receiver.firing("RolloutHalted").len(),
        1,
        "nobody cleared it"
    );
    let is_told_again = |kept: &Kept| {
        let ends = kept.told.iter().filter(|(at, end)| end <= at);
        ends.count() >= 2
    };
    receiver.wait("its end is told once only", |book| {
        book.all("ErrorBudgetBurn").iter().all(is_told_again)
    });
    let clear = json!({
        "specversion": "1.0", "id": "1", "source": "test", "type": "latch.cleared",
        "data": {"service": "shop", "candidate": "v2", "reason": "mended"},
    });
    let post = reqwest::Client::new()
        .post(format!("{}/v1/events", server.api))
        .json(&clear);
    let status = server.block_on(async { post.send().await.unwrap().status().as_u16() });
    assert_eq!(status, 202);
    receiver.wait("the halt does not end", |book| {
        book.firing("RolloutHalted").is_empty()
    });
    let halt = &receiver.all("RolloutHalted")[0].alert;
    assert_eq!(halt["annotations"]["description"], "cleared: mended");
}

/// Scenario: the configured endpoints are shown and tried: one that takes everything, one where nobody is, none at all.
/// Guarantees: render shows the exact requests and no secret; test sends a marked alert and its end, says what came back,
/// and exits 0, 1 or 2.
#[test]
fn endpoints_are_shown_and_tried() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &receiver);
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(
        "webhooks:\n- {name: nobody, url: 'http://127.0.0.1:9/hook', events: [gate.halt]}\n",
    );
    std::fs::write(&file, text).unwrap();
    let alerts = |arguments: &[&str]| {
        let config = ["--config", file.to_str().unwrap()];
        tidegate(&[&["alerts"][..], arguments, &config].concat())
    };
    let (code, stdout, stderr) = alerts(&["render", "-o", "json", "--event", "gate.halt"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains(TOKEN), "{stdout}");
    let rendered: Value = serde_json::from_str(&stdout).unwrap();
    let kinds: Vec<&str> = rendered
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["webhook", "alertmanager"]);
    assert!(rendered[0]["headers"]["webhook-id"].is_string());
    let body: Value = serde_json::from_str(rendered[1]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body[0]["labels"]["alertname"], "RolloutHalted");
    let (code, stdout, _) = alerts(&["render", "--event", "alert.firing"]);
    assert!(code == 0 && stdout.contains("ErrorBudgetBurn"), "{stdout}");
    assert!(
        !stdout.contains("webhook-id"),
        "the webhook wants halts only"
    );

    let (code, stdout, stderr) = alerts(&["test", "--endpoint", "main"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("active, routed to pager"), "{stdout}");
    let told = receiver.all("ErrorBudgetBurn");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].alert["labels"]["service"], "tidegate-test");
    let summary = told[0].alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("TEST"), "{summary}");
    assert!(receiver.firing("ErrorBudgetBurn").is_empty(), "it is over");

    let (code, stdout, _) = alerts(&["test"]);
    assert_eq!(code, 1);
    assert!(
        stdout.contains("gate.halt") && stdout.contains("refused"),
        "{stdout}"
    );
    assert_eq!(alerts(&["test", "--endpoint", "x"]).0, 2);
    std::fs::write(&file, "").unwrap();
    let (code, _, stderr) = alerts(&["test"]);
    assert!(code == 2 && stderr.contains("alertmanagers"), "{stderr}");
}
