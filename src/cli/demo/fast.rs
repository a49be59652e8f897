//! `demo --fast`: the same story on virtual time, through the same decoder and engine.

use crate::cli::gate;
use crate::cli::output::say;
use crate::offline::Offline;
use anyhow::Result;
use engine::gate::answer::Phase;
use engine::gate::{Question, ask};
use engine::hash::HashSeed;
use engine::input::Input;
use engine::items::Signal;
use engine::time::Timestamp;
use ingest::definitions::{LoadOptions, Source, load_sources};
use ingest::otlp::Format;
use query::wire::{GateBody, hex};
use simulator::controller::{self, GateReply};
use simulator::scenario::Scenario;
use simulator::virtual_run::{self, Sink};

/// 2026-01-01T00:00:00Z: any fixed moment does.
const ORIGIN: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Longest the story may take in virtual time, s.
const LIMIT_SECS: u64 = 300;
/// Fixed, so that the same seed gives the same bytes.
const SEED: HashSeed = HashSeed(0x7469_6465, 0x6761_7465);

/// What the simulator sends.
const TRACES: (Signal, Format) = (Signal::Traces, Format::Protobuf);

struct Core {
    offline: Offline,
    errors: Vec<anyhow::Error>,
}

impl Sink for Core {
    fn request(&mut self, at: u64, request: &[u8]) {
        if let Err(error) = self.offline.request(Timestamp(at), TRACES, request) {
            self.errors.push(error);
        }
    }

    fn event(&mut self, at: u64, event: &serde_json::Value) {
        let read = serde_json::from_value(event.clone()).map_err(|error| error.to_string());
        match read.and_then(query::api::event_input) {
            Ok(input) => self.offline.apply(Timestamp(at), input),
            Err(detail) => self
                .errors
                .push(anyhow::anyhow!("an event was refused: {detail}")),
        }
    }

    fn tick(&mut self, at: u64) {
        self.offline.tick(Timestamp(at));
    }

    fn gate(&mut self, _at: u64, question: &controller::Question) -> GateReply {
        let subject = &question.subject;
        let question = Question {
            service: subject.service.clone(),
            namespace: subject.namespace.clone(),
            environment: subject.environment.clone(),
            candidate: subject.candidate.clone(),
            baseline: subject.baseline.clone(),
            phase: match question.phase {
                controller::Phase::Admit => Phase::Admit,
                controller::Phase::Advance => Phase::Advance,
            },
        };
        let body = GateBody::from(&ask(&self.offline.snapshot, &question));
        GateReply::from_body(serde_json::to_value(body).unwrap_or_default())
    }
}

/// Plays the whole story; true when both verdicts were right.
pub(super) fn play(scenario: &Scenario) -> Result<bool> {
    let mut core = Core {
        offline: Offline::new(SEED, 1),
        errors: Vec::new(),
    };
    let file = Source {
        name: "shop.yaml".to_owned(),
        bytes: simulator::definitions::slo_file(scenario).into_bytes(),
    };
    let options = LoadOptions {
        endpoints: vec!["oncall".to_owned()],
        ..LoadOptions::default()
    };
    core.offline
        .apply(ORIGIN, Input::Definitions(load_sources(&[file], &options)));
    let outcome = virtual_run::run(scenario, ORIGIN.0, LIMIT_SECS, &mut core);
    if let Some(error) = core.errors.into_iter().next() {
        return Err(error);
    }
    for decision in core.offline.snapshot.decisions.iter().rev() {
        let body = GateBody::from(&decision.answer);
        let seconds = decision.answer.as_of.since(ORIGIN) as f64 / 1e9;
        if matches!(body.verdict.as_str(), "halt" | "proceed") {
            say(format!("{seconds:6.1} s  {}", gate::render(&body)));
        }
    }
    let word = if outcome.is_right() { "right" } else { "WRONG" };
    say(format!(
        "{} spans, {} decisions, {} effects: verdicts {word}; digest {}",
        core.offline.items,
        core.offline.snapshot.decisions.len(),
        core.offline.effects.len(),
        hex(core.offline.digest()?)
    ));
    Ok(outcome.is_right())
}
