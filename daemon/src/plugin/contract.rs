//! The contract with plugins, one module for each version that is hosted: `plugin-sdk/wit/since-*`.

/// `sluice:plugin@0.1.0`, as Rust. What every plugin exports is looked up apart from what one kind exports, so that one
/// set of imports serves all.
pub(super) mod v0_1 {
    /// What every plugin imports and exports.
    pub(crate) mod any {
        wasmtime::component::bindgen!({
            inline: "
                package sluice:host;
                world any {
                    import sluice:plugin/log@0.1.0;
                    import sluice:plugin/config@0.1.0;
                    import sluice:plugin/clock@0.1.0;
                    import sluice:plugin/kv@0.1.0;
                    import sluice:plugin/http@0.1.0;
                    export sluice:plugin/lifecycle@0.1.0;
                }
            ",
            path: "../plugin-sdk/wit/since-0.1.0",
            world: "sluice:host/any",
            imports: { "sluice:plugin/kv@0.1.0": async, "sluice:plugin/http@0.1.0": async },
            exports: { default: async },
        });
    }

    /// What a scorer exports.
    pub(crate) mod scoring {
        wasmtime::component::bindgen!({
            inline: "package sluice:host; world scoring { export sluice:plugin/scorer@0.1.0; }",
            path: "../plugin-sdk/wit/since-0.1.0",
            world: "sluice:host/scoring",
            exports: { default: async },
        });
    }

    /// What a handler exports.
    pub(crate) mod handling {
        wasmtime::component::bindgen!({
            inline: "package sluice:host; world handling { export sluice:plugin/handler@0.1.0; }",
            path: "../plugin-sdk/wit/since-0.1.0",
            world: "sluice:host/handling",
            exports: { default: async },
        });
    }
}
