//! What the operators of a pipeline keep, as of the last commit.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asking::{asked, list};
use crate::fleet::Question;
use crate::model::problem::Result;
use crate::rest::answers::List;
use crate::rest::asked::{Asked, PipelinePath, invalid};
use crate::rest::router::Rest;

const WHAT: &str = "failed to read state";
/// Entries, if nobody says how many.
const USUAL_ENTRIES: u32 = 100;
/// Entries at most.
const MOST_ENTRIES: u32 = 10_000;

/// What of the state.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[into_params(parameter_in = Query)]
pub(super) struct StateAsked {
    /// The operator; all of them if entries are counted and none is given.
    operator: Option<String>,
    /// The store.
    store: Option<String>,
    /// What is kept under this key, or the timers of it.
    key: Option<String>,
    /// Entries whose keys begin with this.
    prefix: Option<String>,
    /// Whether `key` or `prefix` is base64.
    #[serde(default)]
    base64: bool,
    /// Entries at most: 1 to 10000, 100 if it is not given.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// Whether entries are only counted.
    #[serde(default)]
    count: bool,
    /// Whether timers are asked for.
    #[serde(default)]
    timers: bool,
    /// Whether it is built from the checkpoints instead of what this machine has: of all tasks.
    #[serde(default)]
    stored: bool,
}

/// The route.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(state))
}

/// What the operators of a pipeline keep: what is under a key, entries by prefix, how many there are, or timers.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/state", tag = "inside",
    operation_id = "state",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."), StateAsked),
    responses((status = 200, description = "As `sandbar state` has it.", body = List<Value>)))]
async fn state(
    State(rest): State<Rest>,
    path: PipelinePath,
    Asked(wanted): Asked<StateAsked>,
) -> Result<Json<List<Value>>> {
    list(asked(&rest, &path, question(wanted)?).await?)
}

pub(super) fn question(asked: StateAsked) -> Result<Question> {
    let limit = asked.limit.unwrap_or(USUAL_ENTRIES);
    if !(1..=MOST_ENTRIES).contains(&limit) {
        return Err(invalid(
            WHAT,
            format!("limit = {limit} is not within 1 to {MOST_ENTRIES}"),
        ));
    }
    let (stored, base64) = (asked.stored, asked.base64);
    let with = |verb| Question::new(verb).flag("--stored", stored);
    let to_find = |verb| with(verb).flag("--base64", base64);
    match (
        asked.count,
        asked.timers,
        asked.operator,
        asked.store,
        asked.key,
        asked.prefix,
    ) {
        (true, false, operator, store, None, None) if operator.is_some() || store.is_none() => {
            let subjects = operator.into_iter().chain(store);
            Ok(subjects.fold(with(&["state", "count"]), Question::about))
        }
        (false, true, Some(operator), None, key, None) => {
            let question = to_find(&["state", "timers"]).option("--limit", limit).about(operator);
            Ok(key.into_iter().fold(question, Question::about))
        }
        (false, false, Some(operator), Some(store), Some(key), None) => {
            let question = to_find(&["state", "get"]).about(operator).about(store);
            Ok(question.about(key).absent(1))
        }
        (false, false, Some(operator), Some(store), None, prefix) => {
            let question = to_find(&["state", "scan"]).option("--limit", limit);
            let question = question.option("--prefix", prefix.unwrap_or_default());
            Ok(question.about(operator).about(store))
        }
        _ => Err(invalid(WHAT, "what is asked for does not go together")
            .hint("give operator and store with key or prefix; or count; or timers with operator and, perhaps, key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::ProblemKind;

    #[test]
    fn what_does_not_go_together_is_refused() {
        let of = |text: &str| {
            let uri = format!("/?{text}").parse().unwrap();
            question(axum::extract::Query::<StateAsked>::try_from_uri(&uri).unwrap().0)
        };
        for right in [
            "count=true",
            "count=true&operator=o",
            "count=true&operator=o&store=s&stored=true",
            "timers=true&operator=o&key=k",
            "operator=o&store=s&key=k&base64=true",
            "operator=o&store=s&prefix=p&limit=10000",
            "operator=o&store=s",
        ] {
            assert!(of(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "operator=o",
            "store=s",
            "count=true&store=s",
            "count=true&timers=true",
            "timers=true",
            "timers=true&operator=o&store=s",
            "operator=o&store=s&key=k&prefix=p",
            "operator=o&store=s&limit=0",
            "operator=o&store=s&limit=10001",
        ] {
            assert_eq!(of(wrong).unwrap_err().kind, ProblemKind::Invalid, "{wrong}");
        }
    }
}
