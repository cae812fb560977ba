//! Families of codecs: a decoder that was set up for one cannot go on with another.

use super::Container;
use super::ts;

/// The families of what one source or rendition holds, by the names that people know them by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Families {
    /// Of video; several where variants differ.
    pub video: Vec<&'static str>,
    /// Of audio.
    pub audio: Vec<&'static str>,
    /// Whether something is there that is not known.
    pub has_unknown: bool,
}

impl Families {
    /// What a CODECS attribute says (RFC 6381), with or without its quotes.
    pub fn of_codecs(codecs: &str) -> Self {
        let mut families = Self::default();
        for codec in codecs.trim_matches('"').split(',').map(str::trim).filter(|codec| !codec.is_empty()) {
            families.add(of_codec(codec));
        }
        families
    }

    /// What a segment tells that starts with `bytes`.
    pub fn of_segment(container: &Container, bytes: &[u8]) -> Self {
        let mut families = Self::default();
        match container {
            Container::TransportStream => return ts::families(bytes),
            Container::PackedAudio { extension } => families.add(Some(Family::Audio(match *extension {
                "ac3" => AC3,
                "ec3" => EAC3,
                "mp3" => MP3,
                _ => AAC,
            }))),
            Container::FragmentedMp4 { init } => {
                let mut entries = Vec::new();
                sample_entries(&init.bytes, &mut entries);
                entries.iter().for_each(|entry| families.add(of_codec(entry)));
            }
            Container::WebVtt => {}
        }
        families
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for name in other.video {
            self.add(Some(Family::Video(name)));
        }
        for name in other.audio {
            self.add(Some(Family::Audio(name)));
        }
        self.has_unknown |= other.has_unknown;
        self
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.video.is_empty() && self.audio.is_empty()
    }

    /// Whether there is audio alone.
    pub fn is_audio_only(&self) -> bool {
        self.video.is_empty() && !self.audio.is_empty() && !self.has_unknown
    }

    /// Why what this is of cannot take the place of what is `served`; none where it can, as far as both are known.
    pub fn conflict(&self, served: &Self) -> Option<String> {
        for (what, own, theirs) in
            [("video", &self.video, &served.video), ("audio", &self.audio, &served.audio)]
        {
            if let (Some(brought), Some(known)) = (own.first(), theirs.first())
                && own.iter().all(|name| !theirs.contains(name))
            {
                return Some(format!("its {what} is {brought}, and {known} is served"));
            }
        }
        (self.is_audio_only() && !served.video.is_empty()).then(|| "it brings no video".to_owned())
    }

