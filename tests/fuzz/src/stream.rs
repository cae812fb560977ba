//! A plain reader of transport streams, apart from the code that writes them.

use std::collections::BTreeMap;

/// The bytes of a packet.
pub(crate) const PACKET: usize = 188;
const WRAP_90KHZ: i64 = 1 << 33;

/// A packet of 188 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Packet<'a>(pub(crate) &'a [u8]);

/// The packets of bytes that hold whole ones.
pub(crate) fn packets(bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    assert!(bytes.len().is_multiple_of(PACKET), "{} bytes are no whole packets", bytes.len());
    bytes.chunks_exact(PACKET).map(|packet| {
        assert_eq!(packet[0], 0x47, "a packet without its sync byte");
        Packet(packet)
    })
}

impl<'a> Packet<'a> {
    pub(crate) fn pid(self) -> u16 {
        u16::from_be_bytes([self.0[1] & 0x1f, self.0[2]])
    }

    pub(crate) fn starts_payload(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    fn adaptation(self) -> Option<&'a [u8]> {
        if self.0[3] & 0x20 == 0 {
            return None;
        }
        self.0.get(5..5 + usize::from(self.0[4]))
    }

    /// None where the packet has none, or its adaptation field is longer than the packet.
    pub(crate) fn payload(self) -> Option<&'a [u8]> {
        match self.0[3] & 0x30 {
            0x10 => self.0.get(4..),
            0x30 => self.0.get(5 + usize::from(self.0[4])..),
            _ => None,
        }
    }

    /// The program clock reference, in ticks of 90 kHz.
    pub(crate) fn clock_90khz(self) -> Option<i64> {
        let field = self.adaptation()?;
        if field.first()? & 0x10 == 0 {
            return None;
        }
        let base = field.get(1..7)?;
        Some(base[..5].iter().fold(0, |value, byte| value << 8 | i64::from(*byte)) >> 7)
    }

    /// The decoding time of the PES packet that begins here, or its presentation time.
    pub(crate) fn time_90khz(self) -> Option<i64> {
        let payload = self.payload().filter(|_| self.starts_payload() && self.0[3] & 0xc0 == 0)?;
        let (start, flags) = (payload.get(..3)?, *payload.get(7)?);
        let stream = *payload.get(3)?;
        let has_header = !matches!(stream, 0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff);
        let length = usize::from(*payload.get(8)?);
        if start != [0, 0, 1] || !has_header || payload.len() < 9 + length {
            return None;
        }
        let at = match flags >> 6 {
            2 if length >= 5 => 9,
            3 if length >= 10 => 14,
            _ => return None,
        };
        let time = payload.get(at..at + 5)?.iter().map(|byte| i64::from(*byte)).collect::<Vec<_>>();
        Some((time[0] >> 1 & 7) << 30 | time[1] << 22 | (time[2] >> 1) << 15 | time[3] << 7 | time[4] >> 1)
    }
}

/// How far it is from one time to another, the shorter way around.
pub(crate) fn distance_90khz(from: i64, to: i64) -> i64 {
    (to - from + WRAP_90KHZ / 2).rem_euclid(WRAP_90KHZ) - WRAP_90KHZ / 2
}

/// Holds that continuity counters follow each other (ISO/IEC 13818-1, 2.4.3.3), by PID.
#[derive(Default)]
pub(crate) struct Counters(BTreeMap<u16, u8>);

impl Counters {
    pub(crate) fn take(&mut self, packet: Packet<'_>) {
        let counter = packet.0[3] & 0x0f;
        let step = u8::from(packet.0[3] & 0x10 != 0);
        if let Some(last) = self.0.insert(packet.pid(), counter) {
            let due = (last + step) & 0x0f;
            assert_eq!(counter, due, "the counter of {:#x} behind {last}", packet.pid());
        }
    }
}
