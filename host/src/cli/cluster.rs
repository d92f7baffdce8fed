//! Which cluster a verb talks to that has no pipeline file: `--brokers` and `--property`.

use clap::Args;

use crate::config;
use crate::error::{Error, Kind, Result};
use crate::login::{Secret, sign_in};

/// The flags of verbs that talk to a cluster.
#[derive(Args, Debug, Clone)]
pub(super) struct ClusterArgs {
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

impl ClusterArgs {
    /// The cluster, and how to sign in there.
    ///
    /// # Errors
    /// `Usage`: a property is not built.
    pub(super) fn checked(self) -> Result<config::Cluster> {
        let given = self.properties.into_iter();
        let given = given.map(|(name, value)| (name, Secret::Text(value))).collect();
        let (properties, login) = sign_in(given).map_err(|refusal| {
            let what = format!("`--property {}` cannot be used", refusal.name);
            let error = Error::new(Kind::Usage, what, refusal.why);
            refusal.hint.into_iter().fold(error, Error::hint)
        })?;
        Ok(config::Cluster {
            brokers: self.brokers,
            properties,
            login,
        })
    }
}

/// `NAME=VALUE`; the value may hold further equals signs.
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
