//! The HTTP server of `--http`: a thread of its own with a runtime of its own, away from the workers.
//!
//! Always: nobody on another machine and no web page ends a run. A browser says of each request that may change
//! something which page sends it, and sends JSON to another origin only if that allows it.

use super::address::{Asker, HttpAddress, Listening};
use super::order::{RunEnd, StopOrder};
use crate::error::{Error, Kind, Result};
use crate::metrics::Progress;
use crate::pulse::Standstill;
use crate::runtime::StopRequest;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the recorder forgets the samples that were rendered.
const UPKEEP: Duration = Duration::from_secs(5);

/// How long the last answers may take, once the run has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Where a run is asked to end.
pub(super) const STOP_PATH: &str = "/stop";

/// A server that answers until the run ends.
#[derive(Debug)]
pub struct Http {
    address: HttpAddress,
    ended: watch::Sender<Option<RunEnd>>,
    /// Closed once the last answer is given.
    closed: mpsc::Receiver<()>,
}

/// What `/stop` reaches.
#[derive(Debug, Clone)]
pub struct Stoppable {
    /// The name of the pipeline.
    pub pipeline: String,
    /// Threads that read and write.
    pub workers: usize,
    /// The request that its workers see.
    pub stop: Arc<StopRequest>,
}

impl Http {
    /// Listens on `address` and answers from now on.
    ///
    /// Errors: an address in use or not ours (`Failed`).
    pub fn start(
        address: &HttpAddress,
        metrics: PrometheusHandle,
        progress: Arc<Progress>,
        run: Stoppable,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::Failed, format!("failed to listen on {address}"), error)
                .hint("give another address with --http")
        };
        let (listening, address) = address.listen().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (ended, seen) = watch::channel(None);
        let (open, closed) = mpsc::channel();
        let serve = move || {
            runtime.block_on(serve(listening, metrics, progress, run, seen));
            drop(open);
        };
        std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(serve)
            .map_err(failed)?;
        Ok(Self { address, ended, closed })
    }

    /// Tells whoever asked for it how the run ended, and answers nobody else any more.
    pub fn tell(self, end: &RunEnd) {
        self.ended.send_replace(Some(end.clone()));
        // Nothing is sent: it is closed, or takes too long.
        let _ = self.closed.recv_timeout(LAST_ANSWERS);
    }

    /// Where it listens.
    pub fn address(&self) -> &HttpAddress {
        &self.address
    }
}

async fn serve(
    listening: Listening,
    metrics: PrometheusHandle,
    progress: Arc<Progress>,
    run: Stoppable,
    ended: watch::Receiver<Option<RunEnd>>,
) {
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let (of_health, of_status) = (progress.clone(), progress.clone());
    let (name, workers) = (run.pipeline.clone(), run.workers);
    let mut end = ended.clone();
    let stop = move |ConnectInfo(asker): ConnectInfo<Asker>, headers: HeaderMap, body: Bytes| async move {
        stop(order(asker, &headers, &body), &run, ended).await
    };
    let router = Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/health", get(move || async move { health(&of_health) }))
        .route("/ready", get(move || async move { ready(&progress) }))
        .route(
            "/status",
            get(move || async move { status(&name, workers, &of_status) }),
        )
        .route(STOP_PATH, post(stop))
        .into_make_service_with_connect_info::<Asker>();
    // It ends in order: whoever asked has the answer then.
    let is_over = async move { drop(end.wait_for(Option::is_some).await) };
    let ended = async {
        match listening {
            Listening::Tcp(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                axum::serve(listener, router).with_graceful_shutdown(is_over).await
            }
            Listening::Unix(listener) => {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                axum::serve(listener, router).with_graceful_shutdown(is_over).await
            }
        }
    };
    if let Err(error) = ended.await {
        tracing::error!("the HTTP server ended: {error}");
    }
}

