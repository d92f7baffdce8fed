//! Which properties of librdkafka whoever does not own the machine may set.
//!
//! Always: a list of what may be, so that what a next librdkafka brings is refused until somebody looked at it. Nothing
//! here reaches a file, a program, native code or the log; nothing takes another client's name; what the host sets
//! itself is not here either.

/// What may be set.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    // How to sign in, with what stands in the property and not in a file.
    "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password",
    "sasl.oauthbearer.method", "sasl.oauthbearer.grant.type", "sasl.oauthbearer.token.endpoint.url",
    "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "sasl.oauthbearer.token", "https.ca.pem",
    "ssl.ca.pem", "ssl.certificate.pem", "ssl.key.pem", "ssl.key.password",
    "ssl.endpoint.identification.algorithm", "ssl.cipher.suites", "ssl.curves.list", "ssl.sigalgs.list",
    // Connections.
    "client.dns.lookup", "client.rack", "broker.address.family", "broker.address.ttl", "connections.max.idle.ms",
    "socket.timeout.ms", "socket.blocking.max.ms", "socket.send.buffer.bytes", "socket.receive.buffer.bytes",
    "socket.keepalive.enable", "socket.nagle.disable", "socket.max.fails", "socket.connection.setup.timeout.ms",
    "reconnect.backoff.ms", "reconnect.backoff.max.ms", "reconnect.backoff.jitter.ms",
    "api.version.request", "api.version.request.timeout.ms", "api.version.fallback.ms", "broker.version.fallback",
    "metadata.max.age.ms", "metadata.recovery.strategy", "metadata.recovery.rebootstrap.trigger.ms",
    "request.timeout.ms", "heartbeat.interval.ms", "coordinator.query.interval.ms",
    // Sizes and batches.
    "message.max.bytes", "message.copy.max.bytes", "receive.message.max.bytes",
    "fetch.wait.max.ms", "fetch.min.bytes", "fetch.max.bytes", "fetch.message.max.bytes", "fetch.error.backoff.ms",
    "max.partition.fetch.bytes", "check.crcs",
    "linger.ms", "queue.buffering.max.ms", "sticky.partitioning.linger.ms", "batch.size", "batch.num.messages",
    "compression.type", "compression.codec", "compression.level",
];

/// Those whose value is a secret, and so never stands in the open.
const SECRET: &[&str] = &[
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.token",
    "ssl.key.pem",
    "ssl.key.password",
];

/// Whether a tenant, or a cluster of one, may set this property of librdkafka.
pub fn is_allowed_property(name: &str) -> bool {
    ALLOWED.contains(&name)
}

/// Whether the value of this property is a secret.
pub(super) fn is_secret_property(name: &str) -> bool {
    SECRET.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever reaches the machine, is somebody else's, or is written in another way.
    #[test]
    fn what_is_not_in_the_list_is_refused() {
        for name in [
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
            "ssl.crl.location",
            "ssl.keystore.location",
            "ssl.ca.certificate.stores",
            "https.ca.location",
            "ssl.engine.location",
            "ssl.engine.id",
            "ssl.providers",
            "plugin.library.paths",
            "interceptors",
            "sasl.kerberos.kinit.cmd",
            "sasl.kerberos.keytab",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.file",
            "sasl.oauthbearer.assertion.private.key.file",
            "sasl.oauthbearer.assertion.jwt.template.file",
            "sasl.oauthbearer.metadata.authentication.type",
            "enable.sasl.oauthbearer.unsecure.jwt",
            "enable.ssl.certificate.verification",
            "debug",
            "log_level",
            "log.queue",
            "statistics.interval.ms",
            "enable.metrics.push",
            "internal.termination.signal",
            "offset.store.path",
            "open_cb",
            "test.mock.num.brokers",
            "bootstrap.servers",
            "metadata.broker.list",
            "group.id",
            "group.instance.id",
            "transactional.id",
            "client.id",
            "",
            "SASL.PASSWORD",
            "sasl.password ",
            "socket.timeout.ms\0",
        ] {
            assert!(!is_allowed_property(name), "{name:?}");
        }
        assert!(
            ["sasl.password", "ssl.ca.pem", "linger.ms"]
                .into_iter()
                .all(is_allowed_property)
        );
    }

    #[test]
    fn the_lists_agree_and_have_nothing_twice() {
        assert!(SECRET.iter().all(|name| is_allowed_property(name)));
        for (at, name) in ALLOWED.iter().enumerate() {
            assert!(!ALLOWED[at + 1..].contains(name), "{name}");
            assert!(!name.ends_with(".location") && !name.contains("file"), "{name}");
        }
    }
}
