//! The operator's HTTP side: health, readiness, metrics, and a server with limits for these and any other routes.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::health::{ConditionReport, Health};
use crate::metrics::Metrics;
use crate::telemetry_names::HTTP_REFUSED;

/// Longest time a client may take to send its request's head.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest request body, in bytes.
pub const BODY_MAX: usize = 1 << 20;
/// Most connections at a time; one more is closed and counted.
pub const CONNECTIONS_MAX: usize = 256;
/// Longest time from a request's head to its answer's head; a body that never comes ends here.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Below this all answers are JSON.
const API: &str = "/v1/";
/// What is said when the answer, or what was sent, does not come in time.
const LATE: &str =
    "no answer in time, or what was sent did not come whole: look whether it was done before you send it again";
/// How long open requests may take to finish after shutdown began.
pub const FINISH_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// `/healthz` (the process runs), `/readyz` (503 with what is red and since when) and `/metrics`.
pub fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(health)
        .merge(Router::new().route("/metrics", get(render)).with_state(metrics))
}

/// Whether the process can do its work.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Readiness {
    /// Every condition is green.
    pub ready: bool,
    /// The conditions that are not, each with why and since when.
    pub red: Vec<ConditionReport>,
    /// The names of those that are.
    pub green: Vec<&'static str>,
    /// Those of them of which something is worth knowing all the same.
    pub remarks: Vec<ConditionReport>,
}

async fn readyz(State(health): State<Health>) -> Response {
    let report = health.report();
    let ready = report.iter().all(|condition| condition.green);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let (green, red): (Vec<ConditionReport>, Vec<ConditionReport>) = report.into_iter().partition(|c| c.green);
    let names: Vec<&'static str> = green.iter().map(|condition| condition.name).collect();
    let readiness = Readiness {
        ready,
        red,
        green: names,
        remarks: green.into_iter().filter(|c| !c.reason.is_empty()).collect(),
    };
    (status, axum::Json(readiness)).into_response()
}

async fn render(State(metrics): State<Metrics>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics.render(),
    )
}

/// A bound socket to serve on.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Binds a TCP address (`127.0.0.1:0` for any free port).
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn tcp(address: &str) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// Binds a Unix socket that only its owner may use. A stale socket file of a dead process is replaced, one that answers is not.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] when another process answers there; else as the operating system says.
    pub fn unix(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another process answers on this socket",
                ));
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Unix(listener))
    }

    /// The TCP address that was bound; none for a Unix socket.
    pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

/// Serves `router` until `shutdown` resolves, then lets open requests finish for [`FINISH_WITHIN`]. Bodies are bounded by
/// [`BODY_MAX`] (a route may set its own `DefaultBodyLimit`), heads by [`HEADER_READ_TIMEOUT`]. Answers are packed with gzip for who
/// asks for it: in a flood the inbox of a phone on a slow network is a quarter of a megabyte that says the same words over and over.
pub async fn serve(listener: impl Into<Listener>, router: Router, shutdown: impl Future<Output = ()> + Send) {
    let listener = listener.into();
    let router = router
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn(answer_in_time))
        // Streams of events are left as they are: packed, the newest would wait for the next.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest));
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                connections.spawn(serve_connection(stream, router.clone(), stopped.clone(), slot));
            }
            Err(_) => ::metrics::counter!(HTTP_REFUSED).increment(1),
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let finished = tokio::time::timeout(FINISH_WITHIN, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
    if finished.is_err() {
        tracing::warn!(open = connections.len(), "HTTP requests did not finish in time");
    }
}

