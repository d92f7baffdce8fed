//! Auction events.
