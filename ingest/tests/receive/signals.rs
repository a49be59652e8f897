//! Metrics and logs over both transports: the good items count, the bad ones are named, and the counters tell signals
//! apart.

use crate::support::{Grpc, Http, NOW_SECS, Server, framed};
use engine::items::Signal;
use http::Method;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message;

const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const NOW: u64 = NOW_SECS * 1_000_000_000;

/// `good` increments and `bad` ones, which are negative.
fn metrics(good: usize, bad: usize) -> Vec<u8> {
    let point = |value: i64| NumberDataPoint {
        time_unix_nano: NOW,
        value: Some(Value::AsInt(value)),
        ..NumberDataPoint::default()
    };
    let sum = Sum {
        data_points: [vec![point(1); good], vec![point(-1); bad]].concat(),
        aggregation_temporality: 1,
        is_monotonic: true,
    };
    let metric = Metric {
        name: "requests".to_owned(),
        data: Some(Data::Sum(sum)),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics {
        metrics: vec![metric],
        ..ScopeMetrics::default()
    }];
    let resource_metrics = vec![ResourceMetrics {
        scope_metrics,
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

/// `good` records and `bad` ones, which lie in the far future.
fn logs(good: usize, bad: usize) -> Vec<u8> {
    let record = |time_unix_nano: u64| LogRecord {
        time_unix_nano,
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs {
        log_records: [vec![record(NOW); good], vec![record(2 * NOW); bad]].concat(),
        ..ScopeLogs::default()
    }];
    let resource_logs = vec![ResourceLogs {
        scope_logs,
        ..ResourceLogs::default()
    }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn rejected_points(response: &[u8]) -> (i64, String) {
    let response = ExportMetricsServiceResponse::decode(response).expect("valid response");
    let partial = response.partial_success.unwrap_or_default();
    (partial.rejected_data_points, partial.error_message)
}

fn rejected_records(response: &[u8]) -> (i64, String) {
    let response = ExportLogsServiceResponse::decode(response).expect("valid response");
    let partial = response.partial_success.unwrap_or_default();
    (partial.rejected_log_records, partial.error_message)
}

fn counted(server: &mut Server, signal: Signal) -> (u64, u64, usize) {
    let stats = &server.stats;
    let counts = (stats.accepted_items(signal), stats.rejected_items(signal));
    (counts.0, counts.1, server.take_spans())
}

#[tokio::test]
async fn points_and_records_over_grpc() {
    let mut server = Server::default().await;
    let client = Grpc::connect(server.address).await;
    let answer = client.raw(METRICS, &[], framed(0, &metrics(3, 2))).await;
    assert_eq!(answer.code, 0);
    let (rejected, message) = rejected_points(&answer.frame[5..]);
    assert_eq!(rejected, 2);
    assert!(message.contains("up-down counter"), "{message}");
    assert!(message.contains("point 4 of the request, `requests`"));
    assert_eq!(counted(&mut server, Signal::Metrics), (3, 2, 3));

    let answer = client.raw(LOGS, &[], framed(0, &logs(4, 1))).await;
    assert_eq!(answer.code, 0);
    let (rejected, message) = rejected_records(&answer.frame[5..]);
    assert_eq!(rejected, 1);
    assert!(message.contains("check the clock"), "{message}");
    assert_eq!(counted(&mut server, Signal::Logs), (4, 1, 4));
    assert_eq!(server.stats.accepted_items(Signal::Traces), 0);
}

#[tokio::test]
async fn points_and_records_over_http() {
    const PROTOBUF: &str = "application/x-protobuf";
    let mut server = Server::default().await;
    let mut client = Http::connect(server.address).await;
    for (bad, body) in [(0, metrics(3, 0)), (2, metrics(3, 2))] {
        let answer = client
            .request(Method::POST, "/v1/metrics", PROTOBUF, &[], &body)
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.is_empty(), bad == 0);
        assert_eq!(rejected_points(&answer.body).0, bad);
    }
    assert_eq!(counted(&mut server, Signal::Metrics), (6, 2, 6));
    for (bad, body) in [(0, logs(3, 0)), (2, logs(3, 2))] {
        let answer = client
            .request(Method::POST, "/v1/logs", PROTOBUF, &[], &body)
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.is_empty(), bad == 0);
        assert_eq!(rejected_records(&answer.body).0, bad);
    }
    assert_eq!(counted(&mut server, Signal::Logs), (6, 2, 6));
    // Spans are no metrics: the request is refused whole, and its place is named.
    let answer = client
        .request(
            Method::POST,
            "/v1/metrics",
            PROTOBUF,
            &[],
            &[0x0a, 2, 0x12, 9],
        )
        .await;
    assert_eq!(answer.status, 400);
    let violation = answer.rpc_status().violation().expect("a place");
    assert!(
        violation.field.starts_with("resource_metrics[0]"),
        "{violation:?}"
    );
}
