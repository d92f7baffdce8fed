//! How connections come in: TLS, the socket of the machine, and how many there may be at once.
//!
//! Never looks into a request. Always: nobody who connects can keep others from being answered, by number or by
//! slowness.

pub(crate) mod oidc;
mod attempts;
mod crowd;
mod tls;
mod socket;
mod listen;

pub(crate) use attempts::{Attempt, Attempts};
pub(crate) use crowd::{Crowd, Visitor};
pub(crate) use listen::{Door, DoorPatience, Entrance};
pub(crate) use socket::MachineSocket;
pub(crate) use tls::Certificates;
pub use tls::TlsFiles;
