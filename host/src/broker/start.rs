//! Starting and stopping: the thread that everything of a broker runs on.

use super::node::BrokerNode;
use super::server;
use super::state::BrokerState;
use super::transactions::ending;
use crate::error::{Error, Kind, Result};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::watch;

/// Where a broker listens and keeps its data.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder for its data, made if it is missing; without one the data goes when the broker goes.
    pub data_dir: Option<PathBuf>,
}

/// A running broker. Dropping it stops it.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Broker {
    /// Opens the data and listens; when this returns, clients can connect.
    ///
    /// # Errors
    /// The address is in use, the folder can't be written, or another broker has it open.
    pub fn start(settings: BrokerSettings) -> Result<Self> {
        let state = open(settings.data_dir.as_deref())?;
        let listening =
            |error: io::Error| Error::new(Kind::Failed, format!("failed to listen on {}", settings.listen), error);
        let listener = TcpListener::bind(settings.listen).map_err(listening)?;
        listener.set_nonblocking(true).map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::new(Kind::Failed, "failed to start the broker", error))?;
        let (stop, stopped) = watch::channel(false);
        let thread = thread::Builder::new()
            .name("broker".into())
            .spawn(move || run(&runtime, state, listener, stopped))
            .map_err(|error| Error::new(Kind::Failed, "failed to start the broker's thread", error))?;
        Ok(Self {
            address,
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; when this returns its files are closed and its address is free.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        self.wait();
    }

    /// Waits until another thread stops it.
    pub fn wait(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the broker's thread ended by a panic");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What an earlier process left, with the transactions completed that it had decided.
fn open(folder: Option<&Path>) -> Result<BrokerState> {
    let mut state = BrokerState::open(folder)?;
    ending::complete_all(&mut state)
        .map_err(|error| Error::new(Kind::Corrupt, "failed to open the broker's data", error))?;
    Ok(state)
}

fn run(
    runtime: &tokio::runtime::Runtime,
    state: BrokerState,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) {
    let node = Rc::new(BrokerNode::new(state));
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(runtime, async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "failed to listen"),
        };
        tokio::select! {
            () = server::serve(node, listener) => {}
            // An error means that the broker itself is gone, and is as good a reason.
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    });
}
