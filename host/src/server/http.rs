//! The HTTP server of `--http`: a thread of its own with a runtime of its own, away from the workers.

use crate::error::{Error, Kind, Result};
use crate::metrics::Progress;
use crate::pulse::Standstill;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the recorder forgets the samples that were rendered.
const UPKEEP: Duration = Duration::from_secs(5);

/// A server that answers until the process ends.
#[derive(Debug)]
pub struct Http {
    address: SocketAddr,
}

impl Http {
    /// Listens on `address` (port 0: any) and answers from now on.
    ///
    /// Errors: an address in use or not ours (`Failed`).
    pub fn start(address: SocketAddr, metrics: PrometheusHandle, progress: Arc<Progress>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::Failed, format!("failed to listen on {address}"), error)
                .hint("give another address with --http")
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let serve = move || runtime.block_on(serve(listener, metrics, progress));
        std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(serve)
            .map_err(failed)?;
        Ok(Self { address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, metrics: PrometheusHandle, progress: Arc<Progress>) {
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let of_health = progress.clone();
    let router = Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/health", get(move || async move { health(&of_health) }))
        .route("/ready", get(move || async move { ready(&progress) }));
    let ended = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => axum::serve(listener, router).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::error!("the HTTP server ended: {error}");
    }
}

/// Red once a worker stood still for half of the time after which the watchdog ends the process.
fn health(progress: &Progress) -> (StatusCode, String) {
    match progress.pulses.standstill() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(Standstill { worker, still }) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "worker {worker} stands still: it has not turned for {} s\n",
                still.as_secs()
            ),
        ),
    }
}

fn ready(progress: &Progress) -> (StatusCode, &'static str) {
    if !progress.running.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n")
    } else if progress.disconnected.load(Ordering::Relaxed) {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "a Kafka cluster is out of reach; waiting for it\n",
        )
    } else {
        (StatusCode::OK, "ready\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_turns_red_while_a_worker_stands_still_and_names_it() {
        let progress = Progress::default();
        assert_eq!(health(&progress), (StatusCode::OK, "ok\n".to_owned()));
        let still = Duration::from_secs(75);
        progress.pulses.tell(Some(Standstill { worker: 3, still }));
        let (code, text) = health(&progress);
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "worker 3 stands still: it has not turned for 75 s\n");
        progress.pulses.tell(None);
        assert_eq!(health(&progress).0, StatusCode::OK);
    }

    #[test]
    fn ready_turns_red_while_a_cluster_is_away() {
        let progress = Progress::default();
        assert_eq!(ready(&progress).0, StatusCode::SERVICE_UNAVAILABLE);
        progress.running.store(true, Ordering::Relaxed);
        assert_eq!(ready(&progress).0, StatusCode::OK);
        progress.disconnected.store(true, Ordering::Relaxed);
        assert_eq!(ready(&progress).0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
