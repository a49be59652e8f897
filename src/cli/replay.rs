//! `tidegate replay`: a recording through the same machines, on its own time.

use super::output::{Format, complain, say, short};
use crate::offline::Offline;
use anyhow::{Context, Result, bail};
use clap::Args;
use engine::input::Input;
use engine::snapshot::Snapshot;
use engine::time::{NANOS_PER_SEC, Timestamp};
use ingest::definitions::{LoadOptions, load_dir};
use ingest::log::{Damage, LogReader, Record, RecordBody};
use query::wire::{BudgetBody, DecisionBody, StatusBody, hex};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Gap between ticks where a recording has none of its own.
const TICK_NANOS: u64 = NANOS_PER_SEC / 4;

/// Run a recording again and show what was decided
///
/// The same recording gives the same digest on any machine and for any number of folders; a recording of other
/// semantics is replayed and the difference is said.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Recording made with --record
    file: PathBuf,
    /// Use the definitions of this directory instead of the recorded ones
    #[arg(long, value_name = "DIRECTORY")]
    definitions: Option<PathBuf>,
    /// Stop at this recorded time, s after the first record
    #[arg(long, value_name = "SECONDS")]
    until: Option<u64>,
    /// Number of folders
    #[arg(long, default_value_t = 1)]
    folders: usize,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

struct Replayed {
    core: Offline,
    records: u64,
    requests: u64,
    different: u64,
    semantics: u16,
    damages: Vec<Damage>,
}

impl ReplayArgs {
    /// Replays and prints. Exit code 0, 1 when the recording gives other columns than when it was made, 2 when it cannot be read.
    pub(crate) fn run(&self) -> u8 {
        match self.replay().and_then(|replayed| self.print(&replayed)) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(error) => {
                complain(format!("error: {error:#}"));
                2
            }
        }
    }

    fn replay(&self) -> Result<Replayed> {
        let mut reader = LogReader::open(&self.file)?;
        let header = *reader.header();
        let mut replayed = Replayed {
            core: Offline::new(header.seed, self.folders),
            records: 0,
            requests: 0,
            different: 0,
            semantics: header.semantics,
            damages: Vec::new(),
        };
        let mut end = None;
        let mut last = Timestamp::EPOCH;
        for record in reader.by_ref() {
            if replayed.records == 0 {
                self.define(&mut replayed, record.received)?;
                end = self
                    .until
                    .map(|secs| record.received.plus(secs * NANOS_PER_SEC));
                last = record.received;
            }
            if end.is_some_and(|end| record.received > end) {
                break;
            }
            replayed.records += 1;
            last = last.max(record.received);
            self.apply(&mut replayed, record)?;
        }
        // What came after the last Tick record would otherwise not be seen.
        replayed.core.tick(last.plus(TICK_NANOS));
        replayed.damages = reader.damages().to_vec();
        Ok(replayed)
    }

    fn define(&self, replayed: &mut Replayed, at: Timestamp) -> Result<()> {
        let Some(directory) = &self.definitions else {
            return Ok(());
        };
        let loaded = load_dir(directory, &LoadOptions::default());
        if loaded.definitions.is_none() {
            bail!(
                "{}",
                ingest::definitions::show::problems_text(&loaded.problems)
            );
        }
        replayed.core.apply(at, Input::Definitions(loaded));
        Ok(())
    }

    fn apply(&self, replayed: &mut Replayed, record: Record) -> Result<()> {
        let now = record.received;
        match record.body {
            RecordBody::Request(request) => {
                let body = request
                    .plain()
                    .with_context(|| format!("record {}", record.lsn))?;
                let digest = replayed
                    .core
                    .request(now, (request.signal, request.format), &body)
                    .with_context(|| format!("record {}", record.lsn))?;
                replayed.requests += 1;
                // 0 stands for "not recorded": logs converted from elsewhere.
                replayed.different +=
                    u64::from(request.columns_digest != 0 && request.columns_digest != digest);
            }
            RecordBody::Tick => replayed.core.tick(now),
            RecordBody::Definitions(loaded) if self.definitions.is_none() => {
                replayed.core.apply(now, Input::Definitions(loaded));
            }
            RecordBody::Definitions(_) => {}
            RecordBody::Rollout(event) => replayed.core.apply(now, Input::Rollout(event)),
            RecordBody::Override(cleared) => replayed.core.apply(now, Input::Override(cleared)),
            RecordBody::EffectDone(done) => replayed.core.apply(now, Input::EffectDone(done)),
            RecordBody::Gap(gap) => replayed.core.apply(now, Input::Gap(gap)),
            RecordBody::Cluster(report) => replayed.core.apply(now, Input::Cluster(report)),
            RecordBody::Steer(steering) => replayed.core.apply(now, Input::Steer(steering)),
            RecordBody::Counters(_) => {}
        }
        Ok(())
    }

    fn print(&self, replayed: &Replayed) -> Result<bool> {
        let digest = hex(replayed.core.digest()?);
        match self.output {
            Format::Json => say(serde_json::to_string_pretty(&as_json(replayed, &digest))?),
            Format::Table => say(as_text(replayed, &digest)),
        }
        Ok(replayed.different == 0)
    }
}

