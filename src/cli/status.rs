//! `tidegate status`: what arrived, what it was taken for, what is missing.

use super::client::ServerArgs;
use super::output::{Format, complain, duration, inert, say, short, table, verdict, words};
use anyhow::Result;
use clap::Args;
use query::wire::{GateBody, ItemsBody, ServiceBody, SloBody, StatusBody};

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
                short(name)
            ));
        }
        for finding in &status.findings {
            // That one has its own line, with what mends it.
            if finding.code != "REVISION_UNKNOWN" {
                say(format!(
                    "{} {}: {} (`tidegate doctor` says what mends it)",
                    finding.severity,
                    finding.code,
                    words(&finding.message)
                ));
            }
        }
        for line in &status.type_mismatch {
            say(short(line));
        }
        for problem in &status.problems {
            say(format!(
                "{}: {}: {}: {}",
                problem.severity,
                inert(&problem.place),
                inert(&problem.field),
                inert(&problem.message)
            ));
        }
        Ok(())
    }
}

fn summary(status: &StatusBody) -> String {
    let mut lines = vec![format!(
        "tidegate {} {} as of {}",
        status.version, status.state, status.as_of
    )];
    lines.push(signals_table(status));
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

/// What became of the items of each signal.
fn signals_table(status: &StatusBody) -> String {
    let mut rows = table(&[
        "SIGNAL",
        "ACCEPTED",
        "REJECTED",
        "DROPPED",
        "DUPLICATE",
        "LATE",
        "HELD",
        "EVICTED",
    ]);
    let counters = &status.counters;
    let columns = [
        status.accepted,
        status.rejected,
        status.dropped,
        counters.duplicate,
        counters.late,
        status.store.held,
        status.store.evicted,
    ];
    type Of = fn(&ItemsBody) -> u64;
    let signals: [(&str, Of); 3] = [
        ("spans", |items| items.spans),
        ("metric points", |items| items.points),
        ("log records", |items| items.records),
    ];
    for (name, of) in signals {
        let counts = columns.iter().map(|items| of(items).to_string());
        rows.add_row(std::iter::once(name.to_owned()).chain(counts));
    }
    rows.to_string()
}

/// `3 h of 30 d`, the youngest of `slos`; a dash without events.
fn observed(slos: &[&SloBody]) -> String {
    let youngest = slos.iter().min_by_key(|slo| slo.observed_seconds);
    youngest.map_or_else(
        || "-".to_owned(),
        |slo| {
            format!(
                "{} of {}",
                duration(slo.observed_seconds),
                duration(slo.period_seconds)
            )
        },
    )
}

fn services_table(services: &[ServiceBody], slos: &[SloBody], answers: &[GateBody]) -> String {
    let mut rows = table(&[
        "SERVICE",
        "MATURITY",
        "REVISIONS",
        "BUDGET LEFT",
        "OBSERVED",
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
        let names: Vec<String> = live.map(|row| short(&row.label)).collect();
        rows.add_row([
            short(&service.service),
            service.maturity.clone() + if service.implicit { " (implicit)" } else { "" },
            names.join(", "),
            worst.map_or_else(|| "-".to_owned(), |left| format!("{:.1} %", left * 100.0))
                + if own.iter().any(|slo| !slo.sampled.is_empty()) {
                    " (sampled)"
                } else {
                    ""
                },
            observed(&own),
            alert.unwrap_or("-").to_owned(),
            format!("{} {}", verdict(&answer.verdict), answer.code),
        ]);
    }
    rows.to_string()
}
