//! The built browser files: hashed names, compressed at build time, cached for ever.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

struct File {
    content_type: &'static str,
    plain: Bytes,
    brotli: Option<Bytes>,
    hashed: bool,
}

/// All files of the site in memory: a few hundred kilobytes in a release build.
#[derive(Clone, Default)]
pub struct Site(Arc<HashMap<String, File>>);

impl Site {
    /// Reads the folder that `cargo xtask build` wrote. Keys are paths below the site such as `pkg/bagua.1a2b.js`.
    pub fn read(folder: &FilePath) -> std::io::Result<Site> {
        let mut files = HashMap::new();
        for part in ["pkg", "assets"] {
            read_folder(&folder.join(part), part, &mut files)?;
        }
        Ok(Site(Arc::new(files)))
    }
}

fn read_folder(folder: &FilePath, prefix: &str, files: &mut HashMap<String, File>) -> std::io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
            continue;
        };
        let key = format!("{prefix}/{name}");
        if path.is_dir() {
            read_folder(&path, &key, files)?;
            continue;
        }
        let Some(content_type) = content_type(name) else {
            continue;
        };
        let brotli = std::fs::read(folder.join(format!("{name}.br")))
            .ok()
            .map(Bytes::from);
        // A name with a content hash (`name.<hex>.ext`) never changes its content.
        let hashed = name
            .split('.')
            .rev()
            .nth(1)
            .is_some_and(|part| part.len() >= 8 && part.bytes().all(|b| b.is_ascii_hexdigit()));
        files.insert(
            key,
            File {
                content_type,
                plain: std::fs::read(&path)?.into(),
                brotli,
                hashed,
            },
        );
    }
    Ok(())
}

fn content_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit('.').next()? {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn serve(site: &Site, key: &str, headers: &HeaderMap) -> Response {
    let Some(file) = site.0.get(key) else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    let takes_brotli = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| {
            v.split(',')
                .any(|e| e.split(';').next().is_some_and(|e| e.trim() == "br"))
        });
    let (body, encoding) = match &file.brotli {
        Some(brotli) if takes_brotli => (brotli.clone(), Some("br")),
        _ => (file.plain.clone(), None),
    };
    let mut response = Response::new(Body::from(body));
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    out.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(if file.hashed {
            "public, max-age=31536000, immutable"
        } else {
            "public, max-age=300"
        }),
    );
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// `GET /pkg/{*path}`.
pub async fn pkg(State(site): State<Site>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&site, &format!("pkg/{path}"), &headers)
}

/// `GET /assets/{*path}`.
pub async fn assets(State(site): State<Site>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&site, &format!("assets/{path}"), &headers)
}

/// `GET /favicon.ico`, which browsers ask for by themselves.
pub async fn favicon(State(site): State<Site>, headers: HeaderMap) -> Response {
    // Published under a name with a hash; any of them is the same mark.
    let icon = site
        .0
        .keys()
        .find(|key| key.starts_with("assets/icon.") && key.ends_with(".svg"));
    let mut response = serve(&site, icon.map_or("assets/icon.svg", String::as_str), &headers);
    // This address has no hash: what is behind it may be another picture after an upgrade.
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        );
    }
    response
}
