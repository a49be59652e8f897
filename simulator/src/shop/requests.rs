//! The life of one request: begin, work, call and wait, finish, reply.

use super::{Event, Fault, PodIndex, Shop};
use crate::span::{Outcome, Role, Shape, Span};
use crate::topology::{Call, ServiceIndex};

/// One way through the network.
const NETWORK_NANOS: f64 = 250_000.0;
/// Wait before a caller tries again.
const RETRY_NANOS: f64 = 10_000_000.0;
/// Mean delay of a call that nobody waits for.
const ASIDE_NANOS: f64 = 200_000_000.0;

/// A request in work. Slots are reused; a frame lives from its creation to its finish.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    service: ServiceIndex,
    operation: usize,
    revision: usize,
    pod: PodIndex,
    trace_id: u128,
    span_id: u64,
    parent_id: u64,
    shopper: u64,
    start: u64,
    /// Own work between two calls, ns.
    segment: u64,
    /// The call to make next, or in flight.
    next_call: usize,
    outcome: Outcome,
    /// The frame that waits for this one.
    caller: Option<usize>,
    /// The outgoing call in flight.
    attempt: u8,
    call_span: u64,
    call_start: u64,
    /// It only waits for one call that nobody needs, on behalf of the request that it was copied from.
    is_aside: bool,
}

impl Shop {
    pub(super) fn arrive(&mut self) {
        let gap = self.random.exponential(1e9 / self.rate);
        self.schedule(gap as u64, Event::Arrival);
        let entries = &self.topology.entries;
        let chosen = self
            .random
            .weighted(entries.iter().map(|entry| entry.share));
        let entry = entries[chosen];
        if self.is_down[entry.service] {
            return;
        }
        let trace_id = self.trace_id();
        let shopper = self.ids.bits();
        let frame = self.frame(entry.service, entry.operation, trace_id, 0, shopper, None);
        self.begin(frame);
    }

    /// A new frame, routed to a revision and a pod now.
    fn frame(
        &mut self,
        service: ServiceIndex,
        operation: usize,
        trace_id: u128,
        parent_id: u64,
        shopper: u64,
        caller: Option<usize>,
    ) -> usize {
        let (revision, pod) = self.fleet.route(service, &mut self.random);
        let frame = Frame {
            service,
            operation,
            revision,
            pod,
            trace_id,
            span_id: self.ids.nonzero(),
            parent_id,
            shopper,
            start: 0,
            segment: 0,
            next_call: 0,
            outcome: Outcome::Fine,
            caller,
            attempt: 0,
            call_span: 0,
            call_start: 0,
            is_aside: false,
        };
        self.store(frame)
    }

    fn store(&mut self, frame: Frame) -> usize {
        match self.free.pop() {
            Some(slot) => {
                self.frames[slot] = frame;
                slot
            }
            None => {
                self.frames.push(frame);
                self.frames.len() - 1
            }
        }
    }

    /// Decides how the request's own part will go: how long it works and whether it fails by itself.
    pub(super) fn begin(&mut self, index: usize) {
        let frame = &self.frames[index];
        let operation = &self.topology.services[frame.service].operations[frame.operation];
        let fault = self.fleet.revisions[frame.service][frame.revision].fault;
        let (errors, slower) = match fault {
            Fault::None => (operation.error_ratio, 1.0),
            Fault::Errors(ratio) => (ratio.max(operation.error_ratio), 1.0),
            Fault::Slow(times) => (operation.error_ratio, times),
            Fault::Calls(_) => (operation.error_ratio, 1.0),
        };
        let service = frame.service;
        let now = self.now;
        let is_full = self.buckets[service]
            .as_mut()
            .is_some_and(|bucket| !bucket.take(now));
        let work = self
            .random
            .log_normal(operation.work_nanos, operation.sigma)
            * slower;
        let outcome = if self.random.chance(errors) || is_full {
            Outcome::Internal
        } else if self.random.chance(operation.not_found_ratio) {
            Outcome::NotFound
        } else {
            Outcome::Fine
        };
        let segment = (work / (operation.calls.len() + 1) as f64) as u64;
        let frame = &mut self.frames[index];
        frame.start = self.now;
        frame.segment = segment;
        frame.outcome = outcome;
        self.schedule(segment, Event::Worked(index));
    }

