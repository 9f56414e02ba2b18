//! The TCP listener of every HTTP server here: it counts the bytes of its connections and bounds their number.
//!
//! Counting happens at the socket, so `network_io_bytes_total` holds what this process really sent and received over
//! HTTP, headers included. What the host as a whole moves is the node exporter's business.

use anyhow::{Context as _, anyhow};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::{Counter, Gauge, counter, gauge};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Client connections that one process serves at once; further ones wait in the kernel's queue (P-6).
pub const MAX_CONNECTIONS: usize = 1_000;

/// How long a client may take over the head of a request, and how long it may keep a connection open between two. axum's
/// own server has no such limit: [`MAX_CONNECTIONS`] clients that send nothing would shut everybody else out.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// Listens on `address` and counts what passes. Call `telemetry::install` first: counters made before are lost.
///
/// # Errors
/// When the port is taken or may not be opened; the message names the remedy.
pub async fn bind(address: SocketAddr) -> anyhow::Result<Counting> {
    let listener = TcpListener::bind(address).await.map_err(|fault| {
        let port = address.port();
        match fault.kind() {
            io::ErrorKind::AddrInUse => anyhow!(
                "{address} is taken by another process. See which with `ss -ltnp 'sport = :{port}'` and stop it, \
                 or choose another port (BAGUA_PORT moves all of them)"
            ),
            io::ErrorKind::PermissionDenied => {
                anyhow!("{address} may not be opened by this user. Choose a port above 1023")
            }
            io::ErrorKind::AddrNotAvailable => {
                anyhow!("{address} is no address of this machine. Use one that `ip address` lists")
            }
            _ => anyhow!(fault).context(format!("{address} cannot be opened")),
        }
    })?;
    Ok(Counting {
        listener,
        slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        open: gauge!("http_connections_open"),
        received: counter!("network_io_bytes_total", "direction" => "receive"),
        transmitted: counter!("network_io_bytes_total", "direction" => "transmit"),
    })
}

/// A listener whose connections are counted.
pub struct Counting {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    open: Gauge,
    received: Counter,
    transmitted: Counter,
}

impl Counting {
    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn accept(&mut self) -> (Counted, SocketAddr) {
        // Never closed, so an error cannot happen; without a slot the connection would just be unbounded.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers leave at once instead of waiting for the acknowledgement of the last one.
                    if let Err(fault) = stream.set_nodelay(true) {
                        tracing::debug!(error = %fault, "TCP_NODELAY was refused");
                    }
                    self.open.increment(1);
                    let connection = Counted {
                        stream,
                        open: self.open.clone(),
                        received: self.received.clone(),
                        transmitted: self.transmitted.clone(),
                        _slot: slot,
                    };
                    return (connection, peer);
                }
                // The client went away before it was accepted: nothing of ours is wrong.
                Err(fault)
                    if matches!(
                        fault.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) => {}
                Err(fault) => {
                    tracing::error!(error = %fault, "no connection can be accepted; is the limit of open files reached?");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

/// One connection; every byte read from or written to the socket is counted.
pub struct Counted {
    stream: TcpStream,
    open: Gauge,
    received: Counter,
    transmitted: Counter,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

impl Counted {
    fn count_written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &result {
            self.transmitted.increment(*bytes as u64);
        }
        result
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = &result {
            self.received.increment((buffer.filled().len() - before) as u64);
        }
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count_written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.count_written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Serves `router` until `stop`: the port is free at once, open requests may end for at most `drain`.
///
/// # Errors
/// When the listener has no address; accepting itself retries.
pub async fn serve(
    mut listener: Counting,
    router: Router,
    stop: CancellationToken,
    drain: Duration,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("the listener has no address")?;
    tracing::info!(%address, "listening");
    let (open, cut_off) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let (connection, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        open.spawn(converse(
            connection,
            peer,
            router.clone(),
            stop.clone(),
            cut_off.clone(),
        ));
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(drain, open.wait()).await.is_err() {
        tracing::warn!(%address, drain_seconds = drain.as_secs_f64(), "requests were cut off at the end of the drain");
        cut_off.cancel();
    }
    Ok(())
}

/// One connection, to its end.
async fn converse(
    connection: Counted,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
    cut_off: CancellationToken,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(connection), service);
    tokio::pin!(conversation);
    let mut asked_to_end = false;
    loop {
        tokio::select! {
            ended = conversation.as_mut() => {
                if let Err(fault) = ended {
                    tracing::debug!(%peer, error = %fault, "a connection ended");
                }
                return;
            }
            () = stop.cancelled(), if !asked_to_end => {
                asked_to_end = true;
                conversation.as_mut().graceful_shutdown();
            }
            () = cut_off.cancelled() => return,
        }
    }
}
