//! The table of peers, row by row.

use super::*;
use crate::hash::HashSeed;
use crate::span::kind;
use crate::span_rows::{RowValue, SpanRow, batch, resource};
use crate::time::Timestamp;
use crate::trace::trace_flag;

/// What a CLIENT span with these attributes says: its claims as `kind=text`, and its flags.
fn said(attributes: &[(&str, &str)]) -> (String, u8) {
    let sender = resource(&[("service.name", "a")]);
    let mut row = SpanRow::new(&sender, (1, 1), (1, 2), kind::CLIENT);
    for (key, value) in attributes {
        row.attributes
            .push(((*key).to_owned(), RowValue::from(*value)));
    }
    let spans = batch(HashSeed(1, 2), Timestamp::from_secs(1), &[row]);
    let mut callees = Callees::new(&spans);
    let said = callees.said(0).unwrap();
    let name = callees.name(&said, &sender.identity.service);
    let claims = name.claims.iter();
    let texts: Vec<String> = claims
        .map(|claim| format!("{}={}", claim.kind.name(), claim.text))
        .collect();
    (texts.join(" "), said.flags)
}

#[test]
fn every_row_of_the_table() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("service.peer.name", "b"), ("peer.service", "c")],
            "service=b",
        ),
        (&[("peer.service", "c")], "service=c"),
        (
            &[("server.address", "b"), ("server.port", "80")],
            "address=b:80",
        ),
        (
            &[("net.peer.name", "b"), ("net.peer.port", "80")],
            "address=b:80",
        ),
        (
            &[
                ("net.sock.peer.addr", "10.0.0.1"),
                ("net.sock.peer.port", "9"),
            ],
            "address=10.0.0.1:9",
        ),
        (
            &[
                ("network.peer.address", "10.0.0.1"),
                ("network.peer.port", "9"),
            ],
            "address=10.0.0.1:9",
        ),
        (&[("http.url", "http://u:p@b/x?y#z")], "address=b:80"),
        (&[("url.full", "https://b:8443/x")], "address=b:8443"),
        (&[("url.full", "https://[::1]/x")], "address=[::1]:443"),
        (&[("url.full", "no url")], ""),
        (
            &[("http.url", "http://b/"), ("server.address", "c")],
            "address=c",
        ),
        (
            &[
                ("network.peer.address", "10.0.0.1"),
                ("http.url", "http://b/"),
            ],
            "address=b:80",
        ),
        (&[("http.host", "b:81")], "address=b:81"),
        (&[("rpc.service", "p.S")], "rpc=p.S"),
        (&[("rpc.method", "p.S/M")], "rpc=p.S"),
        (&[("rpc.method", "M")], ""),
        (
            &[("db.system.name", "mysql"), ("db.namespace", "n")],
            "database=mysql/n",
        ),
        (
            &[("db.system", "redis"), ("net.peer.name", "r")],
            "database=redis address=r",
        ),
        (
            &[
                ("messaging.system", "kafka"),
                ("messaging.destination.name", "t"),
            ],
            "topic=kafka/t",
        ),
        (
            &[
                ("upstream_cluster", "c"),
                ("peer.address", "10.0.0.1:80"),
                ("http.url", "http://me/"),
            ],
            "address=10.0.0.1:80 cluster=c",
        ),
        (&[("upstream_cluster.name", "c")], "cluster=c"),
    ];
    for (attributes, wanted) in rows {
        assert_eq!(said(attributes).0, *wanted, "{attributes:?}");
    }
}

#[test]
fn attempts_and_messages_that_are_only_created_are_marked() {
    assert_eq!(said(&[("retry.count", "1")]).1, trace_flag::RETRY);
    assert_eq!(said(&[("http.request.resend_count", "0")]).1, 0);
    assert_eq!(
        said(&[("messaging.operation.type", "create")]).1,
        trace_flag::NO_CALL
    );
    assert_eq!(said(&[("messaging.operation.type", "receive")]).1, 0);
}

#[test]
fn hosts_and_ports() {
    for (address, host) in [
        ("b:80", "b"),
        ("b", "b"),
        ("[::1]:80", "[::1]"),
        ("::1", "::1"),
        ("b:x", "b:x"),
    ] {
        assert_eq!(host_of(address), host);
    }
    assert!(is_anonymous("10.0.0.1") && is_anonymous("[::1]") && is_anonymous("localhost"));
    assert!(!is_anonymous("b"));
}
