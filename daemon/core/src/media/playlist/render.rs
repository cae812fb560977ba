//! Renders playlists from what windows hold. What comes out keeps the MUSTs of RFC 8216.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::media::{Init, Muxed, RenditionSpec, Role, Segment};

pub mod low_latency;

/// A playlist that slides is never shorter than so many target durations (RFC 8216, 6.2.2).
const LEAST_TARGETS: u32 = 3;

/// What a media playlist says beside its segments.
#[derive(Debug, Clone, Copy)]
pub struct MediaOptions<'a> {
    /// EXT-X-TARGETDURATION, rounded up to whole seconds. No segment may be longer when rounded.
    pub target_duration: Duration,
    /// Whether every segment can be decoded without another.
    pub independent_segments: bool,
    /// Whether nothing will follow.
    pub ended: bool,
    /// The first part of object names.
    pub epoch: &'a str,
}

impl MediaOptions<'_> {
    fn target_duration_secs(&self) -> u64 {
        self.target_duration.as_secs() + u64::from(self.target_duration.subsec_nanos() > 0)
    }
}

/// The name of a segment, relative to its playlist.
pub fn object_name(epoch: &str, segment: &Segment) -> String {
    format!("{epoch}-{}.{}", segment.sequence, segment.media.container.extension())
}

/// The media playlist of these segments, which are consecutive.
///
/// EXT-X-MAP stands where the initialization section changes, and again behind a discontinuity.
/// EXT-X-DISCONTINUITY-SEQUENCE leaves out the tags of the first segment, which are written with it.
/// Program date-times are written in milliseconds, EXTINF in up to six decimals.
pub fn media(segments: &[Arc<Segment>], options: &MediaOptions<'_>) -> String {
    let mut text = String::with_capacity(256 + 96 * segments.len());
    // writing to a String cannot fail
    write_media(&mut text, segments, options).unwrap_or_default();
    text
}

/// The newest `count` segments, and as many before them as a playlist needs that slides: it must not be shorter than three
/// target durations (RFC 8216, 6.2.2). Fewer where they are not there.
pub fn newest(segments: &[Arc<Segment>], count: usize, target_duration: Duration) -> &[Arc<Segment>] {
    let least = LEAST_TARGETS * target_duration;
    let mut from = segments.len();
    let mut duration = Duration::ZERO;
    while from > 0 && (segments.len() - from < count || duration < least) {
        from -= 1;
        duration += segments[from].media.duration;
    }
    segments.get(from..).unwrap_or_default()
}

/// The multivariant playlist of these renditions; `uri_of` says where the media playlist of each is.
///
/// A group is named only where one of the renditions is in it.
pub fn multivariant(
    renditions: &[RenditionSpec],
    uri_of: impl Fn(&RenditionSpec) -> String,
    independent_segments: bool,
) -> String {
    let mut text = String::new();
    // writing to a String cannot fail
    write_multivariant(&mut text, renditions, uri_of, independent_segments).unwrap_or_default();
    text
}

fn write_media(text: &mut String, segments: &[Arc<Segment>], options: &MediaOptions<'_>) -> fmt::Result {
    write_header(text, media_version(segments), options.independent_segments)?;
    writeln!(text, "#EXT-X-TARGETDURATION:{}", options.target_duration_secs())?;
    write_numbers(text, segments.first().map(|first| &**first))?;
    let mut init = None;
    for segment in segments {
        write_segment_tags(text, segment, &mut init)?;
        write_segment(text, segment, options.epoch)?;
    }
    if options.ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    Ok(())
}

/// The numbers of the first segment, its discontinuities left out: they are written with it.
fn write_numbers(text: &mut String, first: Option<&Segment>) -> fmt::Result {
    let Some(first) = first else { return Ok(()) };
    writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{}", first.sequence)?;
    let before = first.discontinuity_sequence - first.discontinuities.min(first.discontinuity_sequence);
    if before > 0 {
        writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{before}")?;
    }
    Ok(())
}