    /// After a piece of work: the next call, or the end. Whoever has failed calls nobody any more.
    pub(super) fn worked(&mut self, index: usize, out: &mut Vec<(PodIndex, Span)>) {
        while self.frames[index].outcome == Outcome::Fine {
            let Some(probability) = self.pending(index).map(|call| call.probability) else {
                break;
            };
            if self.random.chance(probability) {
                self.frames[index].attempt = 0;
                self.call_aside(index);
                return self.call(index);
            }
            self.frames[index].next_call += 1;
        }
        self.finish(index, out);
    }

    /// What a revision that calls too often adds to the pending call: the same, some time later, without waiting for it.
    fn call_aside(&mut self, index: usize) {
        let frame = self.frames[index].clone();
        let fault = self.fleet.revisions[frame.service][frame.revision].fault;
        let Fault::Calls(times) = fault else { return };
        for _ in 1..times {
            let aside = Frame {
                is_aside: true,
                ..frame.clone()
            };
            let slot = self.store(aside);
            let delay = self.random.exponential(ASIDE_NANOS) as u64;
            self.schedule(delay, Event::Call(slot));
        }
    }

    /// Sends the pending call (again).
    pub(super) fn call(&mut self, index: usize) {
        let Some((service, operation)) = self
            .pending(index)
            .map(|call| (call.service, call.operation))
        else {
            return;
        };
        let span_id = self.ids.nonzero();
        let frame = &mut self.frames[index];
        frame.call_span = span_id;
        frame.call_start = self.now;
        let (trace_id, shopper) = (frame.trace_id, frame.shopper);
        let network = self.network();
        if self.is_down[service] {
            return self.schedule(network, Event::Reply(index, Outcome::Refused));
        }
        let callee = self.frame(service, operation, trace_id, span_id, shopper, Some(index));
        self.schedule(network, Event::Begin(callee));
    }

    fn finish(&mut self, index: usize, out: &mut Vec<(PodIndex, Span)>) {
        let frame = self.frames[index].clone();
        let revision = &self.fleet.revisions[frame.service][frame.revision];
        self.truth.count(
            self.topology.services[frame.service].name,
            &revision.version,
            self.now,
            frame.outcome.is_failed(),
        );
        self.emit(&frame, Role::Server, frame.outcome, out);
        self.free.push(index);
        if let Some(caller) = frame.caller {
            let network = self.network();
            self.schedule(network, Event::Reply(caller, frame.outcome));
        }
    }

    /// The caller hears the outcome: its client span ends; it tries again, goes on or gives up.
    pub(super) fn reply(
        &mut self,
        index: usize,
        outcome: Outcome,
        out: &mut Vec<(PodIndex, Span)>,
    ) {
        let frame = self.frames[index].clone();
        let Some(call) = self.pending(index).cloned() else {
            return;
        };
        self.emit(&frame, Role::Client(frame.next_call as u8), outcome, out);
        if frame.is_aside {
            self.free.push(index);
            return;
        }
        if outcome.is_failed() && frame.attempt + 1 < call.attempts {
            self.frames[index].attempt += 1;
            let backoff = self.random.exponential(RETRY_NANOS) as u64;
            return self.schedule(backoff, Event::Call(index));
        }
        let frame = &mut self.frames[index];
        if outcome.is_failed() && call.required {
            frame.outcome = Outcome::Dependency;
        }
        frame.next_call += 1;
        let segment = frame.segment;
        self.schedule(segment, Event::Worked(index));
    }

    fn pending(&self, index: usize) -> Option<&Call> {
        let frame = &self.frames[index];
        self.topology.services[frame.service].operations[frame.operation]
            .calls
            .get(frame.next_call)
    }

    fn network(&mut self) -> u64 {
        self.random.log_normal(NETWORK_NANOS, 0.3) as u64
    }

    fn emit(
        &mut self,
        frame: &Frame,
        role: Role,
        outcome: Outcome,
        out: &mut Vec<(PodIndex, Span)>,
    ) {
        self.truth.spans += 1;
        let (span_id, parent_id, start, resends) = match role {
            Role::Client(_) => (
                frame.call_span,
                frame.span_id,
                frame.call_start,
                frame.attempt,
            ),
            Role::Server | Role::HealthCheck => (frame.span_id, frame.parent_id, frame.start, 0),
        };
        let span = Span {
            trace_id: frame.trace_id,
            span_id,
            parent_id,
            start,
            end: self.now,
            shape: Shape {
                service: frame.service,
                operation: frame.operation,
                role,
                outcome,
                resends,
                has_parent: parent_id != 0,
            },
            shopper: frame.shopper,
        };
        out.push((frame.pod, span));
    }
}
