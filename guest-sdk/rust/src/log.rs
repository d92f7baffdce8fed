//! The plugin's log. It carries the pipeline's and the operator's name; too much of it is dropped by the host, and
//! counted.

use crate::bindings::sandbar::plugin::log::{self, Level};

/// For whoever develops the plugin.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// Something that is worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something that somebody should look at.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something that went wrong.
pub fn error(message: &str) {
    write(Level::Error, message);
}

fn write(level: Level, message: &str) {
    // Outside the sandbox, in the author's own tests, there is no host to take it.
    if cfg!(target_family = "wasm") {
        log::write(level, message);
    }
}
