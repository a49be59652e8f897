//! Spans for the tests, through the simulator's own load generator.

use crate::server::Server;
use simulator::loadgen::{self, Load, Report};
use simulator::payload::PayloadKind;
use simulator::topology::Wire;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Sends about `spans` spans and returns what was acknowledged.
pub(crate) fn send(server: &Server, wire: Wire, spans: f64, token: Option<&str>) -> Report {
    let base = match wire {
        Wire::Grpc | Wire::GrpcGzip => server.grpc.clone(),
        Wire::Http | Wire::HttpGzip => server.http.clone(),
    };
    let origin = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_nanos() as u64;
    let load = Load {
        base,
        wire,
        token: token.map(str::to_owned),
        payload: PayloadKind::Rich,
        batch: 256,
        connections: 1,
        in_flight: 2,
        spans_per_second: Some(spans),
        duration: Duration::from_secs(1),
        seed: origin,
        origin,
    };
    server
        .block_on(loadgen::run(&load, &CancellationToken::new()))
        .unwrap()
}
