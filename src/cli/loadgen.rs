//! `tidegate loadgen`: spans at a rate, latency from the intended send time.

use super::output::{Format, complain, say};
use crate::clock;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use simulator::loadgen::{self, Load, Report};
use simulator::payload::PayloadKind;
use simulator::topology::Wire;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Transport and compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum WireArg {
    /// OTLP/gRPC
    #[default]
    Grpc,
    /// OTLP/gRPC with gzip
    GrpcGzip,
    /// OTLP/HTTP
    Http,
    /// OTLP/HTTP with gzip
    HttpGzip,
}

/// Size of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum PayloadArg {
    /// 567 B, 12 attributes
    #[default]
    Rich,
    /// 143 B, 2 attributes
    Minimal,
}

/// Send spans at a rate and measure how they are answered
#[derive(Debug, Args)]
pub(crate) struct LoadgenArgs {
    /// Receiver
    #[arg(long, default_value = "http://127.0.0.1:4317", value_name = "URL")]
    target: String,
    /// Transport
    #[arg(long, value_enum, default_value_t)]
    wire: WireArg,
    /// Spans per second; 0 saturates
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// Seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Spans of a request
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// Connections
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Size of a span
    #[arg(long, value_enum, default_value_t)]
    payload: PayloadArg,
    /// Starts the ids; another number for every run against the same receiver
    #[arg(long)]
    seed: Option<u64>,
    /// Output
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl LoadgenArgs {
    /// Sends, prints, and returns the exit code: 0 when everything was acknowledged.
    pub(crate) async fn run(&self) -> u8 {
        match self.send().await {
            Ok(is_acked) => u8::from(!is_acked),
            Err(error) => {
                complain(format!("error: {error:#}"));
                2
            }
        }
    }

    async fn send(&self) -> Result<bool> {
        let origin = clock::now().0;
        let load = Load {
            base: self.target.clone(),
            wire: match self.wire {
                WireArg::Grpc => Wire::Grpc,
                WireArg::GrpcGzip => Wire::GrpcGzip,
                WireArg::Http => Wire::Http,
                WireArg::HttpGzip => Wire::HttpGzip,
            },
            token: None,
            payload: match self.payload {
                PayloadArg::Rich => PayloadKind::Rich,
                PayloadArg::Minimal => PayloadKind::Minimal,
            },
            batch: self.batch,
            connections: self.connections,
            in_flight: 4,
            spans_per_second: (self.rate > 0.0).then_some(self.rate),
            duration: Duration::from_secs(self.seconds),
            seed: self.seed.unwrap_or(origin),
            origin,
        };
        let report = loadgen::run(&load, &CancellationToken::new()).await?;
        self.print(&report)?;
        Ok(report.acked == report.sent)
    }

    fn print(&self, report: &Report) -> Result<()> {
        let latency =
            |quantile: f64| report.latency_micros.value_at_quantile(quantile) as f64 / 1_000.0;
        if self.output == Format::Json {
            let body = json!({
                "requests": report.requests, "sent": report.sent, "acked": report.acked, "rejected": report.rejected,
                "refused": report.refused, "failed": report.failed, "unsent": report.unsent,
                "seconds": report.seconds, "acked_per_second": report.acked_per_second(),
                "bytes_per_span": report.bytes_per_span,
                "latency_millis": { "p50": latency(0.5), "p99": latency(0.99), "p999": latency(0.999) },
                "first_problem": report.first_problem,
            });
            say(serde_json::to_string_pretty(&body)?);
            return Ok(());
        }
        say(format!(
            "{} spans sent in {:.1} s, {} acknowledged ({:.0}/s), {} rejected, {} refused, {} failed, {} unsent; {:.0} B a span",
            report.sent,
            report.seconds,
            report.acked,
            report.acked_per_second(),
            report.rejected,
            report.refused,
            report.failed,
            report.unsent,
            report.bytes_per_span
        ));
        say(format!(
            "latency from the intended send time: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
            latency(0.5),
            latency(0.99),
            latency(0.999)
        ));
        if !report.first_problem.is_empty() {
            complain(format!("first problem: {}", report.first_problem));
        }
        Ok(())
    }
}
