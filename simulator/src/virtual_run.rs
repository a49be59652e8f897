//! The story on virtual time: as fast as the machine can, identical every time.

#[cfg(test)]
mod tests;

use crate::controller::{GateReply, Question};
use crate::play::{Outcome, Output, Play};
use crate::scenario::Scenario;

/// Simulation step: exporters and controllers act on this grid.
const STEP_NANOS: u64 = 50_000_000;
/// Tick of the engine (DESIGN 4).
const TICK_NANOS: u64 = 250_000_000;
/// The story goes on this long after the last verdict, so that its consequences are exported too.
const TAIL_NANOS: u64 = 2_000_000_000;

/// Whoever receives what the story makes. Calls come in virtual-time order; `at` is Unix ns and never goes back.
pub trait Sink {
    /// A process exports: an encoded, uncompressed `ExportTraceServiceRequest`.
    fn request(&mut self, at: u64, request: &[u8]);
    /// A controller posts a CloudEvent.
    fn event(&mut self, at: u64, event: &serde_json::Value);
    /// Logical time passes, every 250 ms on the story's own grid, after the requests and events of its moment.
    fn tick(&mut self, at: u64);
    /// A controller asks the gate.
    fn gate(&mut self, at: u64, question: &Question) -> GateReply;
}

/// Plays `scenario` from `origin` (Unix ns) until both rollouts are finished, at most `limit_secs` long.
///
/// O(spans log open requests), and what the sink costs.
pub fn run(scenario: &Scenario, origin: u64, limit_secs: u64, sink: &mut dyn Sink) -> Outcome {
    let mut play = Play::new(scenario.clone(), origin);
    let mut end = origin + limit_secs * 1_000_000_000;
    let mut now = origin;
    let mut was_finished = false;
    let mut outputs = Vec::new();
    while now < end {
        now += STEP_NANOS;
        play.advance(now, &mut outputs);
        carry_out(&mut play, now, &mut outputs, sink);
        if (now - origin).is_multiple_of(TICK_NANOS) {
            sink.tick(now);
        }
        if play.is_finished() && !was_finished {
            was_finished = true;
            end = end.min(now + TAIL_NANOS);
        }
    }
    play.flush(&mut outputs);
    carry_out(&mut play, now, &mut outputs, sink);
    sink.tick(now);
    play.outcome()
}

/// Answers may bring new outputs: goes on until there are none.
fn carry_out(play: &mut Play, now: u64, outputs: &mut Vec<Output>, sink: &mut dyn Sink) {
    while !outputs.is_empty() {
        for output in std::mem::take(outputs) {
            match output {
                Output::Request(request) => sink.request(now, &request.bytes),
                Output::Post(_, event) => sink.event(now, &event),
                Output::Ask(which, question) => {
                    let reply = sink.gate(now, &question);
                    play.answer(which, now, reply, outputs);
                }
            }
        }
    }
}