    pub(super) fn add(&mut self, family: Option<Family>) {
        let (names, name) = match family {
            Some(Family::Video(name)) => (&mut self.video, name),
            Some(Family::Audio(name)) => (&mut self.audio, name),
            Some(Family::Other) => return,
            None => {
                self.has_unknown = true;
                return;
            }
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// One codec.
pub(super) enum Family {
    Video(&'static str),
    Audio(&'static str),
    /// Subtitles and the like, which are no reason for anything.
    Other,
}

pub(super) const AVC: &str = "H.264";
pub(super) const HEVC: &str = "HEVC";
pub(super) const MPEG2: &str = "MPEG-2 video";
pub(super) const AV1: &str = "AV1";
pub(super) const AAC: &str = "AAC";
pub(super) const MP3: &str = "MPEG audio";
pub(super) const AC3: &str = "AC-3";
pub(super) const EAC3: &str = "E-AC-3";
pub(super) const OPUS: &str = "Opus";

fn of_codec(codec: &str) -> Option<Family> {
    let (sample, object) = codec.split_once('.').unwrap_or((codec, ""));
    Some(match (sample, object) {
        ("avc1" | "avc2" | "avc3" | "avc4" | "dva1" | "dvav", _) => Family::Video(AVC),
        ("hvc1" | "hev1" | "dvh1" | "dvhe", _) => Family::Video(HEVC),
        ("av01" | "dav1", _) => Family::Video(AV1),
        ("vp08" | "vp09", _) => Family::Video("VP9"),
        ("mp4v", "60" | "61" | "62" | "63" | "64" | "65" | "6a") => Family::Video(MPEG2),
        ("mp4a", "40.34" | "69" | "6b" | "6B") | ("mp3", _) => Family::Audio(MP3),
        ("mp4a", "a5" | "A5") | ("ac-3", _) => Family::Audio(AC3),
        ("mp4a", "a6" | "A6") | ("ec-3", _) => Family::Audio(EAC3),
        ("mp4a", _) => Family::Audio(AAC),
        ("opus" | "Opus", _) => Family::Audio(OPUS),
        ("fLaC" | "flac", _) => Family::Audio("FLAC"),
        ("wvtt" | "stpp" | "tx3g", _) => Family::Other,
        _ => return None,
    })
}

/// The types of the sample entries in an initialization section (ISO/IEC 14496-12, 8.5.2).
fn sample_entries(boxes: &[u8], entries: &mut Vec<String>) {
    let mut rest = boxes;
    while let Some((head, _)) = rest.split_first_chunk::<8>() {
        let size = usize::try_from(u32::from_be_bytes([head[0], head[1], head[2], head[3]])).unwrap_or(0);
        let Some(body) = rest.get(8..size) else { return };
        match &head[4..] {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => sample_entries(body, entries),
            b"stsd" => {
                let kind = body.get(12..16).map(|kind| String::from_utf8_lossy(kind).into_owned());
                entries.extend(kind);
            }
            _ => {}
        }
        rest = rest.get(size..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::super::Init;
    use super::super::ts::testing::Shape;
    use super::*;

    fn families(video: &[&'static str], audio: &[&'static str]) -> Families {
        Families { video: video.to_vec(), audio: audio.to_vec(), has_unknown: false }
    }

    fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
        [&size[..], kind, body].concat()
    }

    #[test]
    fn codecs_are_told_by_family() {
        for (codecs, expected) in [
            ("\"avc1.64001f,mp4a.40.2\"", families(&[AVC], &[AAC])),
            ("hev1.1.6.L93.B0, ec-3", families(&[HEVC], &[EAC3])),
            ("mp4a.40.5,mp4a.40.2", families(&[], &[AAC])),
            ("mp4a.40.34", families(&[], &[MP3])),
            ("avc1.4d,stpp.ttml.im1t", families(&[AVC], &[])),
            ("", Families::default()),
            ("what.1", Families { has_unknown: true, ..Families::default() }),
        ] {
            assert_eq!(Families::of_codecs(codecs), expected, "{codecs}");
        }
    }

    #[test]
    fn segments_tell_their_families() {
        let stream = Shape::default().build();
        let ts = Container::TransportStream;
        assert_eq!(Families::of_segment(&ts, &stream), families(&[AVC], &[AAC]));
        assert_eq!(Families::of_segment(&ts, &[0x47; 376]), Families::default());
        let entry = atom(b"hvc1", &[0; 20]);
        let description = atom(b"stsd", &[&[0; 8], &entry[..]].concat());
        let nested = [b"stbl", b"minf", b"mdia", b"trak", b"moov"];
        let moov = nested.iter().fold(description, |body, kind| atom(kind, &body));
        let init = Bytes::from([atom(b"ftyp", b"isom"), moov].concat());
        let mp4 = Container::FragmentedMp4 { init: Arc::new(Init::new(init)) };
        assert_eq!(Families::of_segment(&mp4, b""), families(&[HEVC], &[]));
        let packed = Container::PackedAudio { extension: "ac3" };
        assert_eq!(Families::of_segment(&packed, b""), families(&[], &[AC3]));
    }

    #[test]
    fn what_a_decoder_cannot_go_on_with_is_a_conflict() {
        let served = families(&[AVC], &[AAC]);
        for (brought, expected) in [
            (families(&[AVC], &[AAC]), None),
            (families(&[AVC], &[]), None),
            (families(&[AVC, HEVC], &[]), None),
            (Families::default(), None),
            (families(&[HEVC], &[AAC]), Some("its video is HEVC, and H.264 is served")),
            (families(&[AVC], &[AC3]), Some("its audio is AC-3, and AAC is served")),
            (families(&[], &[AAC]), Some("it brings no video")),
        ] {
            assert_eq!(brought.conflict(&served).as_deref(), expected, "{brought:?}");
        }
        assert_eq!(families(&[HEVC], &[]).conflict(&Families::default()), None);
    }
}
