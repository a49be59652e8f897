//! The real Alertmanager receives, groups, silences and resolves our alerts; between us and it lies a line that fails.

use crate::burning::{SLOS, definitions};
use crate::canary::{Traffic, wait_for_halt, wait_until_known};
use crate::endpoint::{Endpoint, Reply};
use crate::server::{Server, tidegate, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Alerts that a burning, halted release has: one an SLO and the Halt.
const ALERTS: usize = SLOS.len() + 1;
/// How long silence lasts in the tests, s: several resend intervals of 1 s.
const SILENCE_SECS: i64 = 6;

/// A running Alertmanager.
struct Alertmanager {
    child: Child,
    address: String,
    runtime: tokio::runtime::Runtime,
}

impl Alertmanager {
    /// Starts one without a cluster, on a port that the system picks.
    fn start(folder: &Path, configuration: &Path) -> Self {
        let mut child = Command::new(crate::place("ALERTMANAGER"))
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let printed = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&printed);
        drop(std::thread::Builder::new().spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        }));
        // msg="Listening on" address=127.0.0.1:34567
        let find = || {
            let lines = printed.lock().unwrap();
            let line = lines.iter().find(|line| line.contains("Listening on"))?;
            let (_, address) = line.split_once("address=")?;
            Some(address.split_whitespace().next()?.to_owned())
        };
        let address = until(find, || format!("{:#?}", printed.lock().unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            child,
            address,
            runtime,
        }
    }

    fn get(&self, path: &str) -> Value {
        let url = format!("http://{}/api/v2/{path}", self.address);
        self.runtime.block_on(async {
            let Ok(answer) = reqwest::get(url).await else {
                return Value::Null;
            };
            answer.json().await.unwrap_or_default()
        })
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Value {
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            assert!(status.is_success(), "{status}: {text}");
            serde_json::from_str(&text).unwrap_or_default()
        })
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/api/v2/{path}", self.address);
        self.send(reqwest::Client::new().post(url).json(body))
    }

    /// Alerts of our service that it knows and takes for firing, silenced ones too.
    fn alerts(&self) -> Vec<Value> {
        let all = self.get("alerts?filter=service%3D%22shop%22");
        all.as_array().cloned().unwrap_or_default()
    }

    fn wait_for_all(&self) {
        until(
            || (self.alerts().len() == ALERTS).then_some(()),
            || format!("{:#?}", self.alerts()),
        );
    }

    /// Lets [`SILENCE_SECS`] pass on its clock: an alert of somebody else that nobody sends again is over then.
    fn outlast(&self) {
        let name = "SentOnce";
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(SILENCE_SECS);
        let marker = json!([{"labels": {"alertname": name}, "endsAt": end.to_string()}]);
        self.post("alerts", &marker);
        let listed = || {
            let all = self.get(&format!("alerts?filter=alertname%3D{name}"));
            all.as_array().map_or(1, Vec::len)
        };
        assert_eq!(listed(), 1);
        until(
            || (listed() == 0).then_some(()),
            || "it does not end what it no longer hears of".to_owned(),
        );
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the line does.
#[derive(Debug, Clone)]
enum Mode {
    /// Leads to this address.
    To(String),
    /// Hangs up at once.
    HangsUp,
    /// Takes a call and never says anything.
    IsSilent,
}

/// What the line does now.
struct State {
    mode: Mode,
    /// Calls since it does that.
    calls: usize,
    /// Breaks off what it led before.
    change: CancellationToken,
}

/// The line: an address that stays, whatever is behind it.
struct Line {
    url: String,
    state: Arc<Mutex<State>>,
    stop: CancellationToken,
}

impl Line {
    fn start(mode: Mode) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            mode,
            calls: 0,
            change: CancellationToken::new(),
        }));
        let stop = CancellationToken::new();
        let (read, stopped) = (Arc::clone(&state), stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(std::thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = lead(&listener, &read) => {}
                    () = stopped.cancelled() => {}
                }
            });
        }));
        Self { url, state, stop }
    }

    /// From now on it does this; calls that last are broken off.
    fn set(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        state.change.cancel();
        *state = State {
            mode,
            calls: 0,
            change: CancellationToken::new(),
        };
    }

    /// Calls since the last change.
    fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    fn wait_for_calls(&self, count: usize) {
        until(
            || (self.calls() >= count).then_some(()),
            || format!("{} calls", self.calls()),
        );
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn lead(listener: &TcpListener, state: &Mutex<State>) {
    let mut held = Vec::new();
    while let Ok((mut call, _)) = listener.accept().await {
        let (mode, change) = {
            let mut state = state.lock().unwrap();
            state.calls += 1;
            (state.mode.clone(), state.change.clone())
        };
        match mode {
            Mode::HangsUp => drop(call),
            Mode::IsSilent => held.push(call),
            Mode::To(address) => {
                if let Ok(mut there) = TcpStream::connect(address).await {
                    drop(tokio::spawn(async move {
                        let lead = tokio::io::copy_bidirectional(&mut call, &mut there);
                        drop(change.run_until_cancelled(lead).await);
                    }));
                }
            }
        }
    }
}

/// The shipped example with short waits, and with receivers that are ours.
fn alertmanager_configuration(folder: &Path, pager: &Endpoint, tickets: &Endpoint) -> PathBuf {
    let mut text = std::fs::read_to_string(crate::file("examples/alertmanager.yml")).unwrap();
    for (there, here) in [
        ("http://pager.example.com/alertmanager", pager.url()),
        ("http://tickets.example.com/alertmanager", tickets.url()),
        ("group_wait: 10s", "group_wait: 1s"),
        ("group_interval: 1m", "group_interval: 1s"),
    ] {
        assert!(text.contains(there), "{text}");
        text = text.replace(there, here);
    }
    let file = folder.join("alertmanager.yml");
    std::fs::write(&file, text).unwrap();
    file
}

fn tidegate_configuration(folder: &Path, line: &Line) -> PathBuf {
    let slos = folder.join("slos");
    std::fs::create_dir(&slos).unwrap();
    definitions(&slos, "shop", "main");
    let text = format!(
        "definitions: {}\nalertmanagers:\n- {{name: main, url: '{}', resend: 1s}}\n",
        slos.display(),
        line.url
    );
    let file = folder.join("tidegate.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

/// (alertname, slo, status) of every alert in the notifications that `pager` got.
fn notified(pager: &Endpoint) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let messages = pager.received();
    let alerts = messages.iter().flat_map(|one| {
        one.message["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    alerts
        .map(|alert| {
            let labels = &alert["labels"];
            (
                text(&labels["alertname"]),
                text(&labels["slo"]),
                text(&alert["status"]),
            )
        })
        .collect()
}

/// Scenario: a release burns two SLOs and is halted. The line to Alertmanager hangs up, then takes calls and says nothing;
/// Tidegate stands still; Alertmanager is killed and comes back knowing nothing; at last the release is mended.
/// Guarantees: Alertmanager has the alerts in one group of the service and tells its receiver; it silences one by the
/// labels; in all those times it never takes one of them for resolved, though it resolves what is not sent again; after its
/// restart it has them again by itself; when the burning ends it says so; `alerts test` names the receiver.
#[test]
fn it_receives_groups_silences_and_resolves() {
    let pager = Endpoint::start("pager", |_| Reply::Status(200));
    let tickets = Endpoint::start("tickets", |_| Reply::Status(200));
    let folder = tempfile::tempdir().unwrap();
    let its = alertmanager_configuration(folder.path(), &pager, &tickets);
    let mut there = Alertmanager::start(folder.path(), &its);
    let line = Line::start(Mode::To(there.address.clone()));
    let ours = tidegate_configuration(folder.path(), &line);
    let ours = ["--config", ours.to_str().unwrap()];
    let server = Server::start(&ours);
    let services = ["shop".to_owned()];
    let traffic = Traffic::start(&server.http, &services);
    wait_until_known(&server, &services);
    traffic.release("shop");
    wait_for_halt(&server, "shop");
    there.wait_for_all();

    groups(&there);
    let has_paged = |slo: &str| {
        let told = (
            "ErrorBudgetBurn".to_owned(),
            slo.to_owned(),
            "firing".to_owned(),
        );
        notified(&pager).contains(&told)
    };
    until(
        || SLOS.iter().all(|slo| has_paged(slo)).then_some(()),
        || format!("{:#?}", pager.received()),
    );
    silences(&there);
    let (code, stdout, stderr) = tidegate(&[&["alerts", "test"], &ours[..]].concat());
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("routed to tickets"), "{stdout}");

    line.set(Mode::HangsUp);
    line.wait_for_calls(3);
    there.outlast();
    assert_eq!(
        there.alerts().len(),
        ALERTS,
        "a failed delivery ends nothing"
    );
    line.set(Mode::IsSilent);
    line.wait_for_calls(1);
    there.outlast();
    assert_eq!(there.alerts().len(), ALERTS, "a slow delivery ends nothing");
    line.set(Mode::To(there.address.clone()));
    line.wait_for_calls(1);
    server.signal("-STOP");
    there.outlast();
    let alerts = there.alerts().len();
    server.signal("-CONT");
    assert_eq!(alerts, ALERTS, "a tick that does not come ends nothing");

    drop(there);
    there = Alertmanager::start(folder.path(), &its);
    line.set(Mode::To(there.address.clone()));
    there.wait_for_all();
    let resolved = |name: &str, slo: &str| {
        let told = (name.to_owned(), slo.to_owned(), "resolved".to_owned());
        notified(&pager).contains(&told)
    };
    assert!(
        notified(&pager)
            .iter()
            .all(|(_, _, status)| status == "firing"),
        "{:#?}",
        notified(&pager)
    );

    traffic.mend("shop");
    until(
        || (there.alerts().len() == 1).then_some(()),
        || format!("{:#?}", there.alerts()),
    );
    assert_eq!(there.alerts()[0]["labels"]["alertname"], "RolloutHalted");
    until(
        || {
            let all = SLOS.iter().all(|slo| resolved("ErrorBudgetBurn", slo));
            all.then_some(())
        },
        || format!("{:#?}", notified(&pager)),
    );
    assert!(!resolved("RolloutHalted", ""), "nobody cleared the halt");
}

/// The alerts of one service are one group, with what the people on call need in it.
fn groups(there: &Alertmanager) {
    let groups = there.get("alerts/groups?filter=service%3D%22shop%22");
    let groups = groups.as_array().unwrap();
    assert_eq!(groups.len(), 1, "{groups:#?}");
    assert_eq!(groups[0]["receiver"]["name"], "pager");
    assert_eq!(groups[0]["labels"]["service"], "shop");
    let alerts = groups[0]["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), ALERTS, "{alerts:#?}");
    for slo in SLOS {
        let alert = alerts
            .iter()
            .find(|alert| alert["labels"]["sloth_slo"] == slo)
            .unwrap();
        assert_eq!(alert["labels"]["severity"], "page");
        assert_eq!(alert["labels"]["team"], "payments");
        let words = alert["annotations"]["description"].as_str().unwrap();
        assert!(words.contains("of requests failed"), "{words}");
        let link = alert["generatorURL"].as_str().unwrap();
        assert!(link.contains("/slo/"), "{link}");
    }
}

/// A silence of one SLO mutes its alert and no other; without it the alert is active again.
fn silences(there: &Alertmanager) {
    let now = jiff::Timestamp::now();
    let silence = json!({
        "matchers": [{"name": "slo", "value": SLOS[0], "isRegex": false, "isEqual": true}],
        "startsAt": now.to_string(),
        "endsAt": (now + jiff::SignedDuration::from_hours(1)).to_string(),
        "createdBy": "test",
        "comment": "it is known",
    });
    let id = there.post("silences", &silence)["silenceID"].clone();
    let state = |slo: &str| -> Value {
        let alerts = there.alerts();
        let found = alerts.iter().find(|alert| alert["labels"]["slo"] == slo);
        found
            .map(|alert| alert["status"]["state"].clone())
            .unwrap_or_default()
    };
    let wait = |expected: &str| {
        until(
            || (state(SLOS[0]) == expected).then_some(()),
            || format!("not {expected}: {:#?}", there.alerts()),
        );
    };
    wait("suppressed");
    assert_eq!(state(SLOS[1]), "active");
    let url = format!(
        "http://{}/api/v2/silence/{}",
        there.address,
        id.as_str().unwrap()
    );
    there.send(reqwest::Client::new().delete(url));
    wait("active");
}
