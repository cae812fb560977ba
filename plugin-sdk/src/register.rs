//! What makes a plugin out of a type.

#[cfg(target_family = "wasm")]
mod convert;
#[cfg(target_family = "wasm")]
pub use convert::description;

use std::cell::RefCell;
use std::thread::LocalKey;

use crate::settings::Settings;
use crate::{host, log};

/// Where the instance of a plugin stands.
pub type Instance<T> = RefCell<Option<T>>;

/// Makes the instance from what the operator wrote.
///
/// # Errors
/// When the settings cannot be; in words.
pub fn start<S: Settings, T>(
    instance: &'static LocalKey<Instance<T>>,
    new: impl FnOnce(S) -> Result<T, String>,
) -> Result<(), String> {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        log::write(log::Level::Error, panic.payload_as_str().unwrap_or("panic"), &[("at", &place)]);
    }));
    let made = S::read(&host::config).and_then(new)?;
    instance.with_borrow_mut(|slot| *slot = Some(made));
    Ok(())
}

/// Calls the instance.
///
/// # Errors
/// What the call says, and when there is no instance.
pub fn call<T, R>(
    instance: &'static LocalKey<Instance<T>>,
    call: impl FnOnce(&mut T) -> Result<R, String>,
) -> Result<R, String> {
    instance.with_borrow_mut(|slot| call(slot.as_mut().ok_or("init was not called")?))
}

/// Makes a plugin of a [`Scorer`](crate::Scorer). Its version and the sentence that describes it are `version` and
/// `description` of the crate's `Cargo.toml`.
#[macro_export]
macro_rules! register_scorer {
    ($plugin:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = $crate::register::is_scorer::<$plugin>;

        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::lifecycle::exports::sluice::plugin::lifecycle;
            use $crate::bindings::scorer::exports::sluice::plugin::scorer as contract;

            ::std::thread_local! {
                static INSTANCE: $crate::register::Instance<$plugin> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Component;

            impl lifecycle::Guest for Component {
                fn describe() -> lifecycle::Description {
                    $crate::register::description::<<$plugin as $crate::Scorer>::Settings>(
                        ::std::env!("CARGO_PKG_DESCRIPTION"),
                        ::std::env!("CARGO_PKG_VERSION"),
                    )
                }

                fn init() -> ::std::result::Result<(), ::std::string::String> {
                    $crate::register::start(&INSTANCE, <$plugin as $crate::Scorer>::new)
                }
            }

            impl contract::Guest for Component {
                fn score(
                    sample: contract::Sample,
                ) -> ::std::result::Result<contract::Health, ::std::string::String> {
                    let sample = $crate::Sample::from(sample);
                    $crate::register::call(&INSTANCE, |plugin| $crate::Scorer::score(plugin, &sample))
                        .map(contract::Health::from)
                }
            }

            $crate::bindings::lifecycle::export_lifecycle!(Component with_types_in $crate::bindings::lifecycle);
            $crate::bindings::scorer::export_scorer!(Component with_types_in $crate::bindings::scorer);
        };
    };
}

/// Makes a plugin of a [`Handler`](crate::Handler). Its version and the sentence that describes it are `version` and
/// `description` of the crate's `Cargo.toml`.
#[macro_export]
macro_rules! register_handler {
    ($plugin:ty) => {
        #[cfg(not(target_family = "wasm"))]
        const _: fn() = $crate::register::is_handler::<$plugin>;

        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::lifecycle::exports::sluice::plugin::lifecycle;
            use $crate::bindings::handler::exports::sluice::plugin::handler as contract;

            ::std::thread_local! {
                static INSTANCE: $crate::register::Instance<$plugin> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            struct Component;

            impl lifecycle::Guest for Component {
                fn describe() -> lifecycle::Description {
                    $crate::register::description::<<$plugin as $crate::Handler>::Settings>(
                        ::std::env!("CARGO_PKG_DESCRIPTION"),
                        ::std::env!("CARGO_PKG_VERSION"),
                    )
                }

                fn init() -> ::std::result::Result<(), ::std::string::String> {
                    $crate::register::start(&INSTANCE, <$plugin as $crate::Handler>::new)
                }
            }

            impl contract::Guest for Component {
                fn handle(
                    event: contract::Event,
                ) -> ::std::result::Result<contract::Reaction, ::std::string::String> {
                    let event = $crate::Event::from(event);
                    $crate::register::call(&INSTANCE, |plugin| $crate::Handler::handle(plugin, &event))
                        .map(contract::Reaction::from)
                }

                fn wake() -> ::std::result::Result<contract::Reaction, ::std::string::String> {
                    $crate::register::call(&INSTANCE, $crate::Handler::wake)
                        .map(contract::Reaction::from)
                }
            }

            $crate::bindings::lifecycle::export_lifecycle!(Component with_types_in $crate::bindings::lifecycle);
            $crate::bindings::handler::export_handler!(Component with_types_in $crate::bindings::handler);
        };
    };
}

/// So that a type that is no scorer is refused natively too.
pub fn is_scorer<T: crate::Scorer>() {}

/// So that a type that is no handler is refused natively too.
pub fn is_handler<T: crate::Handler>() {}
