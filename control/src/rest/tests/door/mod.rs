//! The front door: TLS, slow and many clients, the socket, tokens of an issuer.

mod authority;
mod dialing;
mod tls;
mod tricks;
mod slow;
mod many;
mod issued;
mod serving;
