//! Layers around the innermost service of a stage.

use std::sync::Arc;

use super::{Mount, Shared};
use crate::plan::StagePlan;
use crate::stage::{LayerContext, LayerSpec, Outlet, Serving, SinkForm, SinkSpec, States, Upstream};

/// Stands the layers around a source's client: the first is nearest the origin.
pub(crate) fn around_upstream(
    client: Upstream,
    layers: &[Arc<dyn LayerSpec>],
    context: &LayerContext,
) -> Upstream {
    placed(layers, context).fold(client, |inner, (layer, context)| layer.wrap_upstream(inner, &context))
}

/// Stands the layers around a sink's service: the first is nearest the window.
pub(crate) fn around_serving(
    sink: Serving,
    layers: &[Arc<dyn LayerSpec>],
    context: &LayerContext,
) -> Serving {
    placed(layers, context).fold(sink, |inner, (layer, context)| layer.wrap_serving(inner, &context))
}

/// Stands the layers around the work of a sink that pushes: the first is nearest the work.
pub(super) fn around_pushing(work: Outlet, layers: &[Arc<dyn LayerSpec>], context: &LayerContext) -> Outlet {
    placed(layers, context).fold(work, |inner, (layer, context)| layer.wrap_pushing(inner, &context))
}

/// Each layer with what it is built with.
fn placed<'a>(
    layers: &'a [Arc<dyn LayerSpec>],
    context: &'a LayerContext,
) -> impl Iterator<Item = (&'a Arc<dyn LayerSpec>, LayerContext)> {
    layers.iter().enumerate().map(|(at, layer)| {
        let beneath = layers.iter().take(at).filter(|other| other.kind() == layer.kind()).count();
        (layer, LayerContext { beneath, ..context.clone() })
    })
}

/// What the stage `stage` and its layers are built with.
pub(super) fn context(shared: &Arc<Shared>, stage: Arc<str>, states: &Arc<States>) -> LayerContext {
    let metrics = shared.metrics.stage(&stage);
    LayerContext { pipeline: shared.clone(), stage, metrics, states: states.clone(), beneath: 0 }
}

/// The name of the sink that stands at `at`, from 0.
pub(super) fn sink_name(at: usize, sink: &StagePlan<dyn SinkSpec>) -> Arc<str> {
    format!("sink {} {}", at + 1, sink.spec.kind()).into()
}