fn as_json(replayed: &Replayed, digest: &str) -> Value {
    let snapshot = &replayed.core.snapshot;
    let damages: Vec<Value> = replayed
        .damages
        .iter()
        .map(|damage| json!({ "offset": damage.offset, "bytes": damage.bytes, "torn_tail": damage.is_torn_tail }))
        .collect();
    json!({
        "records": replayed.records,
        "requests": replayed.requests,
        "spans": replayed.core.items,
        "requests_with_other_columns": replayed.different,
        "recorded_semantics": replayed.semantics,
        "semantics": engine::SEMANTICS,
        "digest": digest,
        "damages": damages,
        "status": StatusBody::of(snapshot),
        "budgets": snapshot.slos.values().map(|row| BudgetBody::from(&**row)).collect::<Vec<_>>(),
        "decisions": snapshot.decisions.iter().rev().map(|row| DecisionBody::from(&**row)).collect::<Vec<_>>(),
    })
}

fn as_text(replayed: &Replayed, digest: &str) -> String {
    let snapshot = &replayed.core.snapshot;
    let mut lines = vec![format!(
        "{} records, {} requests, {} spans; digest {digest}",
        replayed.records, replayed.requests, replayed.core.items
    )];
    lines.extend(differences(replayed));
    lines.extend(decision_lines(snapshot));
    lines.extend(snapshot.slos.values().map(|row| {
        let left = row.budget_remaining.map_or_else(
            || "-".to_owned(),
            |left| format!("{:.2} % left", left * 100.0),
        );
        format!(
            "{} {}: {} good, {} bad, {left}",
            short(&row.slo.service.name),
            short(&row.slo.name),
            row.period.good,
            row.period.bad
        )
    }));
    lines.join("\n")
}

fn differences(replayed: &Replayed) -> Vec<String> {
    let mut lines = Vec::new();
    if replayed.semantics != engine::SEMANTICS {
        lines.push(format!(
            "recorded with semantics {}, replayed with {}: verdicts may differ",
            replayed.semantics,
            engine::SEMANTICS
        ));
    }
    if replayed.different > 0 {
        lines.push(format!(
            "{} requests decode to other columns than when they were recorded",
            replayed.different
        ));
    }
    for damage in &replayed.damages {
        let what = if damage.is_torn_tail {
            "torn tail"
        } else {
            "damage: records are missing"
        };
        lines.push(format!(
            "{what}: {} bytes at offset {}",
            damage.bytes, damage.offset
        ));
    }
    lines
}

fn decision_lines(snapshot: &Snapshot) -> Vec<String> {
    let line = |decision: &engine::snapshot::Decision| {
        let answer = &decision.answer;
        format!(
            "{} #{} {} {} {} {}",
            query::wire::rfc3339(answer.as_of),
            decision.number,
            short(&answer.service.name),
            short(&answer.candidate),
            super::output::verdict(answer.verdict.name()),
            answer.code.name()
        )
    };
    snapshot
        .decisions
        .iter()
        .rev()
        .map(|decision| line(decision))
        .collect()
}
