//! What Sandbar promises, a file per promise, shown on the program that a person runs and on a real Apache Kafka.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail loudly, and take the time from the machine"
)]

mod tidy;
mod flow;
mod oracle;
mod bad_input;
mod bounded;
mod start_matrix;
mod restart;
mod commits;
mod data;
mod recomputed;
mod event_time;
mod quiet_partitions;
mod by_time;
mod windows_under_kills;
mod drawn;
mod merged_inputs;
mod examples;
mod projects;
mod dev;
mod group;
mod crash;
mod exactly_once;
mod stores;
mod changes;
mod topics_that_meet;
mod lost_offsets;
mod faults;
mod torture;
mod offsets_in_checkpoints;
mod storage;
mod checkpoints;
mod bucket;
mod state_verbs;
mod ending;
mod stop;
mod standstill;
mod restores;
mod truncation;
mod connections;
mod start_time;
mod memory;
mod no_broker;
mod bounds;
mod upgrades;
mod inspect;
mod plugin;
mod cases;
mod bench;
mod languages;
mod refused;
mod dead_letters;
mod sign_in;
mod http;
mod command_line;
mod tenants;
