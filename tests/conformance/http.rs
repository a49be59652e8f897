//! Statements 23-43: OTLP over HTTP. (The ALPN half of 37 comes with TLS, the credential answers of 33 too.)

use crate::payload::{Payload, SIGNALS, Signal};
use crate::target::{Answer, JSON, PROTOBUF, Target, WAYS, Way, check, check_all};
use crate::wire::{Grpc, Http, HttpAnswer, framed, gzip};
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

const LIMIT: usize = 64 << 20;

fn is_http(way: Way) -> bool {
    way != Way::Grpc
}

fn media_type(way: Way) -> &'static str {
    match way {
        Way::Json => JSON,
        Way::Grpc | Way::Protobuf => PROTOBUF,
    }
}

/// Fails unless the body is a `Status` in the encoding of `way` with a code and a message; its code.
fn status_of(answer: &HttpAnswer, way: Way) -> u32 {
    let (code, message) = match way {
        Way::Json => {
            let body = answer.json();
            let code = body["code"].as_i64().expect("a code") as i32;
            (
                code,
                body["message"].as_str().expect("a message").to_owned(),
            )
        }
        Way::Grpc | Way::Protobuf => {
            let status = answer.rpc_status();
            (status.code, status.message)
        }
    };
    assert!(code != 0 && !message.is_empty(), "{answer:?}");
    code as u32
}

async fn post(client: &mut Http, way: Way, payload: &Payload) -> HttpAnswer {
    let body = payload.body(way);
    client
        .request(
            Method::POST,
            payload.signal.path(),
            media_type(way),
            &[],
            body,
        )
        .await
}

#[test]
fn s23_three_paths_and_both_encodings_share_a_port() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for signal in SIGNALS {
            for way in WAYS.into_iter().filter(|way| is_http(*way)) {
                let answer = post(&mut client, way, &Payload::new(signal, 1, 0)).await;
                assert_eq!(answer.status, 200, "{way:?} {signal:?}: {answer:?}");
            }
        }
        [2, 2, 2]
    });
}

#[test]
fn s24_parameters_and_case_of_the_content_type_are_ignored() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for signal in SIGNALS {
            for (way, types) in [
                (
                    Way::Protobuf,
                    [
                        "Application/X-Protobuf",
                        "application/x-protobuf; charset=utf-8",
                    ],
                ),
                (
                    Way::Json,
                    ["APPLICATION/JSON", "application/json;charset=UTF-8"],
                ),
            ] {
                for content_type in types {
                    let payload = Payload::new(signal, 1, 0);
                    let body = payload.body(way);
                    let answer = client
                        .request(Method::POST, signal.path(), content_type, &[], body)
                        .await;
                    assert_eq!(answer.status, 200, "{content_type}: {answer:?}");
                }
            }
        }
        [4, 4, 4]
    });
}

#[test]
fn s25_the_answer_has_the_content_type_of_the_request() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for signal in SIGNALS {
            for way in WAYS.into_iter().filter(|way| is_http(*way)) {
                for bad in [0, 1] {
                    let answer = post(&mut client, way, &Payload::new(signal, 1, bad)).await;
                    assert_eq!(answer.header("content-type"), Some(media_type(way)));
                }
            }
        }
        [4, 4, 4]
    });
}

#[test]
fn s26_full_success_is_an_empty_message() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for signal in SIGNALS {
            let answer = post(&mut client, Way::Protobuf, &Payload::new(signal, 1, 0)).await;
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{answer:?}");
            let answer = post(&mut client, Way::Json, &Payload::new(signal, 1, 0)).await;
            let body: String = String::from_utf8(answer.body.clone()).unwrap();
            assert_eq!((answer.status, &*body.replace(' ', "")), (200, "{}"));
        }
        [2, 2, 2]
    });
}

#[test]
fn s27_gzip_and_identity_are_accepted() {
    check_all(async |target: &Target, way, signal| {
        if !is_http(way) {
            return 0;
        }
        let payload = Payload::new(signal, 1, 0);
        let mut client = target.http().await;
        let headers = [("content-encoding", "identity")];
        let (path, body) = (signal.path(), payload.body(way));
        let answer = client
            .request(Method::POST, path, media_type(way), &headers, body)
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let zipped = gzip(Payload::new(signal, 1, 0).body(way));
        let answer = target.send((way, signal), "gzip", &zipped).await;
        assert!(answer.is_clean(), "{way:?} {signal:?}: {answer:?}");
        2
    });
}

#[test]
fn s28_an_unsupported_content_encoding_is_415_with_a_status() {
    check_all(async |target: &Target, way, signal| {
        if is_http(way) {
            let payload = Payload::new(signal, 1, 0);
            let mut client = target.http().await;
            let headers = [("content-encoding", "br")];
            let (path, body) = (signal.path(), payload.body(way));
            let answer = client
                .request(Method::POST, path, media_type(way), &headers, body)
                .await;
            assert_eq!(answer.status, 415, "{answer:?}");
            let _code = status_of(&answer, way);
        }
        0
    });
}

