//! A sender that lies: it marks only the candidates' spans as errors, in fifty rollouts at once.

use crate::endpoint::{Endpoint, Reply};
use crate::rig::{definitions, serve};
use crate::server::until_within;
use crate::stack::{PATIENCE, Stack};
use serde_json::Value;
use simulator::random::mix;
use std::collections::BTreeMap;

/// Rollouts in flight.
const ROLLOUTS: usize = 50;
/// Actions before Tidegate disarms itself.
const ACTIONS_MAX: usize = 3;

fn name(number: usize) -> String {
    format!("app-{number:02}")
}

/// All Deployments; those of the second version stay half way: the node of its pods is away.
fn workloads(tag: &str) -> String {
    let one = |number| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      nodeName: {node}
      containers: [{{name: app, image: 'registry.example.com/app:{tag}'}}]
",
            name = name(number),
            node = if tag == "v1" { "kwok-node-0" } else { "away" },
        )
    };
    (0..ROLLOUTS).map(one).collect::<Vec<_>>().join("---\n")
}

/// A request with `count` spans of every template; those of candidates failed.
fn spans(templates: &BTreeMap<String, Vec<(String, bool)>>, round: u64) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;
    let mut resource_spans = Vec::new();
    for (service, templates) in templates {
        for (hash, is_candidate) in templates {
            let count = if *is_candidate { 5 } else { 20 };
            resource_spans.push(resource(service, hash, count, *is_candidate, round));
        }
    }
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn resource(
    service: &str,
    hash: &str,
    count: u64,
    is_failed: bool,
    round: u64,
) -> opentelemetry_proto::tonic::trace::v1::ResourceSpans {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
    let attributes = [
        ("service.name", service),
        ("service.namespace", "shop"),
        ("deployment.environment.name", "demo"),
        ("k8s.pod.label.pod-template-hash", hash),
    ];
    let now = crate::shop::now();
    let spans = (0..count).map(|number| {
        let id =
            simulator::random::mix_text(&format!("{service} {hash}")) ^ mix(round << 8 | number);
        Span {
            trace_id: (u128::from(mix(id)) << 64 | u128::from(id))
                .to_be_bytes()
                .into(),
            span_id: id.to_be_bytes().into(),
            name: "GET /".to_owned(),
            kind: 2,
            start_time_unix_nano: now - 5_000_000 - number * 1_000_000,
            end_time_unix_nano: now - number * 1_000_000,
            status: is_failed.then(|| Status {
                code: 2,
                ..Status::default()
            }),
            ..Span::default()
        }
    });
    ResourceSpans {
        resource: Some(Resource {
            attributes: attributes
                .iter()
                .map(|(key, value)| KeyValue {
                    key: (*key).to_owned(),
                    value: Some(AnyValue {
                        value: Some(Any::StringValue((*value).to_owned())),
                    }),
                    ..KeyValue::default()
                })
                .collect(),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: spans.collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

/// Template hashes of every Deployment with pods; a candidate is what was not there at first.
fn templates(
    stack: &Stack,
    first: &BTreeMap<String, Vec<(String, bool)>>,
) -> BTreeMap<String, Vec<(String, bool)>> {
    let text = stack.kubectl(&["get", "replicasets", "-n", "shop", "-o", "json"]);
    let sets: Value = serde_json::from_str(&text).unwrap();
    let mut all: BTreeMap<String, Vec<(String, bool)>> = BTreeMap::new();
    for set in sets["items"].as_array().unwrap() {
        if set["status"]["replicas"] == 0 {
            continue;
        }
        let labels = &set["metadata"]["labels"];
        let service = labels["app"].as_str().unwrap().to_owned();
        let hash = labels["pod-template-hash"].as_str().unwrap().to_owned();
        let known = first.get(&service);
        let is_old = known.is_none_or(|known| known.iter().any(|one| one.0 == hash));
        all.entry(service).or_default().push((hash, !is_old));
    }
    all
}

/// Scenario: fifty Deployments at level act are half way through a rollout; a sender marks the spans of their candidates, and
/// only those, as errors.
/// Guarantees: exactly three are halted, then Tidegate is disarmed and pages once; nothing else is patched.
#[test]
fn a_sender_that_lies_causes_three_actions_and_a_page() {
    let stack = Stack::start("");
    stack.bind("act");
    let kubeconfig = stack.credentials(&stack.address);
    let data = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..ROLLOUTS).map(name).collect();
    definitions(
        data.path(),
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let people = Endpoint::start("people", |_| Reply::Status(204));
    let server = serve(data.path(), &kubeconfig, &people);
    stack.apply(&workloads("v1"));
    let none = BTreeMap::new();
    let is_there = || Some(templates(&stack, &none)).filter(|all| all.len() == ROLLOUTS);
    let first = until_within(PATIENCE, is_there, || {
        format!("{:?}", templates(&stack, &none))
    });
    let url = format!("{}/v1/traces", server.http);
    let client = reqwest::Client::new();
    let mut round = 0;
    let mut send = |templates: &BTreeMap<String, Vec<(String, bool)>>| {
        round += 1;
        let request = client
            .post(&url)
            .header("content-type", "application/x-protobuf");
        let request = request.body(spans(templates, round));
        let answer = server.block_on(async { request.send().await.unwrap().status().as_u16() });
        assert_eq!(answer, 200);
        std::thread::park_timeout(std::time::Duration::from_millis(250));
    };
    until_within(
        PATIENCE,
        || {
            send(&first);
            let body = server.get("/v1/rollouts");
            let rows = body["rollouts"].as_array()?;
            let is_bound = rows.iter().filter(|row| row["revision"] != "").count() == ROLLOUTS;
            (is_bound && body["hand"]["armed"] == true && is_known(&server)).then_some(())
        },
        || format!("{:#}", server.get("/v1/rollouts")),
    );
    stack.apply(&workloads("v2"));
    let both = until_within(
        PATIENCE,
        || {
            let all = templates(&stack, &first);
            (all.values().all(|one| one.len() == 2)).then_some(all)
        },
        || format!("{:?}", templates(&stack, &first)),
    );
    until_within(
        PATIENCE,
        || {
            send(&both);
            (server.get("/v1/rollouts")["hand"]["disarmed"] == true).then_some(())
        },
        || format!("{:#}", server.get("/v1/rollouts")),
    );
    // It goes on lying for a while.
    for _ in 0..60 {
        send(&both);
    }
    let body = server.get("/v1/rollouts");
    let rows = body["rollouts"].as_array().unwrap();
    let halts = rows.iter().filter(|row| row["verdict"] == "halt").count();
    let taken = stack.taken();
    println!(
        "{ROLLOUTS} rollouts, {halts} verdicts halt, {} patches, {}",
        taken.len(),
        body["hand"]["words"]
    );
    assert_eq!(taken.len(), ACTIONS_MAX, "{taken:#?}");
    assert_eq!(stack.patches().len(), ACTIONS_MAX);
    assert!(halts > ACTIONS_MAX, "{halts}");
    let pages = people.received();
    let pages = pages
        .iter()
        .filter(|one| one.message["type"] == "hand.disarmed")
        .count();
    assert_eq!(pages, 1);
}

/// Every service is known for long enough that a newcomer is a candidate.
fn is_known(server: &crate::server::Server) -> bool {
    let last = name(ROLLOUTS - 1);
    let answer = server.get(&format!(
        "/v1/gate?service={last}&namespace=shop&environment=demo"
    ));
    answer["code"] == "NO_CANDIDATE" && answer["baseline"][0].is_string()
}
