//! Which renditions of a multivariant playlist are taken.

use sluice_core::conf::{Node, Shown};
use sluice_core::media::Muxed;
use sluice_core::media::playlist::{Alternative, Multivariant, Variant};
use sluice_core::pipeline::{RenditionSpec, Role};
use url::Url;

/// The TYPE of captions within the video, which never have a playlist.
const CAPTIONS: &str = "CLOSED-CAPTIONS";

/// The operator's choice.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    Highest,
    Lowest,
    All,
    /// The highest that is not over so many bits per second; the lowest if all are.
    Bandwidth(u64),
    /// The one nearest to so many pixels.
    Resolution(u32, u32),
}

/// A rendition that is taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    pub(super) spec: RenditionSpec,
    pub(super) url: Url,
}

impl Choice {
    pub(super) fn decode(node: &Node<'_>) -> Option<Self> {
        if let Some(bandwidth) = node.property::<u64>("bandwidth") {
            return Some(Self::Bandwidth(bandwidth));
        }
        if let Some(resolution) = node.property::<String>("resolution") {
            let parsed =
                resolution.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
            let Some((width, height)) = parsed else {
                node.problem_at("resolution", "this is no resolution", "write it as \"1280x720\"");
                return None;
            };
            return Some(Self::Resolution(width, height));
        }
        match node.argument::<String>("CHOICE")?.as_str() {
            "highest" => Some(Self::Highest),
            "lowest" => Some(Self::Lowest),
            "all" => Some(Self::All),
            _ => {
                let help = "highest, lowest, all, bandwidth=2500000 or resolution=\"1280x720\"";
                node.problem_at_argument(0, "there is no such choice of a variant", help);
                None
            }
        }
    }

    pub(super) fn show(&self) -> Shown {
        let shown = Shown::new("variant");
        match self {
            Self::Highest => shown.argument("highest"),
            Self::Lowest => shown.argument("lowest"),
            Self::All => shown.argument("all"),
            Self::Bandwidth(bandwidth) => shown.property("bandwidth", *bandwidth),
            Self::Resolution(width, height) => shown.property("resolution", format!("{width}x{height}")),
        }
    }

    /// The renditions to take: variants first, then the members of their groups. Empty when there is no variant.
    pub(super) fn of(&self, playlist: &Multivariant) -> Vec<Chosen> {
        let mut variants: Vec<&Variant> = Vec::new();
        for variant in self.variants(&playlist.variants) {
            // one playlist in several combinations of groups is one rendition
            if variants.iter().all(|taken| taken.url != variant.url) {
                variants.push(variant);
            }
        }
        let alternatives: Vec<&Alternative> =
            playlist.alternatives.iter().filter(|alternative| is_used(alternative, &variants)).collect();
        let has_url = |group: &Option<String>, media_type: &str| {
            let member = |a: &&Alternative| a.media_type == media_type && Some(&a.group) == group.as_ref();
            group.clone().filter(|_| alternatives.iter().any(member))
        };
        let alone = variants.len() == 1 && alternatives.is_empty();
        let mut chosen = Vec::new();
        for (at, variant) in variants.iter().enumerate() {
            let muxed = muxed(variant, &playlist.alternatives);
            let mut attributes = variant.attributes.clone();
            if let Some(captions) = muxed.iter().find(|muxed| muxed.media_type == CAPTIONS) {
                attributes.push((CAPTIONS.to_owned(), format!("\"{}\"", captions.group)));
            }
            let carries_audio = muxed.iter().any(|muxed| muxed.media_type == "AUDIO");
            let role = Role::Variant {
                bandwidth_bps: variant.bandwidth_bps,
                attributes,
                audio: if carries_audio { variant.audio.clone() } else { has_url(&variant.audio, "AUDIO") },
                subtitles: has_url(&variant.subtitles, "SUBTITLES"),
                muxed,
            };
            let name = if alone { "main".to_owned() } else { format!("video-{}", at + 1) };
            chosen.push(Chosen { spec: RenditionSpec { name, role }, url: variant.url.clone() });
        }
        for media_type in ["AUDIO", "SUBTITLES"] {
            let members = alternatives.iter().filter(|alternative| alternative.media_type == media_type);
            let members = members.filter_map(|alternative| Some((alternative, alternative.url.clone()?)));
            for (at, (alternative, url)) in members.enumerate() {
                let role = Role::Alternative {
                    media_type: media_type.to_owned(),
                    group: alternative.group.clone(),
                    attributes: alternative.attributes.clone(),
                };
                let name = format!("{}-{}", media_type.to_ascii_lowercase(), at + 1);
                chosen.push(Chosen { spec: RenditionSpec { name, role }, url });
            }
        }
        chosen
    }

