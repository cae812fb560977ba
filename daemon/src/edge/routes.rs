//! The route table: immutable, and swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use sluice_core::stage::Serving;

use super::EdgeMetrics;
use super::metrics::RouteMetrics;
use super::path::Target;

/// A sink on its path.
pub(crate) struct Mount {
    /// The pipeline's name.
    pub(crate) pipeline: Arc<str>,
    /// The sink's name within it.
    pub(crate) sink: Arc<str>,
    /// What answers.
    pub(crate) service: Serving,
    /// What the route counts.
    pub(super) metrics: Arc<RouteMetrics>,
}

/// The table. Paths begin with a slash, end without one, and are written decoded.
#[derive(Default)]
pub(crate) struct Routes {
    /// The paths are the operator's: nobody can choose them so that they collide.
    mounts: HashMap<Box<str>, Arc<Mount>, FixedState>,
    longest: usize,
}

impl Routes {
    /// Mounts a sink on `path` and everything below it. The deepest mount wins. One that stands on the same path
    /// already is replaced: a plan has no two.
    pub(crate) fn mount(
        &mut self,
        path: &str,
        (pipeline, sink, service): (Arc<str>, Arc<str>, Serving),
        metrics: &EdgeMetrics,
    ) {
        let path = path.trim_end_matches('/');
        self.longest = self.longest.max(path.len());
        let mount = Mount { pipeline, sink, service, metrics: metrics.route(path) };
        self.mounts.insert(path.into(), Arc::new(mount));
    }

    /// The mount that answers a path, with the length of its own.
    pub(super) fn find(&self, target: &Target<'_>) -> Option<(&Arc<Mount>, usize)> {
        let path = target.path();
        let mut end = path.len();
        loop {
            // most paths are longer than any mount: those need no look into the map
            if end <= self.longest
                && let Some(mount) = self.mounts.get(path.get(..end)?)
            {
                return Some((mount, end));
            }
            end = path.get(..end)?.rfind('/')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn the_deepest_mount_answers_and_a_name_that_only_begins_alike_does_not() {
        let metrics = testing::metrics();
        let mut routes = Routes::default();
        let service = || testing::text("");
        routes.mount("/live/news", ("news".into(), "hls".into(), service()), &metrics);
        routes.mount("/live/news/deep", ("deep".into(), "hls".into(), service()), &metrics);
        routes.mount("/live/news.ts", ("ts".into(), "mpegts".into(), service()), &metrics);
        for (path, pipeline) in [
            ("/live/news", Some("news")),
            ("/live/news/", Some("news")),
            ("/live/news/a/b", Some("news")),
            ("/live/newspaper", None),
            ("/live", None),
            ("/", None),
            ("/live/news/deep/x", Some("deep")),
            ("/live/news/deeper", Some("news")),
            ("/live/news.ts", Some("ts")),
            ("/live/news.tsx", None),
            ("/live//news", None),
        ] {
            let target = Target::new(path).unwrap();
            let found = routes.find(&target).map(|(mount, _)| &*mount.pipeline);
            assert_eq!(found, pipeline, "{path}");
        }
    }

    #[test]
    fn a_mount_at_the_root_answers_everything_else() {
        let metrics = testing::metrics();
        let mut routes = Routes::default();
        routes.mount("/", ("all".into(), "hls".into(), testing::text("")), &metrics);
        let target = Target::new("/x/y").unwrap();
        let (mount, length) = routes.find(&target).unwrap();
        assert_eq!((&*mount.pipeline, target.behind(length)), ("all", ("x/y", false)));
    }
}
