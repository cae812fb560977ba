//! The bitrate by the clock of the program.

use libmpegts::pcr::pcr_delta;
use libmpegts::ts::{PACKET_SIZE, TsPacketRef};

/// The PCR counts at 27 MHz (ISO/IEC 13818-1, 2.4.2.2).
const SECOND_27MHZ: u128 = 27_000_000;
/// Two PCRs are at most 100 ms apart; a longer step is another clock.
const STEP_27MHZ: u64 = 27_000_000;

/// Bits per second: the bytes between clock references and the time between them, over a wrap of the clock, and
/// without the steps that are none.
pub(super) fn bitrate_bps(packets: &[u8], pcr_pid: u16) -> Option<u64> {
    let (packets, _) = packets.as_chunks::<PACKET_SIZE>();
    let (mut last, mut bytes, mut time) = (None::<(u64, usize)>, 0_u128, 0_u128);
    for (at, packet) in packets.iter().enumerate() {
        let packet = TsPacketRef::from(packet);
        if packet.pid() != pcr_pid || packet.is_error() {
            continue;
        }
        let Some(pcr) = packet.adaptation_field().and_then(|field| field.pcr()) else { continue };
        if let Some((before, from)) = last.replace((pcr, at)) {
            let step = pcr_delta(before, pcr);
            if (1..=STEP_27MHZ).contains(&step) {
                time += u128::from(step);
                bytes += ((at - from) * PACKET_SIZE) as u128;
            }
        }
    }
    u64::try_from((bytes * 8 * SECOND_27MHZ).checked_div(time)?).ok()
}
