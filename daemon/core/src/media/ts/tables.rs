//! The program's tables: which program is taken, which streams it has, and the packets to repeat at the start of a
//! segment.

use std::sync::Arc;

use libmpegts::psi::{
    PAT_PID, PatBuilder, PatConfig, PatProgram, PatSectionRef, PmtSectionRef, PmtStreamRef, Psi,
    PsiPacketizer,
};
use libmpegts::ts::{PACKET_SIZE, TsPacketRef};

use crate::fault::Fault;

/// A table is at most 1024 bytes: seven packets, if its first one is nearly full of another.
const TABLE_BYTES: usize = 8 * PACKET_SIZE;
/// PIDs below this are for tables of the whole multiplex, as the names of services.
const SERVICE_PIDS: u16 = 0x20;
const NULL_PID: u16 = 0x1fff;
const PIDS: usize = 1 << 13;
/// Registrations in private streams (registration_descriptor, ISO/IEC 13818-1, 2.6.8).
const REGISTRATION: u8 = 0x05;

/// The stream that segments are cut by: the first video stream, else the first audio stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Main {
    pub(super) pid: u16,
    pub(super) stream_type: u8,
    pub(super) is_video: bool,
}

/// What is done with the packets of a PID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Stuffing, or of another program.
    Dropped,
    Carried,
    /// About the multiplex: belongs before a segment rather than behind one.
    Service,
    /// The PAT, or the PMT of the program.
    Table,
    Main,
}

/// The PAT, and the PMT of the program that is taken.
pub(super) struct Tables {
    wanted: Option<u16>,
    classes: Box<[Class]>,
    pat: Table,
    pmt: Option<Table>,
    /// Number and PID of the PMT, as the PAT lists them.
    programs: Vec<(u16, u16)>,
    number: Option<u16>,
    /// Programs that had neither video nor audio.
    passed: Vec<u16>,
    main: Option<Main>,
    /// The PAT with the program alone, where the stream has several (RFC 8216, 3.2).
    alone: Option<[u8; PACKET_SIZE]>,
    whole: Arc<[u8]>,
}

impl Tables {
    /// Takes the program of this number, or else the first.
    pub(super) fn new(wanted: Option<u16>) -> Self {
        let mut tables = Self {
            wanted,
            classes: vec![Class::Carried; PIDS].into(),
            pat: Table::new(PAT_PID),
            pmt: None,
            programs: Vec::new(),
            number: None,
            passed: Vec::new(),
            main: None,
            alone: None,
            whole: Arc::new([]),
        };
        tables.classify();
        tables
    }

    /// The main stream, once both tables are known.
    pub(super) fn main(&self) -> Option<Main> {
        self.main
    }

    pub(super) fn class(&self, pid: u16) -> Class {
        self.classes.get(usize::from(pid)).copied().unwrap_or(Class::Dropped)
    }

    /// The packets of the last whole PAT and PMT.
    pub(super) fn whole(&self) -> &Arc<[u8]> {
        &self.whole
    }

    /// The section of the PMT in force.
    pub(super) fn program_map(&self) -> Option<PmtSectionRef<'_>> {
        PmtSectionRef::try_from(&*self.pmt.as_ref()?.section).ok()
    }

    pub(super) fn is_pat(pid: u16) -> bool {
        pid == PAT_PID
    }

    /// What a packet of the PAT becomes: itself, the PAT with one program, or nothing.
    pub(super) fn rewritten<'p>(&'p self, packet: &'p TsPacketRef<'_>) -> Option<&'p [u8; PACKET_SIZE]> {
        match &self.alone {
            Some(alone) if packet.pid() == PAT_PID => packet.is_payload_start().then_some(alone),
            _ => Some(packet.as_ref()),
        }
    }

    /// Reads a packet of a table.
    ///
    /// # Errors
    /// `Unsupported` when the program that is wanted is not there.
    pub(super) fn observe(&mut self, packet: &TsPacketRef<'_>) -> Result<(), Fault> {
        if packet.pid() == PAT_PID {
            for section in self.pat.collect(packet) {
                self.associate(&section)?;
            }
        } else if let Some(pmt) = self.pmt.as_mut().filter(|pmt| pmt.pid == packet.pid()) {
            for section in pmt.collect(packet) {
                self.map(&section);
            }
        }
        Ok(())
    }

    fn associate(&mut self, section: &[u8]) -> Result<(), Fault> {
        let Some(pat) = PatSectionRef::try_from(section).ok().filter(PatSectionRef::current_next_indicator)
        else {
            return Ok(());
        };
        if pat.section_number() == 0 {
            self.programs.clear();
        }
        let programs = pat.programs().map_while(Result::ok).filter(|program| program.program_number() != 0);
        self.programs.extend(programs.map(|program| (program.program_number(), program.pid())));
        self.pat.accept(section);
        if pat.section_number() == pat.last_section_number() { self.choose() } else { Ok(()) }
    }

    fn choose(&mut self) -> Result<(), Fault> {
        let listed = |number: u16| self.programs.iter().find(|program| program.0 == number);
        let first = || self.programs.iter().find(|program| !self.passed.contains(&program.0));
        let chosen = match self.wanted {
            Some(wanted) => listed(wanted),
            None => self.number.and_then(listed).or_else(first),
        };
        let Some(&(number, pid)) = chosen else {
            let Some(wanted) = self.wanted else { return Ok(()) };
            let there: Vec<_> = self.programs.iter().map(|program| program.0.to_string()).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            return Err(Fault::unsupported(format!(
                "there is no program {wanted} in the stream; its programs: {there}"
            )));
        };
        if self.number.replace(number) != Some(number) || self.pmt.as_ref().is_none_or(|pmt| pmt.pid != pid) {
            self.pmt = Some(Table::new(pid));
        }
        self.alone = (self.programs.len() > 1).then(|| alone(number, pid));
        self.refresh();
        Ok(())
    }

    fn map(&mut self, section: &[u8]) {
        let Some(pmt) = PmtSectionRef::try_from(section).ok().filter(PmtSectionRef::current_next_indicator)
        else {
            return;
        };
        if self.number != Some(pmt.program_number()) {
            return;
        }
        let main = main_stream(&pmt);
        if main.is_none() && self.wanted.is_none() && self.programs.len() > 1 {
            self.passed.extend(self.number.take());
            // without a wanted number there is no fault
            self.choose().ok();
            return;
        }
        self.main = main.or(self.main);
        if let Some(pmt) = &mut self.pmt {
            pmt.accept(section);
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        self.classify();
        let pat = self.alone.as_ref().map_or(&*self.pat.whole, |alone| &alone[..]);
        let pmt = self.pmt.as_ref().map_or(&[][..], |pmt| &pmt.whole);
        self.whole = [pat, pmt].concat().into();
    }

    fn classify(&mut self) {
        let several = self.programs.len() > 1;
        let (others, service) =
            if several { (Class::Dropped, Class::Dropped) } else { (Class::Carried, Class::Service) };
        let mut classes = std::mem::take(&mut self.classes);
        classes.fill(others);
        classes[..usize::from(SERVICE_PIDS)].fill(service);
        let mut set = |pid: u16, class| classes[usize::from(pid) & (PIDS - 1)] = class;
        if several && let Some(pmt) = self.program_map() {
            set(pmt.pcr_pid(), Class::Carried);
            pmt.streams()
                .map_while(Result::ok)
                .for_each(|stream| set(stream.elementary_pid(), Class::Carried));
        }
        set(NULL_PID, Class::Dropped);
        self.main.iter().for_each(|main| set(main.pid, Class::Main));
        set(PAT_PID, Class::Table);
        self.pmt.iter().for_each(|pmt| set(pmt.pid, Class::Table));
        self.classes = classes;
    }
}

