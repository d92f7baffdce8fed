//! What is asked about a pipeline: a verb of the program, in a process of its own, or its process through its socket.
//!
//! Always: within limits of time, of bytes and of number; what is asked in vain is told as the problem that it is.

mod told;
mod verb;
mod ask;
pub(in crate::fleet) mod socket;

pub(crate) use ask::{Answered, Question};
pub(in crate::fleet) use ask::{AskDoor, AskPermits, AskedPlace};
pub(in crate::fleet) use told::told;
pub(in crate::fleet) use verb::{VerbSaid, ask_program};
