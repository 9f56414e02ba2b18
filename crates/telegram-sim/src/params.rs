//! Parameters of a call, in each of the ways in which the Bot API takes them.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart};
use bytes::Bytes;
use http::{Request, header};
use serde_json::Value;

use crate::answer::Refused;

/// The largest upload.
const LARGEST_BODY: usize = 50 << 20;

/// Parameters by name. A value that is no text is kept as the JSON that it was.
#[derive(Clone, Debug, Default)]
pub struct Params {
    values: HashMap<String, String>,
    files: HashMap<String, Bytes>,
}

impl Params {
    /// Reads the query and the body: JSON, a form, or a form with files.
    ///
    /// # Errors
    /// 400 or 413 when the body cannot be read.
    pub async fn read(request: Request<Body>) -> Result<Self, Refused> {
        let mut params = Self::default();
        let query = request.uri().query().unwrap_or_default();
        params.values.extend(form(query.as_bytes()));
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        if kind.starts_with("multipart/form-data") {
            params.read_multipart(request).await?;
            return Ok(params);
        }
        let is_json = kind.starts_with("application/json");
        let body = axum::body::to_bytes(request.into_body(), LARGEST_BODY)
            .await
            .map_err(|_| Refused::new(413, "Request Entity Too Large"))?;
        if is_json {
            params.values.extend(Self::from_json(&body)?.values);
        } else {
            params.values.extend(form(&body));
        }
        Ok(params)
    }

    /// Reads a JSON object; an empty text is one without members.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn from_json(text: &[u8]) -> Result<Self, Refused> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(text) else {
            return Err(Refused::bad("can't parse JSON object"));
        };
        let values = members.into_iter().filter_map(|(name, value)| match value {
            Value::Null => None,
            Value::String(text) => Some((name, text)),
            other => Some((name, other.to_string())),
        });
        Ok(Self {
            values: values.collect(),
            files: HashMap::new(),
        })
    }

    async fn read_multipart(&mut self, request: Request<Body>) -> Result<(), Refused> {
        let broken = || Refused::bad("can't parse the form");
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| broken())?;
        while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
            let name = part.name().unwrap_or_default().to_owned();
            let is_file = part.file_name().is_some();
            let content = part.bytes().await.map_err(|_| broken())?;
            if is_file {
                self.files.insert(name, content);
            } else {
                self.values
                    .insert(name, String::from_utf8_lossy(&content).into_owned());
            }
        }
        Ok(())
    }

    /// A value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A whole number; nothing when it is missing or is none.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.trim().parse().ok()
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(
            self.get(name).map(str::to_ascii_lowercase).as_deref(),
            Some("true" | "yes" | "1")
        )
    }

    /// The uploaded files, by the name of their part.
    #[must_use]
    pub fn files(&self) -> &HashMap<String, Bytes> {
        &self.files
    }
}

fn form(text: &[u8]) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(text).unwrap_or_default()
}
