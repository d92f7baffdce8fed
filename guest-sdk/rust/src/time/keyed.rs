//! What state is kept by.

use crate::{Event, Fired, Refusal};

/// Whatever has a key to keep state by: an [`Event`], or a timer that [fired](Fired).
pub trait Keyed: sealed::Sealed {
    /// The key, `None` if it is null.
    fn key(&self) -> Option<&[u8]>;

    /// The index of the key among the batch's.
    ///
    /// # Errors
    /// A record without a key is a dead letter: there is nothing to keep state by.
    #[doc(hidden)]
    fn key_index(&self) -> Result<u32, Refusal>;

    /// The number of its turn in the call: what a refused turn wrote is taken back by it.
    #[doc(hidden)]
    fn turn(&self) -> u32;

    /// Event time as this turn has it, in milliseconds since 1970: a record's own time, or where event time stands if
    /// that is later; the time that a timer was set to.
    #[doc(hidden)]
    fn event_time(&self) -> i64;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for crate::Event<'_> {}
    impl Sealed for crate::Fired<'_> {}
}

impl Keyed for Event<'_> {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        Event::key(self)
    }

    #[inline]
    fn key_index(&self) -> Result<u32, Refusal> {
        Event::key_index(self)
    }

    #[inline]
    fn turn(&self) -> u32 {
        self.index() as u32
    }

    #[inline]
    fn event_time(&self) -> i64 {
        self.timestamp().max(self.watermark())
    }
}

impl Keyed for Fired<'_> {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        Some(Fired::key(self))
    }

    #[inline]
    fn key_index(&self) -> Result<u32, Refusal> {
        Ok(Fired::key_index(self))
    }

    #[inline]
    fn turn(&self) -> u32 {
        Fired::turn(self)
    }

    #[inline]
    fn event_time(&self) -> i64 {
        Fired::event_time(self)
    }
}
