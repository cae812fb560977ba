//! Which rendition of a source feeds which rendition that is served: pure, from what is said of both.

use crate::media::codecs::Families;
use crate::media::ts::Pick;
use crate::media::{RenditionSpec, Role};

/// How a served rendition is fed. The numbers are places among the source's renditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// As it is.
    Whole(usize),
    /// By some streams of a transport stream.
    Split(usize, Pick),
    /// By video and audio that come apart.
    Join { video: usize, audio: usize },
    /// Nothing that the source brings belongs there.
    Missing,
}

/// What a rendition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Video and audio, or whatever there is: nothing is said.
    Muxed,
    /// Video whose audio is apart.
    Video,
    Audio,
    Subtitles,
}

/// The route to each served rendition, in their order.
///
/// A variant is fed by the variant that is nearest in bandwidth; several may be fed by one. An alternative is fed by that in
/// its language, and the default one by the default one.
pub(super) fn routes(served: &[RenditionSpec], source: &[RenditionSpec]) -> Vec<Route> {
    if is_alike(served, source) {
        return (0..source.len()).map(Route::Whole).collect();
    }
    (0..served.len()).map(|at| route(served, at, source)).collect()
}

/// Whether names and roles are the same.
pub(super) fn is_alike(served: &[RenditionSpec], source: &[RenditionSpec]) -> bool {
    let shape = |spec: &RenditionSpec| (spec.name.clone(), std::mem::discriminant(&spec.role));
    served.iter().map(shape).eq(source.iter().map(shape))
}

fn route(served: &[RenditionSpec], at: usize, source: &[RenditionSpec]) -> Route {
    let Some(wanted) = served.get(at) else { return Route::Missing };
    match content(wanted, served) {
        Content::Subtitles => subtitles(wanted, source).map_or(Route::Missing, Route::Whole),
        Content::Audio => audio(wanted, served, source),
        content => video(wanted, content, source),
    }
}

fn video(wanted: &RenditionSpec, wanted_content: Content, source: &[RenditionSpec]) -> Route {
    let Some(found) = nearest(wanted, source) else { return Route::Missing };
    let brought = source.get(found).map(|spec| content(spec, source));
    match (wanted_content, brought) {
        (Content::Video, Some(Content::Muxed)) => Route::Split(found, Pick::Video),
        (Content::Muxed, Some(Content::Video)) => {
            let audio = default_audio(source, found);
            audio.map_or(Route::Whole(found), |audio| Route::Join { video: found, audio })
        }
        _ => Route::Whole(found),
    }
}

/// The variant whose bandwidth is nearest; one with video, where there is one.
fn nearest(wanted: &RenditionSpec, source: &[RenditionSpec]) -> Option<usize> {
    let variants = || (0..source.len()).filter(|at| bandwidth(&source[*at]).is_some());
    let has_video = |at: &usize| content(&source[*at], source) != Content::Audio;
    let distance = |at: &usize| bandwidth(&source[*at]).unwrap_or(0).abs_diff(bandwidth(wanted).unwrap_or(0));
    variants().filter(has_video).min_by_key(distance).or_else(|| variants().min_by_key(distance))
}

fn audio(wanted: &RenditionSpec, served: &[RenditionSpec], source: &[RenditionSpec]) -> Route {
    let is_default = is_default(wanted, served);
    let found = alternative(wanted, source, "AUDIO", is_default);
    let alone = || {
        let is_audio =
            |at: &usize| bandwidth(&source[*at]).is_some() && content(&source[*at], source) == Content::Audio;
        (0..source.len()).find(is_audio).filter(|_| is_default)
    };
    let muxed = || (0..source.len()).find(|at| content(&source[*at], source) == Content::Muxed);
    let whole = found.or_else(alone).map(Route::Whole);
    let split = || muxed().map(|at| Route::Split(at, Pick::audio(attribute(wanted, "LANGUAGE"), is_default)));
    whole.or_else(split).unwrap_or(Route::Missing)
}

fn subtitles(wanted: &RenditionSpec, source: &[RenditionSpec]) -> Option<usize> {
    alternative(wanted, source, "SUBTITLES", false)
}