async fn answer_in_time(request: Request, next: Next) -> Response {
    let in_json = request.uri().path().starts_with(API);
    match (tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await, in_json) {
        (Ok(response), _) => response,
        (Err(_), true) => {
            let said = serde_json::json!({ "error": LATE });
            (StatusCode::REQUEST_TIMEOUT, axum::Json(said)).into_response()
        }
        (Err(_), false) => (StatusCode::REQUEST_TIMEOUT, format!("{LATE}\n")).into_response(),
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn accept(listener: &Listener) -> io::Result<Box<dyn Stream>> {
    Ok(match listener {
        Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
        Listener::Unix(listener) => Box::new(listener.accept().await?.0),
    })
}

async fn serve_connection(
    stream: Box<dyn Stream>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // Only the fact leaves this arm: the guard that wait_for returns must not live across an await.
        () = async { let _ = stopped.wait_for(|stopped| *stopped).await; } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "HTTP connection ended badly");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpStream, UnixStream};

    use super::*;
    use crate::shutdown::Shutdown;

    async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn start(health: Health) -> (std::net::SocketAddr, Shutdown, tokio::task::JoinHandle<()>) {
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let served = tokio::spawn(serve(
            listener,
            router(health, Metrics::detached()),
            shutdown.requested(),
        ));
        (address, shutdown, served)
    }

    #[tokio::test]
    async fn readiness_is_503_and_names_what_is_red_until_it_is_green() {
        let health = Health::default();
        let broker = health.condition("broker");
        health.condition("spool").green();
        broker.red("connection refused");
        let (address, shutdown, served) = start(health).await;
        let answer = ask(TcpStream::connect(address).await.unwrap(), "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains(r#""name":"broker""#) && answer.contains("connection refused"),
            "{answer}"
        );
        assert!(
            answer.contains(r#""since":"#) && answer.contains(r#""green":["spool"]"#),
            "{answer}"
        );
        let answer = ask(TcpStream::connect(address).await.unwrap(), "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        broker.remark("one of three is down");
        let answer = ask(TcpStream::connect(address).await.unwrap(), "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(r#""remarks":[{"name":"broker""#), "{answer}");
        shutdown.begin("test");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text_over_a_unix_socket_whose_stale_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(Listener::unix(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::unix(&path).unwrap();
        let shutdown = Shutdown::new();
        let served = tokio::spawn(serve(
            listener,
            router(Health::default(), Metrics::detached()),
            shutdown.requested(),
        ));
        assert_eq!(Listener::unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let answer = ask(UnixStream::connect(&path).await.unwrap(), "/metrics").await;
        assert!(
            answer.contains("text/plain; version=0.0.4") && answer.contains("process_open_fds"),
            "{answer}"
        );
        shutdown.begin("test");
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_finishes_its_head_is_closed() {
        let (address, shutdown, served) = start(Health::default()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(HEADER_READ_TIMEOUT * 4, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection is still open");
        shutdown.begin("test");
        served.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_given_up_in_words_and_of_the_api_in_json() {
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let echo = || axum::routing::post(|body: String| async move { body });
        let router = Router::new().route("/", echo()).route("/v1/record", echo());
        let served = tokio::spawn(serve(listener, router, shutdown.requested()));
        for (path, kind, body) in [
            ("/", "text/plain; charset=utf-8", format!("{LATE}\n")),
            ("/v1/record", "application/json", format!("{{\"error\":\"{LATE}\"}}")),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 9\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            tokio::time::timeout(ANSWER_WITHIN * 4, stream.read_to_string(&mut answer))
                .await
                .unwrap()
                .unwrap();
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
            let (head, said) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(said, body);
            assert!(head.contains(&format!("content-type: {kind}")), "{head}");
        }
        shutdown.begin("test");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_is_packed_for_who_asks_for_it_and_a_stream_of_events_never_is() {
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let long = || async { "one stroke 1.900 mm deep, the limit is 1.000 mm ".repeat(100) };
        let events = || async { ([(header::CONTENT_TYPE, "text/event-stream")], "data: 1\n\n".repeat(100)) };
        let router = Router::new().route("/", get(long)).route("/live", get(events));
        let served = tokio::spawn(serve(listener, router, shutdown.requested()));
        for (path, asks, packed) in [
            ("/", "gzip, br", true),
            ("/", "identity", false),
            ("/live", "gzip", false),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head =
                format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\naccept-encoding: {asks}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer).to_lowercase();
            assert!(text.starts_with("http/1.1 200"), "{text}");
            assert_eq!(text.contains("content-encoding: gzip"), packed, "{path} {asks}: {text}");
            assert_eq!(answer.len() < 900, packed, "{} bytes", answer.len());
        }
        shutdown.begin("test");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let echo = Router::new().route("/", axum::routing::post(|body: String| async move { body }));
        let served = tokio::spawn(serve(listener, echo, shutdown.requested()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            BODY_MAX + 1
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; BODY_MAX + 1]).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
        shutdown.begin("test");
        served.await.unwrap();
    }
}
