//! `sandbar serve`: the pipelines of many tenants, a process each.

mod walk;
mod kills;
mod states;
mod walls;
mod hostile;
mod views;
mod upgrades;
mod canaries;
