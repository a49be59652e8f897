//! `tidegate demo`: a simulated shop, a bad canary, a healthy one, the gate, a signed webhook, the pages: all
//! through the sockets of the same code as `serve` (or, with `--fast`, on virtual time).

mod fast;
mod oncall;

use super::gate;
use super::output::{complain, inert, say, verdict};
use crate::clock;
use crate::config::{self, Config, ConfigArgs};
use crate::serve::{self, Running};
use anyhow::{Context, Result, bail};
use clap::Args;
use oncall::OnCall;
use query::wire::GateBody;
use simulator::controller::GateReply;
use simulator::live::{self, Length, Moment, Targets};
use simulator::play::Which;
use simulator::scenario::Scenario;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest the story may take in real time.
const LIMIT: Duration = Duration::from_secs(150);
/// Where the pages are when the port is free, so that `tidegate gate` finds them without flags.
const USUAL_API: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9470);

/// Watch a simulated shop: a bad canary is halted, a healthy one goes on
///
/// Exit code 0 only when both verdicts were right.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Chooses service, revision, fault and weights
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// On virtual time: seconds instead of a minute, the same bytes every time
    #[arg(long)]
    fast: bool,
    /// Go on serving after the verdicts (the default on a terminal)
    #[arg(long, conflicts_with = "fast")]
    stay: bool,
    /// Address of the API and the pages [default: 127.0.0.1:9470, or a free port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    api: Option<SocketAddr>,
}

impl DemoArgs {
    /// Plays and returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        let scenario = Scenario::new(self.seed);
        say(scenario.describe());
        let result = if self.fast {
            fast::play(&scenario)
        } else {
            self.play(scenario).await
        };
        match result {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(error) => {
                complain(format!("error: {error:#}"));
                1
            }
        }
    }

    async fn play(&self, scenario: Scenario) -> Result<bool> {
        let folder = Folder::create()?;
        let oncall = OnCall::start().await?;
        let config = self.config(&folder.path, &scenario, &oncall).await?;
        let running = serve::start(&config).await?;
        say(format!(
            "\npages and API: http://{}   (OTLP/gRPC {}, OTLP/HTTP {})\n",
            running.api, running.grpc, running.http
        ));
        let outcome = self.tell(scenario, &running, &oncall).await;
        running.drain().await;
        outcome
    }

    async fn tell(&self, scenario: Scenario, running: &Running, oncall: &OnCall) -> Result<bool> {
        let stays = self.stay || std::io::stdout().is_terminal();
        let cancel = CancellationToken::new();
        let interrupted = cancel.clone();
        drop(tokio::spawn(async move {
            drop(super::serve::until_stopped().await);
            interrupted.cancel();
        }));
        let targets = Targets {
            grpc: format!("http://{}", running.grpc),
            http: format!("http://{}", running.http),
            api: format!("http://{}", running.api),
            token: None,
        };
        let mut teller = Teller {
            api: running.api,
            last: [None, None],
            oncall: oncall.clone(),
            is_right: None,
        };
        let length = Length {
            limit: LIMIT,
            stay: stays,
        };
        let origin = clock::now().0;
        let mut watch = |seconds: f64, moment: Moment| teller.moment(seconds, &moment, stays);
        let end = live::run(scenario, &targets, origin, length, cancel, &mut watch).await?;
        // Somebody who ends a staying demo cuts its last exports off.
        if end.counts.acked != end.counts.sent && !stays {
            complain(format!(
                "{} of {} spans were not acknowledged",
                end.counts.sent - end.counts.acked,
                end.counts.sent
            ));
        }
        let is_told = oncall.wait_for("gate.halt", Duration::from_secs(5)).await;
        if !is_told {
            complain("no signed webhook about the halt arrived");
        }
        Ok(teller.is_right.unwrap_or(false) && is_told)
    }

    async fn config(&self, folder: &Path, scenario: &Scenario, oncall: &OnCall) -> Result<Config> {
        let api = match self.api {
            Some(address) => address,
            None if tokio::net::TcpListener::bind(USUAL_API).await.is_ok() => USUAL_API,
            None => SocketAddr::new(USUAL_API.ip(), 0),
        };
        let definitions = folder.join("slos");
        std::fs::create_dir_all(&definitions)?;
        std::fs::write(
            definitions.join("shop.yaml"),
            simulator::definitions::slo_file(scenario),
        )?;
        let secret = folder.join("webhook-secret");
        std::fs::write(&secret, oncall.secret())?;
        let settings = format!(
            "listen: {{grpc: '127.0.0.1:0', http: '127.0.0.1:0', api: '{api}'}}\ndefinitions: '{}'\nwebhooks:\n- {{name: oncall, url: '{}', secret_file: '{}'}}\n",
            definitions.display(),
            oncall.url(),
            secret.display()
        );
        let file = folder.join("tidegate.yaml");
        std::fs::write(&file, settings)?;
        let named = [("TIDEGATE_CONFIG".to_owned(), file.display().to_string())];
        let loaded = config::load(&ConfigArgs::default(), named);
        match loaded.config {
            Some(config) => Ok(config),
            None => bail!(
                "{}",
                ingest::definitions::show::problems_text(&loaded.problems)
            ),
        }
    }
}