/// Passes the order on, and answers when the run has ended.
async fn stop(
    order: Result<StopOrder, (StatusCode, String)>,
    run: &Stoppable,
    mut ended: watch::Receiver<Option<RunEnd>>,
) -> (StatusCode, String) {
    let ordered = match order {
        Ok(order) => order
            .carry_out(&run.pipeline, &run.stop)
            .map_err(|why| (StatusCode::CONFLICT, why)),
        Err(refusal) => Err(refusal),
    };
    if let Err((status, why)) = ordered {
        return (status, why + "\n");
    }
    match ended
        .wait_for(Option::is_some)
        .await
        .map(|end| end.as_ref().map(RunEnd::to_json))
    {
        Ok(Some(end)) => (StatusCode::OK, end),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "nobody tells how the run ended\n".to_owned(),
        ),
    }
}

/// The order of a request that comes from this machine, and that no web page can send.
fn order(asker: Asker, headers: &HeaderMap, body: &[u8]) -> Result<StopOrder, (StatusCode, String)> {
    let refused = |status, why: &str| Err((status, why.to_owned()));
    // Whoever may read figures from elsewhere may not end what they tell of.
    if !asker.is_here() {
        return refused(
            StatusCode::FORBIDDEN,
            "a run is ended from the machine on which it runs",
        );
    }
    if headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site") {
        return refused(StatusCode::FORBIDDEN, "a web page cannot end a run");
    }
    if headers
        .get(CONTENT_TYPE)
        .is_none_or(|given| given != "application/json")
    {
        return refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type has to be application/json",
        );
    }
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
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

/// What the run does, for programs.
fn status(pipeline: &str, workers: usize, progress: &Progress) -> ([(HeaderName, &'static str); 1], String) {
    let still = progress.pulses.standstill();
    let status = serde_json::json!({
        "pipeline": pipeline,
        "workers": workers,
        "held-at": progress.held_at(),
        "running": progress.running.load(Ordering::Relaxed),
        "disconnected": progress.disconnected.load(Ordering::Relaxed),
        "standstill": still.map(|Standstill { worker, still }| format!("worker {worker}, {} s", still.as_secs())),
        "asks-again": progress.asks_again(),
        "records-in": progress.records_in.load(Ordering::Relaxed),
        "records-out": progress.records_out.load(Ordering::Relaxed),
        "bytes-in": progress.bytes_in.load(Ordering::Relaxed),
        "bytes-out": progress.bytes_out.load(Ordering::Relaxed),
        "lag": progress.lag.load(Ordering::Relaxed).max(0),
    });
    ([(CONTENT_TYPE, "application/json")], status.to_string())
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
    fn what_a_browser_sends_for_a_page_is_refused() {
        const ORDER: &[u8] = br#"{"pipeline":"views","drain":true}"#;
        let of = |headers: &[(&'static str, &str)], body: &[u8]| {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            order(Asker::Tcp([127, 0, 0, 1].into()), &headers, body).map_err(|(status, _)| status.as_u16())
        };
        let json = ("content-type", "application/json");
        let expected = StopOrder {
            pipeline: "views".into(),
            drain: true,
        };
        assert_eq!(of(&[json], ORDER), Ok(expected));
        let headers: HeaderMap = [(CONTENT_TYPE, "application/json".parse().unwrap())]
            .into_iter()
            .collect();
        for (asker, is_here) in [
            ("10.0.0.7", false),
            ("::ffff:10.0.0.7", false),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
        ] {
            let from = Asker::Tcp(asker.parse().unwrap());
            assert_eq!(order(from, &headers, ORDER).is_ok(), is_here, "{asker}");
        }
        assert_eq!(of(&[json, ("origin", "http://127.0.0.1:9464")], ORDER), Err(403));
        assert_eq!(of(&[json, ("sec-fetch-site", "same-origin")], ORDER), Err(403));
        assert_eq!(of(&[], ORDER), Err(415));
        assert_eq!(of(&[("content-type", "text/plain")], ORDER), Err(415));
        assert_eq!(of(&[json], b"{}"), Err(400));
        assert_eq!(of(&[json], br#"{"pipeline":"views","drain":true,"now":1}"#), Err(400));
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
