//! Between the records of the contract and those of the SDK. Each is taken apart by its fields, so that one that is
//! missing on either side does not compile.

use crate::bindings::lifecycle::exports::sluice::plugin::lifecycle;
use crate::settings::{Key, Kind, Settings};
use crate::{Action, Event, Factor, Health, Observation, Reaction, Sample};

/// What `describe` answers.
pub fn description<S: Settings>(about: &str, version: &str) -> lifecycle::Description {
    let key = |key: Key| {
        let Key { name, kind, required, usual, secret, about } = key;
        let kind = match kind {
            Kind::Text => lifecycle::Kind::Text,
            Kind::Integer => lifecycle::Kind::Integer,
            Kind::Number => lifecycle::Kind::Number,
            Kind::Toggle => lifecycle::Kind::Toggle,
            Kind::Duration => lifecycle::Kind::Duration,
            Kind::Size => lifecycle::Kind::Size,
            Kind::Texts => lifecycle::Kind::Texts,
        };
        lifecycle::Key { name, kind, required, usual, secret, about }
    };
    lifecycle::Description {
        about: about.to_owned(),
        version: version.to_owned(),
        keys: S::keys().into_iter().map(key).collect(),
    }
}

mod from_scorer {
    use super::*;
    use crate::bindings::scorer::exports::sluice::plugin::scorer as contract;

    impl From<contract::Observation> for Observation {
        fn from(seen: contract::Observation) -> Self {
            Self {
                sequence: seen.sequence,
                at_ms: seen.at_ms,
                duration_ms: seen.duration_ms,
                download_ms: seen.download_ms,
                first_byte_ms: seen.first_byte_ms,
                bytes: seen.bytes,
                status: seen.status,
                retries: seen.retries,
                discontinuity: seen.discontinuity,
                gap: seen.gap,
                continuity_errors: seen.continuity_errors,
                pts_gap_ms: seen.pts_gap_ms,
                playlist_age_ms: seen.playlist_age_ms,
                viewers: seen.viewers,
                stalls: seen.stalls,
            }
        }
    }

    impl From<contract::Sample> for Sample {
        fn from(sample: contract::Sample) -> Self {
            Self {
                pipeline: sample.pipeline,
                source: sample.source,
                now_ms: sample.now_ms,
                target_duration_ms: sample.target_duration_ms,
                idle_ms: sample.idle_ms,
                video: sample.video,
                audio: sample.audio,
                viewers: sample.viewers,
                observations: sample.observations.into_iter().map(Observation::from).collect(),
                measures: sample.measures,
            }
        }
    }

    impl From<Health> for contract::Health {
        fn from(health: Health) -> Self {
            let Health { score, factors, refresh_ms, words } = health;
            let factor =
                |Factor { name, weight, score, words }| contract::Factor { name, weight, score, words };
            Self { score, factors: factors.into_iter().map(factor).collect(), refresh_ms, words }
        }
    }
}

mod from_handler {
    use super::*;
    use crate::bindings::handler::exports::sluice::plugin::handler as contract;

    impl From<contract::Event> for Event {
        fn from(event: contract::Event) -> Self {
            let contract::Event { id, time_ms, kind, pipeline, cause, detail } = event;
            Self { id, time_ms, kind, pipeline, cause, detail }
        }
    }

    impl From<Reaction> for contract::Reaction {
        fn from(reaction: Reaction) -> Self {
            let Reaction { actions, wake_after_ms } = reaction;
            let action = |Action { name, argument }| contract::Action { name, argument };
            Self { actions: actions.into_iter().map(action).collect(), wake_after_ms }
        }
    }
}
