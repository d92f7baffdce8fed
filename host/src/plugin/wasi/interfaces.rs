//! Which interfaces of WASI a plugin may import.

/// What every WASI interface begins with.
const WASI: &str = "wasi:";

/// By package and interface, in version 0.2 with any patch.
const GRANTED: [&str; 25] = [
    "cli/environment",
    "cli/exit",
    "cli/stdin",
    "cli/stdout",
    "cli/stderr",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "cli/terminal-stderr",
    "clocks/wall-clock",
    "clocks/monotonic-clock",
    "io/error",
    "io/poll",
    "io/streams",
    "random/random",
    "random/insecure",
    "random/insecure-seed",
    "filesystem/types",
    "filesystem/preopens",
    "sockets/network",
    "sockets/instance-network",
    "sockets/tcp-create-socket",
    "sockets/udp-create-socket",
    "sockets/ip-name-lookup",
];

/// Of these nothing can be called, since nobody has a socket.
const WORDS_ONLY: [&str; 2] = ["sockets/tcp", "sockets/udp"];

/// Whether an import is of WASI, whichever it is.
pub(in crate::plugin) fn is_wasi(import: &str) -> bool {
    import.starts_with(WASI)
}

/// Whether a plugin may import it.
pub(in crate::plugin) fn is_granted(import: &str) -> bool {
    interface(import).is_some_and(|interface| GRANTED.contains(&interface) || WORDS_ONLY.contains(&interface))
}

/// `io/poll` of `wasi:io/poll@0.2.6`; none, if it is not WASI 0.2.
pub(super) fn interface(import: &str) -> Option<&str> {
    let (interface, version) = import.strip_prefix(WASI)?.split_once('@')?;
    let patch = version.strip_prefix("0.2.")?;
    let is_number = !patch.is_empty() && patch.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then_some(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_0_2_are_granted_and_others_are_not() {
        for granted in ["wasi:io/poll@0.2.0", "wasi:io/poll@0.2.12", "wasi:sockets/tcp@0.2.9"] {
            assert!(is_granted(granted), "{granted}");
        }
        for foreign in [
            "wasi:io/poll",
            "wasi:io/poll@0.3.0",
            "wasi:io/poll@0.2",
            "wasi:io/poll@0.2.x",
            "wasi:http/types@0.2.0",
            "evil:io/poll@0.2.0",
        ] {
            assert!(!is_granted(foreign), "{foreign}");
        }
    }
}
