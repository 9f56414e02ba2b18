//! HTTP and HTTPS for the command line.
//!
//! hyper and rustls directly, not reqwest: reqwest's TLS would, by cargo's union of features, enter every client of the
//! workspace, and each of those would load the machine's certificates and not start where there are none.

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A client for `http://` and `https://`.
pub type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Trusts Mozilla's authorities and the machine's own, which the usual SSL_CERT_FILE and SSL_CERT_DIR replace: consoles
/// often stand behind a company's authority.
pub fn client() -> anyhow::Result<Https> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // What cannot be read of the machine's is not needed by most addresses; those that need it are told so by TLS itself.
    let machine = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(machine.certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("no TLS can be had")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_WITHIN));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}
