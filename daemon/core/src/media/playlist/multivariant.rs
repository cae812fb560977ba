//! Reads a multivariant playlist.

use url::Url;

use super::line::{Attributes, Content, Lines, Tag, fault, resolve};
use super::{Alternative, Limits, Multivariant, Variables, Variant};
use crate::fault::{Fault, FaultKind};

/// Attributes of EXT-X-STREAM-INF that name groups.
const GROUPS: &[&str] = &["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"];
/// Values of TYPE in EXT-X-MEDIA.
const TYPES: &[&str] = GROUPS;

pub(super) fn parse(bytes: &[u8], base: &Url, limits: Limits) -> Result<Multivariant, Fault> {
    let mut playlist = Multivariant {
        variants: Vec::new(),
        alternatives: Vec::new(),
        variables: Variables::default(),
        independent_segments: false,
    };
    let mut stream: Option<(Tag<'_>, Attributes)> = None;
    for line in Lines::new(bytes) {
        let line = line?;
        if playlist.variants.len() + playlist.alternatives.len() >= limits.entries {
            return Err(FaultKind::TooLarge { limit: limits.entries as u64 }.into());
        }
        match line.content {
            Content::Uri(uri) => {
                let uri = playlist.variables.replace(uri).map_err(|what| fault(line.number, what))?;
                // a URI without EXT-X-STREAM-INF says nothing of what it is: no client plays it
                if let Some((tag, attributes)) = stream.take() {
                    let url = resolve(base, &uri, line.number)?;
                    playlist.variants.push(variant(&tag, &attributes, url)?);
                }
            }
            Content::Tag(tag) => match tag.name {
                "-X-STREAM-INF" => stream = Some((tag, tag.attributes(&playlist.variables)?)),
                "-X-MEDIA" => {
                    let attributes = tag.attributes(&playlist.variables)?;
                    playlist.alternatives.extend(alternative(&tag, &attributes, base)?);
                }
                "-X-DEFINE" => playlist.variables.define(&tag, base, &Variables::default())?,
                "-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
                _ => {}
            },
        }
    }
    if playlist.variants.is_empty() {
        return Err(Fault::malformed("a multivariant playlist without a variant"));
    }
    Ok(playlist)
}

fn variant(tag: &Tag<'_>, attributes: &Attributes, url: Url) -> Result<Variant, Fault> {
    let bandwidth_bps = match attributes.get("BANDWIDTH") {
        Some(text) => text.parse().map_err(|_| tag.fault("a BANDWIDTH that is no number"))?,
        None => 0,
    };
    let mut passed_on = attributes.passed_on(GROUPS);
    if attributes.get("CLOSED-CAPTIONS") == Some("NONE") {
        passed_on.push(("CLOSED-CAPTIONS".to_owned(), "NONE".to_owned()));
    }
    let owned = |name| attributes.get(name).map(str::to_owned);
    Ok(Variant {
        url,
        bandwidth_bps,
        resolution: attributes.get("RESOLUTION").and_then(resolution),
        attributes: passed_on,
        audio: owned("AUDIO"),
        subtitles: owned("SUBTITLES"),
        closed_captions: owned("CLOSED-CAPTIONS").filter(|group| group != "NONE"),
    })
}

/// An EXT-X-MEDIA; none where its TYPE is unknown, which a client passes over.
fn alternative(tag: &Tag<'_>, attributes: &Attributes, base: &Url) -> Result<Option<Alternative>, Fault> {
    let required = |name| attributes.get(name).ok_or_else(|| tag.fault(format_args!("no {name}")));
    let media_type = required("TYPE")?;
    if !TYPES.contains(&media_type) {
        return Ok(None);
    }
    let url = attributes.get("URI").map(|uri| resolve(base, uri, tag.number)).transpose()?;
    Ok(Some(Alternative {
        media_type: media_type.to_owned(),
        group: required("GROUP-ID")?.to_owned(),
        url,
        attributes: attributes.passed_on(&["URI", "TYPE", "GROUP-ID"]),
    }))
}

fn resolution(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}