/// Builds the sinks that serve inside their layers.
pub(super) fn mounts(
    sinks: &[StagePlan<dyn SinkSpec>],
    shared: &Arc<Shared>,
    states: &Arc<States>,
) -> Vec<Mount> {
    let mount = |(at, sink): (usize, &StagePlan<dyn SinkSpec>)| {
        let SinkForm::Serves(spec) = sink.spec.form() else { return None };
        let context = context(shared, sink_name(at, sink), states);
        let service = around_serving(spec.build(&context), &sink.layers, &context);
        Some(Mount { path: spec.path().to_owned(), stage: context.stage, service })
    };
    sinks.iter().enumerate().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use kdl::KdlNode;
    use tokio::sync::watch;
    use tower::ServiceExt;
    use tower::util::BoxCloneSyncService;

    use super::super::tests::{Kept, plan, setup};
    use super::super::{End, Origins, Pipeline, Source, SourceContext};
    use super::*;
    use crate::fault::{Fault, FaultKind};
    use crate::middleware::fixture::{answer, layer, segment};
    use crate::plan::PipelinePlan;
    use crate::stage::{Answer, Configured, Freshness, Reveal, SourceSpec};

    /// A source that hands out what it asks through.
    #[derive(Debug)]
    struct Open {
        url: &'static str,
        upstream: watch::Sender<Option<Upstream>>,
    }

    impl PartialEq for Open {
        fn eq(&self, other: &Self) -> bool {
            self.url == other.url
        }
    }

    impl Configured for Open {
        fn kind(&self) -> &'static str {
            "open"
        }

        fn show(&self, _: Reveal) -> KdlNode {
            KdlNode::new("source")
        }
    }

    impl SourceSpec for Open {
        fn build(&self, context: SourceContext) -> Box<dyn Source> {
            self.upstream.send_replace(Some(context.upstream));
            Box::new(Idle)
        }
    }

    struct Idle;

    impl Source for Idle {
        fn run(self: Box<Self>) -> BoxFuture<'static, Result<End, Fault>> {
            std::future::pending().boxed()
        }
    }

    /// An origin that has `a` alone.
    #[derive(Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Origins for Counting {
        fn client(&self, _: &dyn SourceSpec) -> Upstream {
            let asked = self.0.clone();
            BoxCloneSyncService::new(tower::service_fn(move |exchange: crate::stage::Exchange| {
                asked.fetch_add(1, Ordering::Relaxed);
                let has = exchange.url.path() == "/a";
                std::future::ready(if has { Ok(answer("a")) } else { Err(FaultKind::Connect.into()) })
            }))
        }
    }

    struct Scene {
        upstream: watch::Sender<Option<Upstream>>,
        asked: Arc<AtomicUsize>,
        pipeline: Pipeline,
    }

    impl Scene {
        fn new(url: &'static str, layers: &[&str]) -> Self {
            let (upstream, origin) = (watch::Sender::new(None), Counting::default());
            let (asked, plan) = (origin.0.clone(), planned(&upstream, url, layers));
            let setup = setup(&Arc::new(Kept::default()));
            let pipeline = Pipeline::start(setup, plan, Arc::new(origin)).unwrap();
            Self { upstream, asked, pipeline }
        }

        /// Returns once the director has followed.
        async fn retune(&mut self, url: &'static str, layers: &[&str]) {
            self.pipeline.retune(planned(&self.upstream, url, layers));
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }

        async fn ask(&self, name: &str) -> Result<Answer, Fault> {
            let mut newest = self.upstream.subscribe();
            let upstream = newest.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            upstream.oneshot(segment(name)).await
        }
    }

    fn planned(
        upstream: &watch::Sender<Option<Upstream>>,
        url: &'static str,
        layers: &[&str],
    ) -> PipelinePlan {
        let mut plan = plan(Arc::new(Open { url, upstream: upstream.clone() }));
        plan.sources[0].layers = layers.iter().map(|text| layer(text).into()).collect();
        plan
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_keeps_what_it_has_while_other_layers_change() {
        let mut scene = Scene::new("a", &["cache", "retry 3"]);
        scene.ask("a").await.unwrap();
        scene.retune("a", &["cache", "retry 5"]).await;
        assert!(matches!(scene.ask("a").await.unwrap().freshness, Freshness::Cache));
        assert_eq!(scene.asked.load(Ordering::Relaxed), 1);
        scene.retune("a", &["retry 5"]).await;
        scene.retune("a", &["cache", "retry 5"]).await;
        assert!(matches!(scene.ask("a").await.unwrap().freshness, Freshness::Origin), "nobody used it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_stays_open_while_other_layers_change_and_is_closed_for_another_source() {
        let breaker = r#"circuit-breaker failures=2 recover="30s""#;
        let mut scene = Scene::new("a", &[breaker]);
        for expected in [FaultKind::Connect, FaultKind::Connect, FaultKind::BreakerOpen] {
            assert_eq!(scene.ask("b").await.unwrap_err().kind, expected);
        }
        scene.retune("a", &[r#"timeout "9s""#, breaker]).await;
        assert_eq!(scene.ask("b").await.unwrap_err().kind, FaultKind::BreakerOpen);
        scene.upstream.send_replace(None);
        scene.retune("b", &[breaker]).await;
        assert_eq!(scene.ask("b").await.unwrap_err().kind, FaultKind::Connect);
    }
}
