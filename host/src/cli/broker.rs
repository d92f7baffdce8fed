//! `sandbar broker`: the embedded broker as a process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::signals::StopSignal;
use crate::broker::{Broker as Embedded, BrokerSettings};
use crate::error::Result;

/// Arguments of `sandbar broker`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sandbar broker --listen 127.0.0.1:9092 --data-dir /tmp/sandbar-broker")]
pub struct BrokerArgs {
    /// Where clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    /// The folder that keeps topics and offsets; without one they go when the broker goes
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl BrokerArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let stop = StopSignal::on_signal()?;
        let broker = Embedded::start(BrokerSettings {
            listen: self.listen,
            data_dir: self.data_dir,
        })?;
        let address = broker.address().to_string();
        out.show(&json!({ "listening": address }), || format!("listening on {address}"))?;
        while !stop.wait(Duration::from_secs(3600)) {}
        broker.stop();
        Ok(())
    }
}
