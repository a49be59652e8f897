//! `tidegate query`: ask a running Tidegate in SQL.

use super::client::ServerArgs;
use super::output::{colored, complain, inert, say, table};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use query::api::{SqlAnswer, SqlBody};
use std::io::{IsTerminal, Read, Write};

/// `-o` of `query`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
    /// For spreadsheets, header line first.
    Csv,
}

/// Ask in SQL: one SELECT over what a running Tidegate holds
///
/// The tables and their columns are in docs/sql.md.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The statement; from standard input when absent or `-`
    #[arg(value_name = "SELECT")]
    statement: Option<String>,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    /// Most rows of the answer
    #[arg(long, default_value_t = 1_000, value_name = "ROWS")]
    max_rows: usize,
    #[command(flatten)]
    server: ServerArgs,
}

impl QueryArgs {
    /// Asks, prints and returns the exit code: 0, 1 when the statement is refused, 30 when nobody answers.
    pub(crate) async fn run(&self) -> u8 {
        match self.ask().await {
            Ok(code) => code,
            Err(error) => {
                complain(format!("error: {error:#}"));
                30
            }
        }
    }

    async fn ask(&self) -> Result<u8> {
        let statement = self.statement()?;
        let accept = match self.output {
            Form::Csv => "text/csv",
            Form::Table | Form::Json => "application/json",
        };
        let body = SqlBody {
            query: statement.clone(),
            max_rows: Some(self.max_rows),
            timeout_ms: Some(self.server.timeout.saturating_mul(1_000)),
        };
        let response = self.server.post("/v1/sql", accept, &body).await?;
        if let Some(refusal) = response.refusal() {
            complain(explain(&refusal, &statement));
            return Ok(1);
        }
        match self.output {
            Form::Csv => {
                write_whole(response.body())?;
                self.warn(response.is_truncated());
            }
            Form::Json => say(String::from_utf8_lossy(response.body())),
            Form::Table => {
                let answer: SqlAnswer = response.json()?;
                say(rows_table(&answer));
                self.warn(answer.truncated);
            }
        }
        Ok(0)
    }

    fn statement(&self) -> Result<String> {
        match self.statement.as_deref() {
            Some(statement) if statement != "-" => Ok(statement.to_owned()),
            None if std::io::stdin().is_terminal() => {
                bail!("no statement: tidegate query 'SELECT ...', or from standard input")
            }
            _ => {
                let mut text = String::new();
                std::io::stdin()
                    .lock()
                    .read_to_string(&mut text)
                    .context("cannot read the statement from standard input")?;
                Ok(text)
            }
        }
    }

    fn warn(&self, is_truncated: bool) {
        if is_truncated {
            complain(format!(
                "note: there are more rows than shown; --max-rows {} or the server's bound cut them",
                self.max_rows
            ));
        }
    }
}

/// A closed pipe (`| head`) is not an error.
fn write_whole(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the answer")
        }
        _ => Ok(()),
    }
}

/// The refusal in words, with the place marked in the statement when it is known.
fn explain(problem: &serde_json::Value, statement: &str) -> String {
    let detail = problem["detail"].as_str().unwrap_or("no reason given");
    let code = problem["code"].as_str().unwrap_or("refused");
    let mut text = format!("error: {code}: {}", lines_inert(detail));
    let at = &problem["position"];
    let place = at["line"].as_u64().zip(at["column"].as_u64());
    let Some((line, column)) = place else {
        return text;
    };
    let number = usize::try_from(line).unwrap_or(usize::MAX);
    if let Some(source) = statement.lines().nth(number.saturating_sub(1)) {
        let before = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        let mark = " ".repeat(before.min(source.chars().count()));
        text.push_str(&format!("\n  {}\n  {mark}^", inert(source)));
    }
    text
}

fn rows_table(answer: &SqlAnswer) -> String {
    let names: Vec<String> = answer
        .columns
        .iter()
        .map(|column| inert(&column.name))
        .collect();
    let names: Vec<String> = names.iter().map(|name| colored(name, "1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut rows = table(&names);
    for row in &answer.rows {
        rows.add_row(row.iter().map(shown));
    }
    let count = answer.rows.len();
    let s = if count == 1 { "" } else { "s" };
    format!("{rows}\n({count} row{s} as of {})", answer.as_of)
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => lines_inert(text),
        other => other.to_string(),
    }
}

/// Text without control characters, its lines kept.
fn lines_inert(text: &str) -> String {
    text.lines().map(inert).collect::<Vec<_>>().join("\n")
}
