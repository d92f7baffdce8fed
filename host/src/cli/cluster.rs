//! Which cluster a verb talks to that has no pipeline file: `--brokers` and `--property`.

use clap::Args;

use crate::config;

/// The flags of verbs that talk to a cluster.
#[derive(Args, Debug)]
pub(super) struct Cluster {
    /// The cluster's brokers, comma-separated
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "SANDBAR_BROKERS",
        default_value = "127.0.0.1:9092"
    )]
    brokers: String,
    /// A property of librdkafka, such as security.protocol=sasl_ssl; may be given again
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = pair)]
    properties: Vec<(String, String)>,
}

impl From<Cluster> for config::Cluster {
    fn from(flags: Cluster) -> Self {
        Self {
            brokers: flags.brokers,
            properties: flags.properties.into_iter().collect(),
        }
    }
}

/// `NAME=VALUE`, where the value may hold further equals signs.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("give it as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_cut_at_its_first_equals_sign() {
        assert_eq!(pair("sasl.password=a=b"), Ok(("sasl.password".into(), "a=b".into())));
        assert_eq!(pair("empty="), Ok(("empty".into(), String::new())));
        assert!(pair("=x").is_err() && pair("x").is_err());
    }
}
