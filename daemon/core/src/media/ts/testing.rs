//! Transport streams made for tests, and an independent reader of them.

use std::collections::BTreeMap;

use libmpegts::pes::{
    EsFrame, PesHeader, PesPacketizer, PtsDts, STREAM_ID_AUDIO, STREAM_ID_VIDEO, Timestamp,
};
use libmpegts::psi::{PatBuilder, PatConfig, PatProgram, PmtBuilder, PmtConfig, PmtStream, PsiPacketizer};
use libmpegts::ts::{PACKET_SIZE, SYNC_BYTE, TsPacketRef};
use mpeg2ts_reader::demultiplex::{
    Demultiplex, DemuxContext, FilterChangeset, FilterRequest, NullPacketFilter, PatPacketFilter,
    PmtPacketFilter,
};
use mpeg2ts_reader::packet::Pid;
use mpeg2ts_reader::packet_filter_switch;
use mpeg2ts_reader::pes::{
    self, ElementaryStreamConsumer, PesHeader as ReadHeader, PesPacketFilter, PtsDts as ReadTimes,
};

pub(crate) const VIDEO: u16 = 0x100;
pub(crate) const AUDIO: u16 = 0x101;
/// 25 frames a second.
pub(crate) const FRAME_90KHZ: u64 = 3600;

/// What a stream is made like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) frames: u64,
    /// A keyframe every so many frames; 0 for a stream without video.
    pub(crate) gop: u64,
    /// The tables every so many frames.
    pub(crate) tables: u64,
    /// Whether keyframes are flagged, or only told by their parameter sets.
    pub(crate) flagged: bool,
    /// The first DTS.
    pub(crate) start_90khz: u64,
    /// The bytes of a frame.
    pub(crate) size: usize,
    /// From one frame to the next.
    pub(crate) step_90khz: u64,
    /// The PIDs of video and audio; that of the PMT is 0x1000 above the number of the program.
    pub(crate) pids: (u16, u16),
    pub(crate) program: u16,
    pub(crate) version: u8,
    /// The bytes of a message that stands before the parameter sets of a keyframe.
    pub(crate) preamble: usize,
    /// Whether each picture begins with its number, as eight bytes of `0x50` and four bits.
    pub(crate) numbered: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            frames: 150,
            gop: 25,
            tables: 10,
            flagged: true,
            start_90khz: 126_000,
            size: 700,
            step_90khz: FRAME_90KHZ,
            pids: (VIDEO, AUDIO),
            program: 1,
            version: 0,
            preamble: 0,
            numbered: false,
        }
    }
}

