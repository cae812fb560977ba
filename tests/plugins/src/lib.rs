//! A plugin that does what its setting `mode` says, well or evil. Straight on the contract, so that the host is tested without
//! the SDK.

#[cfg(feature = "scorer")]
mod bindings {
    wit_bindgen::generate!({ path: "../../plugin-sdk/wit/since-0.1.0", world: "health-scorer", generate_all });
}
#[cfg(feature = "handler")]
mod bindings {
    wit_bindgen::generate!({ path: "../../plugin-sdk/wit/since-0.1.0", world: "event-handler", generate_all });
}

use bindings::exports::sluice::plugin::lifecycle::{Description, Guest as Lifecycle, Key, Kind};
use bindings::sluice::plugin::{clock, config, http, kv, log};

struct Tried;

fn text(key: &str) -> String {
    match config::get(key) {
        Some(config::Value::Text(text)) => text,
        _ => String::new(),
    }
}

impl Lifecycle for Tried {
    fn describe() -> Description {
        let key = |name: &str, kind, usual: Option<&str>, secret| Key {
            name: name.into(),
            kind,
            required: false,
            usual: usual.map(str::to_owned),
            secret,
            about: "see the source".into(),
        };
        Description {
            about: "does what it is told".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            keys: vec![
                key("mode", Kind::Text, Some("fine"), false),
                key("url", Kind::Text, None, false),
                key("secret", Kind::Text, None, true),
                key("score", Kind::Integer, Some("90"), false),
            ],
        }
    }

    fn init() -> Result<(), String> {
        match text("mode").as_str() {
            "init" => Err("this is not to my liking".into()),
            "init-loop" => act("loop").map(drop),
            _ => Ok(()),
        }
    }
}

/// Does what is common to both kinds, and says what came of it.
fn act(mode: &str) -> Result<String, String> {
    match mode {
        "refuse" => Err("no opinion".into()),
        "loop" => loop {
            std::hint::black_box(mode);
        },
        "recursion" => Ok(recurse(1).to_string()),
        "memory" => {
            let mut all = Vec::new();
            for _ in 0..1024 {
                all.push(vec![1_u8; 1 << 20]);
            }
            Ok(all.len().to_string())
        }
        "panic" => {
            log::write(log::Level::Error, "panicked at the disco", &[]);
            panic!("on purpose")
        }
        "long" => Ok("x".repeat(8 << 20)),
        "logs" => {
            for number in 0..10_000 {
                log::write(log::Level::Info, "again", &[("number".into(), number.to_string())]);
            }
            Ok("logged".into())
        }
        "logs-without-end" => loop {
            log::write(log::Level::Info, "again", &[]);
        },
        "secret" => {
            log::write(log::Level::Info, &format!("it is {}\nhere", text("secret")), &[]);
            Err(format!("the secret is {}", text("secret")))
        }
        "count" => {
            let before = kv::get("count").map_err(|error| format!("{error:?}"))?;
            let count = before.map_or(0, |bytes| bytes.first().copied().unwrap_or_default()).wrapping_add(1);
            kv::set("count", &[count], None).map_err(|error| format!("{error:?}"))?;
            Ok(count.to_string())
        }
        "kv-fill" => {
            let filled = (0..100).find_map(|number| kv::set(&format!("key-{number}"), &[0; 1024], None).err());
            Ok(format!("{filled:?}"))
        }
        "kv-flood" => {
            let flooded = (0..10_000).find_map(|_| kv::get("key").err());
            Ok(format!("{flooded:?}"))
        }
        "http" => Ok(request("GET", None)),
        "post" => Ok(request("POST", Some(b"hello".to_vec()))),
        "header" => Ok(send(&http::Request {
            method: "GET".into(),
            url: text("url"),
            headers: vec![("Host".into(), "other.example".into())],
            body: None,
            timeout_ms: None,
        })),
        "clock" => Ok(format!("{} {}", clock::now_ms() > 1_700_000_000_000, clock::monotonic_ms() < 3_600_000)),
        other => Ok(other.to_owned()),
    }
}

fn request(method: &str, body: Option<Vec<u8>>) -> String {
    send(&http::Request { method: method.into(), url: text("url"), headers: vec![], body, timeout_ms: Some(1000) })
}

fn send(request: &http::Request) -> String {
    match http::send(request) {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(error) => format!("{error:?}"),
    }
}

fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == 0 { 0 } else { 1 + recurse(std::hint::black_box(depth + 1)) }
}

#[cfg(feature = "scorer")]
mod scorer {
    use super::bindings::exports::sluice::plugin::scorer::{Factor, Guest, Health, Sample};
    use super::*;

    impl Guest for Tried {
        fn score(sample: Sample) -> Result<Health, String> {
            let mode = text("mode");
            let score = match config::get("score") {
                Some(config::Value::Integer(score)) => score as u8,
                _ => 0,
            };
            let mut health = Health {
                score,
                factors: vec![Factor {
                    name: "seen".into(),
                    weight: 1.0,
                    score: sample.observations.len() as f64,
                    words: sample.pipeline.clone(),
                }],
                refresh_ms: 5000,
                words: act(&mode)?,
            };
            match mode.as_str() {
                "255" => health.score = 255,
                "nan" => health.factors[0].weight = f64::NAN,
                "negative" => health.factors[0].weight = -1.0,
                "zero-refresh" => health.refresh_ms = 0,
                "factors" => health.factors = (0..1000).map(|_| health.factors[0].clone()).collect(),
                _ => {}
            }
            Ok(health)
        }
    }
}

#[cfg(feature = "handler")]
mod handler {
    use super::bindings::exports::sluice::plugin::handler::{Action, Event, Guest, Reaction};
    use super::*;

    impl Guest for Tried {
        fn handle(event: Event) -> Result<Reaction, String> {
            let mode = text("mode");
            let actions = if mode == "actions" { 17 } else { 1 };
            let argument = act(&mode)?;
            let action = Action { name: event.kind, argument: Some(argument) };
            Ok(Reaction { actions: vec![action; actions], wake_after_ms: Some(1) })
        }

        fn wake() -> Result<Reaction, String> {
            Ok(Reaction { actions: vec![], wake_after_ms: None })
        }
    }
}

bindings::export!(Tried with_types_in bindings);