    fn variants<'a>(&self, all: &'a [Variant]) -> Vec<&'a Variant> {
        let one = |variant: Option<&'a Variant>| variant.into_iter().collect();
        match self {
            Self::All => all.iter().collect(),
            // max_by_key gives the last of equals: reversed, so that the first one stands, as the origin ordered
            Self::Highest => one(all.iter().rev().max_by_key(|variant| variant.bandwidth_bps)),
            Self::Lowest => one(all.iter().min_by_key(|variant| variant.bandwidth_bps)),
            Self::Bandwidth(limit) => {
                let fitting = all.iter().rev().filter(|variant| variant.bandwidth_bps <= *limit);
                let best = fitting.max_by_key(|variant| variant.bandwidth_bps);
                one(best.or_else(|| all.iter().min_by_key(|variant| variant.bandwidth_bps)))
            }
            Self::Resolution(width, height) => {
                let wanted = u64::from(*width) * u64::from(*height);
                let pixels = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
                one(all
                    .iter()
                    .min_by_key(|variant| variant.resolution.map_or(u64::MAX, pixels).abs_diff(wanted)))
            }
        }
    }
}

/// The audio and the closed captions that a variant carries itself.
fn muxed(variant: &Variant, alternatives: &[Alternative]) -> Vec<Muxed> {
    let carried = |alternative: &&Alternative| {
        let has = |wanted: &str| alternative.attributes.iter().any(|(name, _)| name == wanted);
        // a line without what is required there says nothing, and could not stand in a playlist of ours
        let group = match alternative.media_type.as_str() {
            "AUDIO" if has("NAME") => &variant.audio,
            CAPTIONS if has("NAME") && has("INSTREAM-ID") => &variant.closed_captions,
            _ => return false,
        };
        alternative.url.is_none() && group.as_ref() == Some(&alternative.group)
    };
    let muxed = |alternative: &Alternative| Muxed {
        media_type: alternative.media_type.clone(),
        group: alternative.group.clone(),
        attributes: alternative.attributes.clone(),
    };
    alternatives.iter().filter(carried).map(muxed).collect()
}

/// Whether a variant refers to the alternative's group, and it has a playlist of its own.
fn is_used(alternative: &Alternative, variants: &[&Variant]) -> bool {
    let group = |variant: &&&Variant| match alternative.media_type.as_str() {
        "AUDIO" => variant.audio.as_ref() == Some(&alternative.group),
        "SUBTITLES" => variant.subtitles.as_ref() == Some(&alternative.group),
        _ => false,
    };
    alternative.url.is_some() && variants.iter().any(|variant| group(&variant))
}

#[cfg(test)]
mod tests {
    use sluice_core::media::playlist::{Playlist, Variables, parse};

    use super::*;

    const LADDER: &str = r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="hi",NAME="en",URI="audio-hi.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="lo",NAME="en",URI="audio-lo.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="de",URI="de.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,AUDIO="lo"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,AUDIO="hi",SUBTITLES="subs"
mid.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1920x1080,AUDIO="hi"
high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6200000,RESOLUTION=1920x1080,AUDIO="lo"
high.m3u8
"#;

    fn multivariant(text: &str) -> Multivariant {
        let base = Url::parse("https://origin.example/live/master.m3u8").unwrap();
        match parse(text.as_bytes(), &base, &Variables::default()).unwrap() {
            Playlist::Multivariant(playlist) => playlist,
            Playlist::Media(_) => panic!("not multivariant"),
        }
    }

    fn taken(choice: Choice) -> Vec<String> {
        let playlist = multivariant(LADDER);
        let name = |chosen: &Chosen| chosen.url.path_segments().unwrap().next_back().unwrap().to_owned();
        choice.of(&playlist).iter().map(name).collect()
    }

    #[test]
    fn a_choice_takes_one_variant_and_the_groups_that_belong_to_it() {
        for (choice, expected) in [
            (Choice::Highest, vec!["high.m3u8", "audio-lo.m3u8"]),
            (Choice::Lowest, vec!["low.m3u8", "audio-lo.m3u8"]),
            (Choice::Bandwidth(4_000_000), vec!["mid.m3u8", "audio-hi.m3u8", "de.m3u8"]),
            (Choice::Bandwidth(1), vec!["low.m3u8", "audio-lo.m3u8"]),
            (Choice::Resolution(1280, 720), vec!["mid.m3u8", "audio-hi.m3u8", "de.m3u8"]),
        ] {
            assert_eq!(taken(choice.clone()), expected, "{choice:?}");
        }
    }

    #[test]
    fn the_whole_ladder_takes_each_playlist_once() {
        let expected = ["low.m3u8", "mid.m3u8", "high.m3u8", "audio-hi.m3u8", "audio-lo.m3u8", "de.m3u8"];
        assert_eq!(taken(Choice::All), expected);
    }

    #[test]
    fn what_a_variant_carries_itself_stays_in_its_groups() {
        let text = r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",URI="de.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="English"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="English",INSTREAM-ID="CC1"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="nowhere"
#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a",CLOSED-CAPTIONS="cc"
v.m3u8
"#;
        let chosen = Choice::All.of(&multivariant(text));
        let Role::Variant { attributes, audio, muxed, .. } = &chosen[0].spec.role else {
            panic!("{chosen:?}")
        };
        assert_eq!(audio.as_deref(), Some("a"));
        assert!(attributes.contains(&("CLOSED-CAPTIONS".to_owned(), "\"cc\"".to_owned())), "{attributes:?}");
        let names: Vec<_> = muxed.iter().map(|muxed| (&*muxed.media_type, &*muxed.group)).collect();
        assert_eq!(names, [("AUDIO", "a"), ("CLOSED-CAPTIONS", "cc")]);
        assert_eq!(chosen.len(), 2, "the variant and the alternative with a playlist");
    }
}
