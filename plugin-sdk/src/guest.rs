//! The host, in the guest: the imports of the contract.

use crate::bindings::lifecycle::sluice::plugin as imports;
use crate::http::{self, Request, Response};
use crate::kv;
use crate::log::Level;
use crate::settings::Value;

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Error => imports::log::Level::Error,
        Level::Warn => imports::log::Level::Warn,
        Level::Info => imports::log::Level::Info,
        Level::Debug => imports::log::Level::Debug,
        Level::Trace => imports::log::Level::Trace,
    };
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    imports::log::write(level, message, &fields);
}

pub(crate) fn config(key: &str) -> Option<Value> {
    use imports::config::Value as Given;
    imports::config::get(key).map(|value| match value {
        Given::Text(text) => Value::Text(text),
        Given::Integer(number) => Value::Integer(number),
        Given::Number(number) => Value::Number(number),
        Given::Toggle(toggle) => Value::Toggle(toggle),
        Given::Milliseconds(ms) => Value::Milliseconds(ms),
        Given::Bytes(bytes) => Value::Bytes(bytes),
        Given::Texts(texts) => Value::Texts(texts),
    })
}

pub(crate) fn now_ms() -> u64 {
    imports::clock::now_ms()
}

pub(crate) fn monotonic_ms() -> u64 {
    imports::clock::monotonic_ms()
}

fn kv_error(error: imports::kv::Error) -> kv::Error {
    match error {
        imports::kv::Error::Quota(bytes) => kv::Error::Quota(bytes),
        imports::kv::Error::Key => kv::Error::Key,
        imports::kv::Error::Unavailable(words) => kv::Error::Unavailable(words),
    }
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, kv::Error> {
    imports::kv::get(key).map_err(kv_error)
}

pub(crate) fn kv_set(key: &str, value: &[u8], keep_ms: Option<u64>) -> Result<(), kv::Error> {
    imports::kv::set(key, value, keep_ms).map_err(kv_error)
}

pub(crate) fn kv_delete(key: &str) -> Result<(), kv::Error> {
    imports::kv::delete(key).map_err(kv_error)
}

pub(crate) fn kv_keys(prefix: &str) -> Result<Vec<String>, kv::Error> {
    imports::kv::keys(prefix).map_err(kv_error)
}

pub(crate) fn http_send(request: Request) -> Result<Response, http::Error> {
    let Request { method, url, headers, body, timeout_ms } = request;
    let request = imports::http::Request { method, url, headers, body, timeout_ms };
    match imports::http::send(&request) {
        Ok(imports::http::Response { status, headers, body }) => Ok(Response { status, headers, body }),
        Err(imports::http::Error::Refused(words)) => Err(http::Error::Refused(words)),
        Err(imports::http::Error::Invalid(words)) => Err(http::Error::Invalid(words)),
        Err(imports::http::Error::Timeout) => Err(http::Error::Timeout),
        Err(imports::http::Error::TooLarge(bytes)) => Err(http::Error::TooLarge(bytes)),
        Err(imports::http::Error::Failed(words)) => Err(http::Error::Failed(words)),
    }
}
