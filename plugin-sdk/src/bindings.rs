//! What the contract generates, for the guest. The export macros are for
//! [`register_scorer!`](crate::register_scorer!) and [`register_handler!`](crate::register_handler!).
//!
//! The worlds of the contract are taken apart: the types of `lifecycle` and of the imports exist once, and a plugin
//! exports `lifecycle` beside the interface of its kind. Together that is the world of its kind again.

#![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated")]

/// What every plugin exports, and all that it may import.
pub mod lifecycle {
    wit_bindgen::generate!({
        path: "wit/since-0.1.0",
        inline: "
            package sluice:guest-lifecycle;
            world every {
                import sluice:plugin/log@0.1.0;
                import sluice:plugin/config@0.1.0;
                import sluice:plugin/clock@0.1.0;
                import sluice:plugin/kv@0.1.0;
                import sluice:plugin/http@0.1.0;
                export sluice:plugin/lifecycle@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
    });
}

/// What a scorer exports.
pub mod scorer {
    wit_bindgen::generate!({
        path: "wit/since-0.1.0",
        inline: "
            package sluice:guest-scorer;
            world scorer {
                export sluice:plugin/scorer@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_scorer",
    });
}

/// What a handler exports.
pub mod handler {
    wit_bindgen::generate!({
        path: "wit/since-0.1.0",
        inline: "
            package sluice:guest-handler;
            world handler {
                export sluice:plugin/handler@0.1.0;
            }
        ",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_handler",
    });
}
