//! Tests of the interface, through its router and over a socket.

mod daemon;
mod document;
mod hostile;
mod life;
mod roles;
mod program;
mod streams;
mod upgrades;
