//! The client of a daemon: which one is meant, and a method for each of its requests.
//!
//! Never prints, and never decides what a verb means. Always: a token goes to the address that it was named for and to
//! no other, and stands in no error and no `Debug` text; the methods block, and are not for use inside of a runtime.

mod token;
mod address;
mod context;
mod endpoint;
mod connection;
mod answer;
mod lines;
mod requests;
mod application;

#[cfg(test)]
mod tests;

pub use application::Application;
pub use connection::Connection;
pub use context::{Context, Contexts};
pub use endpoint::{Choice, Endpoint, Surroundings};
pub use lines::{Changes, Lines};
pub use requests::{Applied, Order, RollbackRequest, ShownPipeline, UpgradePlan, UpgradeRequest, Whoami};
