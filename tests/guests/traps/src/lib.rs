//! Traps on the records that it is told to.
