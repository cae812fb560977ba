//! Requests to the servers that the `http` lines of the plugin's node name, and to no others. Without such a line a
//! plugin that sends requests is not loaded.
//!
//! ```
//! use sluice_plugin_sdk::http::Request;
//! use sluice_plugin_sdk::serde_json::json;
//! # use sluice_plugin_sdk::http::Response;
//! # use sluice_plugin_sdk::testing::MockHost;
//! # let host = MockHost::new().grant("https://hooks.example").answer(Response::new(204));
//!
//! let answer = Request::post("https://hooks.example/stream").json(&json!({"up": true})).send().unwrap();
//! assert!(answer.is_success());
//! ```

use std::time::Duration;

use serde::Serialize;

use crate::host;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// An absolute URL.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Option<Vec<u8>>,
    /// The longest that it may take, redirects included; the daemon takes less where its own limit is lower.
    pub timeout_ms: Option<u32>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
        }
    }

    /// A GET.
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// A POST, without a body as yet.
    pub fn post(url: &str) -> Self {
        Self::new("POST", url)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: Some(body.into()), ..self }
    }

    /// With a body of JSON and its content type.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// With a limit.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout_ms: Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)), ..self }
    }

    /// Sends it and waits for the whole answer. Any status is an answer.
    ///
    /// # Errors
    /// When it was refused, or there was no answer.
    pub fn send(self) -> Result<Response, Error> {
        host::http_send(self)
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer for a test.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(self, body: &impl Serialize) -> Self {
        Self { body: serde_json::to_vec(body).unwrap_or_default(), ..self }
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header with this name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The plugin's node does not grant it; which part, in words.
    #[error("not granted: {0}")]
    Refused(String),
    /// The request itself is wrong; in words.
    #[error("not a request: {0}")]
    Invalid(String),
    /// Its time was over.
    #[error("no answer in time")]
    Timeout,
    /// The body of the answer is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// The server could not be reached, or broke off; in words.
    #[error("no answer: {0}")]
    Failed(String),
}

impl Error {
    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Timeout | Self::Failed(_))
    }
}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}
