//! What plugin authors import.
