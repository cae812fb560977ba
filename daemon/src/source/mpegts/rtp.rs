//! The RTP header that some senders put before the packets (RFC 3550, section 5.1; RFC 2250, section 2).

use std::ops::Range;

/// The payload type of an MPEG transport stream (RFC 3551, section 6).
const PAYLOAD_TYPE: u8 = 33;
const FIXED_BYTES: usize = 12;

/// Where the packets stand in a datagram: behind an RTP header where there is one, else all of it. A transport packet
/// begins with 0x47, which is version 1, so neither is taken for the other.
pub(super) fn payload(datagram: &[u8]) -> Range<usize> {
    behind_header(datagram).unwrap_or(0..datagram.len())
}

fn behind_header(datagram: &[u8]) -> Option<Range<usize>> {
    let &[flags, kind, ..] = datagram else { return None };
    if flags >> 6 != 2 || kind & 0x7f != PAYLOAD_TYPE {
        return None;
    }
    let mut start = FIXED_BYTES + 4 * usize::from(flags & 0x0f);
    if flags & 0x10 != 0 {
        let words = datagram.get(start + 2..start + 4)?;
        start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let padding = if flags & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
    let end = datagram.len().checked_sub(padding)?;
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &[u8], padding: &[u8]) {
        let datagram = [header, &[0x47; 188], padding].concat();
        assert_eq!(payload(&datagram), header.len()..header.len() + 188, "{header:?}");
    }

    #[test]
    fn a_header_is_taken_off_with_its_sources_extension_and_padding() {
        let fixed = |flags: u8| [&[flags, 0x80 | 33][..], &[0; 10]].concat();
        check(&[], &[]);
        check(&fixed(0x80), &[]);
        check(&[fixed(0x82), vec![0; 8]].concat(), &[]);
        check(&[fixed(0x90), vec![0, 0, 0, 2], vec![0; 8]].concat(), &[]);
        check(&fixed(0xa0), &[0, 0, 3]);
    }

    #[test]
    fn what_is_cut_short_or_of_another_type_is_left_as_it_is() {
        for datagram in
            [&[][..], &[0x80], &[0x80, 33, 0], &[0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[0x47; 188]]
        {
            assert_eq!(payload(datagram), 0..datagram.len());
        }
    }
}