/// 64 MiB and one byte, chunked, so that no length gives it away.
#[test]
fn s29_body_over_the_limit_is_413() {
    check(async |target: &Target| {
        for way in [Way::Protobuf, Way::Json] {
            let mut client = target.http().await;
            let media_type = media_type(way);
            client
                .send(format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ntransfer-encoding: chunked\r\n\r\n"))
                .await;
            let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
            let mut is_open = true;
            // A receiver need not listen to the end.
            for _ in 0..LIMIT >> 20 {
                is_open = is_open && client.try_send(&chunk).await;
            }
            let _was_open = client.try_send("1\r\n \r\n").await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 413, "{answer:?}");
            let _code = status_of(&answer, way);
        }
        [0; 3]
    });
}

#[test]
fn s30_body_over_the_limit_after_gunzip_is_413() {
    check_all(async |target: &Target, way, signal| {
        if is_http(way) {
            let body = gzip(&vec![b' '; LIMIT + 1]);
            let answer = target.send((way, signal), "gzip", &body).await;
            assert!(
                answer.is_refused_for_good(8, 413),
                "{way:?} {signal:?}: {answer:?}"
            );
        }
        0
    });
}

#[test]
fn s31_a_length_over_the_limit_is_refused_before_the_body() {
    check(async |target: &Target| {
        for way in [Way::Protobuf, Way::Json] {
            for signal in SIGNALS {
                let mut client = target.http().await;
                let (path, media_type, length) = (signal.path(), media_type(way), LIMIT + 1);
                client
                    .send(format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"))
                    .await;
                let answer = client.answer().await;
                assert_eq!(answer.status, 413, "{answer:?}");
                let _code = status_of(&answer, way);
            }
        }
        [0; 3]
    });
}

#[test]
fn s32_an_undecodable_body_is_400_with_a_status_and_details() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for signal in SIGNALS {
            let path = signal.path();
            let answer = client
                .request(Method::POST, path, PROTOBUF, &[], &[0x0a, 0x7f])
                .await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert_eq!(status_of(&answer, Way::Protobuf), 3);
            assert!(answer.rpc_status().violation().is_some() || !target.is_tidegate());
            let answer = client
                .request(Method::POST, path, JSON, &[], br#"{"resourceSpans":"#)
                .await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert_eq!(status_of(&answer, Way::Json), 3);
            let field = &answer.json()["details"][0]["fieldViolations"][0]["field"];
            assert!(field.is_string() || !target.is_tidegate());
        }
        [0; 3]
    });
}

/// 404, 405 and 415; 400, 413 and 408 stand in the other statements, 401 and 403 come with TLS.
#[test]
fn s33_every_refusal_has_a_status_in_the_encoding_of_the_request() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        let body = Payload::new(Signal::Traces, 1, 0).protobuf;
        for way in [Way::Protobuf, Way::Json] {
            let media_type = media_type(way);
            for (method, path, status) in [
                (Method::POST, "/v1/nothing", 404),
                (Method::POST, "/", 404),
                (Method::PUT, "/v1/traces", 405),
                (Method::GET, "/v1/logs", 405),
            ] {
                let answer = client.request(method, path, media_type, &[], &body).await;
                assert_eq!(answer.status, status, "{path}: {answer:?}");
                let _code = status_of(&answer, way);
            }
        }
        for content_type in ["text/plain", "application/protobuf", "x"] {
            let answer = client
                .request(Method::POST, "/v1/metrics", content_type, &[], &body)
                .await;
            assert_eq!(answer.status, 415, "{answer:?}");
            // Of a type that it cannot know, the answer is JSON.
            let _code = status_of(&answer, Way::Json);
        }
        [0; 3]
    });
}

#[test]
fn s36_other_methods_are_405_with_allow_and_never_ingest() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            for way in [Way::Protobuf, Way::Json] {
                let payload = Payload::new(signal, 1, 0);
                for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
                    let mut client = target.http().await;
                    let (path, body) = (signal.path(), payload.body(way));
                    let answer = client
                        .request(method.clone(), path, media_type(way), &[], body)
                        .await;
                    assert_eq!(answer.status, 405, "{method}: {answer:?}");
                    assert_eq!(answer.header("allow"), Some("POST"));
                }
                let mut client = target.http().await;
                client
                    .send(format!(
                        "HEAD {} HTTP/1.1\r\nhost: x\r\n\r\n",
                        signal.path()
                    ))
                    .await;
                assert_eq!(client.head().await.status, 405);
            }
        }
        [0; 3]
    });
}

