//! The built-in scorer: the plugin `health-default`, compiled into the daemon from the same crate.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use health_default::HealthDefault;
use sluice_core::conf::SettingValue;
use sluice_core::health::{Factor, Observation, Sample, Verdict};
use sluice_core::plugin::{NoPlugins, PluginFault, Scorer, Use};
use sluice_plugin_sdk::settings::{Key, Kind, Settings as _, Value};
use sluice_plugin_sdk::{self as sdk, Scorer as _};

/// The built-in scorer with the settings of a use of it, or with the usual ones. Settings that it does not take are
/// logged, and the usual ones hold.
pub(super) fn built_in_scorer(of: Option<&Use>) -> Arc<dyn Scorer> {
    let asked = of.map(|of| HealthDefault::new(health_default::Settings::read(&|key| setting(of, key))?));
    let usual = || health_default::Settings::usual().and_then(HealthDefault::new);
    let made = match asked {
        Some(Err(error)) => {
            tracing::warn!(%error, "the built-in scorer takes its usual settings");
            usual()
        }
        Some(made) => made,
        None => usual(),
    };
    made.map_or_else(|_| Arc::new(NoPlugins) as Arc<dyn Scorer>, |scorer| Arc::new(BuiltIn(scorer)))
}

/// The value of a key as the operator wrote it, of the kind that the scorer reads.
fn setting(of: &Use, key: &str) -> Option<Value> {
    let kind = health_default::Settings::keys().into_iter().find(|known: &Key| known.name == key)?.kind;
    Some(match &of.settings.get(key)?.value {
        SettingValue::Text(text) => kind.parse(text).unwrap_or_else(|_| Value::Text(text.clone())),
        SettingValue::Secret(secret) => Value::Text(secret.expose().to_owned()),
        #[expect(clippy::cast_precision_loss, reason = "weights and counts are small")]
        SettingValue::Integer(number) if kind == Kind::Number => Value::Number(*number as f64),
        SettingValue::Integer(number) => Value::Integer(*number),
        SettingValue::Number(number) => Value::Number(*number),
        SettingValue::Toggle(toggle) => Value::Toggle(*toggle),
        SettingValue::Texts(texts) => Value::Texts(texts.clone()),
    })
}

struct BuiltIn(HealthDefault);

impl Scorer for BuiltIn {
    fn score(&self, sample: Arc<Sample>) -> BoxFuture<'_, Result<Verdict, PluginFault>> {
        let judged = self.0.judge(&to_sdk(&sample)).map(from_sdk);
        std::future::ready(judged.map_err(|why| PluginFault::Refused(why.into()))).boxed()
    }
}

fn to_sdk(sample: &Sample) -> sdk::Sample {
    sdk::Sample {
        pipeline: sample.pipeline.clone(),
        source: sample.source.clone(),
        now_ms: sample.now_ms,
        target_duration_ms: ms(sample.target_duration),
        idle_ms: ms(sample.idle),
        video: sample.video,
        audio: sample.audio,
        viewers: sample.viewers,
        observations: sample.observations.iter().map(observation).collect(),
        measures: sample.measures.clone(),
    }
}

fn observation(seen: &Observation) -> sdk::Observation {
    sdk::Observation {
        sequence: seen.sequence,
        at_ms: seen.at_ms,
        duration_ms: ms(seen.duration),
        download_ms: ms(seen.download),
        first_byte_ms: ms(seen.first_byte),
        bytes: seen.bytes,
        status: seen.status,
        retries: seen.retries,
        discontinuity: seen.discontinuity,
        gap: seen.gap,
        continuity_errors: seen.continuity_errors,
        pts_gap_ms: ms(seen.pts_gap),
        playlist_age_ms: ms(seen.playlist_age),
        viewers: seen.viewers,
        stalls: seen.stalls,
    }
}

fn from_sdk(health: sdk::Health) -> Verdict {
    let factors = health.factors.into_iter().map(|factor| Factor {
        name: factor.name,
        weight: factor.weight,
        score: factor.score,
        words: factor.words,
    });
    Verdict {
        score: health.score,
        factors: factors.collect(),
        refresh: Duration::from_millis(health.refresh_ms.into()),
        words: health.words,
    }
}

