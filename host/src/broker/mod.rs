//! The station `broker`.
