//! Doing what plugins ask for, with the pipelines that run.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_core::event::{Allowed, Events, Handling, HandlingParts, Subscription};
use sluice_core::fault::{Fault, FaultKind};
use sluice_core::metrics::DeliveryMetrics;
use sluice_core::pipeline::{Asker, Ordered};
use sluice_core::plan::{HandlerPlan, Plan};
use sluice_core::plugin::{Action, Actor, Plugins};

use super::Board;

/// Acts on the pipelines of the board.
struct Acting(Arc<Board>);

impl Actor for Acting {
    fn act(
        &self,
        pipeline: &Arc<str>,
        action: Action,
        plugin: &Arc<str>,
    ) -> BoxFuture<'static, Result<String, String>> {
        let (switcher, by) = (self.0.switcher(pipeline), Asker::Plugin(plugin.clone()));
        async move {
            let switcher = switcher.ok_or("the pipeline has gone")?;
            let ordered = match action {
                Action::SwitchSource(to) => switcher.switch(to, by).await,
                Action::RestartSource => switcher.restart(by).await,
            };
            ordered.map(|ordered| done(&ordered)).map_err(|fault| words(&fault))
        }
        .boxed()
    }
}

fn done(Ordered { stage, is_started, is_active }: &Ordered) -> String {
    match (is_active, is_started) {
        (true, _) => format!("{stage} feeds the pipeline already"),
        (false, true) => format!("{stage} is started"),
        (false, false) => format!("{stage} is starting already"),
    }
}

fn words(fault: &Fault) -> String {
    match fault.kind {
        FaultKind::Busy => "another switch is under way, or the budget of switches is spent".to_owned(),
        FaultKind::NotFound => "the pipeline has no such source, or nothing feeds it".to_owned(),
        _ => fault.to_string(),
    }
}

/// What hands events to plugins, and does what they ask for.
pub(crate) fn handling(
    events: &Events,
    board: &Arc<Board>,
    registry: &prometheus::Registry,
    plugins: Arc<dyn Plugins>,
) -> Result<Handling, prometheus::Error> {
    let (events, actor) = (events.clone(), Arc::new(Acting(board.clone())));
    Ok(Handling::start(HandlingParts { events, plugins, actor, metrics: DeliveryMetrics::new(registry)? }))
}

/// What is to be handled by a plan. Where a pipeline is disabled, nothing happens to it.
pub(super) fn subscriptions(plan: &Plan) -> Vec<Subscription> {
    let of = |pipeline: Option<&Arc<str>>, handler: &HandlerPlan| Subscription {
        pipeline: pipeline.cloned(),
        patterns: handler.patterns.clone(),
        run: handler.run.clone(),
    };
    let outer = plan.handlers.iter().map(|handler| of(None, handler));
    let inner = plan.enabled().flat_map(|pipeline| {
        let handlers = pipeline.handlers.iter();
        handlers.map(|handler| of(Some(&pipeline.name), handler)).collect::<Vec<_>>()
    });
    outer.chain(inner).collect()
}

/// What plugins may have done.
pub(super) fn allowed(plan: &Plan) -> Allowed {
    plan.plugins.values().map(|plugin| (plugin.name.clone(), plugin.actions.clone())).collect()
}