/// The alternative in the language of `wanted`, or else the default one for the default one.
fn alternative(
    wanted: &RenditionSpec,
    source: &[RenditionSpec],
    media_type: &str,
    is_default: bool,
) -> Option<usize> {
    let all = || (0..source.len()).filter(|at| is_alternative(&source[*at], media_type));
    let language = language(wanted);
    let same = all().find(|at| language.is_some() && self::language(&source[*at]) == language);
    let fallback = || all().find(|at| self::is_default(&source[*at], source)).filter(|_| is_default);
    same.or_else(fallback)
}

/// The audio that plays by default with a variant.
fn default_audio(source: &[RenditionSpec], variant: usize) -> Option<usize> {
    let group = source.get(variant).and_then(audio_group)?;
    let own = |at: &usize| matches!(&source[*at].role, Role::Alternative { media_type, group: own, .. } if media_type == "AUDIO" && own == group);
    let all = || (0..source.len()).filter(own);
    all().find(|at| attribute(&source[*at], "DEFAULT") == Some("YES")).or_else(|| all().next())
}

/// Whether it plays by default among the alternatives of its group, or stands for what has none.
fn is_default(spec: &RenditionSpec, all: &[RenditionSpec]) -> bool {
    let Role::Alternative { media_type, group, .. } = &spec.role else { return true };
    let own = |other: &&RenditionSpec| matches!(&other.role, Role::Alternative { media_type: kind, group: own, .. } if kind == media_type && own == group);
    let says = |spec: &&RenditionSpec| attribute(spec, "DEFAULT") == Some("YES");
    let chosen = all.iter().filter(own).find(says).or_else(|| all.iter().find(own));
    chosen.is_some_and(|chosen| chosen.name == spec.name)
}

fn content(spec: &RenditionSpec, all: &[RenditionSpec]) -> Content {
    match &spec.role {
        Role::Alternative { media_type, .. } if media_type == "AUDIO" => Content::Audio,
        Role::Alternative { .. } => Content::Subtitles,
        Role::Variant { attributes, muxed, .. } => {
            let codecs = attributes.iter().find(|(name, _)| name == "CODECS");
            if codecs.is_some_and(|(_, codecs)| Families::of_codecs(codecs).is_audio_only()) {
                return Content::Audio;
            }
            let carries_audio = muxed.iter().any(|muxed| muxed.media_type == "AUDIO");
            let is_apart = all.iter().any(|other| {
                matches!(&other.role, Role::Alternative { media_type, group, .. } if media_type == "AUDIO" && Some(group) == audio_group(spec))
            });
            if is_apart && !carries_audio { Content::Video } else { Content::Muxed }
        }
    }
}

fn audio_group(spec: &RenditionSpec) -> Option<&String> {
    if let Role::Variant { audio, .. } = &spec.role { audio.as_ref() } else { None }
}

fn bandwidth(spec: &RenditionSpec) -> Option<u64> {
    if let Role::Variant { bandwidth_bps, .. } = &spec.role { Some(*bandwidth_bps) } else { None }
}

fn is_alternative(spec: &RenditionSpec, wanted: &str) -> bool {
    matches!(&spec.role, Role::Alternative { media_type, .. } if media_type == wanted)
}

fn attribute<'a>(spec: &'a RenditionSpec, name: &str) -> Option<&'a str> {
    let (Role::Variant { attributes, .. } | Role::Alternative { attributes, .. }) = &spec.role;
    attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// The primary language (RFC 5646).
