//! `tidegate doctor`: what is wrong with the telemetry of every source, and what mends it.

use super::client::ServerArgs;
use super::output::{Format, colored, complain, duration, inert, say, short, table, words};
use anyhow::Result;
use clap::Args;
use query::wire::{DoctorBody, FindingBody, SignalBody, SourceBody};

/// Exit code when there are errors or warnings.
const FOUND: u8 = 1;
/// Exit code when the server cannot be reached.
const UNKNOWN: u8 = 30;

/// Say what is wrong with the telemetry of every source, and what mends it
///
/// Exit codes: 0 nothing is wrong (there may be remarks of severity info), 1 errors or warnings, 30 unreachable, 2 usage.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl DoctorArgs {
    /// Asks, prints and returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        match self.show().await {
            Ok(body) => code(&body),
            Err(error) => {
                complain(format!("error: {}", inert(&format!("{error:#}"))));
                UNKNOWN
            }
        }
    }

    async fn show(&self) -> Result<DoctorBody> {
        let response = self.server.get("/v1/doctor", &[]).await?;
        let body: DoctorBody = response.json()?;
        if self.output == Format::Json {
            say(serde_json::to_string_pretty(&body)?);
        } else {
            say(render(&body));
        }
        Ok(body)
    }
}

fn code(body: &DoctorBody) -> u8 {
    let mut findings = body.sources.iter().flat_map(|source| &source.findings);
    if findings.any(|finding| finding.severity != "info") {
        FOUND
    } else {
        0
    }
}

fn render(body: &DoctorBody) -> String {
    let (own, services): (Vec<_>, Vec<_>) = body
        .sources
        .iter()
        .partition(|source| source.service.is_empty());
    let mut lines = Vec::new();
    if !services.is_empty() {
        let mut rows = table(&[
            "SOURCE",
            "REVISIONS",
            "SIGNALS (LAST MINUTE, LAG)",
            "SDK",
            "FINDINGS",
        ]);
        for source in &services {
            rows.add_row(row(source));
        }
        lines.push(rows.to_string());
    }
    for source in own.iter().chain(&services) {
        lines.extend(source.findings.iter().map(finding));
    }
    if code(body) == 0 {
        lines.push(format!(
            "nothing is wrong with {} sources, as of {}",
            services.len(),
            body.as_of
        ));
    }
    lines.join("\n")
}

fn row(source: &SourceBody) -> [String; 5] {
    let place = [&source.namespace, &source.environment];
    let place: Vec<String> = place
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| short(part))
        .collect();
    let name = short(&source.service);
    let codes = source
        .findings
        .iter()
        .filter(|finding| finding.severity != "info");
    let codes: Vec<&str> = codes.map(|finding| finding.code.as_str()).collect();
    let names: Vec<String> = source.revisions.iter().map(|name| short(name)).collect();
    let sdks: Vec<String> = source.sdks.iter().map(|name| short(name)).collect();
    [
        if place.is_empty() {
            name
        } else {
            format!("{name} ({})", place.join(", "))
        },
        names.join(", "),
        source
            .signals
            .iter()
            .map(signal)
            .collect::<Vec<_>>()
            .join(", "),
        sdks.join(", "),
        if codes.is_empty() {
            "-".to_owned()
        } else {
            codes.join(", ")
        },
    ]
}

fn signal(body: &SignalBody) -> String {
    let lag = match body.lag_seconds {
        Some(lag) if lag >= 10.0 => format!(", {}", duration(lag as u64)),
        Some(lag) => format!(", {lag:.1} s"),
        None => String::new(),
    };
    format!("{} {}{lag}", body.items_last_minute, inert(&body.signal))
}

/// What, where, and the lines to paste.
fn finding(body: &FindingBody) -> String {
    let ansi = match body.severity.as_str() {
        "error" => "1;31",
        "warning" => "1;33",
        _ => "2",
    };
    let head = colored(&format!("{} {}", body.severity, body.code), ansi);
    let mut lines = vec![format!("\n{head}: {}", words(&body.message))];
    lines.extend(body.fix.lines().map(|line| format!("    {}", inert(line))));
    lines.join("\n")
}
