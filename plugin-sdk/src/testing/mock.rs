//! A mock of the daemon.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::host::{self, Host};
use crate::http::{self, Request, Response};
use crate::kv;
use crate::log::Level;
use crate::settings::{Kind, Settings, Value};
use crate::testing::samples::NOW_MS;
use crate::units::ByteSize;
use crate::{Handler, Scorer};

/// A line that a plugin wrote to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// How much an operator should care.
    pub level: Level,
    /// The message.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

/// A daemon for one test: what the operator wrote, what he granted, what a server answers, and a clock that stands
/// until it is set. The plugins of a thread run against the newest one; a clone is the same host.
#[derive(Clone)]
pub struct MockHost {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    written: BTreeMap<String, Value>,
    now_ms: u64,
    since_start_ms: u64,
    kv_quota_bytes: Option<u64>,
    kept: BTreeMap<String, Kept>,
    origins: Vec<String>,
    answers: VecDeque<Result<Response, http::Error>>,
    requests: Vec<Request>,
    logs: Vec<Logged>,
}

struct Kept {
    value: Vec<u8>,
    until_ms: Option<u64>,
}

impl Default for MockHost {
    fn default() -> Self {
        Self::new()
    }
}

impl MockHost {
    /// A host that grants nothing, and puts itself in the place of the one before.
    pub fn new() -> Self {
        let host = Self { state: Rc::new(RefCell::new(State { now_ms: NOW_MS, ..State::default() })) };
        host::install(Some(Rc::new(host.clone())));
        host
    }

    fn change(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state.borrow_mut());
        self
    }

    /// The operator writes a key: a number, a toggle or a string, as `"30s"` for a duration.
    #[must_use]
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        self.change(|state| drop(state.written.insert(key.to_owned(), value.into())))
    }

    /// The node grants requests to an origin, as `https://hooks.example`.
    #[must_use]
    pub fn grant(self, origin: &str) -> Self {
        self.change(|state| state.origins.push(origin.trim_end_matches('/').to_owned()))
    }

    /// The node grants a store with a quota, as `"64KiB"`. What is no size grants nothing.
    #[must_use]
    pub fn grant_kv(self, quota: &str) -> Self {
        self.change(|state| state.kv_quota_bytes = quota.parse::<ByteSize>().ok().map(|size| size.0))
    }

    /// The next request is answered with this; after the last one, servers cannot be reached.
    #[must_use]
    pub fn answer(self, answer: impl Into<Answer>) -> Self {
        self.change(|state| state.answers.push_back(answer.into().0))
    }

    /// Time goes on.
    pub fn pass(&self, time: std::time::Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.state.borrow_mut();
        state.now_ms = state.now_ms.saturating_add(ms);
        state.since_start_ms = state.since_start_ms.saturating_add(ms);
    }

    /// Sets the clock, Unix time; the monotonic one goes on as it was.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.state.borrow_mut().now_ms = now_ms;
    }

    /// Unix time.
    pub fn now_ms(&self) -> u64 {
        self.state.borrow().now_ms
    }

    /// The requests that were sent, refused ones not among them.
    pub fn requests(&self) -> Vec<Request> {
        self.state.borrow().requests.clone()
    }

    /// What was logged.
    pub fn logs(&self) -> Vec<Logged> {
        self.state.borrow().logs.clone()
    }

    /// The keys in the store, in order.
    pub fn kept(&self) -> Vec<String> {
        self.state.borrow().kept.keys().cloned().collect()
    }

    /// A new instance of a scorer, as the daemon makes it.
    ///
    /// # Errors
    /// When the daemon would refuse the configuration; in words.
    pub fn scorer<T: Scorer>(&self) -> Result<T, String> {
        self.settings().and_then(T::new)
    }

    /// A new instance of a handler, as the daemon makes it.
    ///
    /// # Errors
    /// When the daemon would refuse the configuration; in words.
    pub fn handler<T: Handler>(&self) -> Result<T, String> {
        self.settings().and_then(T::new)
    }

    /// What the operator wrote, checked against the keys as the daemon does.
    fn settings<S: Settings>(&self) -> Result<S, String> {
        host::install(Some(Rc::new(self.clone())));
        let keys = S::keys();
        let mut state = self.state.borrow_mut();
        for (name, value) in &mut state.written {
            let key = keys.iter().find(|key| key.name == *name);
            let key = key.ok_or_else(|| format!("`{name}` is no key of the plugin"))?;
            if let (Value::Text(text), Kind::Duration | Kind::Size | Kind::Texts) = (&*value, key.kind) {
                *value = key.kind.parse(text).map_err(|error| format!("`{name}`: {error}"))?;
            }
        }
        drop(state);
        S::read(&host::config)
    }
}

