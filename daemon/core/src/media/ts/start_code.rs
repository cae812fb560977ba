//! Where the units of a video stream begin: behind the start codes (H.264 and H.265, annex B).

/// A unit behind a start code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NalUnit<'a> {
    /// From its header on, without the zeros before the next start code.
    pub(super) bytes: &'a [u8],
    /// Whether another one follows, so that nothing of it is missing.
    pub(super) is_whole: bool,
}

/// The units in a piece of a stream, in order.
pub(super) struct NalUnits<'a> {
    /// Behind a start code; none at the end.
    rest: Option<&'a [u8]>,
}

impl<'a> NalUnits<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: split(bytes).1 }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = NalUnit<'a>;

    fn next(&mut self) -> Option<NalUnit<'a>> {
        let (bytes, after) = split(self.rest?);
        self.rest = after;
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let end = if after.is_some() { bytes.len() - zeros } else { bytes.len() };
        Some(NalUnit { bytes: &bytes[..end], is_whole: after.is_some() })
    }
}

/// What stands before the first start code, and behind it.
fn split(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut from = 0;
    while let Some(one) = bytes[from..].iter().position(|byte| *byte == 1).map(|at| from + at) {
        if one >= 2 && bytes[one - 2..one] == [0, 0] {
            return (&bytes[..one - 2], Some(&bytes[one + 1..]));
        }
        from = one + 1;
    }
    (bytes, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_between_start_codes_of_three_and_four_bytes() {
        let units =
            |bytes| NalUnits::of(bytes).map(|nal| (nal.bytes.to_vec(), nal.is_whole)).collect::<Vec<_>>();
        let bytes = [9, 0, 0, 0, 1, 0x67, 1, 0, 1, 0, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 0];
        let expected = [(vec![0x67, 1, 0, 1], true), (vec![0x68], true), (vec![0x65, 0], false)];
        assert_eq!(units(&bytes), expected);
        assert_eq!(units(&[0, 0, 1]), [(vec![], false)]);
        assert_eq!(units(&[0, 1, 1, 0, 0]), []);
    }
}
