//! `sandbar cluster`: clusters that a tenant's pipelines refer to by name.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use sandbar_control::{ClusterProperty, KeptCluster, Name, TenantCluster};
use serde_json::json;

use crate::cli::checkpoint::moment;
use crate::cli::control::daemon::{InTenant, plain};
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar cluster`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "To set and delete a cluster takes a token of the platform; a tenant sees its own, without the texts \
        of their properties.\n\nExample:\n  sandbar cluster set main --tenant team-a --brokers kafka:9092"
)]
pub struct TenantClusterArgs {
    #[command(subcommand)]
    action: TenantClusterAction,
}

#[derive(Subcommand, Debug)]
enum TenantClusterAction {
    /// Keep a cluster of a tenant, in the place of the one of that name
    #[command(
        after_help = "Properties are those of librdkafka, but none that reaches files, programs or the log: \
        docs/serve.md. One that is a secret, such as sasl.password, names a secret of the tenant.\n\n\
        Example:\n  sandbar cluster set main --tenant team-a --brokers kafka-1:9092,kafka-2:9092 \
        --property security.protocol=sasl_ssl --property sasl.mechanism=SCRAM-SHA-512 \
        --property sasl.username=team-a --property-secret sasl.password=kafka-password"
    )]
    Set {
        /// The cluster's name
        name: Name,
        /// Its brokers: host:port, with commas between them
        #[arg(long, value_name = "BROKERS")]
        brokers: String,
        /// A property of librdkafka
        #[arg(long = "property", value_name = "KEY=VALUE", value_parser = text)]
        texts: Vec<(String, String)>,
        /// A property of librdkafka that is a secret of the tenant
        #[arg(long = "property-secret", value_name = "KEY=SECRET", value_parser = reference)]
        secrets: Vec<(String, Name)>,
        #[command(flatten)]
        place: InTenant,
    },
    /// List the clusters of a tenant
    #[command(after_help = "Example:\n  sandbar cluster list --tenant team-a")]
    List {
        #[command(flatten)]
        place: InTenant,
    },
    /// Delete a cluster; pipelines that refer to it do not run any more
    #[command(after_help = "Example:\n  sandbar cluster delete main --tenant team-a")]
    Delete {
        /// The cluster's name
        name: Name,
        #[command(flatten)]
        place: InTenant,
    },
}

/// `KEY=VALUE`.
fn text(pair: &str) -> Result<(String, String), String> {
    let (key, value) = pair.split_once('=').ok_or("it is not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn reference(pair: &str) -> Result<(String, Name), String> {
    let (key, name) = text(pair)?;
    let name = name
        .parse()
        .map_err(|_| "what stands behind = is no name of a secret")?;
    Ok((key, name))
}

impl TenantClusterArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            TenantClusterAction::Set {
                name,
                brokers,
                texts,
                secrets,
                place,
            } => {
                let (connection, tenant) = place.connect()?;
                let cluster = TenantCluster {
                    brokers,
                    properties: properties(texts, secrets),
                };
                let kept = connection.set_cluster(&tenant, &name, &cluster)?;
                out.show(&json!(kept), || format!("cluster {name} of {tenant} is kept"))
            }
            TenantClusterAction::List { place } => {
                let (connection, tenant) = place.connect()?;
                list(&connection.clusters(&tenant)?, out)
            }
            TenantClusterAction::Delete { name, place } => {
                let (connection, tenant) = place.connect()?;
                connection.delete_cluster(&tenant, &name)?;
                out.show(&json!({ "tenant": tenant, "deleted": name }), || {
                    format!("deleted cluster {name} of {tenant}")
                })
            }
        }
    }
}

fn properties(texts: Vec<(String, String)>, secrets: Vec<(String, Name)>) -> BTreeMap<String, ClusterProperty> {
    let texts = texts.into_iter().map(|(key, text)| (key, ClusterProperty::Text(text)));
    let secrets = secrets
        .into_iter()
        .map(|(key, secret)| (key, ClusterProperty::Secret { secret }));
    texts.chain(secrets).collect()
}

fn list(clusters: &[KeptCluster], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&["cluster", "brokers", "properties", "changed"].map(Head::Text));
    for cluster in clusters {
        let properties: Vec<_> = cluster.properties.iter().map(shown).collect();
        table.row([
            cluster.name.to_string(),
            plain(&cluster.brokers),
            properties.join(" "),
            moment(cluster.changed),
        ]);
    }
    out.rows(&json!(clusters), &table)
}

/// A property in a few words: a text can be a whole certificate.
fn shown((key, value): (&String, &Option<ClusterProperty>)) -> String {
    match value {
        Some(ClusterProperty::Secret { secret }) => format!("{}={{secret {secret}}}", plain(key)),
        Some(ClusterProperty::Text(text)) if text.len() <= 40 => format!("{}={}", plain(key), plain(text)),
        _ => format!("{}=…", plain(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_a_text_or_names_a_secret() {
        assert_eq!(text("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(text("a").unwrap_err().contains("KEY=VALUE"));
        assert!(reference("a=B").unwrap_err().contains("no name of a secret"));
        let all = properties(vec![text("a=b").unwrap()], vec![reference("c=d").unwrap()]);
        let all: Vec<_> = all.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let shown: Vec<_> = all.iter().map(|(key, value)| shown((key, value))).collect();
        assert_eq!(shown, ["a=b", "c={secret d}"]);
        assert_eq!(super::shown((&"a".to_owned(), &None)), "a=…");
    }
}
