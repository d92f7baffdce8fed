//! What the processes of pipelines measure, in the text format of Prometheus: of one, and of all in one scrape.

use axum::extract::State;
use axum::http::header::{self, HeaderName};
use futures_util::StreamExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::exposition::{Exposition, TEXT};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::rest::asked::PipelinePath;
use crate::rest::pipelines::found;
use crate::rest::router::Rest;

/// Processes that are asked at once.
const AT_ONCE: usize = 8;
/// Bytes of a scrape of all, above which no more is added.
const SCRAPE_BYTES: usize = 64 << 20;
/// Says of each pipeline whether its process answered.
const IS_UP: &str = "sandbar_pipeline_up";

/// The routes of metrics.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(metrics)).routes(routes!(all))
}

/// What the process of a pipeline measures, with the labels `tenant` and `pipeline`.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/metrics", tag = "inside",
    operation_id = "metrics",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
async fn metrics(State(rest): State<Rest>, path: PipelinePath) -> Result<([(HeaderName, &'static str); 1], String)> {
    let PipelinePath { tenant, name } = path;
    found(&rest, &tenant, &name).await?;
    let text = rest.fleet.metrics(&tenant, &name).await.map_err(|error| {
        let why = format!("no process of it answers: {error}");
        Problem::new(
            ProblemKind::Conflict,
            format!("failed to read the metrics of pipeline `{name}`"),
            why,
        )
        .hint("its status says why")
    })?;
    let mut exposition = Exposition::default();
    exposition.add(&text, &[("tenant", tenant.as_str()), ("pipeline", name.as_str())]);
    Ok(([(header::CONTENT_TYPE, TEXT)], exposition.into_text()))
}

/// What all processes measure, with the labels `tenant` and `pipeline`; `sandbar_pipeline_up` says which answered.
#[utoipa::path(get, path = "/v1/metrics", tag = "inside", operation_id = "all-metrics",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")))]
async fn all(State(rest): State<Rest>) -> ([(HeaderName, &'static str); 1], String) {
    let asked = rest.fleet.names().into_iter().map(|(tenant, name)| {
        let fleet = rest.fleet.clone();
        async move {
            let text = fleet.metrics(&tenant, &name).await;
            (tenant, name, text)
        }
    });
    let mut answers = futures_util::stream::iter(asked).buffered(AT_ONCE);
    let mut exposition = Exposition::default();
    exposition.add(
        &format!("# HELP {IS_UP} Whether its process answers.\n# TYPE {IS_UP} gauge\n"),
        &[],
    );
    while let Some((tenant, name, text)) = answers.next().await {
        let owner = [("tenant", tenant.as_str()), ("pipeline", name.as_str())];
        let text = text.ok().filter(|text| exposition.bytes() + text.len() <= SCRAPE_BYTES);
        exposition.add(&format!("{IS_UP} {}\n", u8::from(text.is_some())), &owner);
        exposition.add(&text.unwrap_or_default(), &owner);
    }
    ([(header::CONTENT_TYPE, TEXT)], exposition.into_text())
}
