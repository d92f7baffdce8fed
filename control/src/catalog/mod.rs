//! The catalog: what is wanted, of whom, by whom and who may ask; in SQLite or in PostgreSQL.
//!
//! Never keeps the secret of a token, a tenant's secret in the open, or a plugin's bytes. Always: one text of SQL for
//! both databases; a look-up for a tenant has the tenant in its condition; a change is one transaction, of which all is
//! there or nothing.

mod address;
mod apply;
mod audit;
mod database;
mod means;
mod pipelines;
mod plugins;
mod records;
mod rows;
mod schema;
mod tenants;
mod tokens;
mod upgrades;

pub use apply::Applied;
pub use database::Catalog;
pub use upgrades::{TakeBackOrder, UpgradeOrder};
