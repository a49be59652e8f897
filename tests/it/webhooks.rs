//! Webhooks: signed, tried again when asked to, given up where nobody wants them, one endpoint never delays another.

use crate::canary::{Traffic, wait_for_halt, wait_until_known};
use crate::endpoint::{Endpoint, Reply, configuration};
use crate::server::{Server, until};
use std::time::Duration;

/// Longer than the schedule's own wait before the second attempt (5 s and a tenth).
const STAY_AWAY: u32 = 7;

/// Scenario: two canaries are halted, one after the other; four endpoints hear of it: one takes everything, one is
/// overloaded at first, one wants nothing any more, one never answers.
/// Guarantees: every message is signed; the good endpoint has each halt at once and only once; the overloaded one gets
/// the same message again, not before it said; after 410 nothing is sent, and the event list says so.
#[test]
fn each_endpoint_gets_what_it_asks_for() {
    let good = Endpoint::start("good", |_| Reply::Status(204));
    let overloaded = Endpoint::start("overloaded", |number| match number {
        0 => Reply::RetryAfter(STAY_AWAY),
        _ => Reply::Status(204),
    });
    let gone = Endpoint::start("gone", |_| Reply::Status(410));
    let hanging = Endpoint::start("hanging", |_| Reply::Never);
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &[&good, &overloaded, &gone, &hanging]);
    let server = Server::start(&["--config", file.to_str().unwrap()]);

    let services = ["first".to_owned(), "second".to_owned()];
    let traffic = Traffic::start(&server.http, &services);
    wait_until_known(&server, &services);
    for service in &services {
        traffic.release(service);
        let answer = wait_for_halt(&server, service);
        let told = until(
            || good.about("gate.halt", service).pop(),
            || format!("nobody was told: {:?}", good.received()),
        );
        let data = &told.message["data"];
        assert_eq!(data["decision_id"], answer["decision_id"]);
        assert_eq!(data["verdict"], "halt");
        assert!(!data["counterfactual"].as_str().unwrap().is_empty());
        let has_heard = |endpoint: &Endpoint| !endpoint.about("gate.halt", "first").is_empty();
        until(
            || (has_heard(&gone) && has_heard(&hanging)).then_some(()),
            || "the other endpoints did not hear of the first halt".to_owned(),
        );
    }
    let retried = || {
        let tries = overloaded.about("gate.halt", "first");
        (tries.len() == 2).then_some(tries)
    };
    let tries = until(retried, || format!("{:#?}", overloaded.received()));
    assert_eq!(tries[0].id, tries[1].id);
    assert_eq!(tries[0].message, tries[1].message);
    let pause = tries[1].at - tries[0].at;
    assert!(
        pause >= Duration::from_secs(STAY_AWAY.into()),
        "came back after {pause:?}"
    );
    server.wait("/v1/events?limit=1000", |events| {
        let given_up = events.as_array().unwrap().iter().filter(|event| {
            event["kind"] == "webhook.dead_letter"
                && event["text"].as_str().unwrap().contains("410")
        });
        given_up.count() == 2
    });
    assert_eq!(gone.received().len(), 1, "410 means never again");
    for service in &services {
        assert_eq!(good.about("gate.halt", service).len(), 1, "{service}");
    }
    for endpoint in [&good, &overloaded, &gone, &hanging] {
        for received in endpoint.received() {
            assert!(received.is_signed, "{received:?}");
        }
    }
}
