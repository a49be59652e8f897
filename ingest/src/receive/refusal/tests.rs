//! The table as a whole: what OTLP lets a client retry, and what it must not.

use super::*;

fn every_refusal() -> Vec<Refusal> {
    let message = String::from("m");
    vec![
        Refusal::TooLarge { limit: 1 },
        Refusal::TooManyItems {
            message: message.clone(),
        },
        Refusal::Undecodable {
            message: message.clone(),
            field: message.clone(),
        },
        Refusal::BadCompression {
            message: message.clone(),
        },
        Refusal::BadFraming { message },
        Refusal::Overloaded,
        Refusal::ShuttingDown,
        Refusal::Internal,
        Refusal::BodyTimeout { secs: 1 },
        Refusal::Unauthenticated,
        Refusal::Profiles,
        Refusal::NotFound,
        Refusal::UnknownMethod,
        Refusal::MethodNotAllowed,
        Refusal::UnsupportedMediaType,
        Refusal::UnsupportedEncoding,
        Refusal::CompressedWithoutEncoding,
        Refusal::NotOneMessage,
    ]
}

#[test]
fn every_row_has_its_own_label() {
    let indexes: Vec<usize> = every_refusal()
        .iter()
        .map(|refusal| refusal.row().index)
        .collect();
    assert_eq!(indexes, (0..Refusal::LABELS.len()).collect::<Vec<_>>());
}

/// Guarantees: a permanent fault never gets a retryable code, a passing one always a delay.
#[test]
fn only_passing_faults_are_retryable() {
    const GRPC_RETRYABLE: [u8; 6] = [1, 4, 10, 11, 14, 15];
    const HTTP_RETRYABLE: [u16; 4] = [429, 502, 503, 504];
    for refusal in every_refusal() {
        let row = refusal.row();
        let passing = refusal.details().retry_secs.is_some();
        let slow_body = matches!(refusal, Refusal::BodyTimeout { .. });
        assert_eq!(
            GRPC_RETRYABLE.contains(&row.code),
            passing || slow_body,
            "{refusal:?}"
        );
        assert_eq!(
            HTTP_RETRYABLE.contains(&row.http.as_u16()),
            passing,
            "{refusal:?}"
        );
    }
}
