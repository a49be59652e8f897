//! The story over real sockets against a small receiver with a gate of its own.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::controller::Stage as RolloutStage;
use crate::export::BatchPolicy;
use crate::export::receiver::Receiver;

fn targets(receiver: &Receiver) -> Targets {
    Targets {
        grpc: receiver.base.clone(),
        http: receiver.base.clone(),
        api: receiver.base.clone(),
        token: Some("secret".to_owned()),
    }
}

fn quick() -> Scenario {
    let mut scenario = Scenario::new(1);
    scenario.batch = BatchPolicy::every(100_000_000);
    (scenario.bad.start_secs, scenario.good.start_secs) = (0, 0);
    scenario.bad.weights = vec![5_000];
    scenario
}

/// Scenario: the demo with short delays; the receiver's gate judges by what it counted itself.
/// Guarantees: both verdicts right; every span the shop made arrived exactly once and was acknowledged; all events
/// arrived in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_story_over_real_sockets() {
    let receiver = Receiver::start([]).await;
    let length = Length {
        limit: Duration::from_secs(30),
        stay: false,
    };
    let mut verdicts = Vec::new();
    let mut watch = |_, moment| {
        if let Moment::Verdicts(outcome) = moment {
            verdicts.push(outcome.is_right());
        }
    };
    let origin = 1_700_000_000_000_000_000;
    let cancel = CancellationToken::new();
    let targets = targets(&receiver);
    let ended = run(quick(), &targets, origin, length, cancel, &mut watch)
        .await
        .unwrap();
    assert!(ended.outcome.is_right(), "{:?}", ended.outcome.bad);
    assert_eq!(verdicts, [true]);
    let spans = ended.outcome.truth.spans;
    assert_eq!((ended.counts.sent, ended.counts.acked), (spans, spans));
    assert_eq!((ended.counts.failed, ended.counts.dropped), (0, 0));
    receiver.with(|seen| {
        assert_eq!((seen.spans, seen.ids.len() as u64), (spans, spans));
        assert!(seen.encodings.iter().any(|encoding| encoding == "gzip"));
        let of = |service: &str| -> Vec<&str> {
            let own = seen
                .events
                .iter()
                .filter(|event| event["data"]["service"] == service);
            own.map(|event| event["type"].as_str().unwrap()).collect()
        };
        let expected = [
            "rollout.started",
            "rollout.weight",
            "rollout.weight",
            "rollout.finished",
        ];
        assert_eq!(of("checkout"), expected);
        assert_eq!(of("catalog"), expected);
    });
}

/// Scenario: nobody listens.
/// Guarantees: the story ends at its limit, no verdict is invented, and no span counts as acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let nobody = "http://127.0.0.1:9".to_owned();
    let targets = Targets {
        grpc: nobody.clone(),
        http: nobody.clone(),
        api: nobody,
        token: None,
    };
    let length = Length {
        limit: Duration::from_secs(1),
        stay: false,
    };
    let cancel = CancellationToken::new();
    let mut watch = |_, _| {};
    let origin = 1_700_000_000_000_000_000;
    let ended = run(quick(), &targets, origin, length, cancel, &mut watch)
        .await
        .unwrap();
    assert_eq!(ended.outcome.bad.stage, RolloutStage::Admitting);
    assert_eq!(ended.counts.acked, 0);
    assert!(!ended.outcome.is_right());
}
