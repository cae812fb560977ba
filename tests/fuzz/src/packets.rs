//! Packets of any kind through the segmenter and the rebasing: what comes out is what came in, in order, however the
//! bytes were cut on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_core::media::ts::{Event, Lengths, Rebase, Segmenter};

use crate::stream::{PACKET, packets};

/// The size of pushes, when bytes go missing, the program, the length of segments; then the stream.
pub(crate) fn run(input: &[u8]) {
    let Some((&[chunk, cut, program, target], bytes)) = input.split_first_chunk::<4>() else { return };
    let settings = Settings {
        chunk: usize::from(chunk) * 4 + 1,
        cut: usize::from(cut) + 2,
        program: (program > 0x7f).then_some(u16::from(program & 0x0f)),
        target: Duration::from_millis(u64::from(target) * 10 + 20),
    };
    let mut order = Order::default();
    settings.measured(bytes, &mut order);
    assert!(!order.is_open, "a segment is left open");
    order.assert_within(bytes);
    let aligned = aligned(bytes);
    let whole = settings.told(&aligned, bytes.len().max(1));
    let pieces = settings.told(&aligned, settings.chunk);
    let differs = whole.iter().zip(&pieces).position(|(one, other)| one != other);
    let same = differs.is_none() && whole.len() == pieces.len();
    assert!(same, "what comes out depends on how it came, from event {differs:?} on");
    settings.rebased(&aligned);
}

/// The same as whole packets: where there is garbage, what counts as a packet hangs on what is known of the next.
fn aligned(bytes: &[u8]) -> Vec<u8> {
    let mut aligned = bytes[..bytes.len() - bytes.len() % PACKET].to_vec();
    aligned.iter_mut().step_by(PACKET).for_each(|sync| *sync = 0x47);
    aligned
}

struct Settings {
    chunk: usize,
    cut: usize,
    program: Option<u16>,
    target: Duration,
}

impl Settings {
    /// As a source runs it: measured first, with interruptions.
    fn measured(&self, bytes: &[u8], order: &mut Order) {
        let mut segmenter = Segmenter::new(self.target, self.program);
        for (at, chunk) in bytes.chunks(self.chunk).enumerate() {
            if at > 0 && at % self.cut == 0 {
                segmenter.interrupt(&mut order.events);
            }
            if segmenter.push(chunk, &mut order.events).is_err() {
                break;
            }
            if !segmenter.is_started()
                && let Some(profile) = segmenter.measured()
            {
                for (name, value) in profile.facts.attributes() {
                    assert!(!value.contains(['\n', '\r']), "{name}={value}");
                }
                let lengths = Lengths { longest: self.target * 2, part: profile.part_target };
                segmenter.start(lengths, &mut order.events);
            }
            order.check();
        }
        segmenter.finish(&mut order.events);
        order.check();
    }

    /// With lengths that are known from the start and without interruptions.
    fn told(&self, bytes: &[u8], chunk: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut segmenter = Segmenter::new(self.target, self.program);
        let part = Duration::from_millis(200);
        segmenter.start(Lengths { longest: self.target * 2, part }, &mut events);
        for chunk in bytes.chunks(chunk) {
            if segmenter.push(chunk, &mut events).is_err() {
                break;
            }
        }
        segmenter.finish(&mut events);
        for event in &mut events {
            if let Event::Open { behind, .. } = event {
                *behind = Duration::ZERO; // what has come meanwhile, on purpose
            }
        }
        events
    }

    /// Rebasing changes times and counters, and neither PIDs nor payloads.
    fn rebased(&self, bytes: &[u8]) {
        let (mut rebase, mut once) = (Rebase::default(), Vec::new());
        rebase.push(bytes, &mut once);
        let length = once.len();
        rebase.restart();
        rebase.push(bytes, &mut once);
        assert_eq!(once.len(), 2 * length, "each round has as many packets");
        let (first, second) = once.split_at(length);
        for (before, after) in packets(first).zip(packets(second)) {
            assert_eq!(before.pid(), after.pid());
            if !before.starts_payload() {
                assert_eq!(before.payload(), after.payload());
            }
        }
    }
}

#[derive(Default)]
struct Order {
    events: Vec<Event>,
    is_open: bool,
    came: Vec<u8>,
}

impl Order {
    fn check(&mut self) {
        for event in self.events.drain(..) {
            match event {
                Event::Open { .. } => assert!(!std::mem::replace(&mut self.is_open, true), "two at once"),
                Event::Close => assert!(std::mem::replace(&mut self.is_open, false), "none to close"),
                Event::Part(part) => {
                    assert!(self.is_open, "a part of nothing");
                    assert!(!part.bytes.is_empty(), "a part without bytes, of {:?}", part.duration);
                    self.came.extend_from_slice(&part.bytes);
                }
            }
        }
    }

    /// Every packet but repeated tables came in, and before those that came out behind it on its PID. Tables get other
    /// continuity counters.
    fn assert_within(&self, bytes: &[u8]) {
        let mut known: BTreeMap<[u8; PACKET], Vec<usize>> = BTreeMap::new();
        for at in 0..bytes.len().saturating_sub(PACKET - 1) {
            if bytes[at] == 0x47 {
                known.entry(uncounted(&bytes[at..at + PACKET])).or_default().push(at);
            }
        }
        let mut last: BTreeMap<u16, usize> = BTreeMap::new();
        for packet in packets(&self.came) {
            let places = known.get(&uncounted(packet.0)).map_or(&[][..], Vec::as_slice);
            let next = last.get(&packet.pid()).map_or(0, |last| last + 1);
            let found = places.iter().find(|place| **place >= next);
            let is_well = found.is_some() || packet.pid() == 0 || is_table(packet.payload());
            assert!(is_well, "a packet out of order, or that did not come in: {:02x?}", packet.0);
            found.into_iter().for_each(|at| _ = last.insert(packet.pid(), *at));
        }
    }
}

/// A packet without its continuity counter.
fn uncounted(packet: &[u8]) -> [u8; PACKET] {
    let mut uncounted = [0; PACKET];
    uncounted.copy_from_slice(packet);
    uncounted[3] &= 0xf0;
    uncounted
}

/// Whether it may be of a table, or says nothing: PES packets begin with a start code and a stream of 0xbc or more.
fn is_table(payload: Option<&[u8]>) -> bool {
    payload.is_none_or(|payload| !matches!(payload, [0, 0, 1, 0xbc..=0xff, ..]))
}
