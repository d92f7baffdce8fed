//! The OpenAPI document, made from the handlers and from the table of routes and roles.
//!
//! Always: what it says of who may ask for a route is what the guard does.

use std::sync::LazyLock;

use axum::http::Method;
use axum::http::header::{self, HeaderName};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Content, Info, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{PROBLEM, ProblemDetails};
use super::router::{Rest, documented};
use super::sign_in::{Need, Route, route_of, words};
use super::tenants::OfPipeline;
use crate::model::names::{Digest, Name};
use crate::model::texts::text_of;

/// The name of the way to sign in.
const TOKEN: &str = "token";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = openapi().to_pretty_json();
    text.unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        "{}".to_owned()
    })
});

/// The document of the interface (OpenAPI 3.1).
pub fn openapi() -> OpenApi {
    let mut document = documented().into_openapi();
    document.info = Info::new("Sandbar", "1");
    document.info.description = Some(
        "Keeps the pipelines of many tenants. Every error is a problem (RFC 9457). A path of another tenant answers as \
         one of a tenant that is not there."
            .to_owned(),
    );
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(route) = route_of(&method, path) {
                describe(operation, route);
            }
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    for (name, schema) in [
        (ProblemDetails::name(), ProblemDetails::schema()),
        (Name::name(), Name::schema()),
        (Digest::name(), Digest::schema()),
        (OfPipeline::name(), OfPipeline::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert(TOKEN.to_owned(), RefOr::T(token));
    document
}

/// The operations of a path.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
        (Method::HEAD, &mut item.head),
        (Method::OPTIONS, &mut item.options),
        (Method::TRACE, &mut item.trace),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

fn describe(operation: &mut Operation, route: &Route) {
    let needs = match route.need {
        Need::Nothing => "Needs no token.".to_owned(),
        Need::SignedIn => "Needs a token.".to_owned(),
        Need::Platform(roles) => format!("Needs a token of the platform, of role {}.", words(roles)),
        Need::Tenant(roles) => format!(
            "Needs a token of the tenant or of the platform, of role {}.",
            words(roles)
        ),
    };
    operation.description = Some(needs);
    if route.need != Need::Nothing {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [] as [String; 0])]);
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            restrict(parameter);
        }
    }
    for (status, when) in refusals(operation, route) {
        let refusal = RefOr::T(refusal(when));
        operation.responses.responses.insert(status.to_owned(), refusal);
    }
}

/// What of a path or a header is taken.
fn restrict(parameter: &mut Parameter) {
    parameter.schema = Some(match parameter.name.as_str() {
        "tenant" | "pipeline" | "secret" | "cluster" | "savepoint" => Ref::from_schema_name(Name::name()).into(),
        "digest" => Ref::from_schema_name(Digest::name()).into(),
        "token" => text_of("^[0-9a-f]{16}$", 16).into(),
        "letter" => text_of("^[0-9]{1,9}-[0-9]{1,18}$", 28).into(),
        "if-match" => text_of("^(\\*|\"[0-9]{1,18}\")$", 20).into(),
        _ => return,
    });
}

/// With which statuses a route may refuse, and when. Nothing else is answered but what its handler says.
fn refusals(operation: &Operation, route: &Route) -> Vec<(&'static str, &'static str)> {
    let has_body = operation.request_body.is_some();
    let mut asked = operation.parameters.iter().flatten();
    let has_query = asked.any(|one| matches!(one, RefOr::T(one) if one.parameter_in == ParameterIn::Query));
    let is_versioned = route.is_of_a_version();
    let is_inside = operation.tags.iter().flatten().any(|tag| tag == "inside");
    let is_stream = matches!(route.verb, "read-logs" | "follow-events");
    let is_change = route.is_change();
    let all = [
        (
            route.need != Need::Nothing,
            "401",
            "There is no token, or it is not known.",
        ),
        (
            !matches!(route.need, Need::Nothing | Need::SignedIn),
            "403",
            "The role of the token does not have it.",
        ),
        (
            route.path.contains('{'),
            "404",
            "Something of the path is not there, or is another tenant's.",
        ),
        (has_body, "408", "The body did not come in time."),
        (
            is_change || is_inside,
            "409",
            "It is there already, or stands in a state in which this cannot be.",
        ),
        (is_versioned, "412", "It is another revision than `If-Match` says."),
        (
            has_body || is_inside,
            "413",
            "The body is too large, or the answer would be.",
        ),
        (has_body, "415", "The body is of another type."),
        (
            has_body || has_query || is_change || is_inside,
            "422",
            "What was sent is wrong.",
        ),
        (
            is_change || is_inside || is_stream,
            "429",
            "A quota is used up, or too much is asked for at once.",
        ),
        (route.need != Need::Nothing, "500", "The daemon could not do it."),
        (
            route.need != Need::Nothing,
            "503",
            "The catalog, the issuer of the token or Kafka is out of reach.",
        ),
    ];
    let of_route = all.into_iter().filter(|(is_answered, ..)| *is_answered);
    of_route.map(|(_, status, when)| (status, when)).collect()
}

fn refusal(when: &str) -> Response {
    let schema = Ref::from_schema_name(ProblemDetails::name());
    let response = ResponseBuilder::new().description(when);
    response.content(PROBLEM, Content::new(Some(schema))).build()
}

/// The routes of the document.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "about", operation_id = "openapi",
    responses((status = 200, description = "The document.", content_type = "application/json")))]
async fn document() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}
