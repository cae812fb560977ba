//! What a transport stream says that it carries: its PAT and the PMT of its first program with video or audio.

use libmpegts::psi::{PAT_PID, PatSectionRef, PmtSectionRef, PmtStreamRef, Psi};
use libmpegts::ts::TsPacketRef;

/// What a stream is to a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Video,
    Audio,
    /// Subtitles, metadata and the like.
    Other,
}

/// An elementary stream as its source announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) kind: Kind,
    pub(super) descriptors: Vec<u8>,
}

/// Everything that one source carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Catalog {
    pub(super) clock_pid: Option<u16>,
    pub(super) streams: Vec<Announced>,
}

impl Catalog {
    pub(super) fn find(&self, pid: u16) -> Option<&Announced> {
        self.streams.iter().find(|stream| stream.pid == pid)
    }
}

/// Reads the tables as they come.
pub(super) struct Tables {
    pat: Box<Psi>,
    pmt: Option<(u16, Box<Psi>)>,
    /// The PIDs of the PMTs, as the PAT lists them, and of those that announced neither video nor audio.
    listed: Vec<u16>,
    passed: Vec<u16>,
    catalog: Option<Catalog>,
}

impl Tables {
    pub(super) fn new() -> Self {
        Self { pat: Box::default(), pmt: None, listed: Vec::new(), passed: Vec::new(), catalog: None }
    }

    /// What was announced last.
    pub(super) fn catalog(&self) -> Option<&Catalog> {
        self.catalog.as_ref()
    }

    /// Whether packets of this PID are the source's tables, which do not travel.
    pub(super) fn owns(&self, pid: u16) -> bool {
        pid < 0x20 || self.pmt.as_ref().is_some_and(|(own, _)| *own == pid)
    }

    /// Reads a packet of a table; gives the catalog when it changed.
    pub(super) fn read(&mut self, packet: &TsPacketRef<'_>, language: Option<&[u8; 3]>) -> Option<Catalog> {
        if packet.pid() == PAT_PID {
            self.pat.assemble(packet);
            if let Some(listed) = self.pat.sections().iter().find_map(program_map_pids) {
                self.listed = listed;
                self.choose();
            }
            return None;
        }
        let (_, pmt) = self.pmt.as_mut().filter(|(pid, _)| *pid == packet.pid())?;
        pmt.assemble(packet);
        let found = pmt.sections().iter().find_map(|section| catalog(section, language))?;
        if self.listed.len() > 1 && found.streams.iter().all(|stream| stream.kind == Kind::Other) {
            self.passed.push(packet.pid());
            self.choose();
            return None;
        }
        if self.catalog.as_ref() == Some(&found) {
            return None;
        }
        self.catalog = Some(found.clone());
        Some(found)
    }

    /// Reads the PMT of the first program that was not passed over.
    fn choose(&mut self) {
        let first = self.listed.iter().find(|pid| !self.passed.contains(pid)).copied();
        if let Some(pid) = first
            && self.pmt.as_ref().is_none_or(|(own, _)| *own != pid)
        {
            self.pmt = Some((pid, Box::default()));
        }
    }
}

/// The PIDs of the PMTs; none where there is no program.
fn program_map_pids(section: &[u8]) -> Option<Vec<u16>> {
    let pat = PatSectionRef::try_from(section).ok()?;
    let programs = pat.programs().map_while(Result::ok).filter(|program| program.program_number() != 0);
    let pids: Vec<u16> = programs.map(|program| program.pid()).collect();
    (!pids.is_empty()).then_some(pids)
}

fn catalog(section: &[u8], language: Option<&[u8; 3]>) -> Option<Catalog> {
    let pmt = PmtSectionRef::try_from(section).ok().filter(PmtSectionRef::current_next_indicator)?;
    let streams = pmt.streams().map_while(Result::ok).map(|stream| announced(&stream, language));
    let clock_pid = Some(pmt.pcr_pid()).filter(|pid| *pid != 0x1fff);
    Some(Catalog { clock_pid, streams: streams.collect() })
}

fn announced(stream: &PmtStreamRef<'_>, language: Option<&[u8; 3]>) -> Announced {
    let kind = match stream.kind() {
        kind if kind.is_video() => Kind::Video,
        kind if kind.is_audio() => Kind::Audio,
        _ => Kind::Other,
    };
    let mut descriptors = Vec::new();
    let mut has_language = false;
    for descriptor in stream.stream_descriptors().into_iter().flatten().map_while(Result::ok) {
        has_language |= descriptor.tag() == LANGUAGE_TAG;
        descriptors.extend_from_slice(descriptor.bytes());
    }
    if let Some(code) = language.filter(|_| kind == Kind::Audio && !has_language) {
        descriptors.extend(language_descriptor(*code));
    }
    Announced { pid: stream.elementary_pid(), stream_type: stream.stream_type(), kind, descriptors }
}

/// `ISO_639_language_descriptor` (ISO/IEC 13818-1, 2.6.18).
const LANGUAGE_TAG: u8 = 0x0a;

/// The descriptor of one language, with an undefined audio type.
pub(super) fn language_descriptor([a, b, c]: [u8; 3]) -> [u8; 6] {
    [LANGUAGE_TAG, 4, a, b, c, 0]
}

/// The code of three letters (ISO 639-2) for a language as playlists write it (RFC 5646). None for those that are
/// not at home in broadcasting.
pub(in crate::media::ts) fn language_code(tag: &str) -> Option<[u8; 3]> {
    let primary = tag.trim_matches('"').split('-').next()?.to_ascii_lowercase();
    let known = LANGUAGES.iter().find(|(short, _)| *short == primary).map(|(_, long)| *long);
    let long = known.unwrap_or(&primary).as_bytes();
    <[u8; 3]>::try_from(long).ok().filter(|code| code.iter().all(u8::is_ascii_lowercase))
}

/// ISO 639-1 and 639-2.
const LANGUAGES: &[(&str, &str)] = &[
    ("ar", "ara"),
    ("bg", "bul"),
    ("ca", "cat"),
    ("cs", "ces"),
    ("da", "dan"),
    ("de", "deu"),
    ("el", "ell"),
    ("en", "eng"),
    ("es", "spa"),
    ("et", "est"),
    ("eu", "eus"),
    ("fa", "fas"),
    ("fi", "fin"),
    ("fr", "fra"),
    ("gl", "glg"),
    ("he", "heb"),
    ("hi", "hin"),
    ("hr", "hrv"),
    ("hu", "hun"),
    ("id", "ind"),
    ("is", "isl"),
    ("it", "ita"),
    ("ja", "jpn"),
    ("ko", "kor"),
    ("lt", "lit"),
    ("lv", "lav"),
    ("nl", "nld"),
    ("no", "nor"),
    ("pl", "pol"),
    ("pt", "por"),
    ("ro", "ron"),
    ("ru", "rus"),
    ("sk", "slk"),
    ("sl", "slv"),
    ("sr", "srp"),
    ("sv", "swe"),
    ("th", "tha"),
    ("tr", "tur"),
    ("uk", "ukr"),
    ("vi", "vie"),
    ("zh", "zho"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_of_a_playlist_has_three_letters_in_a_table() {
        for (tag, code) in [
            ("\"en\"", Some(*b"eng")),
            ("de-AT", Some(*b"deu")),
            ("qaa", Some(*b"qaa")),
            ("xx", None),
            ("", None),
        ] {
            assert_eq!(language_code(tag), code, "{tag}");
        }
    }
}
