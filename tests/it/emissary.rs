//! The resources of `deploy/emissary` beside the structure of Emissary's v3alpha1 schema.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Resource<Spec> {
    api_version: String,
    kind: String,
    metadata: BTreeMap<String, String>,
    spec: Spec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tracing {
    driver: Driver,
    service: String,
    sampling: Option<Sampling>,
    custom_tags: Option<Vec<Tag>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Driver {
    Lightstep,
    Zipkin,
    Datadog,
    OpenTelemetry,
}

/// Percent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sampling {
    client: u8,
    overall: u8,
    random: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tag {
    tag: String,
    request_header: Option<Source>,
    environment: Option<Source>,
    literal: Option<Literal>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    name: String,
    #[serde(default)]
    default_value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Literal {
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    service: String,
    driver: LogDriver,
    driver_config: Option<DriverConfig>,
    flush_interval_time: Option<i64>,
    flush_interval_byte_size: Option<i64>,
    grpc: bool,
    protocol_version: Version,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum LogDriver {
    Tcp,
    Http,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Version {
    V2,
    V3,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DriverConfig {
    additional_log_headers: Vec<Header>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    header_name: String,
    during_request: bool,
    during_response: bool,
    during_trailer: bool,
}

fn read<Spec: serde::de::DeserializeOwned>(name: &str, kind: &str) -> Spec {
    let path = format!("{}/deploy/emissary/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let resource: Resource<Spec> = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(resource.api_version, "getambassador.io/v3alpha1");
    assert_eq!(resource.kind, kind);
    assert!(resource.metadata.contains_key("name"));
    resource.spec
}

fn has_port(service: &str) -> bool {
    service
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// Scenario: the TracingService and the LogService.
/// Guarantees: every field is one of v3alpha1, of its type and within its enumeration; every request is traced; a tag
/// has exactly one source.
#[test]
fn the_resources_fit_v3alpha1() {
    let tracing: Tracing = read("tracing.yaml", "TracingService");
    assert_eq!(tracing.driver, Driver::OpenTelemetry);
    assert!(has_port(&tracing.service), "{tracing:?}");
    let sampling = tracing.sampling.unwrap();
    assert_eq!(
        [sampling.client, sampling.overall, sampling.random],
        [100; 3]
    );
    for tag in tracing.custom_tags.unwrap() {
        let named = [&tag.request_header, &tag.environment]
            .into_iter()
            .flatten();
        let named = named.filter(|source| !source.name.is_empty() && source.default_value != "-");
        let literal = tag
            .literal
            .iter()
            .filter(|literal| !literal.value.is_empty());
        assert_eq!(named.count() + literal.count(), 1, "{}", tag.tag);
    }
    let log: Log = read("log.yaml", "LogService");
    assert_eq!(
        (log.driver, log.grpc, log.protocol_version),
        (LogDriver::Http, true, Version::V3)
    );
    assert!(has_port(&log.service));
    assert_eq!(
        (log.flush_interval_time, log.flush_interval_byte_size),
        (Some(1), Some(16_384))
    );
    for header in log.driver_config.unwrap().additional_log_headers {
        assert_eq!(header.header_name, "traceparent");
        assert!(header.during_request && !header.during_response && !header.during_trailer);
    }
}