/// What a server answers, or why it does not.
pub struct Answer(Result<Response, http::Error>);

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self(Ok(response))
    }
}

impl From<http::Error> for Answer {
    fn from(error: http::Error) -> Self {
        Self(Err(error))
    }
}

macro_rules! into_value {
    ($($type:ty => $variant:ident($convert:expr)),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant($convert(value))
            }
        }
    )*};
}
into_value!(&str => Text(str::to_owned), i32 => Integer(i64::from), f64 => Number(|number| number), bool => Toggle(|toggle| toggle));

impl State {
    /// The store, without what is over.
    fn store(mut state: RefMut<'_, Self>) -> Result<(RefMut<'_, Self>, u64), kv::Error> {
        let quota = state.kv_quota_bytes.ok_or_else(|| kv::Error::Unavailable("not granted".into()))?;
        let now_ms = state.now_ms;
        state.kept.retain(|_, kept| kept.until_ms.is_none_or(|until| until > now_ms));
        Ok((state, quota))
    }
}

impl Host for MockHost {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.state.borrow_mut().logs.push(Logged { level, message: message.to_owned(), fields });
    }

    fn config(&self, key: &str) -> Option<Value> {
        self.state.borrow().written.get(key).cloned()
    }

    fn now_ms(&self) -> u64 {
        self.state.borrow().now_ms
    }

    fn monotonic_ms(&self) -> u64 {
        self.state.borrow().since_start_ms
    }

    fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, kv::Error> {
        let (state, _) = State::store(self.state.borrow_mut())?;
        Ok(state.kept.get(key).map(|kept| kept.value.clone()))
    }

    fn kv_set(&self, key: &str, value: &[u8], keep_ms: Option<u64>) -> Result<(), kv::Error> {
        let (mut state, quota) = State::store(self.state.borrow_mut())?;
        if key.is_empty() || key.len() > 256 {
            return Err(kv::Error::Key);
        }
        let size = |key: &str, value: &[u8]| key.len() as u64 + value.len() as u64;
        let others = state.kept.iter().filter(|(known, _)| *known != key);
        if others.map(|(key, kept)| size(key, &kept.value)).sum::<u64>() + size(key, value) > quota {
            return Err(kv::Error::Quota(quota));
        }
        let until_ms = keep_ms.map(|keep| state.now_ms.saturating_add(keep));
        state.kept.insert(key.to_owned(), Kept { value: value.to_vec(), until_ms });
        Ok(())
    }

    fn kv_delete(&self, key: &str) -> Result<(), kv::Error> {
        let (mut state, _) = State::store(self.state.borrow_mut())?;
        state.kept.remove(key);
        Ok(())
    }

    fn kv_keys(&self, prefix: &str) -> Result<Vec<String>, kv::Error> {
        let (state, _) = State::store(self.state.borrow_mut())?;
        Ok(state.kept.keys().filter(|key| key.starts_with(prefix)).take(1000).cloned().collect())
    }

    fn http_send(&self, request: Request) -> Result<Response, http::Error> {
        let mut state = self.state.borrow_mut();
        let origin = |origin: &String| {
            let rest = request.url.strip_prefix(origin.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        if !state.origins.iter().any(origin) {
            return Err(http::Error::Refused(format!("{} is not granted", request.url)));
        }
        state.requests.push(request);
        state.answers.pop_front().unwrap_or_else(|| Err(http::Error::Failed("connection refused".into())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_store_holds_to_its_quota_and_forgets_in_time() {
        let host = MockHost::new();
        assert!(matches!(kv::get("a"), Err(kv::Error::Unavailable(_))));
        let host = host.grant_kv("10B");
        kv::set_for("a", b"12345", Duration::from_secs(1)).unwrap();
        assert_eq!(kv::set("b", b"12345"), Err(kv::Error::Quota(10)));
        kv::set("a", b"123456789").unwrap();
        kv::set_for("a", b"1", Duration::from_secs(1)).unwrap();
        host.pass(Duration::from_secs(1));
        assert_eq!(kv::get("a"), Ok(None));
        assert_eq!(kv::set("", b""), Err(kv::Error::Key));
    }

    #[test]
    fn a_request_goes_only_where_it_is_granted() {
        let host = MockHost::new().grant("https://hooks.example").answer(Response::new(204));
        for refused in ["http://hooks.example/", "https://hooks.example.evil/", "https://hooks.example:444/"]
        {
            assert!(matches!(Request::get(refused).send(), Err(http::Error::Refused(_))), "{refused}");
        }
        assert_eq!(Request::get("https://hooks.example/x").send().unwrap().status, 204);
        assert!(Request::get("https://hooks.example/x").send().unwrap_err().is_passing());
        assert_eq!(host.requests().len(), 2);
    }
}
