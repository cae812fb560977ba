//! What a decoder would stumble over in a transport stream, found apart from the code that makes it.

use std::collections::BTreeMap;

/// The size of a packet, ISO/IEC 13818-1.
const PACKET: usize = 188;
const NULL_PID: u16 = 0x1fff;
/// Time stamps have 33 bits.
const WRAP: u64 = 1 << 33;

/// What is known of one PID.
#[derive(Default)]
struct Known {
    counter: Option<u8>,
    dts: Option<u64>,
}

/// What is wrong in a transport stream of whole packets: lost sync, counters that do not go on (ISO/IEC 13818-1,
/// 2.4.3.3), decoding times that go back without a discontinuity; the place of each in packets.
pub fn broken_in(bytes: &[u8]) -> Vec<String> {
    let mut pids: BTreeMap<u16, Known> = BTreeMap::new();
    let mut broken = Vec::new();
    for (at, packet) in bytes.chunks(PACKET).enumerate() {
        if packet.len() != PACKET || packet[0] != 0x47 {
            broken.push(format!("packet {at} is none"));
            continue;
        }
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        if pid != NULL_PID {
            let known = pids.entry(pid).or_default();
            let found = known.look(packet);
            broken.extend(found.into_iter().map(|what| format!("packet {at} of PID {pid}: {what}")));
        }
    }
    broken
}

/// How often the decoding times of a transport stream of whole packets wrap (33 bits, ISO/IEC 13818-1, 2.4.3.7).
pub fn wraps_in(bytes: &[u8]) -> usize {
    const NEAR: u64 = 60 * 90_000;
    let time = |packet: &[u8]| {
        let adaptation = if packet[3] & 0x20 != 0 { usize::from(packet[4]) + 1 } else { 0 };
        let payload = packet.get(4 + adaptation..).filter(|_| packet[1] & 0x40 != 0)?;
        Some((packet[1] & 0x1f, packet[2], decoding_time(payload)?))
    };
    let mut pids = BTreeMap::new();
    let times = bytes.as_chunks::<PACKET>().0.iter().filter_map(|packet| time(packet));
    times
        .filter(|(high, low, dts)| {
            let before = pids.insert((*high, *low), *dts);
            before.is_some_and(|before| before > WRAP - NEAR && *dts < NEAR)
        })
        .count()
}

impl Known {
    fn look(&mut self, packet: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let (has_adaptation, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let adaptation = if has_adaptation { usize::from(packet[4]) + 1 } else { 0 };
        if packet[1] & 0x80 != 0 {
            found.push("it is flagged as broken".to_owned());
        }
        if has_adaptation && packet[4] > 0 && packet[5] & 0x80 != 0 {
            *self = Self::default();
        }
        let counter = packet[3] & 0x0f;
        if let Some(before) = self.counter.filter(|_| has_payload)
            && counter != (before + 1) & 0x0f
        {
            found.push(format!("counter {counter} follows {before}"));
        }
        if has_payload {
            self.counter = Some(counter);
        }
        let starts = packet[1] & 0x40 != 0;
        let payload = packet.get(4 + adaptation..).filter(|_| has_payload && starts);
        if let Some(dts) = payload.and_then(decoding_time) {
            if let Some(before) = self.dts
                && dts.wrapping_sub(before) % WRAP > WRAP / 2
            {
                found.push(format!("decoding time {dts} follows {before}"));
            }
            self.dts = Some(dts);
        }
        found
    }
}

/// The decoding time of a PES packet that starts here; its presentation time, where that is the same.
fn decoding_time(payload: &[u8]) -> Option<u64> {
    let header = payload.strip_prefix(&[0, 0, 1])?;
    let at = match header.get(4)? >> 6 {
        2 => 6,
        3 => 11,
        _ => return None,
    };
    let time = header.get(at..at + 5)?;
    let bits = |byte: usize, mask: u8| u64::from(time[byte] & mask);
    Some(
        bits(0, 0x0e) << 29
            | bits(1, 0xff) << 22
            | bits(2, 0xfe) << 14
            | bits(3, 0xff) << 7
            | bits(4, 0xfe) >> 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(counter: u8, dts: u64) -> Vec<u8> {
        let mut packet = vec![0x47, 0x41, 0x00, 0x10 | counter, 0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5];
        let bits = |shift: u64| u8::try_from(dts >> shift & 0x7f).unwrap() << 1 | 1;
        packet.extend([
            0x21 | bits(30) & 0x0e,
            (dts >> 22 & 0xff) as u8,
            bits(15),
            (dts >> 7 & 0xff) as u8,
            bits(0),
        ]);
        packet.resize(PACKET, 0xff);
        packet
    }

    #[test]
    fn a_lost_packet_and_a_step_back_are_found_and_a_wrap_is_neither() {
        let good = [packet(15, WRAP - 10), packet(0, 5), packet(1, 3000)].concat();
        assert_eq!((broken_in(&good), wraps_in(&good)), (vec![], 1));
        assert_eq!(decoding_time(&packet(0, 0x1_2345_6789)[4..]), Some(0x1_2345_6789));
        let lost = [packet(1, 1), packet(3, 2)].concat();
        assert_eq!(broken_in(&lost), ["packet 1 of PID 256: counter 3 follows 1"]);
        let back = [packet(1, 3000), packet(2, 2000)].concat();
        assert_eq!(wraps_in(&back), 0);
        assert_eq!(broken_in(&back), ["packet 1 of PID 256: decoding time 2000 follows 3000"]);
    }
}
