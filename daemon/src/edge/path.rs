//! The path of a request: what the route table is asked for, and traps in it.

use std::borrow::Cow;

/// A request's path, fit to be looked up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// As it came.
    raw: &'a str,
    /// Percent-decoded.
    decoded: Cow<'a, str>,
}

impl<'a> Target<'a> {
    /// None for a path that means to be read as another one: dot segments, encoded slashes, backslashes, control
    /// characters, or encodings that are none. No object has such a name.
    pub(super) fn new(raw: &'a str) -> Option<Self> {
        if is_plain(raw) {
            return Some(Self { raw, decoded: Cow::Borrowed(raw) });
        }
        let decoded = decode(raw)?;
        let honest = decoded.starts_with('/')
            && !decoded.contains(|character: char| character == '\\' || character.is_control())
            && !decoded.split('/').any(|segment| segment == "." || segment == "..")
            && slashes(&decoded) == slashes(raw);
        honest.then_some(Self { raw, decoded: Cow::Owned(decoded) })
    }

    /// The path as the table knows it.
    pub(super) fn path(&self) -> &str {
        &self.decoded
    }

    /// What stands behind the first `length` bytes of [`Target::path`], which end before a slash or at the end:
    /// the rest as it came, without its leading slash, and whether there was none.
    pub(super) fn behind(&self, length: usize) -> (&'a str, bool) {
        let mount = self.decoded.get(..length).unwrap_or_default();
        let at = match self.decoded {
            Cow::Borrowed(_) => length,
            // both have the same slashes
            Cow::Owned(_) => nth_slash(self.raw, slashes(mount)).unwrap_or(self.raw.len()),
        };
        let rest = self.raw.get(at..).unwrap_or_default();
        match rest.strip_prefix('/') {
            Some(rest) => (rest, false),
            None => (rest, true),
        }
    }
}

/// Whether a path holds nothing that needs a closer look. Nearly all do not, and this is the way of every request.
fn is_plain(path: &str) -> bool {
    let mut before = 0;
    let suspicious = |byte| {
        let dot_segment = byte == b'.' && before == b'/';
        before = byte;
        byte == b'%' || byte == b'\\' || dot_segment
    };
    path.starts_with('/') && !path.bytes().any(suspicious)
}

fn slashes(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}

fn nth_slash(path: &str, number: usize) -> Option<usize> {
    path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at).nth(number)
}

fn decode(raw: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_means_to_be_read_as_another_one_is_refused() {
        for raw in [
            "/live/../etc",
            "/..",
            "/live/.",
            "/live/%2e%2e/x",
            "/live/.%2E",
            "/live%2fnews",
            "/live/%5c..",
            "/live\\news",
            "/live/%00",
            "/live/%0a",
            "/live/%zz",
            "/live/%2",
            "/live/%ff",
            "*",
            "",
            "%2flive",
        ] {
            assert_eq!(Target::new(raw), None, "{raw}");
        }
        for raw in ["/", "/live/news", "/live/.hidden", "/live/%25", "/live/a..b", "//live", "/%D1%82"] {
            assert!(Target::new(raw).is_some(), "{raw}");
        }
    }

    #[test]
    fn the_rest_is_given_as_it_came_and_the_mount_is_found_decoded() {
        let target = Target::new("/l%69ve/news/a%20b.ts").unwrap();
        assert_eq!(target.path(), "/live/news/a b.ts");
        assert_eq!(target.behind("/live/news".len()), ("a%20b.ts", false));
        assert_eq!(Target::new("/live/news").unwrap().behind(10), ("", true));
        assert_eq!(Target::new("/live/news/").unwrap().behind(10), ("", false));
        assert_eq!(Target::new("/live/n%65ws").unwrap().behind(10), ("", true));
    }
}
