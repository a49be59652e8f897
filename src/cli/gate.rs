//! `tidegate gate`: the gate question on the command line. Exit 0 proceed, 10 wait, 20 halt, 30 unknown, 2 usage.

use super::client::ServerArgs;
use super::output::{Format, colored, complain, say, short, verdict, words};
use clap::{Args, ValueEnum};
use query::wire::GateBody;
use std::time::Duration;

const WAIT: u8 = 10;
const UNKNOWN: u8 = 30;

/// Phase asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum PhaseArg {
    /// Before any deployment: budget and alerts
    Admit,
    /// May the rollout take its next step?
    #[default]
    Advance,
}

/// What an unknown answer (unreachable, recovering, revision not told apart) becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum OnUnknown {
    /// Exit 30
    #[default]
    Unknown,
    /// Exit 10
    Wait,
    /// Exit 20
    Halt,
    /// Exit 0
    Proceed,
}

/// Ask whether a rollout may go on
///
/// Exit codes: 0 proceed, 10 wait, 20 halt, 30 unknown (unreachable, recovering, revision not told apart), 2 usage.
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// Service name
    service: String,
    /// Candidate: any attribute of a revision (template hash, ReplicaSet, digest, tag, service.version)
    #[arg(long, default_value = "", hide_default_value = true)]
    candidate: String,
    /// Baseline it is expected to be tested against
    #[arg(long, default_value = "", hide_default_value = true)]
    baseline: String,
    /// Namespace, when several services have the name
    #[arg(long, default_value = "", hide_default_value = true)]
    namespace: String,
    /// Environment, when several services have the name
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
    /// Which question
    #[arg(long, value_enum, default_value_t)]
    phase: PhaseArg,
    /// Ask again while the answer is Wait, for at most this many seconds
    #[arg(
        long,
        default_value_t = 0,
        hide_default_value = true,
        value_name = "SECONDS"
    )]
    wait: u64,
    /// What an unknown answer becomes
    #[arg(long, value_enum, default_value_t)]
    on_unknown: OnUnknown,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl GateArgs {
    /// Asks, prints and returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(self.wait);
        loop {
            let code = self.ask().await;
            let answered = match code {
                Ok((body, _))
                    if body.verdict == "wait" && tokio::time::Instant::now() < deadline =>
                {
                    None
                }
                other => Some(other),
            };
            match answered {
                Some(Ok((body, code))) => {
                    self.print(&body);
                    return if code == UNKNOWN {
                        self.unknown_code()
                    } else {
                        code
                    };
                }
                Some(Err(error)) => {
                    complain(format!("unknown: {error:#}"));
                    return self.unknown_code();
                }
                None => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn ask(&self) -> anyhow::Result<(GateBody, u8)> {
        let phase = match self.phase {
            PhaseArg::Admit => "admit",
            PhaseArg::Advance => "advance",
        };
        let query = [
            ("service", self.service.as_str()),
            ("candidate", &self.candidate),
            ("baseline", &self.baseline),
            ("namespace", &self.namespace),
            ("environment", &self.environment),
            ("phase", phase),
        ];
        let response = self.server.get("/v1/gate", &query).await?;
        let body: GateBody = response.json()?;
        let code = match body.verdict.as_str() {
            "proceed" => 0,
            "wait" => WAIT,
            "halt" => 20,
            _ => UNKNOWN,
        };
        Ok((body, code))
    }

    const fn unknown_code(&self) -> u8 {
        match self.on_unknown {
            OnUnknown::Unknown => UNKNOWN,
            OnUnknown::Wait => WAIT,
            OnUnknown::Halt => 20,
            OnUnknown::Proceed => 0,
        }
    }

    fn print(&self, body: &GateBody) {
        if self.output == Format::Json {
            say(serde_json::to_string_pretty(body).unwrap_or_default());
        } else {
            say(render(body));
        }
    }
}

/// The answer in lines for people: what, why, what would change it.
pub(crate) fn render(body: &GateBody) -> String {
    let mut lines = Vec::new();
    let subject = [short(&body.service), short(&body.candidate)].join(" ");
    let mut head = format!(
        "{} {} {}",
        verdict(&body.verdict),
        subject.trim_end(),
        body.code
    );
    if !body.notes.is_empty() {
        let names: Vec<&str> = body
            .notes
            .iter()
            .filter_map(|note| note.split(':').next())
            .collect();
        head.push_str(&format!(" ({})", names.join(", ")));
    }
    lines.push(head);
    lines.extend(
        body.reasons
            .iter()
            .map(|reason| format!("  {}", words(reason))),
    );
    if !body.counterfactual.is_empty() {
        lines.push(format!("  {}", words(&body.counterfactual)));
    }
    if body.verdict == "wait" && body.need.requests > 0 {
        let time = body
            .need
            .seconds
            .map_or_else(String::new, |s| format!(", about {s} s at today's rate"));
        lines.push(format!(
            "  needs about {} more requests{time}",
            body.need.requests
        ));
    }
    let baseline = if body.baseline.is_empty() {
        "none".to_owned()
    } else {
        body.baseline.join(", ")
    };
    let arms = &body.evidence;
    if arms.candidate.units + arms.baseline.units > 0 {
        lines.push(format!(
            "  candidate {} of {} failed, baseline {} ({}) {} of {}; {} strata",
            arms.candidate.failed,
            arms.candidate.units,
            words(&baseline),
            body.maturity,
            arms.baseline.failed,
            arms.baseline.units,
            arms.strata
        ));
    }
    lines.extend(
        body.notes
            .iter()
            .map(|note| colored(&format!("  {}", words(note)), "2")),
    );
    let decision = if body.decision_id.is_empty() {
        "none yet"
    } else {
        &body.decision_id
    };
    lines.push(colored(
        &format!("  decision {decision}, as of {}", body.as_of),
        "2",
    ));
    lines.join("\n")
}
