//! A plan as KDL that reads as the same plan again.

use kdl::KdlNode;

use super::{PipelinePlan, Plan, PluginPlan, Server, StagePlan};
use crate::conf::{Reveal, Shown, show_secret, show_url};
use crate::stage::Spec;

/// The effective plan: defaults filled in, templates expanded. With secrets hidden it still parses, but
/// is another plan; a secret of a plugin that is shown whole reads as a text.
pub fn show(plan: &Plan, reveal: Reveal) -> Vec<KdlNode> {
    let pipelines = plan.pipelines.values().map(|pipeline| show_pipeline(pipeline, reveal));
    let plugins = plan.plugins.values().map(PluginPlan::show);
    let handlers = plan.handlers.iter().map(|handler| handler.show(reveal));
    let server = std::iter::once(show_server(&plan.server, reveal));
    server.chain(plugins).chain(handlers).chain(pipelines).collect()
}

fn show_pipeline(pipeline: &PipelinePlan, reveal: Reveal) -> KdlNode {
    let mut shown = Shown::new("pipeline").argument(&*pipeline.name);
    if !pipeline.enabled {
        shown = shown.property("enabled", false);
    }
    let sources = pipeline.sources.iter().map(|source| show_stage(source, reveal));
    let sinks = pipeline.sinks.iter().map(|sink| show_stage(sink, reveal));
    shown = shown.children(sources);
    if pipeline.sources.len() > 1 {
        shown = shown.child(pipeline.failover.show());
    }
    let handlers = pipeline.handlers.iter().map(|handler| handler.show(reveal));
    shown = shown.child(show_stage(&pipeline.buffer, reveal)).children(sinks);
    shown.child(pipeline.health.show(reveal)).children(handlers).node()
}

fn show_stage<S: Spec + ?Sized>(stage: &StagePlan<S>, reveal: Reveal) -> KdlNode {
    let layers = stage.layers.iter().map(|layer| layer.show(reveal));
    Shown::from(stage.spec.show(reveal)).children(layers).node()
}

fn show_server(server: &Server, reveal: Reveal) -> KdlNode {
    let mut admin = Shown::new("admin").argument(server.admin.listen);
    if let Some(token) = &server.admin.token {
        admin = admin.child(Shown::new("token").argument(show_secret(token, reveal)));
    }
    let mut shown = Shown::new("server")
        .child(server.listen.iter().fold(Shown::new("listen"), |listen, address| listen.argument(*address)))
        .child(admin)
        .child(Shown::new("state-dir").argument(&*server.state_dir))
        .child(Shown::new("plugins").argument(&*server.plugins))
        .child(
            Shown::new("log")
                .property("level", server.log.level)
                .property("format", server.log.format.word()),
        );
    if let Some(tls) = &server.tls {
        shown = shown.child(Shown::new("tls").property("cert", &*tls.cert).property("key", &*tls.key));
    }
    if !server.trusted_proxies.is_empty() {
        let proxies = Shown::new("trusted-proxies");
        shown =
            shown.child(server.trusted_proxies.iter().fold(proxies, |proxies, net| proxies.argument(*net)));
    }
    if let Some(url) = &server.public_url {
        // the operator tells everyone this one
        shown = shown.child(Shown::new("public-url").argument(show_url(&url.0, Reveal::Whole)));
    }
    if !server.cors.is_empty() {
        let cors = server.cors.iter().fold(Shown::new("cors"), |cors, origin| cors.argument(origin.as_str()));
        shown = shown.child(cors);
    }
    shown.child(Shown::new("drain").argument(server.drain)).child(show_limits(server)).node()
}

fn show_limits(server: &Server) -> Shown {
    let limits = &server.limits;
    Shown::new("limits")
        .child(Shown::new("connections").argument(limits.connections))
        .child(Shown::new("headers").argument(limits.headers))
        .child(Shown::new("head-timeout").argument(limits.head_timeout))
        .child(Shown::new("idle-timeout").argument(limits.idle_timeout))
        .child(Shown::new("write-timeout").argument(limits.write_timeout))
        .child(Shown::new("streams").argument(limits.streams))
}
