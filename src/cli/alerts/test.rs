//! `tidegate alerts test`: sends a marked test and its end to the configured endpoints, and says what came back.

use super::occasion::{Event, Occasion, TEST_SERVICE};
use super::{EndpointArgs, Receiver};
use crate::cli::output::{Format, complain, say, table};
use crate::clock;
use alerts::Endpoint;
use alerts::alertmanager::Alertmanager;
use alerts::request::{Request, client};
use alerts::webhook::Webhook;
use anyhow::Result;
use clap::{Args, ValueEnum};
use engine::inert::inert;
use engine::slo::Severity;
use serde::Serialize;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;
use tokio::time::Instant;

/// How long an Alertmanager believes the test should its end get lost.
const TEST_HOLD: Duration = Duration::from_secs(300);

/// Send a marked test, and its end, to the configured webhooks and Alertmanagers
///
/// The service is called `tidegate-test`, titles begin with TEST. An Alertmanager says which of its receivers the test is
/// routed to. Exit codes: 0 everything was taken, 1 something was not, 2 usage or configuration.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    endpoints: EndpointArgs,
    /// Severity of the test: a page may wake somebody
    #[arg(long, value_enum, default_value_t)]
    severity: SeverityArg,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum SeverityArg {
    /// For working hours
    #[default]
    Ticket,
    /// Wakes somebody
    Page,
}

impl From<SeverityArg> for Severity {
    fn from(severity: SeverityArg) -> Self {
        match severity {
            SeverityArg::Ticket => Self::Ticket,
            SeverityArg::Page => Self::Page,
        }
    }
}

/// One request and what came of it.
#[derive(Debug, Serialize)]
struct Attempt {
    endpoint: String,
    url: String,
    event: String,
    taken: bool,
    /// 0 when no answer came.
    status: u16,
    latency_seconds: f64,
    answer: String,
}

impl TestArgs {
    /// Sends, prints and returns the exit code.
    pub(super) async fn run(&self) -> u8 {
        let receivers = match self.endpoints.receivers() {
            Ok(receivers) => receivers,
            Err(code) => return code,
        };
        match self.attempts(&receivers).await {
            Ok(attempts) => {
                self.print(&attempts);
                u8::from(!attempts.iter().all(|one| one.taken))
            }
            Err(error) => {
                complain(format!("error: {error:#}"));
                super::USAGE
            }
        }
    }

    async fn attempts(&self, receivers: &[Receiver]) -> Result<Vec<Attempt>> {
        let client = client()?;
        let mut attempts = Vec::new();
        for receiver in receivers {
            match receiver {
                Receiver::Webhook(endpoint) => {
                    attempts.extend(self.webhook(&client, endpoint).await?);
                }
                Receiver::Alertmanager(alertmanager) => {
                    for url in &alertmanager.urls {
                        attempts.extend(self.alertmanager(&client, alertmanager, url).await);
                    }
                }
            }
        }
        Ok(attempts)
    }

    async fn webhook(&self, client: &reqwest::Client, endpoint: &Endpoint) -> Result<Vec<Attempt>> {
        let webhook = Webhook::new(endpoint)?;
        let mut attempts = Vec::new();
        for event in wanted(endpoint) {
            let now = clock::now();
            let told = Occasion::test_of(event, self.severity.into(), now).notification;
            // A receiver remembers ids: every test is a new message.
            let id =
                u128::from(RandomState::new().hash_one(event.name())) << 64 | u128::from(now.0);
            let request = webhook.request(id, &told, now);
            attempts.push(attempt(client, &endpoint.name, &endpoint.url, event, request).await);
        }
        Ok(attempts)
    }

    async fn alertmanager(
        &self,
        client: &reqwest::Client,
        alertmanager: &Alertmanager,
        url: &str,
    ) -> Vec<Attempt> {
        let to = Alertmanager {
            hold: TEST_HOLD,
            ..alertmanager.clone()
        };
        let began = clock::now();
        let [fires, _] = Occasion::test(self.severity.into(), began);
        let request = to.request(url, &fires.standings, began);
        let mut attempts = vec![attempt(client, &to.name, url, Event::Firing, request).await];
        if attempts[0].taken {
            attempts[0].answer = routes(client, &to, url).await;
            let now = clock::now();
            let mut over = fires.standings;
            over.iter_mut().for_each(|one| one.ended = Some(now));
            let request = to.request(url, &over, now);
            attempts.push(attempt(client, &to.name, url, Event::Resolved, request).await);
        }
        attempts
    }

    fn print(&self, attempts: &[Attempt]) {
        if self.output == Format::Json {
            say(serde_json::to_string_pretty(attempts).unwrap_or_default());
            return;
        }
        let mut rows = table(&["ENDPOINT", "EVENT", "TAKEN", "LATENCY", "ANSWER"]);
        for one in attempts {
            rows.add_row([
                one.endpoint.clone(),
                one.event.clone(),
                if one.taken { "yes" } else { "NO" }.to_owned(),
                format!("{:.0} ms", one.latency_seconds * 1_000.0),
                inert(&one.answer),
            ]);
        }
        say(rows.to_string());
    }
}

/// The test's events that `endpoint` wants; when it wants neither of an alert's, one that it does.
fn wanted(endpoint: &Endpoint) -> Vec<Event> {
    let of = |events: &[Event]| -> Vec<Event> {
        let wanted = events.iter().filter(|event| endpoint.wants(event.name()));
        wanted.copied().collect()
    };
    let pairs = [
        [Event::Firing, Event::Resolved],
        [Event::Halt, Event::Cleared],
    ];
    pairs
        .iter()
        .map(|pair| of(pair))
        .find(|found| !found.is_empty())
        .unwrap_or_else(|| of(&Event::ALL))
}

async fn attempt(
    client: &reqwest::Client,
    endpoint: &str,
    url: &str,
    event: Event,
    request: Result<Request, String>,
) -> Attempt {
    let started = Instant::now();
    let answer = match request {
        Ok(request) => request.send(client).await,
        Err(error) => Err(error),
    };
    let latency_seconds = started.elapsed().as_secs_f64();
    let (taken, status, answer) = match answer {
        Ok(answer) => (answer.is_success(), answer.status, answer.words()),
        Err(error) => (false, 0, error),
    };
    Attempt {
        endpoint: endpoint.to_owned(),
        url: url.to_owned(),
        event: event.name().to_owned(),
        taken,
        status,
        latency_seconds,
        answer,
    }
}

/// Which of its receivers an Alertmanager routes the test to, in words.
async fn routes(client: &reqwest::Client, to: &Alertmanager, url: &str) -> String {
    let found = async {
        let mut list = alerts::alertmanager::endpoint(reqwest::Url::parse(url).ok()?, "alerts");
        let filter = format!("service=\"{TEST_SERVICE}\"");
        list.query_pairs_mut().append_pair("filter", &filter);
        let mut get = client.get(list);
        // The same headers as the post: a token, when there is one.
        for (name, value) in to.request(url, [], clock::now()).ok()?.headers {
            get = get.header(name, value);
        }
        let listed: serde_json::Value = get.send().await.ok()?.json().await.ok()?;
        let first = listed.get(0)?;
        let names: Vec<&str> = first["receivers"]
            .as_array()?
            .iter()
            .filter_map(|receiver| receiver["name"].as_str())
            .collect();
        let state = first["status"]["state"].as_str()?;
        Some(format!("{state}, routed to {}", names.join(", ")))
    };
    found.await.unwrap_or_else(|| {
        "taken, and not listed: another member of its cluster may have it".to_owned()
    })
}
