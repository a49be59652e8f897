//! Connections: the accept loop, the protocol settings, and when a connection is closed.
//!
//! hyper alone closes a silent HTTP/2 client never, and an HTTP/1.1 client only while it sends headers. So every
//! connection has a watch beside it that sees requests begin and end, and closes what has not asked for anything.

use super::ConfigError;
use super::framing::{Head, TwoFramings, Watched};
use super::pipeline::Pipeline;
use super::reply::Reply;
use super::{grpc, http};
use ::http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// Flow-control window of one HTTP/2 stream: a 512-span request in one go.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// Flow-control window of one HTTP/2 connection.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// Largest HTTP/2 frame: fewer pieces to join.
const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// Concurrent calls on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Largest block of request headers.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// An HTTP/2 peer that has been quiet this long is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(60);
/// First and longest pause of the accept loop when the process is out of file descriptors.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long a browser may remember that an origin is allowed.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3_600);

/// Accepts connections on `listener` until `shutdown`, then waits for the open ones to finish.
pub(crate) async fn accept_loop(
    pipeline: Arc<Pipeline>,
    listener: TcpListener,
    slots: Arc<Semaphore>,
    shutdown: CancellationToken,
) {
    let builder = Arc::new(builder(&pipeline));
    let mut connections = JoinSet::new();
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        let stream = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok((stream, _)) => {
                pause = ACCEPT_PAUSE.0;
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    pipeline.stats.count_connection_refused();
                    continue;
                };
                let connection = serve_connection(
                    Arc::clone(&pipeline),
                    Arc::clone(&builder),
                    stream,
                    shutdown.clone(),
                );
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; hint: raise the open files limit (ulimit -n)");
                pipeline.stats.count_accept_error();
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE.1);
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Errors that concern the connection that was about to be accepted, not the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn builder(pipeline: &Pipeline) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(pipeline.config.idle_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL);
    builder
}

async fn serve_connection(
    pipeline: Arc<Pipeline>,
    builder: Arc<Builder<TokioExecutor>>,
    stream: TcpStream,
    shutdown: CancellationToken,
) {
    let open = pipeline.stats.connection_opened();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection without TCP_NODELAY");
    }
    let (header, idle, drain) = {
        let config = &pipeline.config;
        (
            config.header_timeout,
            config.idle_timeout,
            config.drain_timeout,
        )
    };
    let activity = watch::Sender::new(Activity::default());
    let quiet = quiet(activity.subscribe(), header, idle);
    let head = Head::default();
    let stream = Watched::new(stream, head.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let pipeline = Arc::clone(&pipeline);
        let busy = Busy::begin(&activity);
        let head = head.clone();
        // HTTP/2 has frames; what looks like a head there is none.
        if head.has_two_framings() && request.version() < Version::HTTP_2 {
            let _previous = request.extensions_mut().insert(TwoFramings);
        }
        async move {
            let response = answer(&pipeline, request).await;
            head.expect_next();
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        asked = quiet => {
            if !asked {
                return;
            }
            None
        }
        () = shutdown.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => Ok(ended),
        None => {
            connection.as_mut().graceful_shutdown();
            timeout(drain, connection).await
        }
    };
    if let Ok(Err(error)) = ended {
        tracing::debug!(error, "connection ended");
    }
    drop(open);
}

/// gRPC and HTTP are told apart by what the client sends, not by the port: a client that picks the wrong one of the
/// two is served all the same.
async fn answer(pipeline: &Arc<Pipeline>, request: Request<Incoming>) -> Response<Reply> {
    if grpc::is_grpc(request.headers()) {
        return grpc::answer(pipeline, request).await;
    }
    let Some(cors) = &pipeline.cors else {
        return http::answer(pipeline, request).await;
    };
    let inner = tower::service_fn(async |request| Ok(http::answer(pipeline, request).await));
    cors.layer(inner)
        .oneshot(request)
        .await
        .unwrap_or_else(|never: Infallible| match never {})
}

/// What lets pages of `origins` send; `None` for nobody, which is the default: their browsers then keep them from it.
///
/// # Errors
/// When an origin is no header value.
pub(crate) fn cors(origins: &[String]) -> Result<Option<CorsLayer>, ConfigError> {
    if origins.is_empty() {
        return Ok(None);
    }
    let origins: Result<Vec<HeaderValue>, ConfigError> = origins
        .iter()
        .map(|origin| {
            HeaderValue::from_str(origin).map_err(|_| ConfigError::CorsOrigin {
                got: origin.clone(),
            })
        })
        .collect();
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins?))
        .allow_methods(Method::POST)
        .allow_headers(AllowHeaders::mirror_request())
        .max_age(PREFLIGHT_AGE);
    Ok(Some(layer))
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, Default)]
struct Activity {
    /// Requests being answered.
    busy: u32,
    /// Whether there ever was one.
    asked: bool,
}

/// Ends when the connection has been without a request for too long: `header` for the first one, `idle` between them.
/// Says whether there ever was a request.
async fn quiet(mut activity: watch::Receiver<Activity>, header: Duration, idle: Duration) -> bool {
    loop {
        let now = *activity.borrow_and_update();
        let patience = match now {
            Activity { busy: 1.., .. } => Duration::MAX,
            Activity { asked: true, .. } => idle,
            Activity { asked: false, .. } => header,
        };
        match timeout(patience, activity.changed()).await {
            Ok(Ok(())) => {}
            // The service is gone with its connection: nothing is left to watch.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return now.asked,
        }
    }
}

/// One request in progress.
struct Busy(watch::Sender<Activity>);

impl Busy {
    fn begin(activity: &watch::Sender<Activity>) -> Self {
        activity.send_modify(|activity| {
            activity.busy += 1;
            activity.asked = true;
        });
        Self(activity.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|activity| activity.busy -= 1);
    }
}
