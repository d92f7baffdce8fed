//! The client of a daemon: which one is meant, and a method for each of its requests.
//!
//! Never prints, and never decides what a verb means. Always: a token goes to the address that it was named for and to
//! no other, and stands in no error and no `Debug` text; the methods block, and are not for use inside of a runtime.

mod files;
mod token;
mod address;
mod trust;
mod grant;
mod context;
mod endpoint;
mod login;
mod connection;
mod answer;
mod lines;
mod requests;
mod means;
mod plugins;

#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod tests;

pub use connection::Connection;
pub use context::{Context, Contexts};
pub use endpoint::{Choice, Endpoint, Surroundings};
pub use grant::OidcClient;
pub use lines::{Changes, Lines};
pub use login::{DeviceCode, login};
pub use plugins::{Application, OciReference, PluginSource, PulledPlugin, Registries, push_to};
pub use requests::{Applied, Order, RollbackRequest, ShownPipeline, Stopped, UpgradePlan, UpgradeRequest, Whoami};
pub use trust::Trust;
