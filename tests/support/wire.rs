//! Two raw clients of OTLP, byte by byte if need be, and the answers they get.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::io::{Read, Write};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// `TraceService/Export`.
pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Seconds {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(crate) retry_delay: Option<Seconds>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FieldViolation {
    #[prost(string, tag = "1")]
    pub(crate) field: String,
    #[prost(string, tag = "2")]
    pub(crate) description: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) field_violations: Vec<FieldViolation>,
}

impl Status {
    pub(crate) fn retry_secs(&self) -> Option<i64> {
        let info: RetryInfo = self.detail("google.rpc.RetryInfo")?;
        Some(info.retry_delay.expect("a delay").seconds)
    }

    pub(crate) fn violation(&self) -> Option<FieldViolation> {
        let bad: BadRequest = self.detail("google.rpc.BadRequest")?;
        bad.field_violations.into_iter().next()
    }

    fn detail<M: Message + Default>(&self, name: &str) -> Option<M> {
        let url = format!("type.googleapis.com/{name}");
        let any = self.details.iter().find(|any| any.type_url == url)?;
        Some(M::decode(&any.value[..]).expect("valid detail"))
    }
}

/// A gRPC client on one HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Grpc(http2::SendRequest<Full<Bytes>>);

#[derive(Debug)]
pub(crate) struct GrpcAnswer {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) status: Status,
    pub(crate) headers: HeaderMap,
    pub(crate) frame: Bytes,
}

impl GrpcAnswer {
    pub(crate) fn response(&self) -> ExportTraceServiceResponse {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(
            self.frame[1..5],
            ((self.frame.len() - 5) as u32).to_be_bytes()
        );
        let mut message = self.frame[5..].to_vec();
        // Some answer compressed what was sent compressed.
        if self.frame[0] == 1 {
            assert_eq!(self.headers["grpc-encoding"], "gzip");
            message.clear();
            flate2::read::MultiGzDecoder::new(&self.frame[5..])
                .read_to_end(&mut message)
                .expect("valid gzip");
        }
        ExportTraceServiceResponse::decode(&message[..]).expect("valid response")
    }

    pub(crate) fn rejected(&self) -> i64 {
        let partial = self.response().partial_success;
        partial.map_or(0, |partial| partial.rejected_spans)
    }
}

impl Grpc {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .expect("speaks HTTP/2");
        tokio::spawn(async move { drop(connection.await) });
        Self(sender)
    }

    /// Sends `body` as it is (with whatever prefix it has).
    pub(crate) async fn raw(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> GrpcAnswer {
        let mut request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let mut sender = self.0.clone();
        sender.ready().await.expect("the connection is usable");
        let response = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        assert_eq!(head.status, 200);
        assert_eq!(head.headers["content-type"], "application/grpc");
        let collected = body.collect().await.expect("a whole answer");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let frame = collected.to_bytes();
        let place = if frame.is_empty() {
            &head.headers
        } else {
            &trailers
        };
        let text = |name: &str| {
            place
                .get(name)
                .map(|value| value.to_str().expect("ASCII").to_owned())
        };
        let status = text("grpc-status-details-bin")
            .map(|details| Status::decode(&unbase64(&details)[..]).expect("valid status"));
        GrpcAnswer {
            code: text("grpc-status")
                .expect("a status")
                .parse()
                .expect("a number"),
            message: text("grpc-message").unwrap_or_default(),
            status: status.unwrap_or_default(),
            headers: head.headers,
            frame,
        }
    }
}

/// An HTTP/1.1 client on one TCP connection, byte by byte if need be.
pub(crate) struct Http(BufReader<TcpStream>);

#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn rpc_status(&self) -> Status {
        assert_eq!(self.header("content-type"), Some("application/x-protobuf"));
        Status::decode(&self.body[..]).expect("a Status body")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn response(&self) -> ExportTraceServiceResponse {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/x-protobuf"));
        ExportTraceServiceResponse::decode(&self.body[..]).expect("valid response")
    }
}

impl Http {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(
            TcpStream::connect(address).await.expect("connects"),
        ))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.try_send(bytes).await, "the connection was closed");
    }

    /// Sends as long as the other side listens; whether it still does.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.get_mut().write_all(bytes.as_ref()).await.is_ok()
    }

    pub(crate) async fn finish_sending(&mut self) {
        self.0.get_mut().shutdown().await.expect("half-closes");
    }

    /// The next answer; panics when the connection ends first.
    pub(crate) async fn answer(&mut self) -> HttpAnswer {
        let mut answer = self.head().await;
        let length = answer
            .header("content-length")
            .map_or(0, |text| text.parse().expect("a length"));
        answer.body = vec![0; length];
        self.0
            .read_exact(&mut answer.body)
            .await
            .expect("a whole body");
        answer
    }

    /// The next answer without its body.
    pub(crate) async fn head(&mut self) -> HttpAnswer {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("a status line");
        let status = line
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("status line `{line}`"));
        let status = status.parse().expect("a number");
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).await.expect("a header");
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None => break,
            }
        }
        HttpAnswer {
            status,
            headers,
            body: Vec::new(),
        }
    }

    /// Whether the server has closed (or will close) the connection without another byte.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(self.0.read_to_end(&mut rest).await, Ok(0) | Err(_))
    }

    pub(crate) async fn request(
        &mut self,
        method: Method,
        target: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> HttpAnswer {
        let length = body.len();
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n"
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        // Who refuses by the announced length may answer and hang up before the last byte is sent: the answer is there.
        let _is_heard_to_the_end = self.try_send([head.as_bytes(), body].concat()).await;
        self.answer().await
    }
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[flag][..], &length, message].concat()
}

fn unbase64(text: &str) -> Vec<u8> {
    let sextet = |symbol: u8| match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(4) {
        let word = chunk
            .iter()
            .fold(0u32, |word, symbol| word << 6 | u32::from(sextet(*symbol)));
        let word = word << (6 * (4 - chunk.len())) << 8;
        out.extend_from_slice(&word.to_be_bytes()[..chunk.len() - 1]);
    }
    out
}
