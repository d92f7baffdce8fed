//! `sandbar topics`: create, list, delete.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::cluster::{ClusterArgs, pair};
use super::output::{Head, Output, TextTable};
use crate::error::Result;
use crate::kafka::admin;

/// Arguments of `sandbar topics`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar topics create views --partitions 4"
)]
pub struct Topics {
    #[command(subcommand)]
    action: TopicsAction,
}

#[derive(Subcommand, Debug)]
enum TopicsAction {
    /// Create a topic
    #[command(after_help = "Example:\n  sandbar topics create views --partitions 4 --config retention.ms=-1")]
    Create {
        /// The topic's name
        name: String,
        /// How many partitions it gets
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        partitions: u16,
        /// On how many brokers each partition lies; as the cluster says, if not given
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        replicas: Option<u16>,
        /// A setting of the topic, such as cleanup.policy=compact; may be given again
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = pair)]
        settings: Vec<(String, String)>,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// List the topics
    #[command(after_help = "Example:\n  sandbar topics list --brokers 127.0.0.1:9092")]
    List {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Delete a topic and all its records
    #[command(after_help = "Example:\n  sandbar topics delete views")]
    Delete {
        /// The topic's name
        name: String,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

impl Topics {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            TopicsAction::Create {
                name,
                partitions,
                replicas,
                settings,
                cluster,
            } => {
                admin::create(&cluster.checked()?, &name, partitions, replicas, &settings)?;
                out.show(&json!({ "created": name, "partitions": partitions }), || {
                    format!("created topic {name} with {partitions} partitions")
                })
            }
            TopicsAction::List { cluster } => list(&admin::list(&cluster.checked()?)?, out),
            TopicsAction::Delete { name, cluster } => {
                admin::delete(&cluster.checked()?, &name)?;
                out.show(&json!({ "deleted": name }), || format!("deleted topic {name}"))
            }
        }
    }
}

fn list(topics: &[admin::Topic], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("topic"),
        Head::Number("partitions"),
        Head::Number("replicas"),
    ]);
    for topic in topics {
        table.row([
            topic.name.clone(),
            topic.partitions.to_string(),
            topic.replicas.to_string(),
        ]);
    }
    let values = topics
        .iter()
        .map(|topic| json!({ "topic": topic.name, "partitions": topic.partitions, "replicas": topic.replicas }));
    out.rows(&Value::Array(values.collect()), &table)
}
