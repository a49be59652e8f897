//! `tidegate incidents`: what fails, who began it, whom it hits.

use super::client::ServerArgs;
use super::output::{Format, complain, inert, say, short, table, words};
use anyhow::Result;
use clap::Args;
use query::wire::IncidentBody;

/// Exit code while an incident is open.
const OPEN: u8 = 1;
/// Exit code when the server cannot be reached.
const UNKNOWN: u8 = 30;

/// Show incidents: what fails, who began it, whom it hits
///
/// Exit codes: 0 none is open, 1 at least one is, 30 unreachable, 2 usage.
#[derive(Debug, Args)]
pub(crate) struct IncidentsArgs {
    /// Resolved ones, too (24 h)
    #[arg(long)]
    all: bool,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    server: ServerArgs,
}

impl IncidentsArgs {
    /// Asks, prints and returns the exit code.
    pub(crate) async fn run(&self) -> u8 {
        match self.show().await {
            Ok(rows) if rows.iter().any(|row| row.state != "resolved") => OPEN,
            Ok(_) => 0,
            Err(error) => {
                complain(format!("error: {}", inert(&format!("{error:#}"))));
                UNKNOWN
            }
        }
    }

    async fn show(&self) -> Result<Vec<IncidentBody>> {
        let state = if self.all { "all" } else { "open" };
        let response = self
            .server
            .get("/v1/incidents", &[("state", state)])
            .await?;
        let rows: Vec<IncidentBody> = response.json()?;
        if self.output == Format::Json {
            say(serde_json::to_string_pretty(&rows)?);
        } else {
            say(render(&rows));
        }
        Ok(rows)
    }
}

fn render(rows: &[IncidentBody]) -> String {
    if rows.is_empty() {
        return "no incident".to_owned();
    }
    let mut shown = table(&["STATE", "CULPRIT", "WHAT", "SCOPE", "VICTIMS", "BEGAN"]);
    for row in rows {
        let culprit = row.culprit.as_ref().map_or_else(
            || "not known yet".to_owned(),
            |culprit| {
                format!(
                    "{} {}",
                    short(&culprit.who.service),
                    short(&culprit.revision)
                )
            },
        );
        let what = row
            .culprit
            .as_ref()
            .map_or("", |culprit| culprit.class.as_str());
        let scope = if row.sustained {
            format!("{}, sustained", row.scope)
        } else {
            row.scope.clone()
        };
        shown.add_row(vec![
            row.state.clone(),
            culprit,
            what.to_owned(),
            scope,
            row.victims.len().to_string(),
            row.began_at.clone(),
        ]);
    }
    let mut lines = vec![shown.to_string()];
    lines.extend(
        rows.iter()
            .map(|row| format!("{}\n{}", words(&row.title), words(&row.text))),
    );
    lines.join("\n\n")
}