#[test]
fn s37_keep_alive_and_http_2_with_prior_knowledge_work() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for _ in 0..5 {
            let payload = Payload::new(Signal::Traces, 1, 0);
            let answer = post(&mut client, Way::Protobuf, &payload).await;
            assert_eq!(answer.status, 200);
        }
        let stream = tokio::net::TcpStream::connect(target.http).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        drop(tokio::spawn(connection));
        for (signal, way) in [(Signal::Metrics, Way::Protobuf), (Signal::Logs, Way::Json)] {
            let body = Payload::new(signal, 1, 0).body(way).to_vec();
            let request = http::Request::post(format!("http://localhost{}", signal.path()))
                .header("content-type", media_type(way))
                .body(Full::new(bytes::Bytes::from(body)))
                .unwrap();
            sender.ready().await.unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200, "{signal:?}");
            drop(answer.into_body().collect().await.unwrap());
        }
        [5, 1, 1]
    });
}

#[test]
fn s38_chunked_works_and_two_framings_are_refused() {
    check(async |target: &Target| {
        for way in [Way::Protobuf, Way::Json] {
            for signal in SIGNALS {
                let mut client = target.http().await;
                let (path, media_type) = (signal.path(), media_type(way));
                let head =
                    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\n");
                let payload = Payload::new(signal, 2, 0);
                client
                    .send(format!("{head}transfer-encoding: chunked\r\n\r\n"))
                    .await;
                for piece in payload.body(way).chunks(7) {
                    let size = format!("{:x}\r\n", piece.len());
                    client
                        .send([size.as_bytes(), piece, b"\r\n"].concat())
                        .await;
                }
                client.send("0\r\n\r\n").await;
                assert_eq!(client.answer().await.status, 200);
                for both in [
                    "content-length: 5\r\ntransfer-encoding: chunked",
                    "Transfer-Encoding: chunked\r\nContent-Length: 5",
                ] {
                    // On a connection that was used before, and on a new one.
                    for client in [&mut client, &mut target.http().await] {
                        client.send(format!("{head}{both}\r\n\r\n0\r\n\r\n")).await;
                        let answer = client.answer().await;
                        assert_eq!(answer.status, 400, "{both}: {answer:?}");
                        assert!(client.is_closed().await, "{both}");
                    }
                    client = target.http().await;
                }
            }
        }
        [4, 4, 4]
    });
}

#[test]
fn s39_the_body_is_asked_for_only_when_it_is_wanted() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            for way in [Way::Protobuf, Way::Json] {
                let head = |media_type: &str, length: usize| {
                    let path = signal.path();
                    format!(
                        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_type}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
                    )
                };
                let payload = Payload::new(signal, 1, 0);
                let body = payload.body(way);
                let mut client = target.http().await;
                client.send(head(media_type(way), body.len())).await;
                assert_eq!(client.answer().await.status, 100);
                client.send(body).await;
                assert_eq!(client.answer().await.status, 200);
                let mut client = target.http().await;
                client.send(head(media_type(way), LIMIT + 1)).await;
                assert_eq!(client.answer().await.status, 413);
                let mut client = target.http().await;
                client.send(head("text/plain", 5)).await;
                assert_eq!(client.answer().await.status, 415);
            }
        }
        [2, 2, 2]
    });
}

/// No browser of another origin may send or read, unless that was set up.
#[test]
fn s40_cross_origin_requests_are_off_by_default() {
    check(async |target: &Target| {
        for signal in SIGNALS {
            let mut client = target.http().await;
            let headers = [
                ("origin", "https://example.com"),
                ("access-control-request-method", "POST"),
            ];
            let answer = client
                .request(Method::OPTIONS, signal.path(), JSON, &headers, b"")
                .await;
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert!(![401, 403].contains(&answer.status), "{answer:?}");
        }
        [0; 3]
    });
}

#[test]
fn s41_an_answer_is_never_compressed_unasked() {
    check(async |target: &Target| {
        let mut client = target.http().await;
        for signal in SIGNALS {
            for way in [Way::Protobuf, Way::Json] {
                let answer = post(&mut client, way, &Payload::new(signal, 1, 1)).await;
                assert_eq!(answer.header("content-encoding"), None);
            }
        }
        [2, 2, 2]
    });
}

/// gRPC to the HTTP port: one port can serve both.
#[test]
fn s43_grpc_and_http_may_share_a_port() {
    check(async |target: &Target| {
        let client = Grpc::connect(target.http).await;
        for signal in SIGNALS {
            let body = framed(0, &Payload::new(signal, 1, 0).protobuf);
            let answer = client.raw(signal.method(), &[], body).await;
            assert_eq!(answer.code, 0, "{answer:?}");
        }
        [1, 1, 1]
    });
}

/// 500 would say that the fault is the receiver's.
#[test]
fn s35_no_fault_of_a_client_is_answered_with_500() {
    check_all(async |target: &Target, way, signal| {
        for body in [&b"\x00"[..], b"{", b"[]", b"\xff\xfe", &[0x0a; 4_000]] {
            let answer = target.send((way, signal), "identity", body).await;
            let Answer::Refused { status, code, .. } = answer else {
                panic!("{way:?} {signal:?} {body:?}: {answer:?}");
            };
            let is_internal = code == 13 && target.is_tidegate();
            assert!(status != 500 && !is_internal, "{way:?} {signal:?} {body:?}");
        }
        0
    });
}
