//! Takes the streams of one kind out of a transport stream: what a rendition is fed with that has its video or its audio
//! apart, from a source that has both in one.

use libmpegts::psi::{
    DescriptorsRef, PAT_PID, PatSectionRef, PmtBuilder, PmtConfig, PmtSectionRef, PmtStream, PmtStreamRef,
    Psi, PsiPacketizer,
};
use libmpegts::slicer::TsSlicer;
use libmpegts::ts::{PACKET_SIZE, TsPacketRef, build_pcr_packet};

use super::program::language_code;
use super::tables::{Kind, kind};

/// PIDs below this are for tables of the whole multiplex.
const SERVICE_PIDS: u16 = 0x20;
/// `ISO_639_language_descriptor` (ISO/IEC 13818-1, 2.6.18).
const LANGUAGE: u8 = 0x0a;
/// Languages that have two codes (ISO 639-2, B and T).
const BIBLIOGRAPHIC: &[(&[u8; 3], &[u8; 3])] = &[
    (b"baq", b"eus"),
    (b"chi", b"zho"),
    (b"cze", b"ces"),
    (b"dut", b"nld"),
    (b"fre", b"fra"),
    (b"ger", b"deu"),
    (b"gre", b"ell"),
    (b"ice", b"isl"),
    (b"per", b"fas"),
    (b"rum", b"ron"),
    (b"slo", b"slk"),
];

/// What is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Everything but audio.
    Video,
    /// One audio stream.
    Audio {
        /// Its language (ISO 639-2), where one is wanted.
        language: Option<[u8; 3]>,
        /// Whether the first audio stream will do, where none is in that language.
        is_default: bool,
    },
}

impl Pick {
    /// The audio stream in a language as a playlist writes it (RFC 5646), or else the first one if `is_default`.
    pub fn audio(language: Option<&str>, is_default: bool) -> Self {
        Self::Audio { language: language.and_then(language_code), is_default }
    }

    /// The PIDs that are taken of those that a PMT announces.
    fn of(self, map: &PmtSectionRef<'_>) -> Vec<u16> {
        let streams = || map.streams().map_while(Result::ok);
        let is_audio = |stream: &PmtStreamRef<'_>| kind(stream) == Some(Kind::Audio);
        match self {
            Self::Video if streams().all(|stream| kind(&stream) != Some(Kind::Video)) => Vec::new(),
            Self::Video => {
                let others = streams().filter(|stream| !is_audio(stream));
                others.map(|stream| stream.elementary_pid()).collect()
            }
            Self::Audio { language: wanted, is_default } => {
                let in_it = |stream: &PmtStreamRef<'_>| wanted.is_some() && language(stream) == wanted;
                let own = streams().filter(is_audio).find(in_it);
                let first = || streams().find(is_audio).filter(|_| is_default);
                own.or_else(first).iter().map(PmtStreamRef::elementary_pid).collect()
            }
        }
    }
}

/// Takes the streams of one kind, with tables that announce them alone. Their packets come out as they are, in order.
///
/// The clock goes along: where its PID carries nothing that is taken, it comes as packets with nothing but a clock. What
/// stands before the first PAT and PMT is left out, and so is the end of an access unit that began before.
pub struct Split {
    pick: Pick,
    slicer: TsSlicer,
    pat: Box<Psi>,
    pmt: Option<(u16, Box<Psi>)>,
    /// The PMT that was read last, and what became of it.
    section: Vec<u8>,
    rewritten: PsiPacketizer,
    clock_pid: u16,
    taken: Vec<Taken>,
}

/// A stream that is taken.
struct Taken {
    pid: u16,
    /// Whether an access unit began.
    has_begun: bool,
}

impl Split {
    /// At the start of a stream.
    pub fn new(pick: Pick) -> Self {
        Self {
            pick,
            slicer: TsSlicer::new(),
            pat: Box::default(),
            pmt: None,
            section: Vec::new(),
            rewritten: PsiPacketizer::new(0),
            clock_pid: 0,
            taken: Vec::new(),
        }
    }