fn ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(download: Duration) -> Sample {
        let seen = |at: u64| Observation {
            sequence: at,
            at_ms: 1_000_000 + at * 2000,
            duration: Duration::from_secs(2),
            download,
            bytes: 500_000,
            status: 200,
            ..Observation::default()
        };
        Sample {
            now_ms: 1_060_000,
            target_duration: Duration::from_secs(2),
            video: true,
            audio: true,
            observations: (0..30).map(seen).collect(),
            ..Sample::default()
        }
    }

    #[tokio::test]
    async fn it_scores_with_what_the_daemon_saw() {
        let scorer = built_in_scorer(None);
        let well = scorer.score(Arc::new(sample(Duration::from_millis(200)))).await.unwrap();
        let slow = scorer.score(Arc::new(sample(Duration::from_millis(3500)))).await.unwrap();
        assert!(well.score > 95 && slow.score < 70, "{} {}", well.score, slow.score);
        assert!(well.clone().checked().is_ok_and(|checked| checked == well), "{well:?}");
        assert!(scorer.score(Arc::default()).await.is_err(), "nothing seen is no opinion");
    }

    #[test]
    fn the_json_of_a_sample_is_that_of_the_sdk() {
        let ours = sample(Duration::from_millis(1234));
        let text = serde_json::to_string(&ours).unwrap();
        let theirs: sdk::Sample = serde_json::from_str(&text).unwrap();
        assert_eq!(theirs, to_sdk(&ours));
        let back: Sample = serde_json::from_str(&serde_json::to_string(&theirs).unwrap()).unwrap();
        assert_eq!(back, ours);
    }

    /// What a generator of the SDK made.
    fn of_sdk(sample: &sdk::Sample) -> Arc<Sample> {
        Arc::new(serde_json::from_str(&serde_json::to_string(sample).unwrap()).unwrap())
    }

    /// Streams of every kind, and some that are nothing but numbers.
    fn windows() -> Vec<Arc<Sample>> {
        use sdk::testing::samples::{corrupt, dead, fading, gappy, healthy, recovered, stalling};
        let kinds = [healthy, stalling, corrupt, gappy, fading, recovered, dead];
        let made = [1, 2, 30, 100].into_iter().flat_map(|count| kinds.map(|kind| of_sdk(&kind(count))));
        let mut state = 1_u64;
        let mut next = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut windows: Vec<_> = made.collect();
        for _ in 0..200 {
            let mut random = sample(Duration::from_millis(next(9000)));
            random.idle = Duration::from_millis(next(9000));
            for seen in &mut random.observations {
                seen.download = Duration::from_millis(next(5000));
                seen.playlist_age = Duration::from_millis(next(9000));
                (seen.gap, seen.discontinuity) = (next(9) == 0, next(9) == 0);
                seen.continuity_errors = u32::try_from(next(4)).unwrap();
                (seen.stalls, seen.retries) = (u32::from(next(9) == 0), u32::from(next(5) == 0));
                seen.pts_gap = Duration::from_millis(if next(9) == 0 { next(3000) } else { 0 });
            }
            windows.push(Arc::new(random));
        }
        windows
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_plugin_says_bit_by_bit_what_the_built_in_scorer_says() {
        use super::super::testing::{Bench, shipped};
        let component = shipped("health-default");
        for settings in ["", "{ half-life \"20s\"; continuity 7.5; calm \"40s\"; }"] {
            let bench = Bench::empty("", settings, "");
            bench.take_up("tried-scorer", component.clone()).await;
            let plugin = bench.scorer();
            let pipeline = bench.plan.enabled().next().unwrap();
            let native = built_in_scorer(Some(&pipeline.health.run));
            for window in windows() {
                let (said, built_in) =
                    (plugin.score(window.clone()).await, native.score(window.clone()).await);
                assert_eq!(said, built_in, "{window:?}");
                assert!(said.is_ok(), "{said:?}");
            }
        }
    }
}
