//! The origin as a source asks it: playlists, and whole objects.

use std::sync::Arc;

use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::media::playlist::{self, Playlist, Variables};
use sluice_core::stage::{Answer, ByteRange, Class, Deadlines, Exchange, Freshness, Provenance, Upstream};
use tower::ServiceExt;
use url::Url;

use super::Hls;

/// Asks through the stage's layers.
#[derive(Clone)]
pub(super) struct Origin {
    upstream: Upstream,
    headers: Arc<HeaderMap>,
    operator_url: Url,
    audience: u64,
}

/// A playlist with what the next poll needs.
pub(super) struct Polled {
    pub(super) playlist: Playlist,
    /// For the next conditional request.
    pub(super) validators: HeaderMap,
    /// The fault because of which a cache served an old copy.
    pub(super) stale: Option<Fault>,
}

impl Origin {
    pub(super) fn new(upstream: Upstream, hls: &Hls) -> Self {
        Self {
            upstream,
            headers: hls.asking.header_map(),
            operator_url: hls.url.0.clone(),
            audience: hls.asking.audience(&hls.url.0),
        }
    }

    /// Asks for a playlist; `None` when it has not changed since `validators`.
    pub(super) async fn playlist(
        &self,
        url: &Url,
        validators: HeaderMap,
        variables: &Variables,
    ) -> Result<Option<Polled>, Fault> {
        let answer = self.ask(url, Class::Playlist, None, validators).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let playlist = playlist::parse(&answer.body, &answer.url, variables)?;
        let mut validators = HeaderMap::new();
        for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(value) = answer.headers.get(from) {
                validators.insert(to, value.clone());
            }
        }
        let stale = if let Freshness::Stale(fault) = answer.freshness { Some(fault) } else { None };
        Ok(Some(Polled { playlist, validators, stale }))
    }

    /// Asks for a whole object.
    pub(super) async fn object(
        &self,
        url: &Url,
        class: Class,
        range: Option<ByteRange>,
    ) -> Result<Answer, Fault> {
        self.ask(url, class, range, HeaderMap::new()).await
    }

    async fn ask(
        &self,
        url: &Url,
        class: Class,
        range: Option<ByteRange>,
        validators: HeaderMap,
    ) -> Result<Answer, Fault> {
        if self.operator_url.scheme() == "https" && url.scheme() != "https" {
            return Err(Fault::new(FaultKind::Forbidden("plain http behind an https playlist".into())));
        }
        let own = url.host() == self.operator_url.host();
        let exchange = Exchange {
            url: url.clone(),
            provenance: if own { Provenance::Operator } else { Provenance::Learned },
            class,
            range,
            headers: self.headers.clone(),
            validators,
            deadlines: Deadlines::default(),
            audience: self.audience,
        };
        self.upstream.clone().oneshot(exchange).await
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::conf::decode;

    use super::super::HLS;
    use super::*;

    fn audience_of(url: &str, rest: &str) -> u64 {
        let (spec, problems) = decode(&format!("source \"hls\" \"{url}\" {{\n{rest}\n}}"), |node| {
            node.argument::<String>("kind");
            (HLS.decode)(node)
        });
        assert!(problems.is_empty(), "{problems:?}");
        let spec = spec.flatten().unwrap();
        let hls: &Hls = spec.as_any().downcast_ref().unwrap();
        hls.asking.audience(&hls.url.0)
    }

    #[test]
    fn sources_share_where_the_operator_wrote_the_same_about_one_origin() {
        let known = audience_of("https://a.example/one/index.m3u8", "");
        assert_eq!(
            audience_of("https://a.example:443/two.m3u8?x=1", "parallel 5\nvariant \"lowest\""),
            known
        );
        for (url, rest) in [
            ("http://a.example/one/index.m3u8", ""),
            ("https://b.example/one/index.m3u8", ""),
            ("https://a.example:8443/one/index.m3u8", ""),
            ("https://user:word@a.example/one/index.m3u8", ""),
            ("https://a.example/one/index.m3u8", "header \"Authorization\" \"Bearer x\""),
            ("https://a.example/one/index.m3u8", "allow-hosts \"cdn.lan\""),
        ] {
            assert_ne!(audience_of(url, rest), known, "{url} {rest}");
        }
    }
}
