//! Forty hostile plugins, each of a tenant of its own, and a neighbour.

mod text;
mod artefacts;
mod attacks;
mod attacked;
mod neighbour;
