//! The events of a pipeline, as they happen (server-sent events).
//!
//! Always: the first event is the status that is; each one after it differs from the one before.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use tokio::sync::broadcast;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::watching::Watch;
use crate::model::Status;
use crate::model::problem::Result;
use crate::rest::asked::PipelinePath;
use crate::rest::pipelines::{found, status_of};
use crate::rest::router::Rest;
use crate::rest::sign_in::Caller;

/// From one look at the figures of a status to the next.
const LOOK: Duration = Duration::from_secs(1);
/// From one sign of life to the next, if nothing happens.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// An event of the stream.
#[derive(Debug, ToSchema)]
struct StatusEvent {
    /// Always `status`.
    event: &'static str,
    /// A status as JSON.
    data: String,
}

impl StatusEvent {
    fn of(status: &Status) -> Option<Self> {
        let data = serde_json::to_string(status).ok()?;
        Some(Self { event: "status", data })
    }

    fn sent(self) -> Event {
        Event::default().event(self.event).data(self.data)
    }
}

/// The routes of events.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What a pipeline does, as it happens: an event `status` at each change, of which the first comes at once.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/events", tag = "pipelines",
    operation_id = "pipeline-events",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "Events `status`, each with a status as JSON.", body = StatusEvent,
        content_type = "text/event-stream")))]
async fn events(
    State(rest): State<Rest>,
    caller: Caller,
    path: PipelinePath,
) -> Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>> {
    let PipelinePath { tenant, name } = path;
    found(&rest, &tenant, &name).await?;
    let watch = Watch::new(rest.clone(), caller, tenant.clone(), name.clone())?;
    let changes = Changes {
        changes: rest.fleet.changes(),
        rest,
        path: PipelinePath { tenant, name },
        watch,
        last: None,
    };
    let stream = futures_util::stream::unfold(changes, |mut changes| async move {
        let event = changes.next().await?;
        Some((Ok(event), changes))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)))
}

struct Changes {
    rest: Rest,
    path: PipelinePath,
    watch: Watch,
    changes: broadcast::Receiver<Status>,
    last: Option<Status>,
}

impl Changes {
    /// The next change; `None` if the stream is over.
    async fn next(&mut self) -> Option<Event> {
        let mut seen = match self.last {
            None => Some(self.now().await?),
            Some(_) => None,
        };
        loop {
            if let Some(status) = seen.filter(|status| self.last.as_ref() != Some(status)) {
                let event = StatusEvent::of(&status);
                self.last = Some(status);
                return event.map(StatusEvent::sent);
            }
            // States come as they change; figures are looked at.
            seen = match tokio::time::timeout(LOOK, self.changes.recv()).await {
                Ok(Ok(status)) => Some(status).filter(|status| self.is_ours(status)),
                Ok(Err(broadcast::error::RecvError::Lagged(_))) | Err(_) => Some(self.now().await?),
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
            };
            if !self.watch.may_go_on().await {
                return None;
            }
        }
    }

    fn is_ours(&self, status: &Status) -> bool {
        status.tenant == self.path.tenant && status.name == self.path.name
    }

    async fn now(&self) -> Option<Status> {
        let PipelinePath { tenant, name } = &self.path;
        if let Some(status) = self.rest.fleet.status(tenant, name) {
            return Some(status);
        }
        let wanted = found(&self.rest, tenant, name).await.ok()?;
        Some(status_of(&self.rest, &wanted))
    }
}