/// What holds for a segment from its first sample on.
fn write_segment_tags<'a>(
    text: &mut String,
    segment: &'a Segment,
    known: &mut Option<&'a Arc<Init>>,
) -> fmt::Result {
    let media = &segment.media;
    for _ in 0..segment.discontinuities {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if let Some(init) = media.container.init()
        && (segment.discontinuities > 0 || *known != Some(init))
    {
        writeln!(text, "#EXT-X-MAP:URI=\"{}.mp4\"", init.name)?;
        *known = Some(init);
    }
    if let Some(time) = media.program_date_time {
        writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{time:.3}")?;
    }
    Ok(())
}

fn write_segment(text: &mut String, segment: &Segment, epoch: &str) -> fmt::Result {
    if segment.media.gap {
        text.push_str("#EXT-X-GAP\n");
    }
    writeln!(text, "#EXTINF:{},", Seconds(segment.media.duration))?;
    writeln!(text, "{}", object_name(epoch, segment))
}

/// Section 7 asks for 3 with decimals in EXTINF and 6 with EXT-X-MAP; EXT-X-GAP came with 8.
fn media_version(segments: &[Arc<Segment>]) -> u8 {
    let any = |has: fn(&Segment) -> bool| segments.iter().any(|segment| has(segment));
    if any(|segment| segment.media.gap) {
        8
    } else if any(|segment| segment.media.container.init().is_some()) {
        6
    } else {
        3
    }
}

fn write_header(text: &mut String, version: u8, independent_segments: bool) -> fmt::Result {
    writeln!(text, "#EXTM3U\n#EXT-X-VERSION:{version}")?;
    if independent_segments {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    Ok(())
}

fn write_multivariant(
    text: &mut String,
    renditions: &[RenditionSpec],
    uri_of: impl Fn(&RenditionSpec) -> String,
    independent_segments: bool,
) -> fmt::Result {
    write_header(text, multivariant_version(renditions), independent_segments)?;
    let carried = carried(renditions);
    for Muxed { media_type, group, attributes } in &carried {
        write!(text, "#EXT-X-MEDIA:TYPE={media_type},GROUP-ID=\"{group}\"")?;
        write_attributes(text, attributes)?;
        text.push('\n');
    }
    for spec in renditions {
        if let Role::Alternative { media_type, group, attributes } = &spec.role {
            write!(text, "#EXT-X-MEDIA:TYPE={media_type},GROUP-ID=\"{group}\"")?;
            if !attributes.iter().any(|(name, _)| name == "NAME") {
                write!(text, ",NAME=\"{}\"", spec.name)?;
            }
            write_attributes(text, attributes)?;
            writeln!(text, ",URI=\"{}\"", uri_of(spec))?;
        }
    }
    for spec in renditions {
        if let Role::Variant { bandwidth_bps, attributes, audio, subtitles, .. } = &spec.role {
            // BANDWIDTH is required; an origin that says nothing gets the least that is a number
            let bandwidth_bps = (*bandwidth_bps).max(1);
            write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth_bps}")?;
            write_attributes(text, attributes.iter().filter(|(name, _)| name != "BANDWIDTH"))?;
            for (name, group) in [("AUDIO", audio), ("SUBTITLES", subtitles)] {
                if let Some(group) = group.as_ref().filter(|group| has_group(renditions, name, group)) {
                    write!(text, ",{name}=\"{group}\"")?;
                }
            }
            writeln!(text, "\n{}", uri_of(spec))?;
        }
    }
    Ok(())
}

fn write_attributes<'a>(
    text: &mut String,
    attributes: impl IntoIterator<Item = &'a (String, String)>,
) -> fmt::Result {
    attributes.into_iter().try_for_each(|(name, value)| write!(text, ",{name}={value}"))
}

fn has_group(renditions: &[RenditionSpec], wanted_type: &str, wanted: &str) -> bool {
    let is_wanted = |media_type: &str, group: &str| media_type == wanted_type && group == wanted;
    renditions.iter().any(|spec| match &spec.role {
        Role::Alternative { media_type, group, .. } => is_wanted(media_type, group),
        Role::Variant { muxed, .. } => muxed.iter().any(|muxed| is_wanted(&muxed.media_type, &muxed.group)),
    })
}

/// What variants carry themselves, each once, though several variants carry it.
fn carried(renditions: &[RenditionSpec]) -> Vec<&Muxed> {
    let mut carried = Vec::new();
    for spec in renditions {
        let Role::Variant { muxed, .. } = &spec.role else { continue };
        for muxed in muxed {
            if !carried.contains(&muxed) {
                carried.push(muxed);
            }
        }
    }
    carried
}

/// 4 knows EXT-X-MEDIA, 7 INSTREAM-ID of services, 12 attributes that a client must understand.
fn multivariant_version(renditions: &[RenditionSpec]) -> u8 {
    let own = renditions.iter().flat_map(|spec| match &spec.role {
        Role::Variant { attributes, .. } | Role::Alternative { attributes, .. } => attributes,
    });
    let needed = own.chain(carried(renditions).into_iter().flat_map(|muxed| &muxed.attributes));
    let version = needed.map(|(name, value)| match name.as_str() {
        "INSTREAM-ID" if value.starts_with("\"SERVICE") => 7,
        name if name.starts_with("REQ-") => 12,
        _ => 4,
    });
    version.max().unwrap_or(4)
}

/// Seconds with three to six decimals.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = (self.0.as_nanos() + 500) / 1000;
        let (seconds, mut decimals, mut width) = (micros / 1_000_000, micros % 1_000_000, 6);
        while width > 3 && decimals.is_multiple_of(10) {
            (decimals, width) = (decimals / 10, width - 1);
        }
        write!(f, "{seconds}.{decimals:0width$}")
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