    /// Takes bytes of any number, and appends the packets that come of them to `output`. Returns whether any of these is
    /// of a stream that is taken, and not a table or a clock.
    pub fn push(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> bool {
        let mut has_media = false;
        let mut slicer = std::mem::take(&mut self.slicer);
        for packet in slicer.slice(bytes) {
            has_media |= self.packet(&packet, output);
        }
        self.slicer = slicer;
        has_media
    }

    /// Says that another stream follows. An unfinished packet is dropped.
    pub fn restart(&mut self) {
        self.slicer.reset();
        self.taken.iter_mut().for_each(|taken| taken.has_begun = false);
    }

    fn packet(&mut self, packet: &TsPacketRef<'_>, output: &mut Vec<u8>) -> bool {
        let pid = packet.pid();
        if packet.is_error() {
            return false;
        }
        if pid == PAT_PID {
            self.associate(packet);
            output.extend_from_slice(packet.as_ref());
        } else if self.pmt.as_ref().is_some_and(|(own, _)| *own == pid) {
            self.map(packet, output);
        } else if pid < SERVICE_PIDS && self.pick == Pick::Video {
            output.extend_from_slice(packet.as_ref());
        } else if let Some(taken) = self.taken.iter_mut().find(|taken| taken.pid == pid) {
            taken.has_begun |= packet.is_payload_start();
            if taken.has_begun || packet.payload().is_none() {
                output.extend_from_slice(packet.as_ref());
                return taken.has_begun;
            }
            clock(packet, packet.cc(), output);
        } else if pid == self.clock_pid && !self.section.is_empty() {
            clock(packet, 0, output);
        }
        false
    }

    fn associate(&mut self, packet: &TsPacketRef<'_>) {
        self.pat.assemble(packet);
        let found = self.pat.sections().iter().find_map(|section| {
            let pat = PatSectionRef::try_from(section).ok().filter(PatSectionRef::current_next_indicator)?;
            let mut programs = pat.programs().map_while(Result::ok);
            programs.find(|program| program.program_number() != 0).map(|program| program.pid())
        });
        if let Some(pid) = found.filter(|pid| self.pmt.as_ref().is_none_or(|(own, _)| own != pid)) {
            self.pmt = Some((pid, Box::default()));
        }
    }

    /// A packet of the PMT: where it completes the table, what became of that comes in its place.
    fn map(&mut self, packet: &TsPacketRef<'_>, output: &mut Vec<u8>) {
        let Some((_, psi)) = &mut self.pmt else { return };
        psi.assemble(packet);
        let current = |section: &[u8]| {
            let map = PmtSectionRef::try_from(section).ok();
            map.filter(PmtSectionRef::current_next_indicator).map(|_| section.to_vec())
        };
        let Some(section) = psi.sections().iter().find_map(current) else { return };
        if section != self.section
            && let Ok(map) = PmtSectionRef::try_from(&*section)
        {
            self.rewrite(&map, packet);
            self.section = section;
        }
        self.rewritten.reset();
        let mut made = [0; PACKET_SIZE];
        while self.rewritten.next(&mut made) {
            output.extend_from_slice(&made);
        }
    }

    /// Makes the table that announces what is taken.
    fn rewrite(&mut self, map: &PmtSectionRef<'_>, packet: &TsPacketRef<'_>) {
        let before = std::mem::take(&mut self.taken);
        let has_begun = |pid| before.iter().any(|taken| taken.pid == pid && taken.has_begun);
        let taken = self.pick.of(map).into_iter().map(|pid| Taken { pid, has_begun: has_begun(pid) });
        self.taken = taken.collect();
        self.clock_pid = map.pcr_pid();
        let is_taken =
            |stream: &PmtStreamRef<'_>| self.taken.iter().any(|one| one.pid == stream.elementary_pid());
        let streams = map.streams().map_while(Result::ok).filter(is_taken).map(|stream| PmtStream {
            stream_type: stream.stream_type(),
            elementary_pid: stream.elementary_pid(),
            stream_descriptors: bytes(stream.stream_descriptors()),
        });
        if self.rewritten.pid() != packet.pid() {
            self.rewritten = PsiPacketizer::new(packet.pid());
        }
        self.rewritten.set_sections(PmtBuilder::build(PmtConfig {
            program_number: map.program_number(),
            pcr_pid: map.pcr_pid(),
            version: map.version(),
            program_descriptors: bytes(map.program_descriptors()),
            streams: streams.collect(),
        }));
    }
}

/// Appends the clock of a packet, and nothing else of it. A packet without payload has the counter of the one before
/// (ISO/IEC 13818-1, 2.4.3.3).
fn clock(packet: &TsPacketRef<'_>, counter: u8, output: &mut Vec<u8>) {
    let Some(field) = packet.adaptation_field() else { return };
    let Some(pcr) = field.pcr() else { return };
    let mut made = [0; PACKET_SIZE];
    build_pcr_packet(&mut made, packet.pid(), counter, pcr, field.discontinuity_indicator());
    output.extend_from_slice(&made);
}

fn bytes(descriptors: Option<DescriptorsRef<'_>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for descriptor in descriptors.into_iter().flatten().map_while(Result::ok) {
        bytes.extend_from_slice(descriptor.bytes());
    }
    bytes
}

/// The language of a stream, by its terminological code: descriptors have either.
fn language(stream: &PmtStreamRef<'_>) -> Option<[u8; 3]> {
    let descriptors = stream.stream_descriptors()?;
    let found = descriptors.into_iter().map_while(Result::ok).find(|found| found.tag() == LANGUAGE)?;
    let code = found.data().first_chunk::<3>()?.map(|letter| letter.to_ascii_lowercase());
    let known = BIBLIOGRAPHIC.iter().find(|(bibliographic, _)| **bibliographic == code);
    Some(known.map_or(code, |(_, terminological)| **terminological))
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
