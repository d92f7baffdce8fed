//! Tests of the interface, through its router and over a socket.

mod daemon;
mod document;
mod door;
mod hostile;
mod inside;
mod life;
mod means;
mod quotas;
mod roles;
mod program;
mod signatures;
mod streams;
mod mortal;
mod upgrades;
mod canaries;
