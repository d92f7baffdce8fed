//! The glue between the interface and a plugin: what [`plugin!`](crate::plugin) expands to calls these.

use std::cell::RefCell;
use std::sync::Once;

use super::config;
use crate::bindings::sandbar::plugin::batches;
use crate::bindings::sandbar::plugin::types;
use crate::{Batch, BatchPlugin, Description, Failure, Outputs, log};

/// The one instance of a plugin in its sandbox; there are no threads in there.
pub type Slot<P> = RefCell<Option<P>>;

/// Exports a type that implements [`Plugin`](crate::Plugin) or [`BatchPlugin`](crate::BatchPlugin) as the component's
/// plugin. Its name and version are those of the crate.
#[cfg(not(feature = "record-processor"))]
#[macro_export]
macro_rules! plugin {
    ($plugin:ty) => {
        #[doc(hidden)]
        mod sandbar_component {
            use super::*;
            use $crate::bindings::sandbar::plugin::{batches, types};

            struct Component;

            ::std::thread_local! {
                static SLOT: $crate::guest::Slot<$plugin> = const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::bindings::Guest for Component {
                fn describe() -> types::Description {
                    $crate::guest::describe::<$plugin>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }

                fn open(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| $crate::guest::open(slot, &config))
                }

                fn process(batch: batches::Batch) -> ::std::result::Result<batches::Outcome, types::Failure> {
                    SLOT.with(|slot| $crate::guest::process(slot, batch))
                }
            }

            impl $crate::described_state::Guest for Component {
                fn describe_state() -> ::std::vec::Vec<::std::string::String> {
                    $crate::guest::describe_state::<$plugin>()
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::bindings::export!(Component with_types_in $crate::bindings);
            #[cfg(target_family = "wasm")]
            $crate::described_state::export_described_state!(Component with_types_in $crate::described_state);
        }
    };
}

/// Exports a type that implements [`Plugin`](crate::Plugin) or [`BatchPlugin`](crate::BatchPlugin) as the component's
/// plugin. Its name and version are those of the crate.
#[cfg(feature = "record-processor")]
#[macro_export]
macro_rules! plugin {
    ($plugin:ty) => {
        #[doc(hidden)]
        mod sandbar_component {
            use super::*;
            use $crate::bindings::sandbar::plugin::types;
            use $crate::record_bindings::{Event, Verdict};

            struct Component;

            ::std::thread_local! {
                static SLOT: $crate::guest::Slot<$plugin> = const { ::std::cell::RefCell::new(None) };
            }

            impl $crate::record_bindings::Guest for Component {
                fn describe() -> types::Description {
                    $crate::guest::describe::<$plugin>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
                }

                fn open(config: ::std::string::String) -> ::std::result::Result<(), ::std::string::String> {
                    SLOT.with(|slot| $crate::guest::open(slot, &config))
                }

                fn process(event: Event) -> ::std::result::Result<Verdict, types::Failure> {
                    SLOT.with(|slot| $crate::one_by_one::process(slot, event))
                }

                fn fire(
                    timer: u8,
                    key: ::std::vec::Vec<u8>,
                    at: i64,
                ) -> ::std::result::Result<(), types::Failure> {
                    SLOT.with(|slot| $crate::one_by_one::fire(slot, timer, &key, at))
                }
            }

            impl $crate::described_state::Guest for Component {
                fn describe_state() -> ::std::vec::Vec<::std::string::String> {
                    $crate::guest::describe_state::<$plugin>()
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::record_bindings::export_record_processor!(Component with_types_in $crate::record_bindings);
            #[cfg(target_family = "wasm")]
            $crate::described_state::export_described_state!(Component with_types_in $crate::described_state);
        }
    };
}

/// What the plugin declares.
pub fn describe<P: BatchPlugin>(name: &str, version: &str) -> types::Description {
    report_panics();
    P::describe(Description::new(name, version))
        .takes_config(config::is_taken::<P>())
        .into_bindings()
}

/// How the host is to show what the plugin keeps.
#[must_use]
pub fn describe_state<P: BatchPlugin>() -> Vec<String> {
    report_panics();
    P::describe_state()
}

/// Reads the configuration into a plugin and opens it.
///
/// # Errors
/// The configuration is not what the plugin takes.
pub fn open<P: BatchPlugin>(slot: &Slot<P>, config: &str) -> Result<(), String> {
    report_panics();
    let mut plugin: P = configured(config)?;
    plugin.open().map_err(|refusal| refusal.reason().to_owned())?;
    *slot.borrow_mut() = Some(plugin);
    Ok(())
}

/// Runs a batch through the plugin.
///
/// # Errors
/// The call's failure.
pub fn process<P: BatchPlugin>(slot: &Slot<P>, batch: batches::Batch) -> Result<batches::Outcome, types::Failure> {
    let mut slot = slot.borrow_mut();
    let plugin = slot
        .as_mut()
        .ok_or_else(|| types::Failure::Fail("the plugin was not opened".to_owned()))?;
    let batch = Batch::from(batch);
    let mut out = Outputs::default();
    if !batch.is_empty() {
        out.at(&batch.event(0));
    }
    match plugin.process_batch(batch, &mut out) {
        Ok(()) => Ok(out.into_outcome()),
        Err(Failure::Retry(reason)) => Err(types::Failure::Retry(reason)),
        Err(Failure::Fail(reason)) => Err(types::Failure::Fail(reason)),
    }
}

/// No configuration is an empty object, which `struct Plugin;` takes as well: to serde such a struct is a null.
fn configured<P: BatchPlugin>(config: &str) -> Result<P, String> {
    let config = match config.trim() {
        "" | "null" => "{}",
        given => given,
    };
    serde_json::from_str(config).or_else(|error| match config {
        "{}" => serde_json::from_str("null").map_err(|_| error.to_string()),
        _ => Err(error.to_string()),
    })
}

/// A panic ends the instance; its message goes to the log first, where the host finds it.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if cfg!(target_family = "wasm") {
            std::panic::set_hook(Box::new(|panic| log::error(&panic.to_string())));
        }
    });
}
