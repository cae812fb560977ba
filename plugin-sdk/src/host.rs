//! The host, natively: a mock of it where a test has set one. Without one there is a clock, a log that goes nowhere, and
//! nothing else, which is how the daemon runs a scorer that is built in.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::http::{self, Request, Response};
use crate::kv;
use crate::log::Level;
use crate::settings::Value;

/// What a plugin may ask for.
pub(crate) trait Host {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
    fn config(&self, key: &str) -> Option<Value>;
    fn now_ms(&self) -> u64;
    fn monotonic_ms(&self) -> u64;
    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, kv::Error>;
    fn kv_set(&self, key: &str, value: &[u8], keep_ms: Option<u64>) -> Result<(), kv::Error>;
    fn kv_delete(&self, key: &str) -> Result<(), kv::Error>;
    fn kv_keys(&self, prefix: &str) -> Result<Vec<String>, kv::Error>;
    fn http_send(&self, request: Request) -> Result<Response, http::Error>;
}

thread_local! {
    static HOST: RefCell<Option<Rc<dyn Host>>> = const { RefCell::new(None) };
}

/// Makes every plugin of this thread run against a host, until another is put in its place.
pub(crate) fn install(host: Option<Rc<dyn Host>>) {
    HOST.with(|slot| *slot.borrow_mut() = host);
}

fn host() -> Option<Rc<dyn Host>> {
    HOST.with(|slot| slot.borrow().clone())
}

fn unavailable() -> kv::Error {
    kv::Error::Unavailable("there is no host".into())
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    if let Some(host) = host() {
        host.log(level, message, fields);
    }
}

pub(crate) fn config(key: &str) -> Option<Value> {
    host()?.config(key)
}

pub(crate) fn now_ms() -> u64 {
    let system = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, milliseconds);
    host().map_or_else(system, |host| host.now_ms())
}

pub(crate) fn monotonic_ms() -> u64 {
    host().map_or_else(now_ms, |host| host.monotonic_ms())
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, kv::Error> {
    host().ok_or_else(unavailable)?.kv_get(key)
}

pub(crate) fn kv_set(key: &str, value: &[u8], keep_ms: Option<u64>) -> Result<(), kv::Error> {
    host().ok_or_else(unavailable)?.kv_set(key, value, keep_ms)
}

pub(crate) fn kv_delete(key: &str) -> Result<(), kv::Error> {
    host().ok_or_else(unavailable)?.kv_delete(key)
}

pub(crate) fn kv_keys(prefix: &str) -> Result<Vec<String>, kv::Error> {
    host().ok_or_else(unavailable)?.kv_keys(prefix)
}

pub(crate) fn http_send(request: Request) -> Result<Response, http::Error> {
    host().ok_or_else(|| http::Error::Refused("there is no host".into()))?.http_send(request)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
