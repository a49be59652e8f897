//! Load against a real socket: everything is accounted for.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::export::receiver::{Answer, Receiver};

fn load(receiver: &Receiver, wire: Wire) -> Load {
    Load {
        base: receiver.base.clone(),
        wire,
        token: None,
        payload: PayloadKind::Rich,
        batch: 64,
        connections: 2,
        in_flight: 4,
        spans_per_second: Some(12_800.0),
        duration: Duration::from_millis(500),
        seed: 1,
        origin: 1_700_000_000_000_000_000,
    }
}

/// Scenario: 200 requests/s for half a second over each wire.
/// Guarantees: exactly the planned number of requests; the receiver counted what was acked, no id twice; the truth by
/// service equals the receiver's counts.
#[tokio::test]
async fn an_open_loop_sends_exactly_its_plan() {
    for wire in [Wire::Grpc, Wire::GrpcGzip, Wire::Http, Wire::HttpGzip] {
        let receiver = Receiver::start([]).await;
        let report = run(&load(&receiver, wire), &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(
            (report.requests, report.sent, report.acked),
            (100, 6_400, 6_400),
            "{report}"
        );
        assert_eq!(
            (
                report.rejected,
                report.refused,
                report.failed,
                report.unsent
            ),
            (0, 0, 0, 0)
        );
        assert_eq!(report.latency_micros.len(), 100);
        receiver.with(|seen| {
            assert_eq!((seen.spans, seen.ids.len()), (6_400, 6_400));
            let counted: BTreeMap<String, (u64, u64)> = seen
                .servers
                .iter()
                .map(|((service, _), counts)| (service.clone(), *counts))
                .collect();
            let truth = report.served.iter();
            let truth: BTreeMap<String, (u64, u64)> = truth
                .map(|(service, served)| (service.clone(), (served.total, served.failed)))
                .collect();
            assert_eq!(counted, truth);
            assert!(truth.values().map(|(_, failed)| failed).sum::<u64>() > 0);
        });
    }
}

#[tokio::test]
async fn refusals_are_results() {
    let script = [
        Answer::Http(429, Some(1)),
        Answer::Http(400, None),
        Answer::Accept(3),
    ];
    let receiver = Receiver::start(script).await;
    let report = run(&load(&receiver, Wire::Http), &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(
        (report.refused, report.failed, report.rejected),
        (64, 64, 3)
    );
    assert_eq!(report.acked, 6_400 - 64 - 64 - 3);
    assert!(!report.first_problem.is_empty());
}

#[tokio::test]
async fn saturation_keeps_all_slots_busy() {
    let receiver = Receiver::start([]).await;
    let load = Load {
        spans_per_second: None,
        duration: Duration::from_millis(300),
        ..load(&receiver, Wire::Grpc)
    };
    let report = run(&load, &CancellationToken::new()).await.unwrap();
    assert!(report.requests > 20, "{report}");
    assert_eq!(report.sent, report.acked);
}

#[tokio::test]
async fn a_cancelled_run_reports_what_it_did() {
    let receiver = Receiver::start([]).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let report = run(&load(&receiver, Wire::Grpc), &cancel).await.unwrap();
    assert_eq!(report.sent, report.acked);
    assert!(report.requests < 100);
}
