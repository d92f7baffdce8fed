//! Which interfaces of WASI a plugin may import.

/// What every WASI interface begins with.
const WASI: &str = "wasi:";

/// By package and interface, in version 0.2 with any patch: what a plugin gets, in a sentence.
const GRANTED: [(&str, &str); 27] = [
    ("cli/environment", "virtual: no variables, no arguments, no folder"),
    ("cli/exit", "a plugin that ends itself is one that trapped"),
    ("cli/stdin", "virtual: standard input is at its end"),
    ("cli/stdout", "virtual: what it prints goes to its operator's log"),
    (
        "cli/stderr",
        "virtual: what it prints there goes to its operator's log, as warnings",
    ),
    ("cli/terminal-input", TERMINAL),
    ("cli/terminal-output", TERMINAL),
    ("cli/terminal-stdin", TERMINAL),
    ("cli/terminal-stdout", TERMINAL),
    ("cli/terminal-stderr", TERMINAL),
    (
        "clocks/wall-clock",
        "virtual: the clock shows the time of the record, or of the timer",
    ),
    (
        "clocks/monotonic-clock",
        "virtual: the clock moves as it is read or waited for, and no wait takes time",
    ),
    ("io/error", "what its streams say of errors"),
    ("io/poll", "virtual: whatever it waits for has happened already"),
    (
        "io/streams",
        "virtual: the streams of standard input, output and error, and no others",
    ),
    ("random/random", CHANCE),
    ("random/insecure", CHANCE),
    ("random/insecure-seed", CHANCE),
    ("filesystem/types", "virtual: there are no files"),
    ("filesystem/preopens", "virtual: there are no folders"),
    ("sockets/network", NETWORK),
    ("sockets/instance-network", NETWORK),
    ("sockets/tcp-create-socket", NETWORK),
    ("sockets/udp-create-socket", NETWORK),
    ("sockets/ip-name-lookup", NETWORK),
    // Of these nothing can be called, since nobody has a socket.
    ("sockets/tcp", NETWORK),
    ("sockets/udp", NETWORK),
];

const TERMINAL: &str = "virtual: there is no terminal";
const CHANCE: &str = "virtual: randomness follows from the record, and is the same in a replay";
const NETWORK: &str = "virtual: there is no network, and each socket and look-up is denied";

/// Whether an import is of WASI, whichever it is.
pub(in crate::plugin) fn is_wasi(import: &str) -> bool {
    import.starts_with(WASI)
}

/// Whether a plugin may import it.
pub(in crate::plugin) fn is_granted(import: &str) -> bool {
    meaning(import).is_some()
}

/// What a plugin gets by an import that is granted, in a sentence.
pub(in crate::plugin) fn meaning(import: &str) -> Option<&'static str> {
    let interface = interface(import)?;
    GRANTED
        .iter()
        .find(|(name, _)| *name == interface)
        .map(|(_, means)| *means)
}

/// Whether an import is of WASI 0.3, released or not: tool chains emit it before hosts have it.
pub(in crate::plugin) fn is_newer(import: &str) -> bool {
    let version = import.strip_prefix(WASI).and_then(|rest| rest.split_once('@'));
    version.is_some_and(|(_, version)| version.starts_with("0.3."))
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
