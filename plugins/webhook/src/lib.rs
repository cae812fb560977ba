//! Posts every event that its node matches.

use delivery::Delivery;
use sluice_plugin_sdk::prelude::*;

/// The handler. What waits to be sent is in `kv`.
pub struct Webhook {
    delivery: Delivery,
}

impl Handler for Webhook {
    type Settings = delivery::Settings;

    fn new(settings: delivery::Settings) -> Result<Self, String> {
        Ok(Self { delivery: Delivery::new(settings)? })
    }

    fn handle(&mut self, event: &Event) -> Result<Reaction, String> {
        self.delivery.send(&format!("evt_{}", event.id), &self.delivery.format.event(event))
    }

    fn wake(&mut self) -> Result<Reaction, String> {
        self.delivery.flush()
    }
}

register_handler!(Webhook);

#[cfg(test)]
mod tests {
    use sluice_plugin_sdk::serde_json::{Value, from_slice, json};
    use sluice_plugin_sdk::testing::MockHost;

    use super::*;

    fn posted(format: &str) -> Value {
        let host = MockHost::new().set("url", "https://hooks.example/in").set("format", format);
        let host = host.grant("https://hooks.example").grant_kv("64KiB").answer(http::Response::new(200));
        let event =
            Event { id: 9, ..Event::new("stream.stalled") }.of("news").because("nothing came for 12 s");
        host.handler::<Webhook>().unwrap().handle(&event).unwrap();
        from_slice(host.requests()[0].body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn an_event_is_posted_in_the_format_of_the_operator() {
        assert_eq!(
            posted("json"),
            json!({"id": 9, "time_ms": 0, "kind": "stream.stalled", "pipeline": "news",
                "cause": "nothing came for 12 s", "detail": {}})
        );
        assert_eq!(posted("slack"), json!({"text": "*news* stream.stalled: nothing came for 12 s"}));
        assert_eq!(posted("discord")["content"], "**news** stream.stalled: nothing came for 12 s");
    }
}