/// One table and its packets.
struct Table {
    pid: u16,
    psi: Box<Psi>,
    /// The packets since a section began.
    collecting: Vec<u8>,
    /// The section in force, and the packets that it came in.
    section: Vec<u8>,
    whole: Vec<u8>,
}

impl Table {
    fn new(pid: u16) -> Self {
        Self { pid, psi: Box::default(), collecting: Vec::new(), section: Vec::new(), whole: Vec::new() }
    }

    /// Takes a packet of the table; gives the sections that it completes, without the one in force.
    fn collect(&mut self, packet: &TsPacketRef<'_>) -> Vec<Vec<u8>> {
        if packet.payload().is_none_or(|payload| payload.len() < 2) {
            return Vec::new(); // the library needs a pointer and a byte
        }
        self.psi.assemble(packet);
        if packet.is_payload_start() {
            self.collecting.clear();
        }
        if self.collecting.len() < TABLE_BYTES {
            self.collecting.extend_from_slice(packet.as_ref());
        }
        let sections = self.psi.sections().iter();
        sections.filter(|section| *section != self.section).map(<[u8]>::to_vec).collect()
    }

    fn accept(&mut self, section: &[u8]) {
        section.clone_into(&mut self.section);
        self.whole.clone_from(&self.collecting);
    }
}

/// A PAT with one program.
fn alone(program_number: u16, pid: u16) -> [u8; PACKET_SIZE] {
    let programs = vec![PatProgram { program_number, pid }];
    let mut packetizer = PsiPacketizer::new(PAT_PID);
    packetizer.set_sections(PatBuilder::build(PatConfig { transport_stream_id: 1, version: 0, programs }));
    let mut packet = [0; PACKET_SIZE];
    packetizer.next(&mut packet);
    packet
}

fn main_stream(pmt: &PmtSectionRef<'_>) -> Option<Main> {
    let streams = || pmt.streams().map_while(Result::ok);
    let is = |wanted: Kind| move |stream: &PmtStreamRef<'_>| kind(stream) == Some(wanted);
    let stream = streams().find(is(Kind::Video)).or_else(|| streams().find(is(Kind::Audio)))?;
    let is_video = kind(&stream) == Some(Kind::Video);
    Some(Main { pid: stream.elementary_pid(), stream_type: stream.stream_type(), is_video })
}

/// What a stream can be cut by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

/// Video or audio; private streams tell by their registration.
pub(super) fn kind(stream: &PmtStreamRef<'_>) -> Option<Kind> {
    if stream.kind().is_video() {
        return Some(Kind::Video);
    }
    let registered = registration(stream);
    let is_audio = stream.kind().is_audio() || matches!(registered, Some([b'O', b'p', b'u', b's']));
    match registered {
        _ if is_audio => Some(Kind::Audio),
        Some([b'A', b'V', b'0', b'1'] | [b'H', b'E', b'V', b'C']) => Some(Kind::Video),
        _ => None,
    }
}

/// The format_identifier of a stream.
pub(super) fn registration(stream: &PmtStreamRef<'_>) -> Option<[u8; 4]> {
    let descriptors = stream.stream_descriptors()?;
    let found = descriptors.into_iter().map_while(Result::ok).find(|found| found.tag() == REGISTRATION)?;
    found.data().first_chunk().copied()
}