impl Shape {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut output = Vec::new();
        let (mut pat, mut pmt) = self.tables();
        let (mut video, mut audio) = (PesPacketizer::new(self.pids.0), PesPacketizer::new(self.pids.1));
        for at in 0..self.frames {
            let time = Timestamp::new(self.start_90khz + at * self.step_90khz);
            if at.is_multiple_of(self.tables) {
                for table in [&mut pat, &mut pmt] {
                    table.reset();
                    append(&mut output, |packet| table.next(packet));
                }
            }
            let clock = if self.gop > 0 { &mut video } else { &mut audio };
            let mut packet = [0; PACKET_SIZE];
            clock.build_pcr_packet(&mut packet, time.wrapping_sub(9000.into()).value() * 300);
            output.extend_from_slice(&packet);
            if self.gop > 0 {
                let is_key = at.is_multiple_of(self.gop);
                let mut start = if is_key { self.key_start() } else { vec![0, 0, 0, 1, 0x41] };
                if self.numbered {
                    start.extend(
                        (0..8).rev().map(|place| 0x50 | u8::try_from(at >> (4 * place) & 0x0f).unwrap()),
                    );
                }
                let times = PtsDts::new(time.wrapping_add((2 * FRAME_90KHZ).into())).with_dts(time);
                video.set_frame(frame(STREAM_ID_VIDEO, times, &start, at, self.size, is_key && self.flagged));
                append(&mut output, |packet| video.next(packet));
            }
            let times = PtsDts::new(time.wrapping_add(FRAME_90KHZ.into()));
            audio.set_frame(frame(STREAM_ID_AUDIO, times, &[0xff, 0xf1], at, 120, true));
            append(&mut output, |packet| audio.next(packet));
        }
        output
    }

    /// A message that is no recovery point, a parameter set.
    fn key_start(&self) -> Vec<u8> {
        let message = |bytes: usize| {
            let head = [0, 0, 1, 6, 5].into_iter();
            let length = std::iter::repeat_n(0xff, bytes / 255).chain([u8::try_from(bytes % 255).unwrap()]);
            head.chain(length).chain(std::iter::repeat_n(0x50, bytes)).chain([0x80])
        };
        let messages = (self.preamble > 0).then(|| message(self.preamble)).into_iter().flatten();
        messages.chain([0, 0, 0, 1, 0x67]).collect()
    }

    fn tables(&self) -> (PsiPacketizer, PsiPacketizer) {
        let stream = |stream_type, elementary_pid| PmtStream {
            stream_type,
            elementary_pid,
            stream_descriptors: Vec::new(),
        };
        let video = (self.gop > 0).then(|| stream(0x1b, self.pids.0));
        let pcr_pid = if self.gop > 0 { self.pids.0 } else { self.pids.1 };
        let streams = video.into_iter().chain([stream(0x0f, self.pids.1)]).collect();
        let mut pat = PsiPacketizer::new(0);
        let programs = vec![PatProgram { program_number: self.program, pid: 0x1000 | self.program }];
        pat.set_sections(PatBuilder::build(PatConfig { transport_stream_id: 1, version: 0, programs }));
        let mut pmt = PsiPacketizer::new(0x1000 | self.program);
        let program_descriptors = Vec::new();
        pmt.set_sections(PmtBuilder::build(PmtConfig {
            program_number: self.program,
            pcr_pid,
            version: self.version,
            program_descriptors,
            streams,
        }));
        (pat, pmt)
    }
}

fn frame(stream_id: u8, times: PtsDts, start: &[u8], at: u64, size: usize, rai: bool) -> EsFrame {
    // never the sync byte, so that a search for it finds packets only
    let filler = (0..size).map(|byte| 0x50 | u8::try_from((byte as u64 + at) % 13).unwrap());
    let payload = start.iter().copied().chain(filler).collect();
    EsFrame { header: PesHeader::new(stream_id).with_pts_dts(times), payload, rai }
}

fn append(output: &mut Vec<u8>, mut next: impl FnMut(&mut [u8; PACKET_SIZE]) -> bool) {
    let mut packet = [0; PACKET_SIZE];
    while next(&mut packet) {
        output.extend_from_slice(&packet);
    }
}

/// Two streams as programs of one, packet by packet.
pub(crate) fn multiplexed(a: &[u8], b: &[u8], programs: &[(u16, u16)]) -> Vec<u8> {
    let programs = programs.iter().map(|&(program_number, pid)| PatProgram { program_number, pid }).collect();
    let mut pat = PsiPacketizer::new(0);
    pat.set_sections(PatBuilder::build(PatConfig { transport_stream_id: 9, version: 3, programs }));
    let mut output = Vec::new();
    for (a, b) in a.as_chunks::<PACKET_SIZE>().0.iter().zip(b.as_chunks::<PACKET_SIZE>().0) {
        for packet in [a, b] {
            if TsPacketRef::from(packet).pid() == 0 {
                pat.reset();
                let mut own = [0; PACKET_SIZE];
                assert!(pat.next(&mut own));
                output.extend_from_slice(&own);
            } else {
                output.extend_from_slice(packet);
            }
        }
    }
    output
}

