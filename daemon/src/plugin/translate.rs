//! The records of the contract, and those of the domain.

use std::time::Duration;

use sluice_core::event::Event;
use sluice_core::health::{Factor, Observation, Sample, Verdict};
use sluice_core::plugin::Reaction;

use super::contract::v0_1::any::exports::sluice::plugin::lifecycle as wit_lifecycle;
use super::contract::v0_1::handling::exports::sluice::plugin::handler as wit_handler;
use super::contract::v0_1::scoring::exports::sluice::plugin::scorer as wit_scorer;
use super::settings::{Description, Key, ValueKind};

pub(super) use wit_handler::Reaction as WitReaction;
pub(super) use wit_scorer::Health as WitHealth;

/// More actions than this are refused.
const MOST_ACTIONS: usize = 16;

/// The longest name and argument of an action.
const ACTION_BYTES: usize = 256;

/// When a plugin can be woken.
const SOONEST_WAKE: Duration = Duration::from_millis(10);
const LATEST_WAKE: Duration = Duration::from_secs(24 * 3600);

pub(super) fn description(from: wit_lifecycle::Description) -> Description {
    let key = |key: wit_lifecycle::Key| Key {
        name: key.name,
        kind: kind(key.kind),
        required: key.required,
        usual: key.usual,
        secret: key.secret,
        about: key.about,
    };
    Description { about: from.about, version: from.version, keys: from.keys.into_iter().map(key).collect() }
}

fn kind(from: wit_lifecycle::Kind) -> ValueKind {
    match from {
        wit_lifecycle::Kind::Text => ValueKind::Text,
        wit_lifecycle::Kind::Integer => ValueKind::Integer,
        wit_lifecycle::Kind::Number => ValueKind::Number,
        wit_lifecycle::Kind::Toggle => ValueKind::Toggle,
        wit_lifecycle::Kind::Duration => ValueKind::Duration,
        wit_lifecycle::Kind::Size => ValueKind::Size,
        wit_lifecycle::Kind::Texts => ValueKind::Texts,
    }
}

pub(super) fn sample(from: &Sample) -> wit_scorer::Sample {
    wit_scorer::Sample {
        pipeline: from.pipeline.clone(),
        source: from.source.clone(),
        now_ms: from.now_ms,
        target_duration_ms: short_ms(from.target_duration),
        idle_ms: short_ms(from.idle),
        video: from.video,
        audio: from.audio,
        viewers: from.viewers,
        observations: from.observations.iter().map(observation).collect(),
        measures: from.measures.iter().map(|(name, value)| (name.clone(), *value)).collect(),
    }
}

fn observation(from: &Observation) -> wit_scorer::Observation {
    wit_scorer::Observation {
        sequence: from.sequence,
        at_ms: from.at_ms,
        duration_ms: short_ms(from.duration),
        download_ms: short_ms(from.download),
        first_byte_ms: short_ms(from.first_byte),
        bytes: from.bytes,
        status: from.status,
        retries: from.retries,
        discontinuity: from.discontinuity,
        gap: from.gap,
        continuity_errors: from.continuity_errors,
        pts_gap_ms: short_ms(from.pts_gap),
        playlist_age_ms: short_ms(from.playlist_age),
        viewers: from.viewers,
        stalls: from.stalls,
    }
}

/// Not checked yet: see [`Verdict::checked`].
pub(super) fn verdict(from: wit_scorer::Health, words: impl Fn(&str) -> String) -> Verdict {
    let factor = |factor: wit_scorer::Factor| Factor {
        name: factor.name,
        weight: factor.weight,
        score: factor.score,
        words: words(&factor.words),
    };
    Verdict {
        score: from.score,
        words: words(&from.words),
        refresh: Duration::from_millis(from.refresh_ms.into()),
        factors: from.factors.into_iter().map(factor).collect(),
    }
}

pub(super) fn event(from: &Event) -> wit_handler::Event {
    wit_handler::Event {
        id: from.id,
        time_ms: u64::try_from(from.time.as_millisecond()).unwrap_or_default(),
        kind: from.kind.to_owned(),
        pipeline: from.pipeline.as_deref().map(str::to_owned),
        cause: from.cause.as_deref().map(str::to_owned),
        detail: from.detail.to_string(),
    }
}

/// # Errors
/// In words, where more is asked for than may be.
pub(super) fn reaction(from: WitReaction) -> Result<Reaction, String> {
    if from.actions.len() > MOST_ACTIONS {
        return Err(format!("it asks for {} actions at once, over {MOST_ACTIONS}", from.actions.len()));
    }
    let too_long = |text: &str| text.len() > ACTION_BYTES;
    let long = |action: &wit_handler::Action| {
        too_long(&action.name) || action.argument.as_deref().is_some_and(too_long)
    };
    if from.actions.iter().any(long) {
        return Err(format!("an action's name or argument is longer than {ACTION_BYTES} bytes"));
    }
    let actions = from.actions.into_iter().map(|action| (action.name, action.argument)).collect();
    let wake_after =
        from.wake_after_ms.map(|wake| Duration::from_millis(wake).clamp(SOONEST_WAKE, LATEST_WAKE));
    Ok(Reaction { actions, wake_after })
}

fn short_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
