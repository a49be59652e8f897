//! The API's accept loop: HTTP/1.1 with a limit on how long headers may take (axum's own `serve` sets no timer, so
//! that hyper's limit never runs), and a bound on open connections.

pub use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Longest wait for a request's headers, and for the next request on an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for open requests at shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Most open connections; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4_096;
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` until `stop`, then lets open requests finish.
pub async fn serve(listener: TcpListener, app: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Ok((stream, slot)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        drop(tokio::spawn(async move {
            // A client that goes away is its own business.
            drop(connection.await);
            drop(slot);
        }));
    }
    drop(tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await);
}

type Accepted = (tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, slot))
}
