//! The connections, shared by all bots of a process.
//!
//! hyper and rustls directly, not reqwest: reqwest's TLS would, by cargo's union of features, enter every other client
//! of the workspace, and each of those would load the system's certificates and not start where there are none.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::TelegramError;

/// Bytes of a connection's buffer, and the most that may stand before an answer. hyper's own begins with 8 KiB and grows; a Bot API server's head has
/// some hundred bytes, and a body is taken as it comes.
const READ_BUFFER: usize = 3_072;

/// Connections to Bot API servers; cheap to clone. TLS is rustls with Mozilla's certificate authorities.
#[derive(Clone, Debug)]
pub struct Transport {
    pool: Connections,
    /// For what is no Bot API server: nobody knows how much stands before an answer there.
    others: Connections,
}

type Connections = Pool<HttpsConnector<HttpConnector>, Full<Bytes>>;

impl Transport {
    /// Opens nothing yet. `connect` limits how long a connection may take to come about.
    ///
    /// # Errors
    /// When the TLS library has no usable ciphers.
    pub fn new(connect: Duration) -> Result<Self, TelegramError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| TelegramError::Unwritable(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let mut pool = Pool::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(50))
            // A connection that the server closed while it was idle: the call was not sent, and is on another.
            .retry_canceled_requests(true);
        let others = pool.build(https.clone());
        // Each bot that polls has a connection of its own, and most of them wait.
        let pool = pool.http1_read_buf_exact_size(READ_BUFFER).build(https);
        Ok(Self { pool, others })
    }

    /// Posts JSON to an address that is no Bot API server, with headers of its own. Nothing of the answer is read but its status, and a
    /// redirection is not followed.
    ///
    /// # Errors
    /// When it is not answered.
    pub async fn deliver(
        &self,
        uri: &Uri,
        headers: &[(&'static str, String)],
        json: Vec<u8>,
    ) -> Result<Response<()>, TelegramError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| TelegramError::Unwritable(error.to_string()))?;
        Ok(send(&self.others, request).await?.map(drop))
    }

    pub(crate) async fn post(&self, uri: Uri, json: Vec<u8>) -> Result<Response<Incoming>, TelegramError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(json)))
            .map_err(|error| TelegramError::Unwritable(error.to_string()))?;
        send(&self.pool, request).await
    }

    pub(crate) async fn get(&self, uri: Uri) -> Result<Response<Incoming>, TelegramError> {
        let request = Request::builder()
            .uri(uri)
            .body(Full::default())
            .map_err(|error| TelegramError::Unwritable(error.to_string()))?;
        send(&self.pool, request).await
    }
}

async fn send(
    pool: &Connections,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, TelegramError> {
    pool.request(request).await.map_err(|error| {
        let why = causes(&error);
        if error.is_connect() {
            TelegramError::Unreachable(why)
        } else {
            TelegramError::Interrupted(why)
        }
    })
}

/// An error and what caused it, in one line. hyper's errors name hosts at most, never paths, which contain tokens.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}
