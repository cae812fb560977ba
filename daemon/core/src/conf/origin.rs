//! Servers that may be asked: scheme, host and port.

use std::fmt;

use kdl::KdlValue;
use url::{Host, Url};

use super::{HttpUrl, Scalar, Show};

/// Scheme, host and port of a server, written `"https://hooks.example"` or `"http://10.0.0.7:8080"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpOrigin(Url);

impl HttpOrigin {
    /// Whether a URL leads to this server: scheme, host and port are the same, the usual port filled in.
    pub fn covers(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// The host, which the operator wrote and which may therefore resolve to any address.
    pub fn host(&self) -> Option<Host<&str>> {
        self.0.host()
    }

    /// The server as a URL without a path.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for HttpOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl Show for HttpOrigin {
    fn value(&self) -> KdlValue {
        self.to_string().into()
    }
}

impl Scalar for HttpOrigin {
    const EXPECTED: &'static str = "a server, as \"https://hooks.example\"";

    fn read(value: &KdlValue) -> Result<Self, Option<String>> {
        let HttpUrl(url) = HttpUrl::read(value)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !is_bare || !url.username().is_empty() || url.password().is_some() {
            let origin = url.origin().ascii_serialization();
            return Err(Some(format!("scheme, host and port are enough: \"{origin}\"")));
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HttpOrigin, Option<String>> {
        HttpOrigin::read(&text.into())
    }

    #[test]
    fn a_server_covers_its_urls_and_no_others() {
        let server = read("https://hooks.example").unwrap();
        let covers = |url: &str| server.covers(&Url::parse(url).unwrap());
        assert!(covers("https://hooks.example:443/a/b?c") && covers("https://HOOKS.example/"));
        for other in ["http://hooks.example/", "https://hooks.example:8443/", "https://a.hooks.example/"] {
            assert!(!covers(other), "{other}");
        }
        assert_eq!(read("http://10.0.0.7:8080/").unwrap().to_string(), "http://10.0.0.7:8080");
    }

    #[test]
    fn more_than_a_server_is_refused_with_what_is_enough() {
        for text in
            ["https://a.example/hook", "https://me@a.example", "https://a.example/?q", "https://a.example#f"]
        {
            let help = "scheme, host and port are enough: \"https://a.example\"";
            assert_eq!(read(text), Err(Some(help.into())), "{text}");
        }
        assert_eq!(read("ftp://a.example"), Err(Some("`ftp` is another scheme".into())));
    }
}
