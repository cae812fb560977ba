//! Scalars: what a KDL value can be read as.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use kdl::KdlValue;
use url::Url;

/// A type that one KDL value can be read as.
pub trait Scalar: Sized {
    /// What a problem says was expected: `a duration, as "5s"`.
    const EXPECTED: &'static str;

    /// Reads it. The error is help for the operator where there is some beyond [`Self::EXPECTED`].
    ///
    /// # Errors
    /// When the value is no such thing.
    fn read(value: &KdlValue) -> Result<Self, Option<String>>;
}

/// Reads a scalar that is written as a string, through its `FromStr`; the error becomes the help.
pub(super) fn read_text<T: std::str::FromStr<Err = String>>(value: &KdlValue) -> Result<T, Option<String>> {
    let text = value.as_string().ok_or(None)?;
    text.parse().map_err(Some)
}

impl Scalar for String {
    const EXPECTED: &'static str = "a string";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        value.as_string().map(Self::from).ok_or_else(|| quote_help(value))
    }
}

impl Scalar for Arc<str> {
    const EXPECTED: &'static str = String::EXPECTED;

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        value.as_string().map(Self::from).ok_or_else(|| quote_help(value))
    }
}

fn quote_help(value: &KdlValue) -> Option<String> {
    let text = value.to_string();
    Some(format!("quote it: \"{}\"", text.trim_start_matches('#')))
}

impl Scalar for PathBuf {
    const EXPECTED: &'static str = "a path, as \"var/videos\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        match value.as_string() {
            Some("") => Err(Some("a path is not empty".into())),
            Some(text) => Ok(text.into()),
            None => Err(None),
        }
    }
}

impl Scalar for bool {
    const EXPECTED: &'static str = "#true or #false";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        value.as_bool().ok_or_else(|| match value.as_string() {
            Some(text @ ("true" | "false")) => Some(format!("write it as #{text}, without quotes")),
            _ => None,
        })
    }
}

macro_rules! whole_number {
    ($($kind:ty),*) => {$(
        impl Scalar for $kind {
            const EXPECTED: &'static str = "a whole number";

            fn read(value: &KdlValue) -> Result<Self, Option<String>> {
                let unquote = || {
                    let text = value.as_string()?;
                    text.parse::<$kind>().ok().map(|_| format!("write it without quotes: {text}"))
                };
                let number = value.as_integer().ok_or_else(unquote)?;
                number.try_into().map_err(|_| Some(format!("it goes from 0 to {}", <$kind>::MAX)))
            }
        }
    )*};
}
whole_number!(u16, u32, u64, usize);

impl Scalar for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let number = value.as_integer().ok_or(None)?;
        number.try_into().map_err(|_| Some(format!("it goes from {} to {}", Self::MIN, Self::MAX)))
    }
}

impl Scalar for f64 {
    const EXPECTED: &'static str = "a number";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let number = match value {
            KdlValue::Float(number) => *number,
            // every number that an operator writes is far below 2^53
            KdlValue::Integer(number) => *number as f64,
            _ => return Err(None),
        };
        if number.is_finite() { Ok(number) } else { Err(Some("it must be finite".into())) }
    }
}

impl Scalar for Url {
    const EXPECTED: &'static str = "an absolute URL, as \"https://origin.example/live\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let text = value.as_string().ok_or(None)?;
        Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => {
                Some("it has no scheme, as http:// or https://".into())
            }
            error => Some(error.to_string()),
        })
    }
}

/// An absolute URL of scheme `http` or `https`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(pub Url);

impl Scalar for HttpUrl {
    const EXPECTED: &'static str = "an http or https URL, as \"https://origin.example/live.m3u8\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let url = Url::read(value)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Some(format!("`{}` is another scheme", url.scheme())));
        }
        Ok(Self(url))
    }
}

impl Scalar for IpNet {
    const EXPECTED: &'static str = "an address or network, as \"10.0.0.0/8\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let text = value.as_string().ok_or(None)?;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        text.parse().map_err(|_| None)
    }
}

impl Scalar for SocketAddr {
    const EXPECTED: &'static str = "an address with a port, as \"127.0.0.1:8080\" or \"[::1]:8080\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let text = value.as_string().ok_or(None)?;
        text.parse().map_err(|_| {
            text.starts_with(':')
                .then(|| format!("for every interface write \"0.0.0.0{text}\" or \"[::]{text}\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help<T: Scalar>(value: impl Into<KdlValue>) -> String {
        match T::read(&value.into()) {
            Ok(_) => "read".into(),
            Err(help) => help.unwrap_or_default(),
        }
    }

    #[test]
    fn a_scalar_of_the_wrong_kind_says_how_to_write_it() {
        assert_eq!(help::<String>(5_i128), "quote it: \"5\"");
        assert_eq!(help::<bool>("true"), "write it as #true, without quotes");
        assert_eq!(help::<u32>("5"), "write it without quotes: 5");
        assert_eq!(help::<u16>(-1_i128), "it goes from 0 to 65535");
        assert_eq!(help::<HttpUrl>("ftp://x/"), "`ftp` is another scheme");
        assert_eq!(help::<HttpUrl>("x/y"), "it has no scheme, as http:// or https://");
        assert_eq!(help::<SocketAddr>(":80"), "for every interface write \"0.0.0.0:80\" or \"[::]:80\"");
        assert_eq!(help::<f64>(f64::NAN), "it must be finite");
    }

    #[test]
    fn a_bare_address_is_a_network_of_one() {
        assert_eq!(IpNet::read(&"10.1.2.3".into()).unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(IpNet::read(&"::1".into()).unwrap().to_string(), "::1/128");
    }
}
