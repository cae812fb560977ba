//! Continuity counters (ISO/IEC 13818-1, 2.4.3.3): those that do not follow show packets that are missing.
//! Not `libmpegts::ts::cc`: that takes a packet that is repeated, as it may be once, for an error.

use libmpegts::slicer::TsSlicer;
use libmpegts::ts::TsPacketRef;

const PIDS: usize = 1 << 13;
const NULL_PID: u16 = 0x1fff;
/// Counters have 4 bits.
const COUNTER: u8 = 0x0f;
const UNSEEN: u8 = 0xff;
/// In a counter that was repeated once: the next packet has to go on.
const REPEATED: u8 = 0x10;

/// Follows the counter of each PID.
pub(super) struct Continuity {
    last: Box<[u8]>,
    errors: u32,
}

impl Default for Continuity {
    fn default() -> Self {
        Self { last: vec![UNSEEN; PIDS].into(), errors: 0 }
    }
}

impl Continuity {
    /// Takes the next packet. A counter goes on by one with each packet that has a payload, stands still with one that
    /// has none, and may be repeated once. One behind a discontinuity_indicator may be any.
    pub(super) fn packet(&mut self, packet: &TsPacketRef<'_>) {
        let pid = packet.pid();
        let Some(last) = self.last.get_mut(usize::from(pid)).filter(|_| pid != NULL_PID) else { return };
        let (before, counter) = (*last, packet.cc());
        let may_be_any = before == UNSEEN
            || packet.adaptation_field().is_some_and(|field| field.discontinuity_indicator());
        let stands = before & COUNTER == counter;
        let has_payload = packet.payload().is_some();
        let is_repeated = has_payload && stands && before & REPEATED == 0 && !may_be_any;
        let follows =
            if has_payload { ((before & COUNTER) + 1) & COUNTER == counter || is_repeated } else { stands };
        self.errors += u32::from(!may_be_any && !follows);
        *last = counter | if is_repeated { REPEATED } else { 0 };
    }

    /// The next packet of each PID may have any counter: what is missing is known.
    pub(super) fn forget(&mut self) {
        self.last.fill(UNSEEN);
    }

    /// The errors since this was last asked.
    pub(super) fn take_errors(&mut self) -> u32 {
        std::mem::take(&mut self.errors)
    }
}

/// How many continuity counters do not follow within `bytes`, a segment of a transport stream. Packets are found again
/// behind garbage.
pub fn continuity_errors(bytes: &[u8]) -> u32 {
    let (mut slicer, mut continuity) = (TsSlicer::new(), Continuity::default());
    for packet in slicer.slice(bytes).filter(|packet| !packet.is_error()) {
        continuity.packet(&packet);
    }
    continuity.take_errors()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: u8 = 0x10;
    const FIELD: u8 = 0x20;

    /// A packet of PID 0x100: its counter, what it has (adaptation_field_control), the flags of its adaptation field.
    fn packet(counter: u8, has: u8, flags: u8) -> [u8; 188] {
        let mut packet = [0xff; 188];
        packet[..4].copy_from_slice(&[0x47, 0x01, 0x00, has | counter]);
        if has & FIELD != 0 {
            packet[4] = if has & PAYLOAD == 0 { 183 } else { 1 };
            packet[5] = flags;
        }
        packet
    }

    fn errors_of(packets: &[(u8, u8, u8)]) -> u32 {
        let bytes: Vec<u8> =
            packets.iter().flat_map(|(counter, has, flags)| packet(*counter, *has, *flags)).collect();
        continuity_errors(&bytes)
    }

    #[test]
    fn counters_follow_stand_repeat_once_and_are_excused_as_the_standard_has_it() {
        let both = PAYLOAD | FIELD;
        for (packets, errors, what) in [
            (&[(14, PAYLOAD, 0), (15, PAYLOAD, 0), (0, PAYLOAD, 0)][..], 0, "they go round"),
            (&[(1, PAYLOAD, 0), (3, PAYLOAD, 0), (4, PAYLOAD, 0)], 1, "one is missing"),
            (&[(1, PAYLOAD, 0), (1, PAYLOAD, 0), (2, PAYLOAD, 0)], 0, "one is repeated"),
            (&[(1, PAYLOAD, 0), (1, PAYLOAD, 0), (1, PAYLOAD, 0)], 1, "one is repeated twice"),
            (&[(1, PAYLOAD, 0), (1, FIELD, 0), (2, PAYLOAD, 0)], 0, "it stands without a payload"),
            (&[(1, PAYLOAD, 0), (2, FIELD, 0)], 1, "it goes on without a payload"),
            (&[(1, PAYLOAD, 0), (9, both, 0x80), (10, PAYLOAD, 0)], 0, "it is said to be discontinuous"),
            (&[(1, PAYLOAD, 0), (9, both, 0x00), (10, PAYLOAD, 0)], 1, "it is not said to be"),
        ] {
            assert_eq!(errors_of(packets), errors, "{what}");
        }
    }

    #[test]
    fn stuffing_has_no_counter() {
        let mut stuffing = packet(3, PAYLOAD, 0);
        stuffing[1..3].copy_from_slice(&[0x1f, 0xff]);
        assert_eq!(continuity_errors(&[stuffing, stuffing, stuffing].concat()), 0);
    }
}
