//! `tidegate status`: what arrived, what it was taken for, what is missing.

use super::client::ServerArgs;
use super::output::{Format, complain, inert, say, table, verdict};
use anyhow::Result;
use clap::Args;
use query::wire::{GateBody, ServiceBody, SloBody, StatusBody};

/// Show what a running Tidegate sees
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

/// The line that makes revisions known, ready to paste.
pub(crate) const REVISION_SNIPPET: &str =
    "OTEL_RESOURCE_ATTRIBUTES=service.version=<your version or image tag>";

impl StatusArgs {
    /// Asks, prints and returns the exit code: 0, or 30 when the server cannot be reached.
    pub(crate) async fn run(&self) -> u8 {
        match self.show().await {
            Ok(()) => 0,
            Err(error) => {
                complain(format!("error: {error:#}"));
                30
            }
        }
    }

    async fn show(&self) -> Result<()> {
        let response = self.server.get("/v1/status", &[]).await?;
        if self.output == Format::Json {
            let value: serde_json::Value = response.json()?;
            say(serde_json::to_string_pretty(&value)?);
            return Ok(());
        }
        let status: StatusBody = response.json()?;
        let services: Vec<ServiceBody> = self.server.get("/v1/services", &[]).await?.json()?;
        let slos: Vec<SloBody> = self.server.get("/v1/slos", &[]).await?.json()?;
        let mut candidates = Vec::new();
        for service in &services {
            let query = [
                ("service", service.service.as_str()),
                ("namespace", &service.namespace),
                ("environment", &service.environment),
            ];
            let answer: GateBody = self.server.get("/v1/gate", &query).await?.json()?;
            candidates.push(answer);
        }
        say(summary(&status));
        say(services_table(&services, &slos, &candidates));
        for name in &status.revision_unknown {
            say(format!(
                "REVISION_UNKNOWN {}: nothing tells its revisions apart. Set {REVISION_SNIPPET}",
                inert(name)
            ));
        }
        for problem in &status.problems {
            say(format!(
                "{}: {}: {}: {}",
                problem.severity, problem.place, problem.field, problem.message
            ));
        }
        Ok(())
    }
}

fn summary(status: &StatusBody) -> String {
    let mut lines = vec![format!(
        "tidegate {} {} as of {}: {} spans accepted, {} rejected, {} dropped",
        status.version,
        status.state,
        status.as_of,
        status.accepted.spans,
        status.rejected.spans,
        status.dropped.spans
    )];
    if status.counters.excluded.spans > 0 {
        lines.push(format!(
            "{} health-check spans left out of SLIs",
            status.counters.excluded.spans
        ));
    }
    for gap in &status.gaps {
        lines.push(format!(
            "GAP: counts between {} and {} may be missing",
            gap.from, gap.to
        ));
    }
    lines.join("\n")
}

fn services_table(services: &[ServiceBody], slos: &[SloBody], answers: &[GateBody]) -> String {
    let mut rows = table(&[
        "SERVICE",
        "MATURITY",
        "REVISIONS",
        "BUDGET LEFT",
        "ALERT",
        "GATE",
    ]);
    for (service, answer) in services.iter().zip(answers) {
        let own: Vec<&SloBody> = slos
            .iter()
            .filter(|slo| service.slos.contains(&slo.id))
            .collect();
        let worst = own
            .iter()
            .filter_map(|slo| slo.budget_remaining)
            .min_by(f64::total_cmp);
        let alert = own
            .iter()
            .map(|slo| slo.alert_state.as_str())
            .find(|state| *state == "firing");
        let live = service.revisions.iter().filter(|revision| revision.live);
        let names: Vec<String> = live.map(|row| inert(&row.label)).collect();
        rows.add_row([
            inert(&service.service),
            service.maturity.clone() + if service.implicit { " (implicit)" } else { "" },
            names.join(", "),
            worst.map_or_else(|| "-".to_owned(), |left| format!("{:.1} %", left * 100.0)),
            alert.unwrap_or("-").to_owned(),
            format!("{} {}", verdict(&answer.verdict), answer.code),
        ]);
    }
    rows.to_string()
}
