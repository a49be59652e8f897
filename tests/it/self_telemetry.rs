//! Tidegate's own traces, sent to Tidegate itself.

use crate::server::{Server, until};
use std::cell::Cell;

/// Requests to its own API that must have arrived as spans.
const ENOUGH: u64 = 200;

/// Scenario: Tidegate exports its own telemetry to its own receiver while it is being asked, again and again.
/// Guarantees: every request to the API is a span of service `tidegate`, and receiving those spans makes no further ones:
/// never more spans than requests.
#[test]
fn its_own_telemetry_does_not_feed_itself() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let endpoint = format!("http://{free}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let server = Server::start_with(&["--grpc", &free], &environment);
    let asked = Cell::new(0);
    let look = || {
        asked.set(asked.get() + 1);
        let status = server.get("/v1/status");
        let accepted = status["accepted"]["spans"].as_u64()?;
        assert!(
            accepted <= asked.get(),
            "{accepted} spans of {}",
            asked.get()
        );
        (accepted >= ENOUGH).then_some(())
    };
    until(look, || {
        format!("its own spans do not arrive, {} requests made", asked.get())
    });
    let services = server.get("/v1/services");
    assert_eq!(services[0]["service"], "tidegate");
    assert_eq!(services.as_array().map(Vec::len), Some(1), "{services:#}");
}