/// So many bytes of a PMT that lists nothing.
pub(crate) fn map_without_streams(program_number: u16, bytes: usize) -> Vec<u8> {
    let (program_descriptors, streams) = (Vec::new(), Vec::new());
    let config = PmtConfig { program_number, pcr_pid: 0x1fff, version: 0, program_descriptors, streams };
    let mut pmt = PsiPacketizer::new(0x1000 | program_number);
    pmt.set_sections(PmtBuilder::build(config));
    let packets = std::iter::repeat_with(|| {
        let mut packet = [0; PACKET_SIZE];
        pmt.reset();
        assert!(pmt.next(&mut packet));
        packet
    });
    packets.take(bytes / PACKET_SIZE).flatten().collect()
}

/// What `mpeg2ts-reader` finds in a stream.
#[derive(Default)]
#[expect(unreachable_pub, reason = "the macro makes a public enum with it")]
pub struct Reading {
    changes: FilterChangeset<Filter>,
    /// The bytes of each elementary stream.
    pub(crate) payload: BTreeMap<u16, Vec<u8>>,
    /// The DTS of each access unit, or its PTS.
    pub(crate) times: BTreeMap<u16, Vec<u64>>,
    pub(crate) continuity_errors: usize,
}

impl Reading {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut reading = Self::default();
        let mut demultiplex = Demultiplex::new(&mut reading);
        demultiplex.push(&mut reading, bytes);
        reading
    }
}

packet_filter_switch! {
    Filter<Reading> {
        Pat: PatPacketFilter<Reading>,
        Pmt: PmtPacketFilter<Reading>,
        Pes: PesPacketFilter<Reading, Collector>,
        Null: NullPacketFilter<Reading>,
    }
}

impl DemuxContext for Reading {
    type F = Filter;

    fn filter_changeset(&mut self) -> &mut FilterChangeset<Filter> {
        &mut self.changes
    }

    fn construct(&mut self, request: FilterRequest<'_, '_>) -> Filter {
        match request {
            FilterRequest::ByPid(Pid::PAT) => Filter::Pat(PatPacketFilter::default()),
            FilterRequest::Pmt { pid, program_number } => {
                Filter::Pmt(PmtPacketFilter::new(pid, program_number))
            }
            FilterRequest::ByStream { stream_info, .. } => {
                Filter::Pes(PesPacketFilter::new(Collector(stream_info.elementary_pid().into())))
            }
            _ => Filter::Null(NullPacketFilter::default()),
        }
    }
}

struct Collector(u16);

impl ElementaryStreamConsumer<Reading> for Collector {
    fn start_stream(&mut self, _: &mut Reading) {}

    fn begin_packet(&mut self, reading: &mut Reading, header: ReadHeader<'_>) {
        let pes::PesContents::Parsed(Some(contents)) = header.contents() else {
            panic!("a PES packet without a header")
        };
        let time = match contents.pts_dts().unwrap() {
            ReadTimes::PtsOnly(Ok(pts)) => pts.value(),
            ReadTimes::Both { dts: Ok(dts), .. } => dts.value(),
            other => panic!("{other:?}"),
        };
        reading.times.entry(self.0).or_default().push(time);
        reading.payload.entry(self.0).or_default().extend_from_slice(contents.payload());
    }

    fn continue_packet(&mut self, reading: &mut Reading, data: &[u8]) {
        reading.payload.entry(self.0).or_default().extend_from_slice(data);
    }

    fn end_packet(&mut self, _: &mut Reading) {}

    fn continuity_error(&mut self, reading: &mut Reading) {
        reading.continuity_errors += 1;
    }
}

/// Whether every packet starts with the sync byte, and every continuity counter follows.
pub(crate) fn is_continuous(bytes: &[u8]) -> bool {
    let (packets, rest) = bytes.as_chunks::<PACKET_SIZE>();
    let mut checker = libmpegts::ts::CcChecker::new();
    rest.is_empty()
        && packets.iter().all(|packet| {
            let status = checker.check(&packet.into());
            packet[0] == SYNC_BYTE && !matches!(status, libmpegts::ts::CcStatus::Error { .. })
        })
}
