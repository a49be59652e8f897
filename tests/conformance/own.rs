//! Statements that take settings or time to see: defaults, overload, body timeouts.

use crate::payload::{Payload, SIGNALS, Signal};
use crate::server::tidegate;
use crate::target::{Answer, PROTOBUF, Target, WAYS, Way, block_on};
use crate::wire::{Http, framed, gzip};
use ::http::Method;

const REQUEST_BYTES: usize = 1 << 20;

/// Room for three requests of 1 MiB.
fn small() -> Target {
    Target::tidegate(&[
        ("TIDEGATE_LIMITS_REQUEST_BYTES", "1MiB"),
        ("TIDEGATE_LIMITS_IN_FLIGHT_BYTES", "3MiB"),
    ])
}

/// Connections that hold the memory of a request each: all but the last byte of it has arrived.
async fn fill(target: &Target) -> Vec<Http> {
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = target.http().await;
        client
            .send(format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {REQUEST_BYTES}\r\n\r\n"))
            .await;
        client.send(vec![0; REQUEST_BYTES - 1]).await;
        held.push(client);
    }
    held
}

#[test]
fn s01_the_default_ports_are_4317_and_4318() {
    let (code, printed, _) = tidegate(&["serve", "--print-config"]);
    assert_eq!(code, 0);
    for address in ["grpc: 127.0.0.1:4317", "http: 127.0.0.1:4318"] {
        assert!(printed.contains(address), "{address}");
    }
}

#[test]
fn s07_the_limit_is_a_setting() {
    let target = small();
    block_on(async {
        for way in WAYS {
            let body = vec![b' '; REQUEST_BYTES + 1];
            for (encoding, body) in [("identity", body.clone()), ("gzip", gzip(&body))] {
                let answer = target.send((way, Signal::Traces), encoding, &body).await;
                assert!(
                    answer.is_refused_for_good(8, 413),
                    "{way:?} {encoding}: {answer:?}"
                );
            }
        }
    });
}

/// Memory is spent: refused with a delay, before anything is read; welcome again afterwards. It is never said without a
/// delay (15), nor with another code (35).
#[test]
fn s14_s15_s34_overload_is_retryable_with_a_delay() {
    let target = small();
    let held = block_on(fill(&target));
    target.has_in_flight(3 * REQUEST_BYTES);
    block_on(async {
        for signal in SIGNALS {
            for way in WAYS {
                let answer = target.export(way, &Payload::new(signal, 1, 0)).await;
                let Answer::Refused {
                    code: 14,
                    status: 0 | 503,
                    is_retryable: true,
                    ..
                } = answer
                else {
                    panic!("{way:?} {signal:?}: {answer:?}");
                };
            }
            let payload = Payload::new(signal, 1, 0);
            let body = framed(0, &payload.protobuf);
            let answer = target.grpc().await.raw(signal.method(), &[], body).await;
            assert!(answer.status.retry_secs().is_some_and(|secs| secs > 0));
            let mut http = target.http().await;
            let (path, body) = (signal.path(), &payload.protobuf);
            let answer = http.request(Method::POST, path, PROTOBUF, &[], body).await;
            let delay: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(answer.status == 503 && delay > 0, "{answer:?}");
        }
    });
    drop(held);
    target.has_in_flight(0);
    block_on(async {
        for signal in SIGNALS {
            let answer = target.export(Way::Grpc, &Payload::new(signal, 1, 0)).await;
            assert!(answer.is_clean(), "{answer:?}");
        }
    });
    target.has_counted([1, 1, 1]);
}

/// Case 17: a body that never ends is given up with 408, in the encoding of the request.
#[test]
fn s33_a_body_that_does_not_come_is_408_with_a_status() {
    let target = Target::tidegate(&[("TIDEGATE_LIMITS_BODY_TIMEOUT", "100ms")]);
    block_on(async {
        for signal in SIGNALS {
            let mut client = target.http().await;
            let path = signal.path();
            client
                .send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n"))
                .await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.rpc_status().code), (408, 4));
            assert!(client.is_closed().await);
        }
    });
}

/// The status of spans posted to each of `paths`.
fn statuses<const N: usize>(target: &Target, paths: [&str; N]) -> [u16; N] {
    block_on(async {
        let mut client = target.http().await;
        let mut statuses = [0; N];
        for (path, status) in paths.into_iter().zip(&mut statuses) {
            let body = Payload::new(Signal::Traces, 1, 0).protobuf;
            let answer = client.request(Method::POST, path, PROTOBUF, &[], &body);
            *status = answer.await.status;
        }
        statuses
    })
}

#[test]
fn s42_the_paths_are_exact() {
    let paths = [
        "/v1/traces",
        "/traces",
        "/otlp/v1/traces",
        "/v1/traces/",
        "//v1/traces",
        "/v1/%74races",
    ];
    let target = Target::tidegate(&[]);
    assert_eq!(statuses(&target, paths), [200, 404, 404, 404, 404, 404]);
}

#[test]
fn s42_the_paths_can_be_chosen() {
    let settings = [("TIDEGATE_OTLP_HTTP_TRACES_PATH", "/otlp/v1/traces")];
    let target = Target::tidegate(&settings);
    let paths = ["/otlp/v1/traces", "/v1/traces"];
    assert_eq!(statuses(&target, paths), [200, 404]);
}

/// A page of an allowed origin may ask and send, one of another origin is told nothing; leave is asked without a token.
#[test]
fn s40_an_origin_can_be_allowed() {
    const ORIGIN: &str = "https://app.example.com";
    let folder = tempfile::tempdir().unwrap();
    let (config, token) = (folder.path().join("t.yaml"), folder.path().join("token"));
    std::fs::write(&token, "secret\n").unwrap();
    let text = format!(
        "otlp_http: {{cors_origins: ['{ORIGIN}']}}\ntoken_file: {}\n",
        token.display()
    );
    std::fs::write(&config, text).unwrap();
    let target = Target::tidegate(&[("TIDEGATE_CONFIG", config.to_str().unwrap())]);
    block_on(async {
        let mut client = target.http().await;
        let body = Payload::new(Signal::Traces, 1, 0).protobuf;
        for (origin, allowed) in [
            (ORIGIN, Some(ORIGIN)),
            ("https://example.com", None),
            ("http://app.example.com", None),
            ("https://app.example.com:8443", None),
        ] {
            let asked = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,content-type",
                ),
            ];
            let leave = client.request(Method::OPTIONS, "/v1/traces", PROTOBUF, &asked, b"");
            let leave = leave.await;
            assert_eq!(leave.status, 200, "{leave:?}");
            assert_eq!(leave.header("access-control-allow-origin"), allowed);
            let sent = [("origin", origin), ("authorization", "Bearer secret")];
            let answer = client.request(Method::POST, "/v1/traces", PROTOBUF, &sent, &body);
            let answer = answer.await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), allowed);
        }
        let refused = client.request(Method::POST, "/v1/traces", PROTOBUF, &[], &body);
        assert_eq!(refused.await.status, 401);
    });
}

#[test]
fn s22_profiles_are_unimplemented_and_named() {
    let target = Target::tidegate(&[]);
    block_on(async {
        let path = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
        let answer = target.grpc().await.raw(path, &[], framed(0, &[])).await;
        assert_eq!(answer.code, 12);
        assert!(answer.message.contains("profiles"), "{}", answer.message);
    });
}