/// Says what happens, a line at a time.
struct Teller {
    api: SocketAddr,
    last: [Option<(String, String)>; 2],
    oncall: OnCall,
    is_right: Option<bool>,
}

impl Teller {
    fn moment(&mut self, seconds: f64, moment: &Moment, stays: bool) {
        for line in self.oncall.news() {
            say(format!("{seconds:6.1} s  webhook: {line}"));
        }
        match moment {
            Moment::Event(_, event, _) => say(format!("{seconds:6.1} s  {}", event_words(event))),
            Moment::Answer(which, reply) => self.answer(seconds, *which, reply),
            Moment::Verdicts(outcome) => {
                self.is_right = Some(outcome.is_right());
                let word = if outcome.is_right() { "right" } else { "WRONG" };
                say(format!(
                    "{seconds:6.1} s  both rollouts are finished: verdicts {word}"
                ));
                if stays {
                    say(format!(
                        "\nstill serving: open http://{} or ask `tidegate status`; Ctrl-C ends it",
                        self.api
                    ));
                }
            }
        }
    }

    fn answer(&mut self, seconds: f64, which: Which, reply: &GateReply) {
        let Ok(body) = serde_json::from_value::<GateBody>(reply.body.clone()) else {
            return;
        };
        let key = (body.verdict.clone(), body.code.clone());
        let last = &mut self.last[usize::from(which == Which::Good)];
        if last.as_ref() == Some(&key) {
            return;
        }
        *last = Some(key);
        if matches!(body.verdict.as_str(), "halt" | "proceed") {
            say(format!("{seconds:6.1} s  gate: {}", gate::render(&body)));
        } else {
            let reason = body.reasons.first().map_or("", String::as_str);
            say(format!(
                "{seconds:6.1} s  gate: {} {} {} {}",
                verdict(&body.verdict),
                body.service,
                body.code,
                inert(reason)
            ));
        }
    }
}

fn event_words(event: &serde_json::Value) -> String {
    let data = &event["data"];
    let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
    let mut words = format!(
        "{} {} {}",
        event["type"].as_str().unwrap_or_default(),
        text("service"),
        text("candidate")
    );
    if let Some(weight) = data["weight_percent"].as_f64() {
        words.push_str(&format!(" {weight} %"));
    }
    if let Some(promoted) = data["promoted"].as_bool() {
        words.push_str(if promoted { " promoted" } else { " aborted" });
    }
    words
}

/// A folder that goes away with the demo.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!(
            "tidegate-demo-{}-{}",
            std::process::id(),
            clock::now().0
        ));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A leftover folder in the temporary directory harms nobody.
        drop(std::fs::remove_dir_all(&self.path));
    }
}