fn language(spec: &RenditionSpec) -> Option<String> {
    let tag = attribute(spec, "LANGUAGE")?;
    tag.trim_matches('"').split('-').next().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::Route::{Join, Missing, Split, Whole};
    use super::*;

    fn variant(name: &str, bandwidth_bps: u64, audio: Option<&str>) -> RenditionSpec {
        let audio = audio.map(str::to_owned);
        let role = Role::Variant {
            bandwidth_bps,
            attributes: Vec::new(),
            audio,
            subtitles: None,
            muxed: Vec::new(),
        };
        RenditionSpec { name: name.into(), role }
    }

    fn radio(bandwidth_bps: u64) -> RenditionSpec {
        let mut spec = variant("radio", bandwidth_bps, Some("a"));
        if let Role::Variant { attributes, .. } = &mut spec.role {
            attributes.push(("CODECS".into(), "\"mp4a.40.2\"".into()));
        }
        spec
    }

    fn alternative(media_type: &str, group: &str, language: &str, default: &str) -> RenditionSpec {
        let attributes = [("LANGUAGE", format!("\"{language}\"")), ("DEFAULT", default.to_owned())]
            .map(|(a, b)| (a.to_owned(), b));
        let role = Role::Alternative {
            media_type: media_type.into(),
            group: group.into(),
            attributes: attributes.into(),
        };
        RenditionSpec { name: format!("{media_type}-{group}-{language}"), role }
    }

    fn muxed() -> Vec<RenditionSpec> {
        vec![variant("main", 2_000_000, None)]
    }

    /// Two variants with their audio apart in two languages, and subtitles.
    fn demuxed() -> Vec<RenditionSpec> {
        vec![
            variant("video-1", 3_000_000, Some("a")),
            variant("video-2", 800_000, Some("a")),
            alternative("AUDIO", "a", "de", "NO"),
            alternative("AUDIO", "a", "en", "YES"),
            alternative("SUBTITLES", "s", "de", "NO"),
        ]
    }

    #[test]
    fn what_is_alike_goes_one_to_one() {
        assert_eq!(routes(&demuxed(), &demuxed()), (0..5).map(Whole).collect::<Vec<_>>());
        let others = [variant("main", 7, None)];
        assert_eq!(routes(&muxed(), &others), [Whole(0)]);
    }

    #[test]
    fn a_muxed_source_is_split_where_audio_is_apart_and_leaves_subtitles_empty() {
        let audio = |language, is_default| Split(0, Pick::audio(Some(language), is_default));
        let video = Split(0, Pick::Video);
        let expected = [video.clone(), video, audio("de", false), audio("en", true), Missing];
        assert_eq!(routes(&demuxed(), &muxed()), expected);
    }

    #[test]
    fn a_demuxed_source_is_joined_where_all_is_in_one() {
        assert_eq!(routes(&muxed(), &demuxed()), [Join { video: 0, audio: 3 }]);
        let near = [variant("main", 900_000, None)];
        assert_eq!(routes(&near, &demuxed()), [Join { video: 1, audio: 3 }]);
        let silent = [variant("video-1", 1, Some("nothing"))];
        assert_eq!(routes(&muxed(), &silent), [Whole(0)]);
    }

    #[test]
    fn variants_go_to_the_nearest_and_alternatives_to_their_language() {
        let other = vec![
            variant("video-1", 900_000, Some("x")),
            alternative("AUDIO", "x", "en-GB", "NO"),
            alternative("AUDIO", "x", "fr", "YES"),
            alternative("SUBTITLES", "y", "en", "NO"),
        ];
        assert_eq!(routes(&demuxed(), &other), [Whole(0), Whole(0), Missing, Whole(1), Missing]);
        let ladder =
            [variant("a", 700_000, None), variant("b", 4_000_000, None), variant("c", 2_900_000, None)];
        let wanted = [variant("x", 3_000_000, None), variant("y", 500_000, None)];
        assert_eq!(routes(&wanted, &ladder), [Whole(2), Whole(0)]);
        assert_eq!(routes(&ladder, &wanted), [Whole(1), Whole(0), Whole(0)]);
    }

    #[test]
    fn a_variant_of_audio_alone_gets_audio_and_feeds_no_video() {
        let with_radio = [variant("video-1", 2_000_000, None), radio(64_000)];
        assert_eq!(routes(&with_radio, &muxed()), [Whole(0), Split(0, Pick::audio(None, true))]);
        let near = [variant("main", 70_000, None)];
        assert_eq!(routes(&near, &with_radio), [Whole(0)]);
        assert_eq!(routes(&with_radio, &[radio(64_000)]), [Whole(0), Whole(0)]);
    }
}
